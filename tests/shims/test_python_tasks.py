"""The Python shim: several jobs at a time, and jobs that are stopped."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEADLINE, main  # noqa: E402
from test_python import PythonTest  # noqa: E402


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


if __name__ == "__main__":
    main()
