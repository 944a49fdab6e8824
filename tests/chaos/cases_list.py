"""The job list: cases A32 to A36 of the plan. Lines that are no jobs, sources that break, lists and lines without an end."""

import threading
import time

from case import by_id, calls, case, commands, feed, lines
from check import tally

GOOD = b'{"id":"g1","command":"echo 1"}'


def in_background(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


def producer(chunk, count):
    """A script that writes a chunk again and again, until nobody reads."""

    def script(run):
        fed = 0
        try:
            while run.process.poll() is None:
                run.stdin.write(chunk)
                fed += len(chunk)
                count[0] = fed
        except BrokenPipeError:
            pass

    return script


@case("A32", "lines that are no jobs: no JSON, NUL, invalid UTF-8, wrong types, torn arrays, depth; BOM, CRLF, blanks, nothing",
      "one record `invalid` each, with its place; the rest runs, exit 3; an empty list is exit 0")
def bad_lines(t):
    bad = [b"not json", b"[1,2", b"42", b'{"id":"n","command":"echo a\0b"}', b'{"id":"u","command":"echo \xff"}',
           b'{"id":"t","command":5}', b'{"id":"t2","command":"true","timeout":[]}', b'{"id":"t3"}', b"null",
           b'{"id":"x","command":"true"}{"id":"y","command":"true"}', b'{"id":{"a":1},"command":"true"}',
           b'{"id":1,"command":"true","tags":' + b"[" * 100000 + b"]" * 100000 + b"}"]
    good = [GOOD, b'{"id":"crlf","command":"echo crlf"}\r', b"", b"   ", b'{"id":"last","command":"echo last"}']
    mixed = [line for pair in zip(bad, good * 3) for line in pair]
    run = t.run("mixed", t.spawn(), b"\n".join([GOOD] + mixed + good), code=3, bound=6)
    runs = sum(1 for line in [GOOD] + mixed + good if line.strip() and line not in bad)
    t.expect(tally(run.records) == {"ok": runs, "invalid": len(bad)}, "mixed", tally(run.records))
    t.expect(all("line" in str(one) for one in run.records if one["status"] == "invalid"), "mixed", "no line named")
    t.run("byte-order mark", t.spawn(), b"\xef\xbb\xbf" + commands(["echo a", "echo b"]), ids=[1, 2], code=0, bound=4)
    for what, text in (("empty", b""), ("blank", b"\n\n  \n"), ("[]", b"[]"), ("only a mark", b"\xef\xbb\xbf")):
        t.run(what, t.spawn(), text, ids=[], code=0, bound=4)
        t.run(what + ", fail", t.spawn("--no-jobs", "fail"), text, ids=[], code=4, bound=4)
    for what, text in (("torn array", b'[{"id":1,"command":"true"},{"id":2,"comm'), ("unclosed", b'[{"id":1,"command":"true"}'),
                       ("junk behind", b'[{"id":1,"command":"true"}] junk')):
        run = t.run(what, t.spawn(), text, code=3, bound=4)
        t.expect(by_id(run, 1)["status"] == "ok", what, run.records)
    run = t.run("plain lines", t.spawn(), b"echo a\0b\necho \xff\necho c\r\necho d", code=[0, 3], bound=4)
    t.expect(len(run.records) == 4, "plain lines", run.records)


@case("A33", "the source fails: a directory, closed, missing, a producer that dies in the middle of a line",
      "never taken for a clean end: a message, exit 2 or 3")
def source_fails(t):
    def shell(text):
        return ["bash", "-c", text]

    t.run("directory", shell("exec %s spawn --json < /tmp" % t.binary), code=3, bound=4)
    t.run("directory as file", t.spawn("-a", "/tmp"), code=[2, 3], bound=4)
    t.run("missing", t.spawn("-a", "/nope"), code=2, bound=4)
    closed = t.run("closed", shell("exec %s spawn --json <&-" % t.binary), code=[2, 3], bound=4)
    t.expect(closed.err, "closed", "not a word")
    t.file("jobs", commands(["echo hello world"] * 40))
    run = t.run("torn", shell("head -c 1007 jobs | %s spawn --json; exit ${PIPESTATUS[1]}" % t.binary), code=3, bound=4)
    t.expect(tally(run.records).get("invalid") == 1, "torn", tally(run.records))


@case("A34", "a line of 100 MB; one above the limit; one that never ends",
      "100 MB is a job like others, at bounded memory; above `--max-line` it is `invalid` and skipped", slow=True)
def long_lines(t):
    x = [b"x" * 1000000] * 100
    called = [b'{"id":1,"method":"f"}\n{"id":2,"method":"f","params":["'] + x + [b'"]}\n{"id":3,"method":"f"}\n']
    ordered = [b'{"id":1,"command":"true"}\n{"id":2,"command":"'] + x + [b'"}\n{"id":3,"command":"true"}\n']
    t.run("100 MB to a function", t.evil("ok"), "pipe", timeout=60, script=feed(*called), ids=[1, 2, 3], code=0,
          want={"ok": 3}, bound=50, line_mib=100)
    t.run("100 MB as a command", t.spawn(), "pipe", timeout=60, script=feed(*ordered), ids=[1, 2, 3], code=1,
          want={"ok": 2, "failed": 1}, bound=50, line_mib=100)
    run = t.run("above the limit", t.spawn("--max-line", "1MB"), "pipe", timeout=60, script=feed(*ordered), code=3,
                want={"ok": 2, "invalid": 1}, bound=50)
    t.expect(len(run.records) == 3, "above the limit", run.records)
    begun = [b'{"id":1,"command":"true"}\n{"id":2,"command":"']
    t.run("without an end", t.spawn(), "pipe", timeout=60, script=feed(*begun, *(x * 4)), code=3,
                want={"ok": 1, "invalid": 1}, bound=50, line_mib=100)


@case("A35", "an endless list of slow jobs; a producer that is slow itself",
      "reads ahead a bounded amount, memory is flat; the first job's result comes at once", slow=True)
def endless_list(t):
    fed = [0]

    def script(run):
        in_background(producer(b'{"command":"sleep 1"}\n' * 1000, fed), run)
        run.sleep(5)
        run.signal(15)

    run = t.run("endless", t.spawn(), "pipe", script=script, code=-15, bound=9)
    t.expect(fed[0] < 3000000, "endless", "%d bytes were read ahead" % fed[0])
    waited = [99.0]

    def slow(run):
        begin = time.monotonic()
        run.until(lambda: run.written())
        waited[0] = time.monotonic() - begin
        run.sleep(1)

    first, second = b'{"id":1,"command":"echo hi"}\n', b'{"id":2,"command":"echo hi"}'
    t.run("slow", t.spawn(), "pipe", script=feed(first, slow, second), ids=[1, 2], code=0, want={"ok": 2}, bound=5)
    t.expect(waited[0] < 0.8, "slow", "the first result came after %.2f s" % waited[0])


@case("A36", "ids: twice the same, missing, 1 and \"1\" and 1.0, null, 10 kB long, beyond 64 bits",
      "one record a line; ids come back unchanged")
def identities(t):
    ids = ["a", "a", 1, "1", "x" * 10000, 2**53 + 1, -5, 0, "", "é\U0001f600"]
    jobs = lines({"id": one, "command": "true"} for one in ids)
    run = t.run("commands", t.spawn(), jobs, ids=ids, code=0, want={"ok": len(ids)}, bound=4)
    t.expect(len(run.records) == len(ids), "commands", len(run.records))
    odd = b'{"id":1.0,"command":"true"}\n{"id":1.5,"command":"true"}\n{"command":"true"}\n{"id":true,"command":"true"}\n' \
          b'{"id":null,"command":"true"}\n{"id":1180591620717411303424,"command":"true"}\n'
    run = t.run("odd", t.spawn(), odd, code=[0, 3], bound=4)
    t.expect(len(run.records) == 6, "odd", run.records)
    t.run("calls", t.evil("ok"), calls(3) + calls(3), ids=[1, 2, 3, 1, 2, 3], code=0, want={"ok": 6}, bound=5)
