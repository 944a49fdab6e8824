"""Jobs a second: commands, and calls of functions in Python, Node and Rust; a call at a time. Owns which peers do which work how."""

import os
import subprocess
import sys

from peers.install import HERE, LIMIT, PYTHON, RUST_PARALLEL, SERVE, SUPERVISOR
from peers.measure import Aim, Group, Row, environment

SPAWN = [SUPERVISOR, "spawn", "-q"]
POOLS = [PYTHON, os.path.join(HERE, "pools.py")]
NODE_POOLS = ["node", os.path.join(HERE, "pools.cjs")]
RELAY = [sys.executable, os.path.join(HERE, "relay.py")]
BARE = [PYTHON, os.path.join(HERE, "bare.py")]
TASKS = os.path.join(HERE, "tasks")
BARE_LIMIT, ONE_LIMIT = "bare relay (limit)", "bare ping-pong (limit)"


def python(function):
    return ["--json", "--python-bin", PYTHON, "--python", TASKS + ".py:" + function]


def lines(count, form):
    """Shell that writes so many lines, with & for the number."""
    return "seq 0 %d | sed 's|.*|%s|'" % (count - 1, form)


def request(method):
    return '{"jsonrpc":"2.0","id":&,"method":"%s","params":[&]}' % method


def commands(jobs):
    """GNU parallel, which takes ten times as long as the others, has a fifth of the jobs."""
    few = jobs // 5
    # With an argument, as the others have: given one, this program looks up the words of its language first.
    makefile = ".PHONY: all $(shell seq {0})\\nall: $(shell seq {0})\\n$(shell seq {0}): ; @true $@\\n".format(jobs)
    limit = "posix_spawn loop (limit)"
    yield Group("`true`, 2 at a time", "jobs/s", [
        Row(limit, [LIMIT, str(jobs), "2", "true", "1"], count=jobs),
        Row("supervisor", SPAWN + ["-w", "2", "--", "true"], lines(jobs, "&"), jobs),
        Row("xargs -P2 -n1", ["xargs", "-P2", "-n1", "true"], lines(jobs, "&"), jobs),
        Row("make -j2", ["make", "-s", "-j2", "-f", "-"], "printf '%s'" % makefile.replace("%", "%%"), jobs),
        Row("rust-parallel -j2", [RUST_PARALLEL, "-j2", "true"], lines(jobs, "&"), jobs),
        Row("GNU parallel -j2", ["parallel", "-j2", "true"], lines(few, "&"), few),
    ], [
        Aim("supervisor", limit, least=0.9),
        Aim("supervisor", limit, more=50, what="cpu"),
        Aim("supervisor", "xargs -P2 -n1", least=1.5),
        Aim("supervisor", "make -j2", least=1),
        Aim("supervisor", "rust-parallel -j2", least=1.7),
    ])
    yield Group("`true` as lines of shell", "jobs/s", [
        Row(limit, [LIMIT, str(jobs), "2", "true"], count=jobs),
        Row("supervisor", SPAWN + ["-w", "2"], lines(jobs, "true"), jobs),
        Row("xargs -P2 -L1 env", ["xargs", "-P2", "-L1", "env"], lines(jobs, "true"), jobs),
        Row("rust-parallel -j2", [RUST_PARALLEL, "-j2"], lines(jobs, "true"), jobs),
    ])
    limit = "posix_spawn with a pipe (limit)"
    yield Group("`sh -c 'echo N'`, captured", "jobs/s", [
        Row(limit, [LIMIT, "-c", str(jobs), "2", "sh", "-c", "echo 1"], count=jobs),
        Row("supervisor", SPAWN + ["-w", "2"], lines(jobs, "echo &"), jobs),
        Row("rust-parallel -j2 -s", [RUST_PARALLEL, "-j2", "-s"], lines(jobs, "echo &"), jobs),
        Row("GNU parallel -j2", ["parallel", "-j2"], lines(few, "echo &"), few),
    ], [Aim("supervisor", limit, least=0.85), Aim("supervisor", "rust-parallel -j2 -s", least=1.3)])


