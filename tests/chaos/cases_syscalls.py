"""System calls made to fail from outside, with `strace -e inject=`: once, now and then, and for ever.

In the manner of SQLite's tests: the N-th call fails, N = 1, 2, 3, and on. Without `-f` only the thread that decides is
touched, and a passing fault must not be seen at all; with `-f` every process of ours and of the jobs is, and still every
record has to be there and the exit code has to be right."""

from case import calls, case, commands
from check import tally
from places import works

JOBS = commands(["echo %d" % n for n in range(8)])


def strace(t, faults, everything=False, paths=()):
    """The words in front of a command that make calls fail: {"read": "error=EINTR:when=2"}."""
    if not works(["strace", "-o", "/dev/null", "true"]):
        raise OSError("strace is needed, and must be allowed to trace its children")
    words = ["strace", "-qq", "-o", t.path("trace")] + ["-f"] * everything
    words += ["-e", "trace=" + ",".join("?" + name for name in faults)]
    for name, fault in faults.items():
        words += ["-e", "inject=?%s:%s" % (name, fault)]
    for path in paths:
        words += ["-P", path]
    return words


def was_hit(t):
    """Whether any call was made to fail."""
    with open(t.path("trace"), errors="replace") as trace:
        return "(INJECTED)" in trace.read()


def sweep(t, what, faults, moments, codes, everything=False):
    """Fails the N-th of these calls for each N; ends early when there are not so many. Gives how many were hit."""
    hits = 0
    for moment in moments:
        words = strace(t, {name: "error=%s:when=%s" % (error, moment) for name, error in faults.items()}, everything)
        label = "%s, when=%s" % (what, moment)
        strict = {"want": {"ok": 8}} if codes == 0 else {}
        run = t.run(label, words + t.spawn(), JOBS, timeout=40, bound=30, code=codes, **strict)
        if run.code not in (2, 5) or run.records:
            t.expect(sorted(one["id"] for one in run.records) == list(range(1, 9)) or run.code in (3, 6), label,
                     "%d records, exit code %s, stderr %r" % (len(run.records), run.code, run.err[-300:]))
        t.expect(run.code in (0, 1) or run.err, label, "exit code %s and not a word" % run.code)
        if not was_hit(t):
            break
        hits += 1
    t.expect(hits, what, "no call was made to fail")


@case("S01", "EINTR from every second or third read, write, wait and epoll_wait", "nothing is to be seen of it")
def interrupted_calls(t):
    # The first reads are those of the dynamic linker, which is not ours.
    sweep(t, "read", {"read": "EINTR"}, ("5+2", "6+3"), 0)
    for name in ("write", "writev", "epoll_wait", "waitid", "wait4", "recvfrom"):
        sweep(t, name, {name: "EINTR"}, ("1+2", "2+3"), 0)
    words = strace(t, {"read": "error=EINTR:when=6+3", "writev": "error=EINTR:when=1+2", "epoll_wait": "error=EINTR:when=1+3"})
    t.run("calls of functions", words + t.evil("ok"), calls(20), ids=range(1, 21), code=0, want={"ok": 20}, bound=20)


@case("S02", "EAGAIN or ENOMEM from the N-th clone, clone3, vfork; from all of them for a while; for ever",
      "tried again: every job `ok`; for ever: exit 5, every job `skipped`, after 10 s and without spinning", slow=True)
def no_process_to_be_had(t):
    for error in ("EAGAIN", "ENOMEM"):
        # The first two are threads of our own: without them no run can begin, and it says so.
        sweep(t, error, {name: error for name in ("clone", "clone3", "vfork")}, range(1, 7), [0, 2, 5, 6])
    words = strace(t, {name: "error=EAGAIN:when=3..8" for name in ("clone", "clone3", "vfork")})
    t.run("for a while", words + t.spawn(), JOBS, ids=range(1, 9), code=0, want={"ok": 8}, bound=20)
    words = strace(t, {name: "error=EAGAIN:when=3+" for name in ("clone", "clone3", "vfork")})
    share = [1.0]

    def script(run):
        run.sleep(3)
        share[0] = run.idle_share(3)

    run = t.run("for ever", words + t.spawn(), JOBS, timeout=40, ids=range(1, 9), code=5, want={"skipped": 8}, bound=25,
                script=script)
    t.expect(share[0] < 0.1, "for ever", "I8: %.2f of a core" % share[0])
    t.expect(b"EAGAIN" in run.err, "for ever", run.err[-300:])


@case("S03", "EMFILE or ENFILE from the N-th pipe2; from six in a row", "tried again, or refused with its name before any job",
      slow=True)
def no_descriptor_to_be_had(t):
    for error in ("EMFILE", "ENFILE"):
        sweep(t, "pipe2 " + error, {"pipe2": error}, range(1, 9), [0, 2, 5])
    # The lifeline and the bells are made first; from then on a pipe is asked for again.
    words = strace(t, {"pipe2": "error=EMFILE:when=4..9"})
    t.run("for a while", words + t.spawn(), JOBS, ids=range(1, 9), code=0, want={"ok": 8}, bound=20)


