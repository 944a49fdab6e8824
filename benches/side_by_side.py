#!/usr/bin/env python3
"""Measures supervisor beside its peers: the same work, in turns, in one run. Prints a table of medians and ratios.

    benches/side_by_side.py [--rounds N] [--jobs N] [--only NAME] [--write]

--write puts the tables into docs/performance.md, between its two marks. Peers are
installed when they are missing: xargs and GNU parallel from Debian's packages, rust-parallel with cargo, workerpool with
npm, joblib, mpire and pebble with pip. Wall times swing with whatever else the machine does;
the CPU time a job costs (user and system, of the program and all it started) holds better, so both are shown."""

import argparse
import beyond_rate
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(ROOT, "target", "peers")
SUPERVISOR = os.path.join(ROOT, "target", "release", "supervisor")
SERVE = os.path.join(ROOT, "target", "release", "examples", "serve")
RELAY = os.path.join(ROOT, "benches", "relay.py")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

POOL = """
import sys, multiprocessing as mp, concurrent.futures as cf
sys.path[:0] = [{here!r}, {here!r} + "/python"]
from bench_tasks import inc
kind, jobs = sys.argv[1], int(sys.argv[2])
if __name__ == "__main__":
    if kind == "executor":
        with cf.ProcessPoolExecutor(2) as pool:
            futures = [pool.submit(inc, n) for n in range(jobs)]
            total = sum(f.result() for f in futures)
    elif kind == "joblib":
        import joblib
        with joblib.Parallel(n_jobs=2) as parallel:
            total = sum(parallel(joblib.delayed(inc)(n) for n in range(jobs)))
    elif kind == "mpire":
        import mpire
        with mpire.WorkerPool(2) as pool:
            total = sum(pool.imap_unordered(inc, range(jobs), iterable_len=jobs, chunk_size=1))
    elif kind == "pebble":
        import pebble
        with pebble.ProcessPool(2) as pool:
            futures = [pool.submit(inc, None, n) for n in range(jobs)]
            total = sum(f.result() for f in futures)
    else:
        with mp.Pool(2) as pool:
            if kind == "imap":
                total = sum(pool.imap_unordered(inc, range(jobs), chunksize=1))
            else:
                total = sum(pool.map(inc, range(jobs)))
    assert total == jobs * (jobs + 1) // 2
"""


WORKERPOOL = """
const workerpool = require("workerpool");
const pool = workerpool.pool({ maxWorkers: 2, minWorkers: 2, workerType: "process" });
const jobs = Number(process.argv[2]);
const inc = (x) => x + 1;
Promise.all(Array.from({ length: jobs }, (_, n) => pool.exec(inc, [n]))).then((results) => {
  if (results.reduce((a, b) => a + b, 0) !== (jobs * (jobs + 1)) / 2) process.exit(1);
  return pool.terminate();
});
"""


def install():
    """Builds and installs what is to be measured; what cannot be had is left out and said."""
    os.makedirs(PEERS, exist_ok=True)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bins", "--examples"], cwd=ROOT, check=True)
    limit = os.path.join(PEERS, "spawn_limit")
    source = os.path.join(ROOT, "benches", "spawn_limit.c")
    subprocess.run(["cc", "-O2", "-o", limit, source], check=True)
    if not os.path.exists(os.path.join(PEERS, "bin", "rust-parallel")):
        subprocess.run(["cargo", "install", "--quiet", "--root", PEERS, "rust-parallel"], check=False)
    if not shutil.which("parallel") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-qy", "parallel"], check=False, stdout=subprocess.DEVNULL)
    with open(os.path.join(PEERS, "bench_tasks.py"), "w") as tasks:
        tasks.write("def inc(x):\n    return x + 1\n")
    with open(os.path.join(PEERS, "pool.py"), "w") as pool:
        pool.write(POOL.format(here=PEERS))
    with open(os.path.join(PEERS, "bench_tasks.mjs"), "w") as tasks:
        tasks.write("export function inc(x) { return x + 1; }\n")
    with open(os.path.join(PEERS, "workerpool.cjs"), "w") as script:
        script.write(WORKERPOOL)
    subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "serve"], cwd=ROOT, check=True)
    if shutil.which("npm") and not os.path.exists(os.path.join(PEERS, "node_modules", "workerpool")):
        subprocess.run(["npm", "install", "--silent", "--prefix", PEERS, "workerpool"], check=False)
    python = os.path.join(PEERS, "python")
    if not os.path.exists(python):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", python, "joblib", "mpire", "pebble"]
        subprocess.run(command, check=False)


