"""A broken environment, a jumping clock, a long storm: cases A41 to A44 of the plan."""

import os
import signal
import subprocess
import threading
import time

from case import HERE, FAMILY, calls, case, commands
from places import foreign_proc, private_mounts
from sandbox import hit, stat_of


@case("A41", "no environment, PATH empty, TMPDIR missing or full, the directory deleted, no /proc",
      "it runs, and nothing is lost; without /proc it says so and begins nothing", slow=True)
def broken_environment(t):
    path = {"PATH": os.environ["PATH"]}
    tasks = t.file("tasks.py", "def f(x):\n    return 'done'\n")
    module = t.file("tasks.mjs", "export function f(x) { return 'done' }\n")
    for what, env in (("env -i", {}), ("PATH empty", {"PATH": ""}), ("TMPDIR missing", dict(path, TMPDIR="/nope", HOME="/nope"))):
        t.run(what, t.spawn(), commands(["echo a", "echo b"]), env=env, ids=[1, 2], code=0, want={"ok": 2}, bound=5)
        t.run(what + ", calls", t.evil("ok"), calls(3), env=env, ids=[1, 2, 3], code=0, want={"ok": 3}, bound=5)
    env = dict(path, TMPDIR="/nope", HOME="/nope")
    t.run("big output", t.spawn(), commands(["head -c 3000000 /dev/zero"]), env=env, ids=[1], code=0, bound=5)
    t.run("python", t.spawn("--python", tasks + ":f"), b"[1]\n[2]\n", env=env, ids=[1, 2], code=0, want={"ok": 2}, bound=10)
    t.run("node", t.spawn("--node", module + ":f"), b"[1]\n[2]\n", env=env, ids=[1, 2], code=0, want={"ok": 2}, bound=15)
    t.expect(not os.path.exists("/nope"), "no home", "one was made where there is none")
    gone = "mkdir gone && cd gone && rmdir ../gone && exec "
    t.run("no directory", ["sh", "-c", gone + '"$@"', "sh"] + t.spawn(), commands(["echo a"]), ids=[1], bound=5, code=[0, 1])
    t.run("no directory, calls", ["sh", "-c", gone + '"$@"', "sh"] + t.evil("ok"), calls(2), ids=[1, 2], code=0, bound=5)
    mounts = private_mounts(t)
    if mounts:
        without_places(t, mounts)


def without_places(t, mounts):
    def inside(mount, argv):
        return mounts + ["bash", "-c", mount + ' && exec "$@"', "bash"] + argv

    # What a job leaves behind is found in /proc: without it nothing is begun.
    for what, argv, jobs in (("commands", t.spawn(), commands(["echo a"])), ("calls", t.evil("ok"), calls(2))):
        run = t.run("no /proc, " + what, inside("mount -t tmpfs none /proc", argv), jobs, ids=[], code=2, bound=4)
        t.expect(b"/proc is needed" in run.err, "no /proc", run.err)
    foreign = foreign_proc(t)
    if foreign:
        run = t.run("another /proc", foreign + t.spawn(), commands(["echo a"]), ids=[], code=2, bound=4)
        t.expect(b"/proc shows another PID namespace" in run.err, "another /proc", run.err)
    full = "mount -t tmpfs -o size=4k none /var/tmp; export TMPDIR=/var/tmp; (head -c 100000 /dev/zero >/var/tmp/f 2>&1; true)"
    jobs = commands(["echo a", "head -c 3000000 /dev/zero", FAMILY + " echo ok"])
    t.run("full TMPDIR", inside(full, t.spawn()), jobs, ids=[1, 2, 3], code=0, want={"ok": 3}, bound=8)
    t.run("full TMPDIR, calls", inside(full, t.evil("daemon", 1)), calls(6), ids=range(1, 7), code=0, want={"ok": 6}, bound=8)
    for number in (signal.SIGTERM, signal.SIGKILL):

        def end(run):
            run.until(lambda: len(run.matching("sleep 1004")) >= 2)
            run.signal(number)

        t.run("full TMPDIR, " + number.name, inside(full, t.spawn()), commands([FAMILY + " sleep 1004"] * 2), script=end,
              code=-number, killed=number == signal.SIGKILL, bound=8)


