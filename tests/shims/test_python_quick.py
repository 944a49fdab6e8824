"""The library of the Python shim: it does what the shim does without it, only faster."""

import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEADLINE, main  # noqa: E402
from test_python import PythonTest  # noqa: E402

CODE = """
    import asyncio, collections, ctypes, dataclasses, enum, io, os, sys
    def same(*a, **k): return [list(a), k] if k else a[0] if len(a) == 1 else list(a)
    def nothing(): pass
    def fail(x): raise ValueError("no %s" % x)
    def leave(x): sys.exit(x)
    def huge(x): return 10 ** x
    def number(text): return float(text)
    def rows(n):
        for i in range(n):
            if i == 3: raise ValueError("bad row")
            yield i
    def nested(n): return [rows(n), 1]
    def kinds(name):
        Color = enum.Enum("Color", "RED BLUE")
        Point = dataclasses.make_dataclass("Point", "x y")
        class Long(int): pass
        class Text(str): pass
        class Odd:
            def __getattr__(self, name): raise RuntimeError("no " + name)
        return {"tuple": (1, 2), "set": {1}, "enum": Color.RED, "data": Point(1, 2), "bytes": b"ab", "long": Long(7),
                "text": Text("t"), "odd": Odd(), "object": object(), "function": kinds, "range": range(3),
                "deque": collections.deque("ab"), "half": "\\ud800", "exotic": "\\x7f\\u2028", "quote": 'a"b\\n'}[name]
    async def wait(x):
        await asyncio.sleep(0)
        return x
    async def spoil(x):
        await asyncio.sleep(0)
        raise KeyError(x)
    def say(x):
        print("said", x)
        return x
    def shout(x): sys.stderr.write("shouted %s\\n" % x)
    def write(x): os.write(1, b"written %d\\n" % x)
    def echo(x): os.system("echo %s" % x)
    def keep(x): sys.stdout.write("kept %s" % x)
    def wrap(x):
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer)
        print("wrapped", x)
    def unwrap(x):
        print("unwrapped", x)
        sys.stdout.flush()
        sys.stdout.detach()
        sys.stdout = sys.__stdout__ if False else OUT
    OUT = sys.stdout
    class Counter:
        def __init__(self): self.count = 0
        def up(self, by=1):
            self.count += by
            return self.count
    upper = str.upper
    def change(named):
        named["x"] = 1
        return named
    def take(**named):
        named["more"] = 1
        return named
"""

CALLS = [
    ("same", [1]), ("same", [-(2 ** 63)]), ("same", [2 ** 63 - 1]), ("same", [2 ** 63]), ("same", [10 ** 30]), ("same", [0]),
    ("same", [1.5]), ("same", [1e300]), ("same", [-0.0]), ("same", [1e-7]), ("same", [True]), ("same", [False]),
    ("same", [None]), ("same", ["text"]), ("same", [""]), ("same", ["\u00fc\u20ac\U0001f600"]), ("same", ['a"b\\c\n\x7f']),
    ("same", [[1, [2, {"a": [None, 1.25]}]]]), ("same", {"a": 1, "b": [2]}), ("same", {}), ("same", [1, 2, 3]),
    ("nothing", None), ("nothing", []), ("nothing", {}), ("nothing", [1]), ("same", "no list"),
    ("fail", ["x"]), ("leave", [0]), ("leave", [3]), ("huge", [17]), ("huge", [19]), ("huge", [100]), ("huge", [5000]),
    ("number", ["nan"]), ("number", ["inf"]), ("number", ["0.1"]), ("rows", [2]), ("rows", [5]), ("nested", [2]), ("nested", [5]),
    ("kinds", ["tuple"]), ("kinds", ["set"]), ("kinds", ["enum"]), ("kinds", ["data"]), ("kinds", ["bytes"]),
    ("kinds", ["long"]), ("kinds", ["text"]), ("kinds", ["odd"]), ("kinds", ["function"]), ("kinds", ["range"]),
    ("kinds", ["deque"]), ("kinds", ["half"]), ("kinds", ["exotic"]), ("kinds", ["quote"]), ("kinds", ["missing"]),
    ("wait", [1]), ("spoil", [1]), ("say", [1]), ("say", ["x" * 70000]), ("shout", [1]), ("write", [1]), ("echo", [1]),
    ("keep", [1]), ("same", ["y" * 70000]), ("Counter.up", []), ("Counter.up", {"by": 5}), ("upper", ["abc"]), ("upper", [1]),
    ("change", [{"a": 1}]), ("take", {"a": 1}), ("unknown", [1]), ("_hidden", []), ("asyncio.run", [1]), ("same.x", []),
]  # fmt: skip