def workloads(jobs):
    """name -> (number of jobs, [(peer, argv, the job list[, number of jobs where it is another])])"""
    rust_parallel = os.path.join(PEERS, "bin", "rust-parallel")
    limit = os.path.join(PEERS, "spawn_limit")
    lines = "".join("%d\n" % n for n in range(jobs)).encode()
    echo = "".join("echo %d\n" % n for n in range(jobs)).encode()
    # Enough that the start counts for little; a tenth of it for those who take ten times as long.
    calls, few = jobs * 100, jobs * 10
    params = "".join("[%d]\n" % n for n in range(calls)).encode()
    tasks = os.path.join(PEERS, "bench_tasks.py") + ":inc"
    pool = [sys.executable, os.path.join(PEERS, "pool.py")]
    spawn = [SUPERVISOR, "spawn", "-q", "-w", "2"]
    return {
        "true": (jobs, [
            # With an argument, as the others have: given one, this program looks up the words of its language first.
            ("posix_spawn loop (limit)", [limit, str(jobs), "2", "true", "1"], b""),
            ("supervisor", spawn + ["--", "true"], lines),
            ("xargs -P2 -n1", ["xargs", "-P2", "-n1", "true"], lines),
            ("rust-parallel -j2", [rust_parallel, "-j2", "true"], lines),
            ("GNU parallel -j2", ["parallel", "-j2", "true"], lines),
        ]),
        "true, as lines of shell": (jobs, [
            ("posix_spawn loop (limit)", [limit, str(jobs), "2", "true"], b""),
            ("supervisor", spawn, b"true\n" * jobs),
            ("xargs -P2 -L1", ["xargs", "-P2", "-L1", "env"], b"true\n" * jobs),
            ("rust-parallel -j2", [rust_parallel, "-j2"], b"true\n" * jobs),
        ]),
        "sh -c echo, captured": (jobs, [
            ("posix_spawn with a pipe (limit)", [limit, "-c", str(jobs), "2", "sh", "-c", "echo 1"], b""),
            ("supervisor", spawn, echo),
            ("rust-parallel -j2 -s", [rust_parallel, "-j2", "-s"], echo),
            ("GNU parallel -j2", ["parallel", "-j2"], echo),
        ]),
        "Python x + 1": (calls, [
            ("supervisor --python", spawn + ["--json", "--python-bin", sys.executable, "--python", tasks], params),
            ("Pool.imap_unordered(1)", pool + ["imap", str(calls)], b""),
            ("Pool.map", pool + ["map", str(calls)], b""),
            ("ProcessPoolExecutor.submit", pool + ["executor", str(few)], b"", few),
        ] + [(peer, pool + [peer, str(few)], b"", few) for peer in ("joblib", "mpire", "pebble") if has(peer)]),
        "Node x + 1": (calls, [
            ("supervisor --node", spawn + ["--json", "--node", os.path.join(PEERS, "bench_tasks.mjs") + ":inc"], params),
            ("workerpool, processes", ["node", os.path.join(PEERS, "workerpool.cjs"), str(few)], b"", few),
        ]),
        "Rust worker x + 1": (calls, [
            ("bare relay (limit)", [sys.executable, RELAY, SERVE], requests(calls)),
            ("supervisor --worker", spawn + ["--json", "--worker", SERVE], methods(calls)),
        ]),
    }


def requests(count):
    return b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"add_one","params":[%d]}\n' % (n, n) for n in range(count))


def methods(count):
    return b"".join(b'{"method":"add_one","params":[%d]}\n' % n for n in range(count))


def has(peer):
    """Whether a Python package could be installed."""
    return os.path.exists(os.path.join(PEERS, "python", peer))


