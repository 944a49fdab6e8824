"""The journal: case A42 of the plan, and S08. `--output FILE` under SIGKILL, full disks, torn lines, edited lists."""

import collections
import json
import os
import signal
import subprocess

from case import calls, case, commands, lines
from cases_syscalls import strace, was_hit
from check import tally
from places import private_mounts


def rows(path):
    """The records in a journal; whole lines only."""
    with open(path, "rb") as file:
        text = file.read()
    assert not text or text.endswith(b"\n"), "a torn line: %r" % text[-80:]
    return [json.loads(line) for line in text.splitlines()]


def ran(path):
    """How often each job ran: each writes its number."""
    with open(path) as file:
        return collections.Counter(int(word) for word in file.read().split())


@case("A42", "the journal (`--output`): killed at random moments and resumed; disk full; torn line; edited list; two runs at once",
      "each job has one row at the end; what ran twice was told as unknown; a full disk is exit 6, resuming loses nothing",
      slow=True)
def journal(t):
    count = 10000 if t.long else 600
    for options in ([], ["--retry-unknown"]):
        killed_and_resumed(t, count, options)
    edited(t)
    full_disk(t)


def killed_and_resumed(t, count, options):
    marks, out = t.file("ran", ""), t.path("journal" + "".join(options))
    jobs = commands(["echo %d >> %s" % (n, marks) for n in range(1, count + 1)])
    argv = t.spawn("--output", out, "--resume", *options, workers=4)
    label = "resumed %s (seed %d)" % (" ".join(options), t.seed)
    for _ in range(20 if t.long else 5):
        moment = t.random.uniform(0.02, 0.4 if not t.long else 3)
        t.run("killed, " + label, argv, jobs, killed=True, code=[-9, 0, 1], timeout=60,
              script=lambda run: (run.sleep(moment), run.signal(signal.SIGKILL)))
    t.run("to the end, " + label, argv, jobs, code=0 if options else [0, 1], timeout=200)
    done, times = rows(out), ran(marks)
    t.expect(sorted(one["id"] for one in done) == list(range(1, count + 1)), label, "%d rows of %d jobs" % (len(done), count))
    twice = {one for one, so_often in times.items() if so_often > 1}
    told = {one["id"] for one in done if one["status"] == "crashed" or one["attempts"] > 1}
    t.expect(twice <= told, label, "ran twice and nobody was told: %s" % sorted(twice - told)[:9])
    t.expect(all(one["status"] == "ok" or "unknown" in json.dumps(one) for one in done), label, tally(done))
    t.expect(not options or tally(done) == {"ok": count}, label, tally(done))
    t.expect(options or not twice, label, "ran twice although that was not allowed: %s" % sorted(twice)[:9])
    lost = set(range(1, count + 1)) - set(times)
    t.expect(lost <= (set() if options else told), label, "never ran: %s" % sorted(lost)[:9])


def edited(t):
    marks, out = t.file("ran", ""), t.path("edited")
    jobs = [{"id": "job %d" % n, "command": "echo %d >> %s" % (n, marks)} for n in range(1, 31)]
    argv = t.spawn("--output", out)
    t.run("first", argv, lines(jobs[:20]), code=0, want={"ok": 20}, bound=8)
    with open(out, "ab") as file:
        file.write(b'{"id":"job 21","status":"o')
    mixed = jobs[20:] + jobs[:20][::-1]
    t.run("reordered and longer, behind a torn line", argv + ["--resume"], lines(mixed), code=0, bound=8)
    t.expect(ran(marks) == collections.Counter(range(1, 31)), "edited", ran(marks).most_common(3))
    t.expect(tally(rows(out)) == {"ok": 30}, "edited", tally(rows(out)))
    t.run("nothing left", argv + ["--resume"], lines(mixed), code=0, bound=8)
    t.expect(sum(ran(marks).values()) == 30, "edited", "a third run ran something")

    def second(run):
        run.until(lambda: len(run.matching("sleep 1004")) >= 2)
        t.nested = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        run.signal(signal.SIGTERM)

    t.nested = 0
    t.run("two at once", argv, commands(["sleep 1004"] * 2), script=second, code=-15, bound=8)
    t.expect(t.nested not in (0, None), "two at once", "the second run began")


def full_disk(t):
    jobs = commands(["echo %s" % ("x" * 500)] * 60)
    t.run("/dev/full", t.spawn("--output", "/dev/full"), jobs, code=[2, 6], bound=8)
    out = t.path("limited")
    t.run("file too large", ["bash", "-c", 'ulimit -f 16; exec "$@"', "bash"] + t.spawn("--output", out), jobs, code=6, bound=10,
          text=True)
    # What ran and could not be written down is unknown afterwards.
    t.run("and with room again", t.spawn("--output", out, "--retry-unknown"), jobs, code=0, bound=10)
    t.expect(tally(rows(out)) == {"ok": 60}, "room again", tally(rows(out)))
    t.run("job log", t.spawn("--joblog", "/dev/full"), jobs, code=[2, 6], bound=8)
    mounts = private_mounts(t)
    if mounts:
        os.mkdir(t.path("disk"))
        script = 'mount -t tmpfs -o size=16k none disk && exec "$@"'
        t.run("a disk of 16 kB", mounts + ["bash", "-c", script, "bash"] + t.spawn("--output", "disk/out"), jobs, code=6, bound=10)


@case("S08", "ENOSPC, EIO from the N-th write, fsync of the journal, N = 1, 2, 3, 5",
      "exit 6, the error is named; resumed, each job has one row", slow=True)
def journal_not_written(t):
    jobs = calls(12)
    plans = (("write", ("write", "writev"), (1, 2, 3, 5)), ("sync", ("fdatasync", "fsync"), (1, 3)))
    for what, names, moments in plans:
        for error, moment in ((error, moment) for error in ("ENOSPC", "EIO") for moment in moments):
            label = "%s of %s, when=%d" % (error, what, moment)
            out = t.path("journal-%s-%s-%d" % (error, what, moment))
            argv = t.evil("ok", "", "--output", out, "--sync", "always")
            fault = "error=%s:when=%d" % (error, moment)
            words = strace(t, {name: fault for name in names}, everything=True, paths=[out])
            open(out, "w").close()
            run = t.run(label, words + argv, jobs, code=[0, 2, 6], timeout=60, bound=40)
            t.expect((run.code == 0) != was_hit(t), label, "exit code %s, hit %s" % (run.code, was_hit(t)))
            t.expect(was_hit(t) or moment > 2, label, "no call was made to fail")
            t.expect(run.code == 0 or error.encode() in run.err, label, run.err[-300:])
            t.run(label + ", resumed", argv + ["--retry-unknown"], jobs, code=0, bound=20)
            done = rows(out)
            t.expect(sorted(one["id"] for one in done) == list(range(1, 13)), label, "%d rows" % len(done))
