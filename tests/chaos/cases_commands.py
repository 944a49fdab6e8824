"""Commands, a process a job: cases A12 to A19 of the plan. Ways to end, trees to kill, output to keep."""

import base64
import signal

from case import DEAF, FAMILY, by_id, case, commands, lines
from check import detail
from sandbox import command_of, hit


@case("A12", "every way to end: exit 0 to 255, each signal from 1 to 31, killed from outside",
      "the exact exit code or signal in each record; nobody else is touched", slow=True)
def ways_to_end(t):
    stops = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    numbers = [number for number in range(1, 32) if number not in stops]
    texts = ["exit %d" % code for code in range(256)]
    texts += ["ulimit -c 0; kill -%d $$; exit 0" % number for number in numbers]
    run = t.run("all", t.spawn(workers=4), commands(texts), timeout=90, ids=range(1, len(texts) + 1), code=1, bound=60)
    for record in run.records:
        at = record["id"] - 1
        number = None if at < 256 else numbers[at - 256]
        wanted = at if number is None else 0 if number in harmless else -number
        data = detail(record)
        t.expect(data.get("exit_code") == wanted, texts[at], record)
        if wanted < 0:
            t.expect(data.get("signal") == signal.Signals(number).name, texts[at], record)
    stopped = ["kill -%d $$" % number for number in sorted(stops)] + ["true"]
    # In a process group of its own, without a terminal, all but SIGSTOP are discarded by the kernel or stop it.
    run = t.run("stop signals", t.spawn("--timeout", 1, workers=4), commands(stopped), ids=range(1, 6), code=1, bound=8)
    t.expect(by_id(run, 5)["status"] == "ok", "stop signals", run.records)

    def kill(run):
        def victims():
            return [pid for pid in run.matching("sleep 1234") if command_of(pid).startswith("sleep")]

        run.until(lambda: len(victims()) == 2)
        for pid in victims():
            hit(pid, signal.SIGKILL)

    run = t.run("from outside", t.spawn(workers=3), commands(["exec sleep 1234", "sleep 1234; exit 7"] + ["true"] * 20),
                script=kill, ids=range(1, 23), code=1, want={"ok": 20, "failed": 2}, bound=8)
    t.expect(detail(by_id(run, 1)).get("signal") == "SIGKILL", "from outside", by_id(run, 1))
    t.expect(detail(by_id(run, 2)).get("exit_code") == 7, "from outside", by_id(run, 2))


@case("A13", "0, 1, 150, 256 or 300 of 300 jobs fail; one is killed, one is late, one exits 255",
      "exit 0 only when all are `ok`, otherwise 1: never a count, never wrapped", slow=True)
def exit_code_of_the_run(t):
    for failing in (0, 1, 150, 256, 300):
        texts = ["exit 1"] * failing + ["true"] * (300 - failing)
        want = {status: count for status, count in (("failed", failing), ("ok", 300 - failing)) if count}
        t.run("%d of 300" % failing, t.spawn(workers=4), commands(texts), timeout=60, ids=range(1, 301),
              code=min(failing, 1), want=want, bound=40)
    t.run("mixed", t.spawn("--timeout", 1), commands(["sleep 50", "kill -9 $$", "exit 255", "true"]), ids=range(1, 5),
          code=1, want={"timeout": 1, "failed": 2, "ok": 1}, bound=6)


@case("A14", "one of 20 commands cannot be started: not found, EACCES, ENOEXEC, a directory, too long",
      "that job alone ends, with 126 or 127 and the name of the error", slow=True)
def cannot_be_started(t):
    t.file("noexec", b"\x7fgarbage\n", 0o755)
    t.file("noaccess", "x", 0o644)
    bad = {
        "ENOENT": {"command": ["/nope/x"]},
        "EACCES": {"command": [t.path("noaccess")]},
        "ENOEXEC": {"command": [t.path("noexec")]},
        "a directory": {"command": [t.folder]},
        "an argument of 200 kB": {"command": ["/bin/echo", "x" * 200000]},
        "a line of 200 kB": {"command": "true " + "x" * 200000},
        "an argument of 3 MB": {"command": ["/bin/echo", "y" * 3000000]},
        "3 MB of arguments": {"command": ["/bin/echo"] + ["z" * 1000] * 3000},
        "3 MB of environment": {"command": "true", "env": {"BIG": "e" * 3000000}},
        "NUL in an argument": {"command": ["echo", "a\0b"]},
        "no such directory": {"command": "true", "cwd": "/nope"},
        "no words": {"command": []},
        "an empty name": {"command": [""]},
    }
    for what, job in bad.items():
        jobs = [{"id": n, "command": "true"} for n in range(1, 21) if n != 11]
        jobs.insert(10, dict(job, id=11))
        run = t.run(what, t.spawn(), lines(jobs), ids=range(1, 21), code=[1, 3], bound=10, line_mib=3)
        others = [one for one in run.records if one["id"] != 11]
        t.expect(all(one["status"] == "ok" for one in others), what, "others were touched")
        record = by_id(run, 11)
        t.expect(record["status"] in ("failed", "invalid"), what, record)
        if what.startswith("E"):
            said = "%s %s" % (record["error"]["message"], record["error"].get("data"))
            t.expect(what in said, what, said[:300])
            t.expect(detail(record).get("exit_code") == (127 if what == "ENOENT" else 126), what, detail(record))