@case("A43", "the wall clock jumps by an hour, forwards and back, during `--timeout 30`", "no job ends by it; durations are sane")
def clock_jumps(t):
    library = t.path("clockjump.so")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "clockjump.c"), "-ldl"], check=True)
    for seconds in (3600, -3600):
        clock = t.file("clock", "0")

        def jump(run):
            run.until(lambda: len(run.matching("sleep 1")) >= 2)
            t.file("clock", str(seconds))

        run = t.run("%+d s" % seconds, t.spawn("--timeout", 30), commands(["sleep 1; echo x"] * 4), script=jump,
                    env=t.environment(LD_PRELOAD=library, CLOCKJUMP=clock), ids=range(1, 5), code=0, want={"ok": 4}, bound=8)
        t.expect(all(0.9 < one["seconds"] < 4 for one in run.records), "durations", [one["seconds"] for one in run.records])


@case("A44", "soak: every 50 to 200 ms a random worker or job is killed, every 2 s a random set is stopped and continued in another order",
      "one record a job; descriptors, threads and memory flat; no zombies", slow=True)
def soak(t):
    seconds = 600 if t.long else 20
    seen, fed = [], [0]

    def script(run):
        threading.Thread(target=feed_for_ever, args=(run, fed), daemon=True).start()
        end, next_stop = time.monotonic() + seconds, time.monotonic() + 2
        while run.process.poll() is None and time.monotonic() < end:
            run.sleep(t.random.uniform(0.05, 0.2))
            below = [pid for pid in run.alive() if pid != run.pid]
            if below:
                hit(t.random.choice(below), signal.SIGKILL)
            if time.monotonic() > next_stop:
                next_stop += 2
                swizzle(t, run, below)
                seen.append(measure(run.pid))
        run.stdin.close()

    argv = t.evil("ok", "", "--retries", 5, "--timeout", 20, workers=4)
    run = t.run("calls", argv, "pipe", timeout=seconds + 90, script=script, env=t.environment(EVIL_PAUSE="0.01"), code=[0, 1])
    t.expect(sorted(one["id"] for one in run.records) == list(range(1, fed[0] + 1)), "records",
             "%d of %d jobs (seed %d)" % (len(run.records), fed[0], t.seed))
    third = len(seen) // 3
    for at, name in enumerate(("descriptors", "threads", "KiB")):
        early, late = [one[at] for one in seen[:third]], [one[at] for one in seen[-third:]]
        slack = 1.2 if name == "KiB" else 1.0
        t.expect(early and max(late) <= max(early) * slack + 12, name, "%s, then %s" % (early, late))
    t.expect(max(one[3] for one in seen) <= 12, "zombies", [one[3] for one in seen])


def swizzle(t, run, below):
    """Stops a random set one by one, and lets it go on in another order."""
    some = t.random.sample(below, min(len(below), 3))
    for number in (signal.SIGSTOP, signal.SIGCONT):
        t.random.shuffle(some)
        for pid in some:
            hit(pid, number)
            run.sleep(0.02)


def feed_for_ever(run, fed):
    try:
        while run.process.poll() is None:
            # Not far ahead: the end of the storm is to be the end of the run.
            if fed[0] > run.written().count(b"\n") + 50:
                run.sleep(0.02)
                continue
            run.stdin.write(calls(10, fed[0] + 1))
            run.stdin.flush()
            fed[0] += 10
    except (BrokenPipeError, ValueError):
        pass


def measure(pid):
    """Descriptors, threads, resident KiB and unreaped children of the supervisor."""
    try:
        with open("/proc/%d/status" % pid) as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
        descriptors = len(os.listdir("/proc/%d/fd" % pid))
        zombies = 0
        for child in os.listdir("/proc"):
            stat = stat_of(int(child)) if child.isdigit() else None
            zombies += bool(stat and stat[1] == pid and stat[0] == "Z")
        return descriptors, int(fields["Threads"]), int(fields["VmRSS"].split()[0]), zombies
    except (OSError, KeyError):
        return 0, 0, 0, 0
