"""The Python shim: how functions are called, what they return, how they fail."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ShimTest, main, python_command  # noqa: E402


class PythonTest(ShimTest):
    command = python_command()
    shim = "python"
    library = "python_calls"
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
        for self.variables in (self.variables, dict(self.variables, PYTHONPATH=self.dir)):  # the library's encoder has frames of its own
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
        self.is_looked_at = False  # so nothing is held; tests/shims/test_shelf.py has the other case
        for name, code in (("leave", 3), ("kill", -9), ("crash", -11)):
            w = self.start(text)
            w.send([w.request("ok", [1]), w.request("ok", [2]), w.request(name), w.request("ok", [3])])
            got, rest = w.finish()
            self.assertEqual(got, code)
            self.assertEqual([m["result"] for m in rest], [1, 2])
            if name == "crash":
                self.assertIn(b"Segmentation fault", w.err)
                self.assertIn(b"in crash", w.err)


if __name__ == "__main__":
    main()