@case("A15", "`--timeout 2` on a tree: 40 background children, a `setsid` child, a daemon, deaf to SIGTERM, stopped",
      "the whole tree is gone; others are `ok`", slow=True)
def timeout_kills_the_tree(t):
    tree = "for i in $(seq 40); do sleep 1001 & done; " + FAMILY + " sleep 1004"
    for what, text in (("tree", tree), ("deaf", DEAF), ("stopped", "kill -STOP $$"), ("deaf tree", "trap '' TERM; " + tree)):
        t.run(what, t.spawn("--timeout", 2), commands([text, "true", "true", "true"]), ids=range(1, 5), code=1,
              want={"timeout": 1, "ok": 3}, bound=7)


@case("A16", "a job ends while a grandchild holds its output, for a while or for ever, or it leaves a daemon",
      "its record comes at once; what it left is named and ended")
def grandchild_holds_output(t):
    for what, text in (
        ("for ever", "sleep 1000 & echo ok"),
        ("7 s", "(sleep 7; echo late) & echo ok"),
        ("a daemon", FAMILY + " echo ok; sleep .1"),
        ("nohup", "nohup setsid sleep 1000 >/dev/null 2>&1 & echo ok"),
    ):
        run = t.run(what, t.spawn(), commands([text, "echo b", "echo c"]), ids=range(1, 4), code=0, want={"ok": 3}, bound=4)
        t.expect([detail(by_id(run, n)).get("stdout") for n in (1, 2, 3)] == ["ok\n", "b\n", "c\n"], what, run.records)


@case("A17", "output of a job that is late or killed; NUL, invalid UTF-8, no line end, a line in four pieces",
      "kept to the byte, never mixed")
def output_is_kept(t):
    texts = ["echo ok P; sleep 1000", r"printf 'a\0b\377'", "printf nonl",
             "for i in a b c d; do printf $i; sleep .05; done; echo", "echo x; kill -9 $$"]
    run = t.run("all", t.spawn("--timeout", 1, workers=3), commands(texts), ids=range(1, 6), code=1, bound=6)

    def output(number):
        value = detail(by_id(run, number)).get("stdout")
        return base64.b64decode(value["base64"]) if isinstance(value, dict) else (value or "").encode()

    wanted = [b"ok P\n", b"a\0b\xff", b"nonl", b"abcd\n", b"x\n"]
    got = [output(number) for number in range(1, 6)]
    t.expect(got == wanted, "bytes", got)


@case("A18", "two jobs with 400 MB of output each", "every byte as text; cut and said so in JSON; memory stays flat", slow=True)
def much_output(t):
    texts = ["head -c 400000000 /dev/zero"] * 2
    run = t.run("json", t.spawn(), commands(texts), timeout=90, ids=[1, 2], code=0, want={"ok": 2}, bound=60)
    t.expect(all("truncated" in str(detail(one)) for one in run.records), "json", "cut, but it does not say so")
    with open(t.path("out"), "wb") as out:
        t.run("text", [t.binary, "spawn", "-w", "2"], "\n".join(texts).encode(), timeout=120, code=0, bound=90, text=True, stdout=out)
    with open(t.path("out"), "rb") as out:
        t.expect(out.seek(0, 2) == 800000000, "text", "%d bytes" % out.tell())


@case("A19", "a job reads its standard input", "it finds the end at once; the list is untouched")
def job_reads_stdin(t):
    run = t.run("cat", t.spawn(workers=1), commands(["cat | wc -c", "echo 2", "echo 3"]), ids=[1, 2, 3], code=0,
                want={"ok": 3}, bound=4)
    t.expect(detail(by_id(run, 1)).get("stdout", "").strip() == "0", "cat", by_id(run, 1))
