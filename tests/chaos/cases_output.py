"""Where results go: cases A20 to A22 of the plan. Readers that leave or stall, disks that fill up."""

import os

from case import case, commands
from places import private_mounts


def begun(path):
    """How many jobs have begun: each writes one byte to the file."""
    return os.path.getsize(path)


def shell(text):
    return ["bash", "-c", text]


@case("A20", "the reader of standard output leaves (`| head -1`)", "what runs is stopped, nothing new is begun, exit 6")
def reader_leaves(t):
    for form in ("--json", "--format text"):
        marker = t.file("begun", "")
        t.file("jobs", commands(["sleep .05; echo x; printf s >> %s" % marker] * 200))
        run = t.run(form, shell("%s spawn -w 2 --grace 1 %s < jobs | head -1; exit ${PIPESTATUS[0]}" % (t.binary, form)),
                    code=6, bound=5, text=True)
        t.expect(begun(marker) < 20, form, "%d jobs ran" % begun(marker))
        t.expect(b"supervisor: " in run.err, form, "not a word on stderr")


@case("A21", "standard output cannot be written: /dev/full, closed, a disk that fills half-way",
      "stopped at once, the error is named on stderr, exit 6: never a lost result and exit 0")
def output_cannot_be_written(t):
    t.file("jobs", commands(["sleep .02; head -c 5000 /dev/zero | tr '\\0' x"] * 100))
    plain = "%s spawn -w 2 --grace 1" % t.binary
    for what, text in (
        ("/dev/full", plain + " --json > /dev/full < jobs"),
        ("/dev/full, text", plain + " > /dev/full < jobs"),
        ("closed", plain + " --json >&- < jobs"),
        ("closed, text", plain + " >&- < jobs"),
        ("closed with stderr", plain + " --json >&- 2>&- < jobs"),
        ("file too large", "ulimit -f 64; %s --json > out < jobs" % plain),
    ):
        run = t.run(what, shell(text), code=6, bound=6, text=True)
        t.expect(b"supervisor: " in run.err or "stderr" in what, what, "not a word on stderr")
    t.run("stderr is full", shell(plain + " --json 2>/dev/full <<< 'echo a'"), code=0, want={"ok": 1}, bound=5)
    mounts = private_mounts(t)
    if mounts:
        os.mkdir(t.path("disk"))
        script = "mount -t tmpfs -o size=64k none disk && exec %s --json > disk/out < jobs" % plain
        t.run("a disk of 64 kB", mounts + shell(script), code=6, bound=6, text=True)


@case("A22", "the reader of standard output stalls for 4 s behind 1,000 jobs of 100 kB",
      "a bounded number of jobs is begun meanwhile; then all results, at flat memory; timeouts and signals still work",
      slow=True)
def reader_stalls(t):
    marker = t.file("begun", "")
    jobs = commands(["head -c 100000 /dev/zero | tr '\\0' x; printf s >> %s" % marker] * 1000)
    for form in ("--json", "--format=text"):
        open(marker, "w").close()
        reader, writer = os.pipe()
        seen = {"lines": 0, "bytes": 0, "begun": None, "idle": None}

        def script(run):
            os.close(writer)
            run.sleep(2)
            seen["idle"] = run.idle_share(2)
            seen["begun"] = begun(marker)
            for piece in iter(lambda: os.read(reader, 1 << 16), b""):
                seen["lines"] += piece.count(b"\n")
                seen["bytes"] += len(piece)

        t.run(form, [t.binary, "spawn", "-w", "2", "--max-output", "200k", form], jobs, timeout=90, code=0, text=True,
              stdout=writer, script=script)
        os.close(reader)
        t.expect(seen["begun"] is not None and seen["begun"] < 300, form, seen)
        t.expect(seen["bytes"] >= 100000000 and (form != "--json" or seen["lines"] == 1000), form, seen)
        t.expect(seen["idle"] is not None and seen["idle"] < 0.05, form, "I8: %s" % seen)
