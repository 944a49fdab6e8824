"""Shared state in the Python shim."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import main  # noqa: E402
from test_python import PythonTest  # noqa: E402


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
    main()