def calls(jobs):
    """Enough that the start counts for little: those who take ten, a hundred times as long have a tenth, a hundredth of it."""
    many, some, few, fewer = jobs * 40, jobs * 10, jobs * 4, jobs * 2 // 5
    pool = lambda kind, count: POOLS + [kind, "inc", str(count)]
    ours = "supervisor --python"
    yield Group("Python `x + 1`, 2 workers", "jobs/s", [
        Row(ours, SPAWN + ["-w", "2"] + python("inc"), lines(many, "[&]"), many),
        Row("Pool.map", pool("map", many), count=many),
        Row("Pool.imap_unordered(chunksize=1)", pool("imap", some), count=some),
        Row("ProcessPoolExecutor.submit", pool("executor", few), count=few),
        Row("loky", pool("loky", few), count=few),
        Row("joblib", pool("joblib", some), count=some),
        Row("mpire", pool("mpire", few), count=few),
        Row("pebble", pool("pebble", few), count=few),
        Row("dask.distributed, processes", pool("dask", fewer), count=fewer),
    ], [
        Aim(ours, "Pool.imap_unordered(chunksize=1)", least=15),
        Aim(ours, "ProcessPoolExecutor.submit", least=80),
        Aim(ours, "Pool.map", least=1),
    ])
    pool = lambda kind: NODE_POOLS + [kind, "inc", str(few)]
    ours = "supervisor --node"
    yield Group("Node `x + 1`, 2 workers", "jobs/s", [
        Row(ours, SPAWN + ["-w", "2", "--json", "--node", TASKS + ".cjs:inc"], lines(many, "[&]"), many),
        Row("workerpool, processes", pool("workerpool"), count=few),
        Row("jest-worker, processes", pool("jest-worker"), count=few),
        Row("piscina, threads", pool("piscina"), count=few),
    ], [Aim(ours, "workerpool, processes", least=40), Aim(ours, "jest-worker, processes", least=40)])
    million = jobs * 200
    yield Group("Rust worker `x + 1`, 2 workers", "jobs/s", [
        Row(BARE_LIMIT, RELAY + [SERVE], lines(million, request("add_one")), million),
        Row("supervisor --worker", SPAWN + ["-w", "2", "--json", "--worker", SERVE],
            lines(million, '{"method":"add_one","params":[&]}'), million),
    ], [Aim("supervisor --worker", BARE_LIMIT, least=0.6)])


def pinged(row, jobs):
    """A row whose program says p50 and p99 itself."""
    with open(jobs, "rb") as stdin:
        done = subprocess.run(row.argv, stdin=stdin, stdout=subprocess.PIPE, env=environment())
    if done.returncode != 0:
        raise RuntimeError("%s ended with %d" % (row.argv[0], done.returncode))
    p50, p99 = (float(word) for word in done.stdout.split())
    return {"figure": p50, "p99": p99}


def one_at_a_time(jobs):
    """A call is written, its record waited for, then the next."""
    count, some = str(jobs), 100
    ping = RELAY + ["--ping", count]
    alone = SPAWN + ["-w", "1"]
    yield Group("a call at a time, Rust", "µs", [
        Row(ONE_LIMIT, ping + [SERVE], lines(some, request("add_one"))),
        Row("supervisor --worker", ping + alone + ["--json", "--worker", SERVE], lines(some, '{"method":"add_one","params":[&]}')),
    ], [Aim("supervisor --worker", ONE_LIMIT, most=2)], take=pinged)
    yield Group("a call at a time, Python", "µs", [
        Row(ONE_LIMIT, ping + BARE, lines(some, request("inc"))),
        Row("supervisor --python", ping + alone + python("inc"), lines(some, "[&]")),
        Row("Pool.apply_async", POOLS + ["Pool", "ping", count]),
    ], [Aim("supervisor --python", ONE_LIMIT, most=1.5), Aim("supervisor --python", "Pool.apply_async", most=1 / 7)], take=pinged)


def groups(options):
    yield from commands(options.jobs)
    yield from calls(options.jobs)
    yield from one_at_a_time(options.jobs)
