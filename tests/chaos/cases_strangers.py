"""Processes that are not supervisor's, and nets that somebody cut: children from before it, workers that are stopped when it
is killed, files that may not grow."""

import os
import signal
import subprocess

from case import by_id, case, commands
from places import another_user
from sandbox import stat_of


@case("P07", "SIGKILL while workers, guards, or a command that is just being started are stopped, or while commands hold open what their "
      "worker sees that end by",
      "0 processes after 2 s")
def killed_over_cut_nets(t):
    tasks = t.file("tasks.py", "import os, signal, time\ndef f(n):\n    os.kill(os.getppid(), signal.SIGSTOP)\n    time.sleep(1000)\n")

    def kill_when_stopped(run):
        run.until(lambda: sum((stat_of(pid) or " ")[0] == "T" for pid in run.alive()) >= 2)
        run.signal(signal.SIGKILL)

    def kill_when_held(run):
        run.until(lambda: len(run.exactly("sleep 1003")) >= 2)
        run.signal(signal.SIGKILL)

    t.run("workers", t.spawn(), commands(["kill -STOP $PPID; sleep 1003"] * 2), script=kill_when_stopped, killed=True, code=-9)
    t.run("guards", t.spawn("--python", tasks + ":f"), b"[1]\n[2]\n", script=kill_when_stopped, killed=True, code=-9)
    t.run("held", t.spawn(), commands(["exec 9<>/proc/$PPID/fd/0; sleep 1003"] * 2), script=kill_when_held, killed=True, code=-9)

    def kill_before_the_program(run):
        run.until(lambda: stops_before_its_program(run), seconds=60)
        run.signal(signal.SIGKILL)

    t.run("begun", t.spawn("-q", workers=1), commands(["true"] * 200000), script=kill_before_the_program, timeout=90, killed=True, code=-9)


def stops_before_its_program(run):
    """Stops the group of the worker, in the hope of a command that is still a copy of the worker. Lets it go on when there is none."""
    worker = next((pid for pid in run.alive() if b"\0worker\0" in proc(pid, "cmdline")), None)
    if worker is None:
        return False
    os.killpg(worker, signal.SIGSTOP)
    for child in proc(worker, "task/%d/children" % worker).split():
        while (stat_of(int(child)) or "X")[0] not in "TZX":
            pass
        try:
            if os.path.samefile("/proc/%d/exe" % int(child), "/proc/%d/exe" % worker):
                return True
        except OSError:
            pass
    os.killpg(worker, signal.SIGCONT)
    return False


def proc(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


@case("P08", "supervisor takes the place of a shell (`exec`) that has children: who writes its list, who reads its results, a service",
      "they live on, also when workers end; all jobs have their records")
def children_from_before(t):
    argv = " ".join(t.spawn("--max-jobs-per-worker", 1, workers=1))
    out, pid = t.path("out"), t.path("pid")
    list_of_six = "<(for n in 1 2 3 4 5 6; do echo echo $n; sleep .1; done)"
    t.run("list", ["bash", "-c", "exec %s < %s" % (argv, list_of_six)], ids=range(1, 7), code=0, want={"ok": 6}, bound=15)
    reads = "exec %s ::: true false > >(sleep .3; cat > %s; touch %s.done)" % (argv, out, out)
    run = t.run("results", ["bash", "-c", "(%s); code=$?; until [ -e %s.done ]; do :; done; cat %s; exit $code" % (reads, out, out)],
                ids=[1, 2], code=1, want={"ok": 1, "failed": 1}, bound=15)
    serves = "sleep 1005 & echo $! > %s; exec %s ::: true true" % (pid, argv)
    still_there = "kill $(cat %s) && echo there >&2" % pid
    run = t.run("service", ["bash", "-c", "(%s); %s" % (serves, still_there)], ids=[1, 2], want={"ok": 2}, bound=15)
    t.expect(b"there" in run.err, "service", run.err)


@case("P09", "files may not grow (`ulimit -f`): the journal and its marks, large outputs",
      "exit 6 or 2 with the reason, never killed by SIGXFSZ; no other job is touched; what was begun is known to the next run")
def files_may_not_grow(t):
    def limited(kib, argv):
        return ["bash", "-c", "ulimit -f %d; exec \"$@\"" % kib, "bash"] + argv

    run = t.run("marks", limited(2, t.spawn("-o", t.path("none"))), commands(["true"]), ids=[], code=2, bound=10)
    t.expect(b"EFBIG" in run.err, "marks", run.err)
    jobs = commands(["head -c 3000000 /dev/zero", "sleep .2; echo good"])
    run = t.run("outputs", limited(2048, t.spawn("-c", 2, "--max-output", 1000, "--output-dir", t.path("dir"), workers=1)), jobs, ids=[1, 2], code=6,
                want={"ok": 2}, bound=10)
    t.expect(by_id(run, 1)["result"].get("lost") is True, "outputs", str(run.records)[:300])
    # More jobs at a time than there is room for marks.
    ran, journal = t.path("ran"), t.path("journal")
    jobs = commands(["echo %d >> %s; exec sleep .02" % (n, ran) for n in range(1, 101)])
    run = t.run("more at a time", limited(4, t.spawn("-c", 100, "-o", journal, workers=1)), jobs, stdout=subprocess.DEVNULL, code=6,
                bound=20)
    t.expect(b"EFBIG" in run.err, "more at a time", run.err)
    t.run("resumed", t.spawn("-o", journal, "--resume"), jobs, code=[0, 1], bound=30)
    with open(ran) as file:
        begun = file.read().split()
    t.expect(len(set(begun)) == len(begun), "resumed", "some ran twice: %d of %d" % (len(begun), len(set(begun))))


@case("P10", "the machine has room for the workers and not for their commands (`ulimit -u`)",
      "tried for 10 s, then exit 5 and every job `skipped`: none has failed", slow=True)
def no_room_for_commands(t):
    user = another_user(t)
    t.expect(user, "limit", "no other user is to be had, whose processes could be counted")
    if not user:
        return
    # One for supervisor, two for its writing threads, one for the worker.
    words = user + ["bash", "-c", "ulimit -u 4; exec \"$@\"", "bash"]
    os.chmod(t.folder, 0o755)
    run = t.run("limit", words + t.spawn(workers=1), commands(["echo %d" % n for n in range(9)]), cwd="/", timeout=40, ids=range(1, 10), code=5,
                want={"skipped": 9}, bound=25)
    t.expect(b"ulimit -u" in run.err, "limit", run.err)
