"""The Python shim: channel, results, failures, start, several jobs at a time, cancelling, shared state."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEADLINE, ShimTest, python_command  # noqa: E402


class PythonTest(ShimTest):
    command = python_command()
    shim = "python"
    extension = ".py"


class Calling(PythonTest):
    def test_positional_keywords_none_and_batches_in_order(self):
        w = self.start("def add(a, b=10): return a + b\ndef two(): return 2\n", "add")
        self.assertEqual(w.result("add", 1, 2), 3)
        self.assertEqual(w.result("add", a=1, b=5), 6)
        w.send(w.request("two"))
        self.assertEqual(w.receive()["result"], 2)
        batch = [w.request("add", [i]) for i in range(300)]
        w.send(batch)
        answers = [w.receive() for _ in batch]
        self.assertEqual([a["id"] for a in answers], [r["id"] for r in batch])
        self.assertEqual([a["result"] for a in answers], [i + 10 for i in range(300)])
        self.assertEqual(w.finish(), (0, []))

    def test_a_number_too_long_to_be_told_fails_its_job_alone(self):
        w = self.start("def huge(): return 10 ** 5000\ndef inc(x): return x + 1\n")
        answer, _ = w.call("huge")
        if sys.version_info >= (3, 11):
            self.assertIn("is no JSON", answer["error"]["message"])
        self.assertEqual(w.result("inc", 1), 2)

    def test_text_ids_come_back_as_given(self):
        w = self.start("def f(x): return x\n")
        w.send(w.request("f", ["ü"], id='a"1'))
        self.assertEqual(w.receive(), {"jsonrpc": "2.0", "id": 'a"1', "result": "ü"})

    def test_classes_methods_and_decorated_functions(self):
        w = self.start(
            """
            import functools
            class Model:
                def __init__(self): self.calls = 0
                def count(self, by=1):
                    self.calls += by
                    return self.calls
                @staticmethod
                def still(x): return x
                @classmethod
                def kind(cls): return cls.__name__
                class Inner:
                    @staticmethod
                    def deep(): return "deep"
            @functools.lru_cache(None)
            def cached(x): return x * 2
            plus = functools.partial(lambda a, b: a + b, 1)
            """,
            "Model.count",
        )
        self.assertEqual([w.result("Model.count", 2), w.result("Model.count")], [2, 3])
        self.assertEqual(w.result("Model.still", 4), 4)
        self.assertEqual(w.result("Model.kind"), "Model")
        self.assertEqual(w.result("Model.Inner.deep"), "deep")
        self.assertEqual(w.result("cached", 4), 8)
        self.assertEqual(w.result("plus", 4), 5)

    def test_only_the_modules_own_functions_can_be_called(self):
        w = self.start(
            """
            import os, subprocess
            from os import system
            from shutil import rmtree as clean
            def _private(): return 1
            def convert(): return 1
            number = 5
            """
        )
        names = ("os", "os.system", "system", "clean", "subprocess.run", "_private", "__import__", "convert.__globals__")
        for name in names + ("number", "", "nosuch", "convert."):
            self.assertEqual(w.error(name)["code"], -32601, name)
        self.assertIn("did you mean convert?", w.error("covnert")["message"])
        self.assertEqual(w.result("convert"), 1)

    def test_what_the_file_makes_with_the_code_of_others_can_be_called(self):
        self.file("lib.py", """
            import functools
            def plain(x): return x
            @functools.lru_cache(None)
            def cached(x): return x
            def deco(f): return lambda x: f(x) + 1
            class Adder:
                def __call__(self, x): return x + 1
                def add(self, x): return x + 1
            adder = Adder()
            """)
        w = self.start(
            """
            import functools, operator
            from functools import partial
            from random import random, shuffle as mix
            from lib import plain, cached, deco, adder as imported, Adder
            double = functools.partial(operator.mul, 2)
            first = operator.itemgetter(0)
            kept = functools.lru_cache(None)(plain)
            @deco
            def more(x): return x
            adds = Adder()
            add = adds.add
            number = 5
            text = "text"
            """
        )
        for name, given, wanted in (("double", 4, 8), ("first", [3], 3), ("kept", 1, 1), ("more", 1, 2), ("adds", 1, 2), ("add", 1, 2)):
            self.assertEqual(w.result(name, given), wanted, name)
        for name in ("partial", "random", "mix", "plain", "cached", "deco", "imported", "Adder", "adds.add"):
            self.assertIn("is imported into tasks", w.error(name)["message"], name)
        self.assertEqual(w.error("number")["message"], "number in tasks is no function")
        self.assertEqual(w.error("text.upper")["message"], "text in tasks is no function")
        self.assertIn("did you mean double?", w.error("duoble")["message"])

    def test_the_function_named_on_the_command_line_may_come_from_elsewhere(self):
        w = self.start_spec("os.path:basename")
        self.assertEqual(w.result("basename", "a/b.txt"), "b.txt")

    def test_arguments_that_do_not_fit_are_told_apart_from_a_type_error(self):
        w = self.start("def f(a): return a\ndef g(a): return f()\ndef h(a): return 1 + 'a'\n")
        misfit = w.error("f", 1, 2)
        self.assertEqual((misfit["code"], misfit["data"]["type"]), (-32602, "TypeError"))
        self.assertIn("f(a)", misfit["message"])
        self.assertEqual(w.error("f", b=1)["code"], -32602)
        self.assertEqual(w.error("g", 1)["code"], -32000)
        self.assertEqual(w.error("h", 1)["code"], -32000)

    def test_big_messages_and_lines_cut_anywhere(self):
        w = self.start("def size(s): return len(s)\ndef make(n): return 'é' * n\n")
        self.assertEqual(w.result("size", "x" * 10_000_000), 10_000_000)
        self.assertEqual(len(w.result("make", 5_000_000)), 5_000_000)
        line = json.dumps(w.request("size", ["ü" * 250_000]), ensure_ascii=False).encode() + b"\n"
        for at in range(0, len(line), 4093):
            w.write(line[at : at + 4093])
        self.assertEqual(w.receive()["result"], 250_000)
        for byte in json.dumps(w.request("size", ["ü😀"])).encode() + b"\n":
            w.write(bytes([byte]))
        self.assertEqual(w.receive()["result"], 2)

    def test_what_is_no_request(self):
        w = self.start("def f(): return 1\n")
        w.write(b"nonsense\n\n  \n[]\n[1]\n{}\n{\"jsonrpc\":\"2.0\",\"method\":\"$/unknown\"}\n\xff\n")
        codes = [w.receive()["error"]["code"] for _ in range(5)]
        self.assertEqual(sorted(codes), [-32700, -32700, -32600, -32600, -32600])
        w.send({"jsonrpc": "2.0", "id": 9, "method": "f", "params": 5})
        self.assertEqual(w.receive()["error"]["code"], -32602)
        self.assertEqual(w.result("f"), 1)


    def test_a_notification_calls_its_function_before_the_jobs_that_follow(self):
        text = """
            import asyncio
            from supervisor import job_id
            base = 0
            def setup(by):
                global base
                base += by
                print("set", job_id())
            async def slow(by):
                await asyncio.sleep(0.05)
                setup(by)
            def bad(by): raise ValueError("no database")
            def add(x): return base + x
            """
        for concurrency in (1, 3):
            w = self.start(text, concurrency=concurrency)
            for method in ("setup", "slow", "bad", "nosuch"):
                w.send({"jsonrpc": "2.0", "method": method, "params": [7] if method == "setup" else {"by": 7}})
            answer, printed = w.call("add", 1)
            self.assertEqual(answer["result"], 15)
            self.assertEqual({one.get("id") for one in printed}, {None})
            self.assertEqual(self.printed(printed, "stdout"), "set None\n" * 2)
            told = self.printed(printed, "stderr")
            self.assertIn("the notification bad failed: Traceback", told)
            self.assertIn("ValueError: no database\n", told)
            self.assertIn("the notification nosuch failed: no function nosuch in tasks", told)
            self.assertEqual(w.finish(), (0, []))


class Results(PythonTest):
    def test_values_that_json_has_no_word_for(self):
        w = self.start(
            """
            import collections, dataclasses, datetime, decimal, enum, pathlib, uuid
            @dataclasses.dataclass
            class Point:
                x: int
                y: object
            class Color(enum.Enum):
                RED = "red"
            Pair = collections.namedtuple("Pair", "a b")
            def give(): return [
                b"\\x00\\xff", datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5), Point(1, Point(2, None)),
                decimal.Decimal("1.10"), {3, 1, 2}, (1, 2), Pair(1, 2), Color.RED, pathlib.Path("a/b"), range(3),
                (n for n in "ab"), {"k": 1}.keys(), uuid.UUID(int=1), {1: "a", None: "b", False: "c"}, 2 ** 100, -0.0, 1e300,
            ]
            def top(): return Point(1, 2)
            """
        )
        self.assertEqual(
            w.result("give"),
            [
                {"base64": "AP8="}, "2026-01-02", "2026-01-02T03:04:05", {"x": 1, "y": {"x": 2, "y": None}},
                "1.10", [1, 2, 3], [1, 2], [1, 2], "red", "a/b", [0, 1, 2],
                ["a", "b"], ["k"], "00000000-0000-0000-0000-000000000001",
                {"1": "a", "null": "b", "false": "c"}, 2 ** 100, -0.0, 1e300,
            ],
        )  # fmt: skip
        self.assertEqual(w.result("top"), {"x": 1, "y": 2})

    def test_plain_values(self):
        w = self.start("def same(x): return x\n")
        for value in (None, True, False, 0, -1, 2 ** 64, 1.5, "", "a\n\"\\\u2028é😀\u0000", [], {}, [[]], {"a": {"b": [1]}}):
            self.assertEqual(w.result("same", value), value)
            self.assertIs(type(w.result("same", value)), type(value))

    def test_what_is_no_json_fails_its_job_by_name(self):
        w = self.start(
            """
            class Thing: pass
            def nan(): return float("nan")
            def inf(): return [1, float("inf")]
            def thing(): return {"a": Thing()}
            def loop():
                a = []
                a.append(a)
                return a
            def deep():
                a = []
                for _ in range(100_000): a = [a]
                return a
            def keys(): return {(1, 2): 3}
            def ok(): return 1
            """
        )
        for name, word in (("nan", "float"), ("inf", "list"), ("thing", "tasks.Thing"), ("loop", "ircular"), ("deep", "list"), ("keys", "dict")):
            error = w.error(name)
            self.assertEqual(error["code"], -32000)
            self.assertIn("is no JSON", error["message"])
            self.assertIn(word, error["message"])
        self.assertEqual(w.result("ok"), 1)

    def test_a_lone_surrogate_is_escaped(self):
        w = self.start("def f(): return ['a\\ud800']\ndef g(): return '\\udcff'\n")
        self.assertEqual(w.result("f"), ["a\ud800"])
        self.assertEqual(w.result("g"), "\udcff")

    def test_numpy(self):
        try:
            import numpy  # noqa: F401
        except ImportError:
            self.skipTest("numpy is not installed")
        w = self.start(
            """
            import numpy as np
            def give(): return [np.int64(3), np.float32(0.5), np.bool_(True), np.arange(4).reshape(2, 2), np.float64(1.5)]
            def nan(): return np.array([np.nan])
            """
        )
        self.assertEqual(w.result("give"), [3, 0.5, True, [[0, 1], [2, 3]], 1.5])
        self.assertIn("no JSON", w.error("nan")["message"])


class Failures(PythonTest):
    def test_an_exception_has_type_message_and_the_users_frames(self):
        w = self.start(
            """
            def inner(): raise ValueError("bad")
            def outer():
                try: inner()
                except ValueError as e: raise KeyError("k") from e
            """
        )
        error = w.error("outer")
        self.assertEqual((error["code"], error["data"]["type"], error["message"]), (-32000, "KeyError", "KeyError: 'k'"))
        trace = error["data"]["traceback"]
        self.assertIn("ValueError: bad", trace)
        self.assertIn("direct cause", trace)
        self.assertIn("in outer", trace)
        self.assertNotIn("<supervisor>", trace)

    def test_the_ways_to_leave_that_do_not_kill(self):
        w = self.start(
            """
            import sys
            def leave(): sys.exit(3)
            def interrupt(): raise KeyboardInterrupt
            def generator_exit(): raise GeneratorExit
            def ok(): return 1
            async def aleave(): sys.exit(4)
            """
        )
        self.assertEqual(w.error("leave")["message"], "SystemExit: 3")
        self.assertEqual(w.error("interrupt")["data"]["type"], "KeyboardInterrupt")
        self.assertEqual(w.error("generator_exit")["data"]["type"], "GeneratorExit")
        self.assertEqual(w.error("aleave")["data"]["type"], "SystemExit")
        self.assertEqual(w.result("ok"), 1)

    def test_a_generator_that_raises_is_a_function_that_raises(self):
        text = """
            import sys
            def rows():
                yield 1
                raise ValueError("bad row")
            async def inner(): return {"rows": [map(lambda x: 1 / x, (1, 0))]}
            def odd(): yield object()
            """
        self.file("sitecustomize.py", "import json\n")
        for self.variables in ({}, {"PYTHONPATH": self.dir}):  # the library's encoder has frames of its own
            for concurrency in (1, 2):
                w = self.start(text, concurrency=concurrency)
                error = w.error("rows")
                self.assertEqual((error["code"], error["message"]), (-32000, "ValueError: bad row"))
                self.assertEqual(error["data"]["type"], "ValueError")
                self.assertRegex(error["data"]["traceback"], r'\ATraceback .*\n  File ".*tasks.py", line 5, in rows')
                inner = w.error("inner")["data"]
                self.assertEqual(inner["type"], "ZeroDivisionError")
                self.assertRegex(inner["traceback"], r'\ATraceback .*\n  File ".*tasks.py", line 6, in <lambda>')
                self.assertIn("the result, a generator, is no JSON: TypeError: object", w.error("odd")["message"])

    def test_the_traceback_of_a_coroutine_has_the_users_frames_alone(self):
        for concurrency in (1, 2):
            w = self.start("async def f(x):\n  return 1 / x\ndef g(x): return f(x)\n", concurrency=concurrency)
            for name in "fg":
                trace = w.error(name, 0)["data"]["traceback"]
                self.assertRegex(trace, r'\ATraceback .*\n  File ".*tasks.py", line 2, in f\n')

    def test_exceptions_that_make_telling_hard(self):
        w = self.start(
            """
            class Mute(Exception):
                def __str__(self): raise RuntimeError("no")
            def mute(): raise Mute
            def huge(): raise ValueError("x" * 1_000_000)
            def recurse(): return recurse()
            def surrogate(): raise ValueError("\\udcff")
            def ok(): return 1
            """
        )
        self.assertEqual(w.error("mute")["data"]["type"], "Mute")
        huge = w.error("huge")
        self.assertLess(len(json.dumps(huge)), 200_000)
        self.assertIn("left out", huge["message"])
        self.assertEqual(w.error("recurse")["data"]["type"], "RecursionError")
        surrogate = w.error("surrogate")  # supervisor reads no text with half a character
        self.assertEqual((surrogate["code"], surrogate["message"]), (-32000, "ValueError: \\udcff"))
        self.assertIn("ValueError: \\udcff", surrogate["data"]["traceback"])
        self.assertEqual(w.result("ok"), 1)

    def test_an_exit_in_a_task_fails_its_own_job_alone(self):
        w = self.start(
            """
            import asyncio, signal, sys
            seen = []
            async def part(n):
                await asyncio.sleep(0)
                if n == 1: sys.exit("bad part")
            async def gathered():
                try: await asyncio.gather(*map(part, range(3)))
                finally: seen.append("gathered ended")
            async def begun():
                asyncio.create_task(part(1))
                try: await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
                    seen.append("begun ended")
            async def stops(): asyncio.get_running_loop().stop(); await asyncio.Event().wait()
            async def rung():
                def ring(*_): raise ValueError("rung")
                signal.signal(signal.SIGALRM, ring)
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                try: await asyncio.Event().wait()
                finally: seen.append("rung ended")
            gate = asyncio.Event()
            async def later():
                await gate.wait()
                sys.exit("late")
            async def leaves(): asyncio.create_task(later())
            async def good(opens=False):
                if opens: gate.set()
                for _ in range(9): await asyncio.sleep(0)
                return list(seen)
            """
        )
        for name, message in (("gathered", "SystemExit: bad part"), ("begun", "SystemExit: bad part"), ("rung", "ValueError: rung")):
            self.assertEqual(w.error(name)["message"], message)
            self.assertEqual(w.result("good")[-1], name + " ended")
        self.assertEqual(w.error("stops")["data"]["type"], "RuntimeError")
        self.assertIsNone(w.result("leaves"))
        self.assertEqual(len(w.result("good", True)), 3)
        self.assertEqual(len(w.result("good")), 3)

    def test_the_traceback_of_a_notification_has_the_users_frames_alone(self):
        w = self.start("def boom(): raise ValueError('no')\nclass Odd:\n  def __init__(self): boom()\n  def f(self): pass\n")
        w.send({"jsonrpc": "2.0", "method": "boom"})
        self.assertRegex(w.receive()["params"]["data"], r'\Athe notification boom failed: Traceback .*\n  File ".*tasks.py", line 1, in boom')
        w.send(w.request("Odd.f"))
        self.assertRegex(w.receive()["error"]["data"]["traceback"], r'\ATraceback .*\n  File ".*tasks.py", line 3, in __init__')

    @unittest.skipIf(sys.version_info < (3, 11), "exception groups came with 3.11")
    def test_exception_groups(self):
        w = self.start("def f(): raise ExceptionGroup('many', [ValueError('a'), KeyError('b')])\n")
        error = w.error("f")
        self.assertEqual(error["data"]["type"], "ExceptionGroup")
        self.assertIn("ValueError: a", error["data"]["traceback"])

    def test_a_death_in_mid_batch_takes_no_finished_answer_with_it(self):
        text = """
            import os, signal, ctypes
            def ok(x): return x
            def leave(): os._exit(3)
            def kill(): os.kill(os.getpid(), signal.SIGKILL)
            def crash(): ctypes.string_at(0)
            """
        for name, code in (("leave", 3), ("kill", -9), ("crash", -11)):
            w = self.start(text)
            w.send([w.request("ok", [1]), w.request("ok", [2]), w.request(name), w.request("ok", [3])])
            got, rest = w.finish()
            self.assertEqual(got, code)
            self.assertEqual([m["result"] for m in rest], [1, 2])
            if name == "crash":
                self.assertIn(b"Segmentation fault", w.err)
                self.assertIn(b"in crash", w.err)


class Printing(PythonTest):
    def test_what_is_printed_belongs_to_its_job_and_comes_before_its_answer(self):
        w = self.start(
            """
            import os, subprocess, sys, logging, warnings, ctypes
            def say(x):
                print("out", x)
                print("err", x, file=sys.stderr)
            def mixed():
                print("one")
                os.write(1, b"two\\n")
                print("three")
                subprocess.run(["echo", "four"])
                sys.stdout.write("five\\n")
            def low(): os.write(1, b"low\\n")
            def binary(): sys.stdout.buffer.write(b"\\xff\\xfe")
            def quiet(): return 1
            def logs():
                logging.warning("watch out")
                warnings.warn("old")
            def libc(): ctypes.CDLL(None).write(1, b"from C\\n", 7)
            def much():
                for n in range(100_000): print("line", n)
            def surrogate(): print("caf\\udce9")
            """
        )
        requests = [w.request("say", [1]), w.request("quiet"), w.request("low"), w.request("say", [2])]
        w.send(requests)
        seen = w.until(lambda m: m.get("id") == requests[-1]["id"] and "method" not in m)
        told = [(m["params"]["id"], m["params"]["stream"], m["params"]["data"]) if "method" in m else m["id"] for m in seen]
        one, two, three, four = (r["id"] for r in requests)
        self.assertEqual(
            told,
            [(one, "stdout", "out 1\n"), (one, "stderr", "err 1\n"), one, two, (three, "stdout", "low\n"), three,
             (four, "stdout", "out 2\n"), (four, "stderr", "err 2\n"), four],
        )  # fmt: skip
        self.assertEqual(self.printed(w.call("mixed")[1]), "one\ntwo\nthree\nfour\nfive\n")
        self.assertEqual(self.printed(w.call("libc")[1]), "from C\n")
        self.assertEqual(w.call("binary")[1][0]["data"], {"base64": "//4="})
        self.assertEqual(w.call("surrogate")[1][0]["data"], {"base64": "Y2Fm6Qo="})
        logged = self.printed(w.call("logs")[1], "stderr")
        self.assertIn("watch out", logged)
        self.assertIn("UserWarning: old", logged)
        self.assertEqual(self.printed(w.call("much")[1]).count("\n"), 100_000)
        self.assertEqual(w.call("quiet")[1], [])

    def test_what_is_written_by_the_name_of_standard_output_is_kept(self):
        text = """
            import subprocess
            left = []
            def sh(text): return subprocess.run(text, shell=True).returncode
            def write(text):
                with open("/dev/stdout", "w") as file: file.write(text)
            def both():
                print("first, ", end="", flush=True)
                sh("echo second > /dev/stdout; echo third")
            def leave(): left.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
            """
        for concurrency in (1, 2):
            for leave in (False, True):  # a process that may print at any time
                w = self.start(text, concurrency=concurrency)
                if leave:
                    w.call("leave")
                for name, given, wanted in (
                    ("sh", "echo this is the first job", "this is the first job"),
                    ("sh", "echo second > /dev/stdout", "second"),
                    ("sh", "echo third", "third"),
                    ("sh", "echo the fourth one, which is long > /dev/stdout", "the fourth one, which is long"),
                    ("write", "some\n", "some"),
                    ("write", "more\n", "more"),
                    ("sh", "echo even; echo more >> /dev/stdout", "even\nmore"),
                    ("sh", ": > /dev/stdout", None),
                    ("sh", "echo x", "x"),
                ):
                    self.assertEqual(self.printed(w.call(name, given)[1]), wanted + "\n" if wanted else "")
                self.assertEqual(self.printed(w.call("both")[1]), "first, second\nthird\n")
                self.assertEqual(w.finish(), (0, []))

    def test_a_job_that_takes_long_is_heard_before_it_ends(self):
        w = self.start("import time\ndef f():\n  print('begun')\n  time.sleep(600)\n")
        w.send(w.request("f"))
        self.assertEqual(w.receive()["params"], {"id": 1, "stream": "stdout", "data": "begun\n"})

    def test_input_is_empty_and_closed_descriptors_do_no_harm(self):
        w = self.start(
            """
            import os, sys
            def ask(): return input()
            def read(): return sys.stdin.read()
            def close():
                for fd in (0, 1, 2): os.close(fd)
            def shut(): sys.stdout.close(); sys.stderr.close(); sys.__stdout__.close()
            def say(): print("still here"); return 1
            """
        )
        self.assertEqual(w.error("ask")["data"]["type"], "EOFError")
        self.assertEqual(w.result("read"), "")
        w.call("shut")
        self.assertEqual(self.printed(w.call("say")[1]), "still here\n")
        w.call("close")
        answer, output = w.call("say")
        self.assertEqual((answer["result"], self.printed(output)), (1, "still here\n"))
        self.assertEqual(w.finish()[0], 0)

    def test_threads_and_tasks_print_for_their_own_jobs(self):
        w = self.start(
            """
            import asyncio, os, threading
            gate = threading.Barrier(2)
            def f(x):
                gate.wait(); print("a", x); gate.wait(); print("b", x); gate.wait()
            async def g(x):
                for part in "cd":
                    await asyncio.sleep(0.01); print(part, x)
            def low(): os.write(1, b"whose\\n")
            """,
            concurrency=3,
        )
        for name, letters in (("f", "ab"), ("g", "cd")):
            requests = [w.request(name, [i]) for i in range(2)]
            w.send(requests)
            left, printed = {r["id"] for r in requests}, {}
            while left:
                message = w.receive()
                if message.get("method") == "output":
                    params = message["params"]
                    self.assertIn(params["id"], left)  # before its answer
                    printed[params["id"]] = printed.get(params["id"], "") + params["data"]
                else:
                    left.remove(message["id"])
            for number, request in enumerate(requests):
                self.assertEqual(printed[request["id"]], "".join("%s %d\n" % (c, number) for c in letters))
        low, printed = w.call("low")  # it is the only one that runs
        self.assertEqual(printed, [{"id": low["id"], "stream": "stdout", "data": "whose\n"}])

    def test_what_a_pool_of_threads_prints_belongs_to_the_job_that_gave_it(self):
        text = """
            import asyncio, threading
            from concurrent.futures import ThreadPoolExecutor
            pool = ThreadPoolExecutor(2)
            gate = threading.Barrier(2)
            def say(x): print("said by", x)
            def alone(x):
                told = threading.Event()
                pool.submit(say, x).add_done_callback(lambda _: (say("what waited for %d" % x), told.set()))
                told.wait(10)
            def both(x):
                gate.wait(10); alone(x); gate.wait(10)
            async def awaited(x):
                for _ in range(3): await asyncio.get_running_loop().run_in_executor(None, say, x)
            async def whose():
                return await asyncio.get_running_loop().run_in_executor(None, __import__("supervisor").job_id)
            """
        for concurrency in (1, 2):
            w = self.start(text, concurrency=concurrency)
            for name in ("alone", "awaited") + ("both",) * (concurrency > 1):
                jobs = {request["id"]: request for request in (w.request(name, [x]) for x in range(6))}
                w.send(list(jobs.values()))
                printed, left = dict.fromkeys(jobs, ""), set(jobs)
                while left:
                    message = w.receive()
                    if message.get("method") == "output":
                        printed[message["params"]["id"]] += message["params"]["data"]
                    else:
                        left.remove(message["id"])
                for id, request in jobs.items():
                    x = request["params"][0]
                    wanted = "said by %d\n" % x * 3 if name == "awaited" else "said by %d\nsaid by what waited for %d\n" % (x, x)
                    self.assertEqual(printed[id], wanted, name)
            for _ in range(2):
                answer, _ = w.call("whose")
                self.assertEqual(answer["result"], answer["id"])

    def test_what_is_printed_through_a_stream_of_the_users_own_belongs_to_its_job(self):
        text = """
            import io, sys
            sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
            def say(x): print("said by", x)
            def fail(x):
                print("said by", x)
                raise ValueError
            def replace(x):
                sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
                say(x)
            def drop(): del sys.stdout
            def ok(): return 1
            """
        for concurrency in (1, 2):
            w = self.start(text, concurrency=concurrency)
            for x, name in enumerate(("say", "fail", "replace", "say")):
                answer, printed = w.call(name, x)
                self.assertEqual(printed, [{"id": answer["id"], "stream": "stdout", "data": "said by %d\n" % x}])
            w.call("drop")
            self.assertEqual(w.result("ok"), 1)
        w = self.start(text)
        requests = [w.request("say", [x]) for x in range(400)]
        w.send(requests)
        printed = [m["params"] for m in w.until(lambda m: m.get("id") == 400) if "method" in m]
        self.assertEqual([one["id"] for one in printed], [request["id"] for request in requests])

    def test_what_a_job_leaves_running_prints_for_no_other(self):
        text = """
            import asyncio, threading
            gate, done = threading.Event(), threading.Event()
            def late():
                gate.wait(10); print("late"); done.set()
            def leave(): threading.Thread(target=late).start()
            async def leave_task():
                async def late():
                    while not gate.is_set(): await asyncio.sleep(0.001)
                    print("late"); done.set()
                asyncio.create_task(late())
            def other(): gate.set(); done.wait(10); gate.clear(); done.clear()
            async def other_task():
                gate.set()
                while not done.is_set(): await asyncio.sleep(0.001)
            """
        for concurrency in (1, 2):
            w = self.start(text, concurrency=concurrency)
            for leave, other in (("leave", "other"), ("leave_task", "other_task")):
                first, _ = w.call(leave)
                _, printed = w.call(other)
                self.assertEqual("".join(one["data"] for one in printed), "late\n")
                for one in printed:  # an id that is not open is the worker's own output too
                    self.assertIn(one.get("id"), (None, first["id"]))

    def test_an_uncaught_exception_of_a_thread_shows_no_frame_of_ours(self):
        for concurrency in (1, 2):
            w = self.start(
                "import threading\ndef f():\n  t = threading.Thread(target=lambda: 1 / 0)\n  t.start(); t.join()\n",
                concurrency=concurrency,
            )
            told = self.printed(w.call("f")[1], "stderr")
            self.assertIn("ZeroDivisionError", told)
            self.assertNotIn("<supervisor>", told)

    def test_what_is_printed_at_import_is_the_workers_own(self):
        self.file("tasks.py", "print('loading')\ndef f(): pass\n")
        w = self.open_spec("tasks.py")
        self.assertEqual(w.receive()["params"], {"stream": "stdout", "data": "loading\n"})
        self.assertEqual(w.receive()["method"], "ready")


class Processes(PythonTest):
    def test_a_forked_child_does_not_answer(self):
        w = self.start(
            """
            import os, sys
            def f(how):
                pid = os.fork()
                if pid == 0:
                    print("child")
                    if how == "return": return "from the child"
                    if how == "exit": sys.exit(7)
                    raise ValueError("in the child")
                return os.waitpid(pid, 0)[1] >> 8
            """
        )
        for how, code in (("return", 0), ("exit", 7), ("raise", 1)):
            answer, output = w.call("f", how)
            self.assertEqual(answer["result"], code)
            self.assertEqual(self.printed(output), "child\n")
        w.stderr_until(b"in the child")
        self.assertEqual(w.finish(), (0, []))

    def test_multiprocessing_inside_a_function(self):
        w = self.start(
            """
            import multiprocessing as mp
            def square(x):
                print("square", x)
                return x * x
            def go(method):
                with mp.get_context(method).Pool(2) as pool:
                    return pool.map(square, range(4))
            """
        )
        for method in ("fork", "spawn", "forkserver"):
            answer, output = w.call("go", method)
            self.assertEqual(answer.get("result"), [0, 1, 4, 9], answer)
        self.assertEqual(w.finish()[0], 0)

    def test_threads_left_running_do_not_hold_up_the_end(self):
        w = self.start(
            """
            import threading, time, atexit, os
            log = open("log.txt", "w")
            atexit.register(lambda: log.write("at exit\\n"))
            def f():
                threading.Thread(target=time.sleep, args=(600,)).start()
                log.write("kept in a buffer\\n")
            """
        )
        w.call("f")
        self.assertEqual(w.finish(), (0, []))
        with open(os.path.join(self.dir, "log.txt")) as file:
            self.assertEqual(file.read(), "kept in a buffer\nat exit\n")

    def test_all_that_was_sent_is_answered_after_the_end_of_the_input(self):
        for concurrency in (1, 3):
            w = self.start("import time\ndef f(x):\n  time.sleep(0.002)\n  return x\n", concurrency=concurrency)
            w.send([w.request("f", [i]) for i in range(50)])
            code, rest = w.finish()
            self.assertEqual((code, sorted(m["result"] for m in rest)), (0, list(range(50))))

    def test_children_see_no_channel(self):
        w = self.start(
            """
            import os, subprocess
            def f(): return subprocess.run(["sh", "-c", "ls -l /proc/self/fd; env"], capture_output=True, text=True, close_fds=False).stdout
            """
        )
        seen = w.result("f")
        self.assertNotIn("SPV_SHIM", seen)
        self.assertNotRegex(seen, r" (6[4-9]|7[0-9]) -> ")


class Starting(PythonTest):
    def test_failures_are_told_once_and_end_with_1(self):
        self.file("bad_import.py", "import nosuchmodule\n")
        self.file("bad_syntax.py", "def f(:\n  pass\n")
        self.file("leaves.py", "import sys\nsys.exit(0)\n")
        self.file("good.py", "def convert(): pass\n")
        failed = self.failure("bad_import.py")
        self.assertEqual(failed["message"], "ModuleNotFoundError: No module named 'nosuchmodule'")
        self.assertIn('bad_import.py", line 1', failed["traceback"])
        self.assertNotIn("<supervisor>", failed["traceback"])
        self.assertIn("SyntaxError", self.failure("bad_syntax.py")["message"])
        self.assertEqual(self.failure("leaves.py")["message"], "SystemExit: 0")
        self.file("half.py", "raise ValueError('\\udce9')\n")
        self.assertEqual(self.failure("half.py")["message"], "ValueError: \\udce9")
        self.file("pkg/__init__.py", "")
        wanted = " is a directory; a file is wanted, as in ./pkg/tasks.py, or the name of a module, as in --python pkg"
        for place in ("./pkg", "./pkg/"):
            failed = self.failure(place)
            self.assertEqual((failed["message"], failed["traceback"]), (place + wanted, ""))
        self.assertIn("no file nosuch.py", self.failure("nosuch.py:f")["message"])
        self.assertIn("nosuch_package", self.failure("nosuch_package.mod:f")["message"])
        self.assertEqual(self.failure("good.py:covnert")["message"], "no function covnert in good; did you mean convert?")

    def test_names_paths_and_arguments_are_what_a_user_expects(self):
        self.file("sub/tasks.py", "import helper, sys, os\ndef f(): return [__name__, __file__, sys.argv, sys.path[0], helper.x, os.getcwd()]\n")
        self.file("sub/helper.py", "x = 5\n")
        self.file("pkg/__init__.py", "")
        self.file("pkg/mod.py", "import sys\nfrom . import other\ndef f(): return [__name__, sys.path[0], other.y, len(sys.argv)]\n")
        self.file("pkg/other.py", "y = 6\n")
        self.file("json.py", "def f(): return 'not the library'\n")
        here = os.path.realpath(self.dir)
        w = self.start_spec("sub/tasks.py:f")
        sub = os.path.join(here, "sub")
        self.assertEqual(w.result("f"), ["tasks", os.path.join(self.dir, "sub", "tasks.py"), ["sub/tasks.py"], sub, 5, here])
        os.remove(os.path.join(self.dir, "json.py"))
        w = self.start_spec("pkg.mod:f")
        self.assertEqual(w.result("f"), ["pkg.mod", here, 6, 1])
        self.file("signal.py", "def f(): return __name__\n")
        self.assertEqual(self.start_spec("signal.py:f").result("f"), "user_signal")
        os.remove(os.path.join(self.dir, "signal.py"))

    def test_what_is_imported_late_is_the_librarys_and_never_the_users(self):
        for name in ("json", "traceback", "tokenize", "enum"):
            self.file(name + ".py", "raise RuntimeError('not the library')\n")
            w = self.start("def f(x): return 1 / x")
            self.assertIn("division", w.error("f", 0)["message"])
            self.assertIn("return 1 / x", w.error("f", 0)["data"]["traceback"])
            w.write(b' {"jsonrpc":"2.0","id":7,"method":"f","params":[1] } \n')
            self.assertEqual(w.answer(7)["result"], 1)
            os.remove(os.path.join(self.dir, name + ".py"))

    def test_no_file_of_the_users_is_taken_for_one_of_the_library(self):
        code = "import sys; print(*sys.modules, *sys.builtin_module_names)"
        there = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout.split()
        home = os.path.dirname(os.__file__)
        folders = [home, os.path.join(home, "lib-dynload")]
        names = {entry.partition(".")[0] for folder in folders if os.path.isdir(folder) for entry in os.listdir(folder)}
        for name in names - set(there):
            if name.isidentifier() and not name.startswith("__") and name not in ("sitecustomize", "usercustomize"):
                self.file(name + ".py", "raise RuntimeError('%s is not of the library')\n" % name)
        text = """
            from supervisor import Event, Queue
            def broken(x): return (x + 1) / x
            async def abroken(x): return (x + 1) / x
            async def aplain(x): return x
            async def waits(): await Event("e").wait_async()
            def data(): return [b"x"]
            def empty(): return Queue("q").get(block=False)
            def thread():
                import threading
                one = threading.Thread(target=print, args=["in a thread"])
                one.start()
                one.join()
            """
        for concurrency in (1, 2):
            w = self.start(text, concurrency=concurrency)
            self.assertEqual(w.result("data"), [{"base64": "eA=="}])
            for name in ("broken", "abroken"):
                self.assertIn("return (x + 1) / x", w.error(name, 0)["data"]["traceback"])
            self.assertEqual(w.result("aplain", 5), 5)
            self.assertEqual(w.error("aplain", 1, 2)["message"][:9], "aplain(x)")
            self.assertIn("did you mean broken?", w.error("borken")["message"])
            self.assertEqual(self.printed(w.call("thread")[1]), "in a thread\n")
            w.write(b' {"jsonrpc":"2.0","id":77,"method":"aplain","params":[1] } \n')
            self.assertEqual(w.answer(77)["result"], 1)
            w.send(w.request("waits", id=78))
            self.assertEqual(w.receive()["method"], "event.wait")
            w.cancel(78)
            self.assertEqual(w.answer(78)["error"]["code"], -32800)
            w.send(w.request("empty", id=79))
            w.send({"jsonrpc": "2.0", "id": w.receive()["id"], "result": {"ok": False}})
            self.assertEqual(w.answer(79)["error"]["data"]["type"], "Empty")
            self.assertEqual((w.finish(), w.err), ((0, []), b""))

    def test_a_file_with_a_name_of_the_librarys_is_what_its_neighbour_imports(self):
        for name in ("token", "inspect", "json", "base64", "queue"):
            self.file(name + ".py", "SECRET = 'abc'\n")
            for concurrency in (1, 2):
                w = self.start("def f(x):\n  from %s import SECRET\n  return SECRET, b'x'\n" % name, concurrency=concurrency)
                self.assertEqual(w.result("f", 1), ["abc", {"base64": "eA=="}])
                w.send(w.request("f"))
                self.assertEqual(w.receive()["error"]["code"], -32602)
            os.remove(os.path.join(self.dir, name + ".py"))
        os.mkdir(os.path.join(self.dir, "logging"))  # no package: the library's is what everybody imports
        w = self.start("import logging\nasync def f(): return logging.getLogger('a').name\n")
        self.assertEqual(w.result("f"), "a")

    def test_an_error_that_nobody_should_see_ends_the_worker_where_all_can_see_it(self):
        text = """
            class Odd:
                def __call__(self): return 1
                armed = False
                @property
                def __class__(self):
                    if self.armed: raise RuntimeError("no class of mine")
                    return Odd
            odd = Odd()
            def arm(): Odd.armed = True
            """
        w = self.start(text, "odd", concurrency=2)
        w.call("arm")
        w.send(w.request("odd"))
        self.assertEqual(w.finish(), (1, []))
        self.assertIn(b"RuntimeError: no class of mine", w.err + w.process.stderr.read())

    def test_what_is_long_to_import_is_not_imported_for_a_plain_job(self):
        bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], stdout=subprocess.PIPE, text=True)
        w = self.start("import sys\ndef f(*_): return [1, 0.5, None, 'text', list(sys.modules)]")
        *plain, modules = w.result("f", {"a": [1, None]})
        self.assertEqual(plain, [1, 0.5, None, "text"])
        late = {"json", "re", "enum", "signal", "traceback", "importlib.util"} - set(bare.stdout.split())
        self.assertEqual(late & set(modules), set())


class Concurrency(PythonTest):
    def test_coroutines_overlap_and_keep_to_their_number(self):
        w = self.start(
            """
            import asyncio
            now = most = 0
            async def f(x):
                global now, most
                now += 1; most = max(most, now)
                await asyncio.sleep(0.02 * (3 - x % 3)); now -= 1
                return x
            async def peak(): return most
            """,
            concurrency=3,
        )
        batch = [w.request("f", [i]) for i in range(9)]
        w.send(batch)
        answers = [w.receive() for _ in batch]
        self.assertEqual(sorted(a["result"] for a in answers), list(range(9)))
        self.assertEqual(answers[0]["result"], 2)  # begun last of three, ended first
        self.assertEqual(w.result("peak"), 3)

    def test_functions_run_in_threads_that_wait_for_each_other(self):
        w = self.start(
            "import threading\nb = threading.Barrier(3)\ndef f(x):\n  b.wait(10)\n  return x\n", concurrency=3
        )
        w.send([w.request("f", [i]) for i in range(6)])
        self.assertEqual(sorted(w.receive()["result"] for _ in range(6)), list(range(6)))
        self.assertEqual(w.finish(), (0, []))

    def test_failures_of_each_kind(self):
        w = self.start(
            """
            import sys, asyncio
            def f(): raise ValueError("t")
            async def g(): raise ValueError("c")
            async def h(): sys.exit(3)
            async def sub(): await asyncio.gather(h())
            async def ok(): return 1
            def gives(): return ok()
            async def nan(): return float("nan")
            """,
            concurrency=2,
        )
        self.assertEqual(w.error("f")["message"], "ValueError: t")
        self.assertEqual(w.error("g")["message"], "ValueError: c")
        self.assertNotIn("<supervisor>", w.error("g")["data"]["traceback"])
        self.assertEqual(w.error("h")["data"]["type"], "SystemExit")
        self.assertEqual(w.error("nan")["code"], -32000)
        self.assertEqual(w.error("ok", 1)["code"], -32602)
        self.assertEqual(w.result("gives"), 1)
        w.call("sub")
        self.assertEqual(w.result("ok"), 1)
        self.assertEqual(w.finish()[0], 0)


class Cancelling(PythonTest):
    def test_a_queued_job_is_withdrawn_while_another_runs(self):
        for concurrency in (1, 2):
            w = self.start(
                """
                import time, os
                def hold():
                    while True:
                        try:
                            os.remove("go")
                            return "held"
                        except FileNotFoundError:  # not there yet, or another holder was first
                            time.sleep(0.005)
                def f(): return 1
                """,
                concurrency=concurrency,
            )
            holders = [w.request("hold") for _ in range(concurrency)]
            later = w.request("f")
            w.send(holders + [later])
            w.cancel(later["id"])
            error = w.answer(later["id"])["error"]
            self.assertEqual((error["code"], error["data"]), (-32800, {"begun": False}))
            for _ in holders:
                self.file("go", "")
                self.assertEqual(w.receive()["result"], "held")
            self.assertEqual(w.finish(), (0, []))

    def test_who_looks_for_the_next_call_falls_asleep_when_none_comes(self):
        for concurrency in (1, 2):
            w = self.start("def inc(x): return x + 1", concurrency=concurrency)
            for number in range(200):  # one at a time and at once: from the second on it looks before it sleeps
                self.assertEqual(w.result("inc", number), number + 1)
            deadline = time.monotonic() + DEADLINE
            asleep = 0
            while asleep < 100:  # looks in a row
                self.assertLess(time.monotonic(), deadline, "it never sleeps")
                with open("/proc/%d/stat" % w.process.pid) as stat:
                    asleep = asleep + 1 if stat.read().rpartition(")")[2].split()[0] == "S" else 0
            self.assertEqual(w.result("inc", 1), 2)
            self.assertEqual(w.finish(), (0, []))

    def test_a_recall_is_heard_while_a_job_runs(self):
        for concurrency in (1, 2):
            w = self.start("import time\ndef nap(s): time.sleep(s)\ndef spin():\n while True: pass\n", concurrency=concurrency)
            self.assertTrue(w.ready["params"]["recall"])
            long = [w.request("nap", [1000]) if concurrency == 1 else w.request("spin") for _ in range(concurrency)]
            follower = w.request("nap", [0])
            w.send(long + [follower])
            w.send({"jsonrpc": "2.0", "method": "$/recall", "params": {"id": follower["id"]}})
            error = w.answer(follower["id"])["error"]
            self.assertEqual((error["code"], error["data"]), (-32800, {"begun": False}))
            w.process.kill()
            w.process.wait()

    def test_a_stuck_function_tells_where(self):
        text = """
            import time
            def spin():
                print("begun")
                while True: pass  # spinning here
            def sleep():
                print("begun")
                time.sleep(1000)  # sleeping here
            """
        for concurrency in (1, 2):
            for name, line in (("spin", "spinning here"), ("sleep", "sleeping here")):
                w = self.start(text, concurrency=concurrency)
                w.send(w.request(name))
                self.assertEqual(w.receive()["method"], "output")
                w.cancel(1)
                stuck = w.receive()["params"]
                self.assertEqual((stuck["id"], stuck["interruptible"]), (1, False))
                self.assertIn(line, stuck["traceback"])
                self.assertNotIn("<supervisor>", stuck["traceback"])
                w.process.send_signal(signal.SIGTERM)
                self.assertEqual(w.finish(), (-signal.SIGTERM, []))

    def test_sigterm_tells_where_when_c_code_holds_the_lock(self):
        w = self.start(
            """
            import ctypes, os
            def hold():
                os.write(2, b"begun\\n")
                ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter's lock
            """
        )
        w.send(w.request("hold"))
        w.stderr_until(b"begun")
        w.cancel(1)
        w.process.send_signal(signal.SIGTERM)
        code, _ = w.finish()
        self.assertEqual(code, -signal.SIGTERM)
        self.assertRegex(w.err.decode(), r"tasks.py\", line \d+ in hold")

    def test_a_coroutine_is_stopped_and_cleans_up(self):
        text = """
            import asyncio
            seen = []
            async def wait():
                print("begun")
                try: await asyncio.sleep(1000)
                finally: seen.append("cleaned")
            def decorated(*args): return wait(*args)
            async def look(): return seen
            async def block():
                import time
                print("begun")
                time.sleep(1000)  # blocks the loop
            async def deaf():
                print("begun")
                while True:
                    try: await asyncio.sleep(1000)  # does not listen
                    except asyncio.CancelledError: pass
            """
        for concurrency in (1, 2):
            for name in ("wait", "decorated"):
                w = self.start(text, concurrency=concurrency)
                w.send(w.request(name))
                self.assertEqual(w.receive()["method"], "output")
                w.cancel(1)
                error = w.answer(1)["error"]
                self.assertEqual((error["code"], error["data"]["begun"]), (-32800, True))
                self.assertIn("CancelledError", error["data"]["traceback"])
                self.assertEqual(w.result("look"), ["cleaned"])
            for name, line in (("block", "blocks the loop"), ("deaf", "does not listen")):
                w = self.start(text, concurrency=concurrency)
                w.send(w.request(name))
                self.assertEqual(w.receive()["method"], "output")
                w.cancel(1)
                stuck = w.receive()["params"]
                self.assertTrue(stuck["interruptible"])
                self.assertIn(line, stuck["traceback"])

    def test_what_a_plain_function_gives_to_be_awaited_is_not_begun_once_it_is_cancelled(self):
        w = self.start(
            """
            import threading
            go = threading.Event()
            async def rest(): return "too late"
            def before():
                print("begun")
                go.wait(10)
                return rest()
            def let(): go.set()
            """,
            concurrency=2,
        )
        w.send(w.request("before"))
        self.assertEqual(w.receive()["method"], "output")
        w.cancel(1)
        self.assertEqual(w.receive()["method"], "stuck")
        w.send(w.request("let"))
        answers = [m for m in w.until(lambda m: m.get("id") == 1) if "id" in m]
        self.assertEqual(answers[-1]["error"]["code"], -32800)
        self.assertEqual(w.finish()[0], 0)
        self.assertEqual(w.err, b"")

    def test_ids_that_are_not_open_are_ignored(self):
        for concurrency in (1, 2):
            w = self.start("def f(): return 1\n", concurrency=concurrency)
            for id in (99, None, "x", [1]):
                w.cancel(id)
            self.assertEqual(w.result("f"), 1)


class SharedState(PythonTest):
    def serve(self, w, replies):
        """Answers the worker's requests in turn; returns them and the job's answer."""
        asked = []
        while True:
            message = w.receive()
            if "method" not in message:
                return asked, message
            if "id" in message and message["method"] != "output":
                asked.append((message["method"], message["params"]))
                reply = replies[len(asked) - 1]
                kind = "error" if "code" in reply else "result"
                w.send({"jsonrpc": "2.0", "id": message["id"], kind: reply})

    TEXT = """
        import supervisor, supervisor_client, threading, asyncio
        def lock():
            with supervisor.Lock("db") as held: return held.previous_holder_died
        def thread():
            got = []
            t = threading.Thread(target=lambda: got.append(supervisor.Value("n").add(2)))
            t.start(); t.join()
            return got
        async def alock():
            async with supervisor.Lock("db"): return "in"
        def rlock():
            r = supervisor.RLock("r")
            with r:
                with supervisor.RLock("r"): return "twice"
        def cas(): return supervisor.Value("v", 1).compare_and_swap(1, 2)
        def queue():
            q = supervisor.Queue("q", 2)
            q.put({"a": 1}, timeout=0.5)
            return q.get(block=False)
        def rest():
            e = supervisor.Event("e"); e.set(); s = supervisor.Semaphore("s", 3); s.acquire(timeout=1)
            return [e.wait(), supervisor.Barrier("b", 2).wait()]
        def tell():
            supervisor.progress(1, 2, "half"); supervisor.log("hello", "warning")
            return supervisor.job_id()
        """

    def test_each_request_on_the_wire(self):
        for concurrency in (1, 2):
            w = self.start(self.TEXT, concurrency=concurrency)
            job = {"job": 1}

            def go(method, replies):
                request = w.request(method)
                job["job"] = request["id"]
                w.send(request)
                return self.serve(w, replies)

            asked, answer = go("lock", [{"acquired": True, "previous_holder_died": True}, {}])
            self.assertEqual(answer["result"], True)
            self.assertEqual(asked, [("lock.acquire", {"name": "db", **job}), ("lock.release", {"name": "db", **job})])
            asked, answer = go("lock", [{"code": -32010, "message": "a deadlock of two"}])
            self.assertEqual(answer["error"]["message"], "Deadlock: a deadlock of two")
            self.assertEqual(go("thread", [{"value": 7}])[1]["result"], [7])
            self.assertEqual(go("alock", [{"acquired": True}, None or {}])[1]["result"], "in")
            asked, answer = go("rlock", [{"acquired": True}, {}])
            self.assertEqual((len(asked), answer["result"]), (2, "twice"))
            asked, answer = go("cas", [{"swapped": True, "value": 2}])
            self.assertEqual(asked[0], ("value.cas", {"name": "v", "initial": 1, "expected": 1, "new": 2, **job}))
            asked, answer = go("queue", [{"ok": True}, {"ok": False}])
            self.assertEqual(asked[0], ("queue.put", {"name": "q", "maxsize": 2, "item": {"a": 1}, "timeout": 0.5, **job}))
            self.assertEqual(asked[1], ("queue.get", {"name": "q", "maxsize": 2, "timeout": 0, **job}))
            self.assertEqual(answer["error"]["data"]["type"], "Empty")
            asked, answer = go("rest", [{}, {"acquired": True}, {"set": True}, {"index": 1}])
            self.assertEqual(answer["result"], [True, 1])
            self.assertEqual([m for m, _ in asked], ["event.set", "semaphore.acquire", "event.wait", "barrier.wait"])
            request = w.request("tell")
            w.send(request)
            seen = w.until(lambda m: "result" in m)
            id = request["id"]
            self.assertEqual(seen[-1]["result"], id)
            self.assertEqual(seen[0]["params"], {"id": id, "done": 1, "total": 2, "message": "half"})
            self.assertEqual(seen[1]["params"], {"id": id, "level": "warning", "message": "hello"})

    def test_jobs_that_arrive_while_one_waits_are_kept(self):
        w = self.start(self.TEXT)
        w.send(w.request("cas"))
        asked = w.receive()
        w.send([w.request("tell"), w.request("tell")])
        w.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"swapped": False, "value": 9}})
        answers = [m for m in w.until(lambda m: m.get("id") == 3 and "result" in m) if "result" in m]
        self.assertEqual([a["id"] for a in answers], [1, 2, 3])

    def test_the_end_of_the_channel_fails_who_waits(self):
        w = self.start(self.TEXT)
        w.send(w.request("cas"))
        w.receive()
        code, rest = w.finish()
        self.assertEqual(code, 0)
        self.assertIn("closed the channel", rest[0]["error"]["message"])

    def test_an_installed_module_of_that_name_wins(self):
        self.file("supervisor.py", "theirs = 1\n")
        w = self.start("import supervisor, supervisor_client\ndef f(): return [supervisor.theirs, hasattr(supervisor_client, 'Lock')]\n")
        self.assertEqual(w.result("f"), [1, True])


if __name__ == "__main__":
    unittest.main()
