"""One of Python's pools with 30 jobs of which the tenth goes wrong: what `faults.py` measures. Says `ok N` for each result as it
comes, so that what was done shows even when the rest never ends. Also the module whose functions supervisor calls.

    fault_pool.py POOL FAULT [WORKERS [JOBS]]"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

LOCK = multiprocessing.Lock() if __name__ == "__main__" else None
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Odd(Exception):
    """Cannot be built again from what pickle keeps of it."""

    def __init__(self, one, two):
        super().__init__(one)


def hold_lock_and_die():
    if LOCK:
        LOCK.acquire()
    else:
        import supervisor
        supervisor.Lock("one").acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def late_with_child():
    subprocess.Popen(["sleep", "1000"], start_new_session=True, **QUIET)
    time.sleep(1000)


def raise_odd():
    raise Odd("cannot", "be pickled")


FAULTS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "sysexit": lambda: sys.exit(3),
    "hang": lambda: time.sleep(1000),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "tree": late_with_child,
    "odd": raise_odd,
    "lock": hold_lock_and_die,
    "daemon": lambda: subprocess.Popen(["sleep", "1000"], start_new_session=True, **QUIET),
}


def job(number, fault):
    if fault == "family":
        subprocess.Popen(["sleep", "1003"], **QUIET)
        time.sleep(1000)
    if number == 10 and fault in FAULTS:
        FAULTS[fault]()
    if fault == "lock":
        if LOCK:
            with LOCK:
                return number
        import supervisor
        with supervisor.Lock("one"):
            return number
    time.sleep(0.05)
    return number


def said(number):
    os.write(1, b"ok %d\n" % number)


def future_said(future):
    try:
        said(future.result())
    except BaseException:  # noqa: B902  It is counted by not being there.
        pass


def submitter(kind, workers):
    """Gives (a function that submits one job, a function that ends the pool)."""
    if kind == "Pool":
        pool = multiprocessing.Pool(workers)
        return lambda n, fault: pool.apply_async(job, (n, fault), callback=said), lambda: (pool.close(), pool.join())
    if kind == "Executor":
        from concurrent.futures import ProcessPoolExecutor
        pool = ProcessPoolExecutor(workers)
    elif kind == "loky":
        from loky import get_reusable_executor
        # It sends functions by value, and a lock cannot be sent.
        global LOCK
        LOCK = None
        pool = get_reusable_executor(max_workers=workers)
    else:
        from pebble import ProcessPool
        pool = ProcessPool(max_workers=workers)

        def schedule(n, fault):
            limit = 2 if fault in ("hang", "stop", "tree") else None
            pool.schedule(job, args=(n, fault), timeout=limit).add_done_callback(future_said)

        return schedule, lambda: (pool.close(), pool.join())

    def submit(n, fault):
        try:
            pool.submit(job, n, fault).add_done_callback(future_said)
        except Exception:  # A broken pool refuses; what it did not take has no result.
            pass

    return submit, lambda: pool.shutdown(wait=True)


def kill_one_idle():
    """Kills one process below this one that runs no job now."""
    me = str(os.getpid())
    below = subprocess.run(["pgrep", "-P", me], stdout=subprocess.PIPE).stdout.split()
    python = [int(pid) for pid in below if b"python" in open("/proc/%s/cmdline" % pid.decode(), "rb").read()]
    os.kill(python[-1], signal.SIGKILL)
    time.sleep(0.3)


def main():
    kind, fault = sys.argv[1:3]
    workers, jobs = int((sys.argv + ["2"])[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 30
    submit, end = submitter(kind, workers)
    if fault == "idle":
        for number in range(-4, 0):
            submit(number, "none")
        time.sleep(1)
        kill_one_idle()
    for number in range(1, jobs + 1):
        submit(number, fault)
    end()


if __name__ == "__main__":
    main()
