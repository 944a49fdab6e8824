"""The shelf of the Python shim: what it says lies in memory until it is written, and no byte is ever lost or there twice."""

import json
import os
import signal
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ShimTest, python_command  # noqa: E402

HEAD = 64


class Shelf:
    """The shelf of a worker as supervisor sees it."""

    def __init__(self, worker):
        params = worker.ready["params"]
        place = params["shelf"]
        self.fd = os.open("/proc/%d/fd/%d" % (params["pid"], place["fd"]), os.O_RDWR)
        assert os.pread(self.fd, 8, 0).hex() == place["mark"]

    def take(self):
        os.pwrite(self.fd, struct.pack("=Q", 1), 8)

    def from_place(self, place):
        """What is held from that place on."""
        base, end = struct.unpack("=QQ", os.pread(self.fd, 16, 16))
        held = os.pread(self.fd, end - HEAD, HEAD)
        return held[max(0, place - base) :]


def ids(text):
    return [json.loads(line).get("id") for line in text.splitlines()]


class Held(ShimTest):
    command = python_command()
    shim = "python"
    extension = ".py"

    CODE = """
        import os, signal, sys, time
        def inc(x): return x + 1
        def die(x): os.kill(os.getpid(), signal.SIGKILL)
        def leave(x): os._exit(3)
        def wait(path):
            while not os.path.exists(path): time.sleep(0.001)
        def close_all(x): os.closerange(3, 4096)
        def fork(x):
            pid = os.fork()
            return "child" if pid == 0 else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        def say(x): print("said", x)
    """

    def worker(self):
        w = self.start(self.CODE)
        shelf = Shelf(w)
        shelf.take()
        return w, shelf

    def all_said(self, w):
        """Everything that comes through the pipe until it ends, as it came."""
        text = w.buffer
        while True:
            piece = os.read(w.process.stdout.fileno(), 1 << 16)
            if not piece:
                return text
            text += piece

    def warm_up(self, w):
        """Quick jobs, so that many are done in one stretch; their answers through the pipe."""
        batch = [w.request("inc", [n]) for n in range(2000)]
        w.send(batch)
        text = b""
        while text.count(b"\n") < len(batch):
            text += os.read(w.process.stdout.fileno(), 1 << 16)
        self.assertEqual(ids(text), [request["id"] for request in batch])
        return text

    def dies(self, method, status):
        w, shelf = self.worker()
        text = self.warm_up(w)
        batch = [w.request("inc", [n]) for n in range(60)] + [w.request(method, [0]), w.request("inc", [1])]
        w.send(batch)
        piped = self.all_said(w)
        w.process.wait()
        self.assertEqual(w.process.returncode, status)
        held = shelf.from_place(len(text) + len(piped))
        self.assertEqual(ids(piped + held), [request["id"] for request in batch[:60]])

    def test_the_answers_of_finished_jobs_outlive_their_worker(self):
        self.dies("die", -signal.SIGKILL)
        self.dies("leave", 3)

    def test_they_outlive_it_when_all_descriptors_are_closed(self):
        w, shelf = self.worker()
        text = self.warm_up(w)
        batch = [w.request("inc", [n]) for n in range(3)]
        w.send(batch + [w.request("close_all", [0])])
        piped = self.all_said(w)
        w.process.wait()
        self.assertEqual(w.process.returncode, 1)
        self.assertEqual(ids(piped + shelf.from_place(len(text) + len(piped))), [request["id"] for request in batch])

    def test_what_is_held_can_be_seen_while_a_job_runs(self):
        w, shelf = self.worker()
        text = self.warm_up(w)
        path = os.path.join(self.dir, "go")
        batch = [w.request("inc", [n]) for n in range(9)] + [w.request("wait", [path]), w.request("inc", [1])]
        w.send(batch)
        seen = b""
        while seen.count(b"\n") < 9:
            seen = shelf.from_place(len(text))
        open(path, "w").close()
        # What was seen comes through the pipe as well, at its place.
        rest = [w.receive()["id"] for _ in batch]
        self.assertEqual(ids(seen), rest[:9])
        self.assertEqual(rest, [request["id"] for request in batch])

    def test_a_forked_child_leaves_it_alone(self):
        w, _ = self.worker()
        self.warm_up(w)
        batch = [w.request("inc", [n]) for n in range(9)] + [w.request("fork", [0]), w.request("inc", [1])]
        w.send(batch)
        answers = [w.receive() for _ in batch]
        self.assertEqual([answer["id"] for answer in answers], [request["id"] for request in batch])
        self.assertEqual(answers[9]["result"], 0)

    def test_what_was_printed_is_held_in_front_of_its_answer(self):
        w, _ = self.worker()
        self.warm_up(w)
        batch = [w.request("say", [n]) for n in range(20)]
        w.send(batch)
        lines = [w.receive() for _ in range(40)]
        for n, request in enumerate(batch):
            self.assertEqual(lines[2 * n]["params"], {"id": request["id"], "stream": "stdout", "data": "said %d\n" % n})
            self.assertEqual(lines[2 * n + 1]["id"], request["id"])

    def test_a_line_longer_than_the_shelf_keeps_its_place(self):
        w, shelf = self.worker()
        text = self.warm_up(w)
        batch = [w.request("inc", [1]), w.request("inc", [2])]
        w.send(batch[:1] + [w.request("say", ["x" * 100_000], id=90_000)] + batch[1:] + [w.request("die", [0], id=90_001)])
        piped = self.all_said(w)
        held = shelf.from_place(len(text) + len(piped))
        # In two pieces.
        self.assertEqual(ids(piped + held), [batch[0]["id"], None, None, 90_000, batch[1]["id"]])

    def test_nobody_looks_so_nothing_is_held(self):
        w = self.start(self.CODE)
        batch = [w.request("inc", [n]) for n in range(60)] + [w.request("die", [0])]
        w.send(batch)
        self.assertEqual(ids(self.all_said(w)), [request["id"] for request in batch[:60]])


if __name__ == "__main__":
    unittest.main()
