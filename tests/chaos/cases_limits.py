"""Shortage: cases A37 to A40 of the plan. Too few descriptors, processes, memory; descriptors that must not leak."""

import os
import shutil
import sys

from case import HERE, by_id, calls, case, commands
from check import detail
from places import LimitedGroup, another_user, processes_of_user
from sandbox import limited


@case("A37", "`ulimit -n` of 64, 20, 12, 8, with 100 workers",
      "fewer workers with a warning, or exit 5 before any job: never a lost job", slow=True)
def few_descriptors(t):
    tasks = t.file("tasks.py", "def f(x):\n    return 'done'\n")
    module = t.file("tasks.mjs", "export function f(x) { return 'done' }\n")
    for what, argv in (("python", t.spawn("--python", tasks, workers=100)), ("node", t.spawn("--node", module, workers=100))):
        t.run(what + ", ulimit -n 64", argv, calls(200), timeout=60, before=limited(nofile=64), ids=range(1, 201), code=0,
              want={"ok": 200}, bound=40)
    for number in (64, 20, 12, 8):
        for what, argv, jobs in (("commands", t.spawn(workers=100), commands(["sleep .01; echo x"] * 200)),
                                 ("calls", t.evil("ok", workers=100), calls(200))):
            label = "%s, ulimit -n %d" % (what, number)
            run = t.run(label, argv, jobs, timeout=60, before=limited(nofile=number), code=[0, 5], bound=40)
            ran = [one["id"] for one in run.records if one["status"] == "ok"]
            t.expect(sorted(ran) == (list(range(1, 201)) if run.code == 0 else []), label, "%d ran" % len(ran))
            t.expect(run.code == 0 or number < 64, label, "refused: %r" % run.err[-300:])
            t.expect(run.code == 0 or b"descriptor" in run.err or b"EMFILE" in run.err, label, run.err[-300:])


@case("A38", "no more processes (EAGAIN): 24 for 40 workers, by a cgroup and by `ulimit -u`",
      "fewer workers from the start, with a warning; every job `ok`", slow=True, alone=True)
def few_processes(t):
    # Ours may be in somebody's home, where another user may not go.
    python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    worker = t.file("worker.py", open(os.path.join(HERE, "evil_worker.py")).read())
    binary = t.binary
    if os.getuid() == 0:
        binary = shutil.copy(t.binary, t.path("supervisor"))
    programs = (("commands", commands(["sleep .05; echo x"] * 120), []),
                ("calls", calls(120), ["--worker", "%s -S -E %s" % (python, worker)]))
    programs = [(what, [binary] + t.spawn(*options, workers=40)[1:], jobs) for what, jobs, options in programs]
    group = LimitedGroup(t, "pids", 24)
    if group.path:
        for what, argv, jobs in programs:
            t.run("pids.max 24, " + what, argv, jobs, timeout=60, before=group.enter, ids=range(1, 121), code=0,
                  want={"ok": 120}, bound=30)
        group.remove()
    user = another_user(t) if os.getuid() == 0 else []
    os.chmod(t.folder, 0o755)
    for what, argv, jobs in programs:
        number = 24 if user else processes_of_user() + 24
        if user is None:
            continue
        t.run("ulimit -u, " + what, user + ["prlimit", "--nproc=%d:%d" % (number, number)] + argv, jobs, timeout=60,
              ids=range(1, 121), code=0, want={"ok": 120}, bound=30)
    t.expect(group.path or user is not None, "a limit", "neither a cgroup with pids.max nor another user is to be had")


@case("A39", "the caller leaves descriptors 3 to 9 open; 1,000 jobs; 40 replaced workers",
      "jobs and workers have 0, 1, 2 and nothing else; ours stay as many as they were", slow=True)
def descriptors(t):
    def open_some():
        for number in range(3, 10):
            os.dup2(os.open("/tmp", os.O_RDONLY), number)
            os.set_inheritable(number, True)

    run = t.run("commands", t.spawn(), commands(["ls /proc/self/fd | tr '\\n' ' '"] * 6), before=open_some, ids=range(1, 7),
                code=0, want={"ok": 6}, bound=5)
    t.expect(all(detail(one)["stdout"] == "0 1 2 3 " for one in run.records), "commands", run.records[:1])
    program = t.program("""
import json, os, sys
for line in sys.stdin:
    open_ones = [int(name) for name in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + name)]
    print(json.dumps({"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": open_ones}), flush=True)
""")
    run = t.run("workers", t.spawn("--worker", program, workers=4), calls(8), before=open_some, ids=range(1, 9), code=0, bound=5)
    t.expect(all(sorted(one["result"]) == [0, 1, 2] for one in run.records), "workers", run.records[:1])
    seen = []

    def count(run):
        while run.process.poll() is None:
            try:
                seen.append(len(os.listdir("/proc/%d/fd" % run.pid)))
            except OSError:
                pass
            run.sleep(0.02)

    for what, argv, jobs, ids in (("1,000 jobs", t.spawn(), commands(["true"] * 1000), 1000),
                                  ("40 workers", t.evil("ok", "", "--max-jobs-per-worker", 5), calls(200), 200)):
        del seen[:]
        t.run(what, argv, jobs, timeout=60, script=count, env=t.environment(EVIL_PAUSE="0"), ids=range(1, ids + 1), code=0, bound=40)
        half = len(seen) // 2
        t.expect(half and max(seen[half:]) <= max(seen[:half]) + 3, what, seen)


@case("A40", "a job is killed by the kernel for its memory, or is over `--memory-max`; the supervisor itself has little (`ulimit -v`)",
      "that job names SIGKILL, or is `oom`; others are `ok`; our own end is no success and leaves nobody", slow=True)
def little_memory(t):
    group = LimitedGroup(t, "memory", 100 << 20)
    hog = "exec python3 -c 'x = bytearray(300 << 20)'"
    if group.path:
        run = t.run("out of memory", t.spawn(), commands(["echo a", hog, "echo b", "echo c"]), before=group.enter, timeout=40,
                    ids=range(1, 5), code=1, want={"ok": 3, "failed": 1}, bound=25)
        group.remove()
        t.expect("OOM killer" in by_id(run, 2)["error"]["message"], "out of memory, by name", by_id(run, 2))
    else:
        run = t.run("killed for another", t.spawn(), commands(["echo a", "kill -9 $$", "echo b", "echo c"]), ids=range(1, 5),
                    code=1, want={"ok": 3, "failed": 1}, bound=10)
    t.expect(detail(by_id(run, 2)).get("signal") == "SIGKILL", "out of memory", by_id(run, 2))
    slow_hog = "exec python3 -c 'import time; x = bytearray(300 << 20); time.sleep(1000)'"
    t.run("--memory-max", t.spawn("--memory-max", "100MiB"), commands(["echo a", slow_hog, "echo b", "echo c"]), timeout=40,
          ids=range(1, 5), code=1, want={"ok": 3, "oom": 1}, bound=25)
    jobs = commands(["echo a", "sleep .2; echo b", "head -c 5000000 /dev/zero"] * 4)
    for mib in (200, 40, 30, 22):
        run = t.run("ulimit -v %d MiB" % mib, t.spawn(), jobs, timeout=40, before=limited(**{"as": mib << 20}), bound=35)
        t.expect(run.code != 0 or len(run.records) == 12, "ulimit -v %d MiB" % mib, "exit 0 with %d records" % len(run.records))