class Quick(PythonTest):
    def said(self, batches, is_quick):
        """All that the worker says when it gets these batches, and whether it has loaded the library."""
        self.is_looked_at = is_quick
        w = self.start(CODE)
        seen = []
        for number, batch in enumerate(batches):
            end = {"jsonrpc": "2.0", "id": "end-%d" % number, "method": "nothing"}
            w.send(batch)
            w.send(end)
            seen += w.until(lambda message: message.get("id") == end["id"])
        with open("/proc/%d/maps" % w.process.pid) as maps:
            is_loaded = "python_calls" in maps.read()
        code, rest = w.finish()
        self.assertEqual((code, rest), (0, []), w.err)
        return seen, is_loaded

    def same_in_both_ways(self, batches):
        quickly, is_loaded = self.said(batches, True)
        self.assertTrue(is_loaded)
        slowly, _ = self.said(batches, False)
        self.assertEqual(len(quickly), len(slowly))
        for quick, slow in zip(quickly, slowly):
            self.assertEqual(quick, slow)

    def requests(self, calls):
        made = []
        for id, (method, params) in enumerate(calls, 1):
            made.append({"jsonrpc": "2.0", "id": id, "method": method})
            if params is not None:
                made[-1]["params"] = params
        return made

    def test_each_kind_of_call_alone_and_among_others(self):
        requests = self.requests(CALLS)
        self.same_in_both_ways([[one] for one in requests])
        self.same_in_both_ways([requests])

    def test_calls_in_any_order(self):
        chance = random.Random(5)
        plain = [("same", [n]) for n in range(10)]
        for _ in range(5):
            calls = [chance.choice(plain if chance.random() < 0.7 else CALLS) for _ in range(400)]
            self.same_in_both_ways([self.requests(calls)[at : at + 50] for at in range(0, 400, 50)])

    def test_what_is_no_plain_request(self):
        odd = [
            {"jsonrpc": "2.0", "id": "text", "method": "same", "params": [1]},
            {"jsonrpc": "2.0", "id": 1.5, "method": "same", "params": [1]},
            {"jsonrpc": "2.0", "id": 10**20, "method": "same", "params": [1]},
            {"jsonrpc": "2.0", "id": -7, "method": "same", "params": [1]},
            {"jsonrpc": "2.0", "id": 8, "method": ["same"], "params": [1]},
            {"jsonrpc": "2.0", "id": 9, "method": "same", "params": None},
            {"jsonrpc": "2.0", "id": 10, "params": [1]},
            {"jsonrpc": "2.0", "method": "say", "params": ["to nobody"]},
            {"jsonrpc": "2.0", "method": "fail", "params": ["nobody"]},
            {"id": 11, "method": "same", "params": [1], "more": {"x": [1, 2]}},
            [],
            7,
        ]
        last = {"jsonrpc": "2.0", "id": 99, "method": "same", "params": [1]}
        for one in odd:
            self.same_in_both_ways([[last], [last, one, last]])

    def test_streams_of_the_users_own(self):
        calls = [("same", [1]), ("wrap", [1]), ("say", [2]), ("keep", [3]), ("same", [4]), ("unwrap", [5]), ("say", [6])]
        self.same_in_both_ways([[one] for one in self.requests(calls)])

    def test_numbers_and_texts_as_json_spells_them(self):
        values = "0 -0 1 -1 123456789012345678 1234567890123456789 12345678901234567890 -9223372036854775808 1.0 -1.5e3 1E5 2e-3 1e400".split()
        values += ['"a"', '"\u00fc"', '"\\u00fc"', '"\\n"', '"\\ud83d\\ude00"', "[ ]", "[1 , 2]", '{ "a" : 1 }', "true", "null"]
        text = "[" + ",".join('{"jsonrpc":"2.0","id":%d,"method":"same","params":[%s]}' % one for one in enumerate(values)) + "]"
        for line in (text, text.replace(",", " ,\t").replace(":", " : ")):
            w = self.start(CODE)
            w.write(line.encode() + b"\n")
            for id, value in enumerate(values):
                answer = w.receive()
                self.assertEqual((answer["id"], repr(answer.get("result"))), (id, repr(json.loads(value.replace("1e400", "null")))))
            self.assertEqual(w.finish(), (0, []))

    def test_a_line_that_is_no_json(self):
        for line in (b'[{"id":1', b'[{"id":01}]', b'[1,]', b'[{"a":tru}]', b'[{"a":"\xff"}]', b'["a\x01"]', b"[" * 100, b"[1] 2", b"[1.]"):
            w = self.start(CODE)
            w.write(line + b"\n")
            answer = w.receive()
            self.assertIsNotNone(answer, (line, w.err))
            self.assertEqual(answer["error"]["code"], -32700, line)
            self.assertEqual(w.result("same", 1), 1)

    def test_a_call_is_taken_back_while_another_runs_and_before_it_begins(self):
        w = self.start("import time\ndef nap(s): time.sleep(s)\ndef same(x): return x\n")
        calls = [w.request("same", [n]) for n in range(300)] + [w.request("nap", [1]), w.request("same", [-1]), w.request("same", [-2])]
        w.send(calls)
        w.send({"jsonrpc": "2.0", "method": "$/recall", "params": {"id": calls[-1]["id"]}})
        answers = {}
        until = time.monotonic() + DEADLINE
        while len(answers) < len(calls):
            self.assertLess(time.monotonic(), until)
            message = w.receive()
            answers[message["id"]] = message
        self.assertEqual(answers[calls[-1]["id"]]["error"]["data"], {"begun": False})
        self.assertEqual(answers[calls[-2]["id"]]["result"], -1)

    def test_what_python_cannot_read_fails_its_job_alone(self):
        # The decoder of `json` has a limit in depth, and since 3.11 one for the digits of a whole number.
        deep = "[" * 200_000 + "]" * 200_000
        unreadable = [deep, '[{"a":%s,"id":5}]' % deep] + ["[%s]" % ("7" * 5000)] * (sys.version_info >= (3, 11))
        code = "def inc(x, **more): return x + 1\nasync def later(x): return x + 2\n"
        for concurrency in [1, 2]:
            w = self.start(code, concurrency=concurrency)
            call = '{"jsonrpc":"2.0","id":%d,"method":"inc","params":%s}'
            for params in unreadable:
                w.write((call % (1, params) + "\n").encode())
                answer = w.receive()
                self.assertEqual((answer["id"], answer["error"]["code"]), (1, -32602))
                self.assertIn("Python cannot read the parameters", answer["error"]["message"])
                # In an array the others are called, and of two members with a name the one of the message counts.
                calls = [call % (2, "[1]"), call % (3, params), call % (4, '{"x":"],{\\"id"}')]
                w.write(("[%s]\n" % ",".join(calls)).encode())
                answers = {answer["id"]: answer for answer in (w.receive() for _ in range(3))}
                self.assertEqual(answers[2]["result"], 2)
                self.assertEqual(answers[3]["error"]["code"], -32602)
                self.assertIn("TypeError", answers[4]["error"]["message"])
            self.assertEqual(w.result("later", 1), 3)

    def test_what_is_no_file_is_not_opened(self):
        place = os.path.join(self.dir, "fifo")
        os.mkfifo(place)
        for place in (place, self.dir, "/nonexistent/library", self.file("text", "no library")):
            self.variables = dict(self.variables, SPV_LIBRARY=place)
            w = self.start("def inc(x): return x + 1\n")
            self.assertEqual([w.result("inc", n) for n in range(3)], [1, 2, 3])

    def test_the_call_that_is_begun_is_marked(self):
        place = os.path.join(self.dir, "marks")
        with open(place, "w+b") as file:
            file.truncate(24)
            os.set_inheritable(file.fileno(), True)
            self.variables = dict(self.variables, SPV_MARKS="%d:8" % file.fileno())
            w = self.start("import os\ndef same(x): return x\ndef end(): os._exit(0)\n")
            w.send([w.request("same", [n]) for n in range(50)])
            for _ in range(50):
                w.receive()
            last = [w.request("same", [1]), w.request("end"), w.request("same", [2])]
            w.send(last)
            w.finish()
            self.assertEqual(os.pread(file.fileno(), 16, 8), (last[1]["id"] + 1).to_bytes(8, sys.byteorder) + bytes(8))


if __name__ == "__main__":
    main()
