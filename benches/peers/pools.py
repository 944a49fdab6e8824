"""One of Python's pools at work: what the other files here measure.

    pools.py POOL inc CALLS            two workers, x + 1
    pools.py POOL nap LIST             four workers, the seconds of a file with one JSON array a line
    pools.py POOL first CALLS          three workers; says when the first result is there
    pools.py Pool ping CALLS           one worker, a call at a time: microseconds there and back, p50 and p99

Packages are imported by the pool that needs them, so that none pays for another's start."""

import json
import multiprocessing
import sys
import time

import tasks


def imap(function, items, workers):
    with multiprocessing.Pool(workers) as pool:
        yield from pool.imap_unordered(function, items, chunksize=1)


def spawned(function, items, workers):
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(function, items, chunksize=1)


def mapped(function, items, workers):
    with multiprocessing.Pool(workers) as pool:
        yield from pool.map(function, items)


def executor(function, items, workers):
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(workers) as pool:
        for future in [pool.submit(function, item) for item in items]:
            yield future.result()


def loky(function, items, workers):
    from loky import get_reusable_executor
    with get_reusable_executor(max_workers=workers) as pool:
        for future in [pool.submit(function, item) for item in items]:
            yield future.result()


def joblib(function, items, workers):
    from joblib import Parallel, delayed
    with Parallel(n_jobs=workers) as parallel:
        yield from parallel(delayed(function)(item) for item in items)


def mpire(function, items, workers):
    from mpire import WorkerPool
    with WorkerPool(workers) as pool:
        yield from pool.imap_unordered(function, items, iterable_len=len(items), chunk_size=1)


def pebble(function, items, workers):
    from pebble import ProcessPool
    with ProcessPool(workers) as pool:
        for future in [pool.submit(function, None, item) for item in items]:
            yield future.result()


def dask(function, items, workers):
    """Futures of `dask.distributed` on processes of this machine: what its users reach for when calls are many and small. (The older
    `scheduler="processes"` is ProcessPoolExecutor underneath.)"""
    from dask.distributed import Client, LocalCluster
    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            yield from client.gather(client.map(function, items, pure=False))


POOLS = {
    "imap": imap, "spawned": spawned, "map": mapped, "executor": executor, "loky": loky, "joblib": joblib, "mpire": mpire,
    "pebble": pebble, "dask": dask,
}


def ping(calls):
    from relay import percentiles
    with multiprocessing.Pool(1) as pool:
        spans = []
        for number in range(calls):
            begin = time.perf_counter_ns()
            pool.apply_async(tasks.inc, (number,)).get()
            spans.append(time.perf_counter_ns() - begin)
    print(percentiles(spans))


def main():
    kind, work, argument = sys.argv[1:4]
    if work == "ping":
        ping(int(argument))
    elif work == "first":
        results = POOLS[kind](tasks.inc, range(int(argument)), 3)
        print(next(results), flush=True)
        results.close()
    elif work == "nap":
        with open(argument) as lines:
            items = [json.loads(line)[0] for line in lines]
        assert sum(POOLS[kind](tasks.nap, items, 4)) == 0
    else:
        jobs = int(argument)
        assert sum(POOLS[kind](tasks.inc, range(jobs), 2)) == jobs * (jobs + 1) // 2


if __name__ == "__main__":
    main()