@case("S04", "ENOSYS from clone3, close_range, pidfd_open, statx, memfd_create, getrandom: old kernels, narrow sandboxes",
      "done another way: every job `ok`")
def missing_calls(t):
    for name in ("clone3", "close_range", "pidfd_open", "statx", "memfd_create", "epoll_pwait2", "getrandom", "faccessat2"):
        label = name
        words = strace(t, {name: "error=ENOSYS"}, everything=True)
        run = t.run(label, words + t.spawn(), JOBS, ids=range(1, 9), code=0, want={"ok": 8}, bound=25, timeout=40)
        t.expect(run.code == 0, label, run.err[-300:])
    big = strace(t, {"memfd_create": "error=ENOSYS"}, everything=True)
    t.run("big output", big + t.spawn(), commands(["head -c 3000000 /dev/zero"] * 2), ids=[1, 2], code=0, bound=25)


@case("S05", "ENOSPC, EIO, EDQUOT from the N-th write of results", "exit 6, the error is named, what is written is whole records")
def results_not_written(t):
    for error in ("ENOSPC", "EIO", "EDQUOT"):
        for moment in (1, 2, 4):
            label = "%s, when=%d+" % (error, moment)
            out = t.file("out", "")
            fault = "error=%s:when=%d+" % (error, moment)
            words = strace(t, {"write": fault, "writev": fault}, everything=True, paths=[out])
            with open(out, "wb") as stdout:
                run = t.run(label, words + t.spawn(workers=1), commands(["echo %d; sleep .05" % n for n in range(8)]), stdout=stdout,
                            code=[6, 0], bound=25, text=True)
            with open(out, "rb") as stdout:
                said = stdout.read()
            if run.code == 0:
                t.expect(not was_hit(t) and said.count(b"\n") == 8, label, "exit 0 with %d records" % said.count(b"\n"))
            else:
                t.expect(was_hit(t) and error.encode() in run.err, label, run.err[-300:])
                t.expect(not said or said.endswith(b"\n"), label, "a torn record: %r" % said[-80:])


@case("S06", "EIO or EISDIR from the N-th read of the list", "exit 3, the error is named; what was read has its records")
def list_not_read(t):
    path = t.file("jobs", commands(["true %s" % ("x" * 2000)] * 200))
    for moment in (1, 2, 3):
        words = strace(t, {"read": "error=EIO:when=%d" % moment}, everything=True, paths=[path])
        label = "EIO, when=%d" % moment
        run = t.run(label, words + t.spawn("-a", path), timeout=60, code=[0, 2, 3], bound=40)
        t.expect(was_hit(t) == (run.code != 0), label, "exit code %s" % run.code)
        t.expect(run.code == 0 or b"EIO" in run.err or b"Input/output" in run.err, label, run.err[-300:])
        t.expect(run.code != 0 or tally(run.records) == {"ok": 200}, label, tally(run.records))


@case("S07", "the N-th clone, pipe2, openat, dup2, read, write fails in every process of ours and of the jobs",
      "a record for every job, an exit code that fits, nobody left", slow=True)
def everywhere(t):
    plans = (("processes", {"clone": "EAGAIN", "clone3": "EAGAIN", "vfork": "EAGAIN"}), ("pipes", {"pipe2": "EMFILE"}),
             ("files", {"openat": "EMFILE"}), ("duplicates", {"dup2": "EBUSY", "dup3": "EBUSY"}),
             ("interruptions", {"read": "EINTR", "write": "EINTR", "epoll_wait": "EINTR", "waitid": "EINTR"}),
             ("memory", {"mmap": "ENOMEM", "brk": "ENOMEM"}))
    for what, faults in plans:
        # Before that the dynamic linker calls, which is not ours.
        first = {"memory": 20, "interruptions": 5, "files": 4}.get(what, 1)
        moments = range(first, first + (40 if t.long else 5) * (4 if what == "memory" else 1), 4 if what == "memory" else 1)
        for moment in moments:
            words = strace(t, {name: "error=%s:when=%d" % (error, moment) for name, error in faults.items()}, everything=True)
            label = "%s, when=%d" % (what, moment)
            run = t.run(label, words + t.spawn(), JOBS, timeout=60, bound=45)
            allowed = (0, 1, 2, 3, 5, 6, 126, 127, -6) if what in ("files", "memory") else (0, 1, 2, 5, 6)
            t.expect(run.code in allowed, label, "exit code %s, stderr %r" % (run.code, run.err[-300:]))
            t.expect(run.code not in (0, 1, 5) or not run.records or len(run.records) == 8, label, tally(run.records))
            t.expect(run.code != 0 or tally(run.records) == {"ok": 8}, label, tally(run.records))
