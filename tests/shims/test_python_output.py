"""The Python shim: what functions and the processes they start print."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import main  # noqa: E402
from test_python import PythonTest  # noqa: E402


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

    def test_what_a_forked_child_prints_comes_in_whole_lines(self):
        text = """
            import os, sys
            def f():
                pid = os.fork()
                if pid == 0:
                    written, write = [], os.write
                    os.write = lambda fd, data: written.append((fd, data)) or write(fd, data)
                    print("one", 1); print("half", end=""); print(" a line"); print("x" * 3, end="", file=sys.stderr)
                    held = list(written)
                    sys.stderr.flush()
                    os._exit(0 if (held, len(written)) == ([(1, b"one 1\\n"), (1, b"half a line\\n")], 3) else 1)
                return os.waitpid(pid, 0)[1]
        """
        for concurrency in (1, 2):
            answer, output = self.start(text, concurrency=concurrency).call("f")
            self.assertEqual(answer["result"], 0)
            self.assertEqual(self.printed(output, "stdout"), "one 1\nhalf a line\n")

    def test_what_a_thread_dies_of_belongs_to_the_job_that_started_it(self):
        text = """
            import threading
            go = threading.Event()
            def late():
                go.wait(10); raise ValueError("too late")
            def begins():
                global thread
                thread = threading.Thread(target=late); thread.start()
            def waits(): go.set(); thread.join(10)
            def joins():
                go.set(); begins(); thread.join(10)
        """
        for concurrency in (1, 2):
            w = self.start(text, concurrency=concurrency)
            w.call("begins")
            answer, output = w.call("waits")
            told = {one.get("id") for one in output if "too late" in one["data"]}
            self.assertEqual(len(told), 1)
            self.assertNotIn(answer["id"], told)
            told = self.printed(w.call("joins")[1], "stderr")
            self.assertIn("ValueError: too late", told)

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


if __name__ == "__main__":
    main()