def one_at_a_time(rounds):
    """Rows of the second table: a call is written, its record waited for, then the next."""
    calls, shim = 5000, os.path.join(PEERS, "ping.py")
    with open(shim, "w") as file:
        file.write("import json, sys\nfor line in sys.stdin:\n    call = json.loads(line)\n"
                   "    print(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': call['params'][0] + 1}), flush=True)\n")
    spawn = [SUPERVISOR, "spawn", "-q", "-w", "1", "--json"]
    python = ["--python", os.path.join(PEERS, "bench_tasks.py") + ":inc", "--python-bin", sys.executable]
    rows = {
        "Rust": [("bare ping-pong (limit)", [SERVE], requests(100)),
                 ("supervisor --worker", spawn + ["--worker", SERVE], methods(100))],
        "Python": [("bare ping-pong (limit)", [sys.executable, shim], requests(100)),
                   ("supervisor --python", spawn + python, b"".join(b"[%d]\n" % n for n in range(100)))],
    }
    for language, programs in rows.items():
        spans = {name: [] for name, _, _ in programs}
        for _ in range(rounds):
            for name, argv, lines in programs:
                print("one at a time: %s, %s" % (language, name), file=sys.stderr)
                command = [sys.executable, RELAY, "--ping", str(calls)] + argv
                done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, check=True)
                spans[name].append([float(word) for word in done.stdout.split()])
        limit = statistics.median(p50 for p50, _ in spans[programs[0][0]])
        for name in spans:
            p50, p99 = (statistics.median(column) for column in zip(*spans[name]))
            yield "| one call at a time, %s | %s | %.1f | %.1f | %.2f |" % (language, name, p50, p99, p50 / limit)


def measure(argv, stdin):
    """Wall seconds and CPU seconds of one run."""
    path = os.path.join(PEERS, "list")
    with open(path, "wb") as jobs:
        jobs.write(stdin)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    with open(path, "rb") as jobs:
        env = dict(os.environ, PYTHONPATH=os.path.join(PEERS, "python"))
        done = subprocess.run(argv, stdin=jobs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError("%s ended with %d: %s" % (argv[0], done.returncode, done.stderr[-300:].decode()))
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(options):
    """Rows of the table, as text."""
    rows = []
    for name, (jobs, peers) in workloads(options.jobs).items():
        if options.only and options.only not in name:
            continue
        there = [peer for peer in peers if shutil.which(peer[1][0])]
        for missing in [peer[0] for peer in peers if peer not in there]:
            print("not to be had here, left out: " + missing, file=sys.stderr)
        times = {peer[0]: [] for peer in there}
        for at in range(options.rounds):
            for peer, argv, stdin, *other in there:
                print("%s, round %d: %s" % (name, at + 1, peer), file=sys.stderr)
                count = other[0] if other else jobs
                try:
                    times[peer].append([seconds / count for seconds in measure(argv, stdin)])
                except RuntimeError as error:
                    if peer.startswith("supervisor"):
                        raise
                    print("left out: %s" % error, file=sys.stderr)
        times = {peer: spans for peer, spans in times.items() if spans}
        ours = next(peer for peer in times if peer.startswith("supervisor"))
        our_wall = statistics.median(wall for wall, _ in times[ours])
        for peer in times:
            wall = statistics.median(wall for wall, _ in times[peer])
            cpu = statistics.median(cpu for _, cpu in times[peer])
            cells = (name, peer, 1 / wall, cpu * 1e6, wall / our_wall)
            rows.append("| %s | %s | %.0f | %.1f | %.2f |" % cells)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    install()
    head = [
        "%s, %d cores, Linux %s, Python %s; medians of %d rounds in turns; `benches/side_by_side.py --rounds %d --jobs %d`"
        % (platform.machine(), os.cpu_count(), platform.release().split("-")[0], platform.python_version(),
           options.rounds, options.rounds, options.jobs),
        "",
        "| work | program | jobs/s | CPU µs a job | times as long as supervisor |",
        "| --- | --- | --- | --- | --- |",
    ]
    table = "\n".join(head + run(options) + beyond_rate.table(SUPERVISOR, options.rounds, options.only))
    if not options.only or options.only in "one at a time":
        rows = list(one_at_a_time(options.rounds))
        table += "\n\n| work | program | p50 µs | p99 µs | times the limit |\n| --- | --- | --- | --- | --- |\n" + "\n".join(rows)
    print(table)
    if options.write:
        path = os.path.join(ROOT, "docs", "performance.md")
        with open(path) as page:
            text = page.read()
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        with open(path, "w") as page:
            page.write(before + BEGIN + "\n" + table + "\n" + END + after)


if __name__ == "__main__":
    main()
