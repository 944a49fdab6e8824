"""The shelves of the shims: what it says lies in memory until it is written, and no byte is ever lost or there twice."""

import json
import os
import select
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEADLINE, ShimTest, main, node_command, python_command  # noqa: E402

HEAD = 64
MARKS = 90  # a descriptor that is not in use


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


class Held:
    """What holds in both languages. The functions of `CODE` do the same in each."""

    CODE = None
    CLOSED_STATUS = 1  # how a worker ends that has closed its own descriptors,
    CLOSED_ANSWER = False  # and whether the job that did that is answered

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
        self.dies("abort", -signal.SIGABRT)

    def test_they_outlive_it_when_all_descriptors_are_closed(self):
        w, shelf = self.worker()
        text = self.warm_up(w)
        batch = [w.request("inc", [n]) for n in range(3)]
        batch.append(w.request("close_all", [0]))
        w.send(batch)
        piped = self.all_said(w)
        w.process.wait()
        self.assertEqual(w.process.returncode, self.CLOSED_STATUS)
        known = batch if self.CLOSED_ANSWER else batch[:-1]
        self.assertEqual(ids(piped + shelf.from_place(len(text) + len(piped))), [request["id"] for request in known])

    def test_what_is_held_can_be_seen_while_a_job_runs(self):
        w, shelf = self.worker()
        text = self.warm_up(w)
        path = os.path.join(self.dir, "go")
        batch = [w.request("inc", [n]) for n in range(9)] + [w.request("wait", [path]), w.request("inc", [1])]
        w.send(batch)
        piped = seen = b""  # a busy machine may have them written in several stretches
        until = time.monotonic() + DEADLINE
        while seen.count(b"\n") < 9:
            self.assertLess(time.monotonic(), until, seen)
            if select.select([w.process.stdout], [], [], 0)[0]:
                piped += os.read(w.process.stdout.fileno(), 1 << 16)
            seen = piped + shelf.from_place(len(text) + len(piped))
        open(path, "w").close()
        # What was seen comes through the pipe as well, at its place.
        w.buffer = piped
        rest = [w.receive()["id"] for _ in batch]
        self.assertEqual(ids(seen), rest[:9])
        self.assertEqual(rest, [request["id"] for request in batch])

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
        self.is_looked_at = False
        w = self.start(self.CODE)
        batch = [w.request("inc", [n]) for n in range(60)] + [w.request("die", [0])]
        w.send(batch)
        self.assertEqual(ids(self.all_said(w)), [request["id"] for request in batch[:60]])

    def test_what_was_said_on_standard_error_outlives_its_worker(self):
        w, shelf = self.worker()
        request = w.request("shout", [1])
        w.send(request)
        piped = self.all_said(w)
        w.process.wait()
        self.assertEqual(w.process.returncode, -signal.SIGABRT)
        lines = [json.loads(line) for line in (piped + shelf.from_place(len(piped))).splitlines()]
        wanted = {"id": request["id"], "stream": "stderr", "data": "shouted 1\n"}
        self.assertEqual([line["params"] for line in lines], [wanted])


class HeldByPython(Held, ShimTest):
    command = python_command()
    shim = "python"
    library = "python_calls"
    extension = ".py"

    CODE = """
        import os, signal, sys, time
        def inc(x): return x + 1
        def die(x): os.kill(os.getpid(), signal.SIGKILL)
        def leave(x): os._exit(3)
        def abort(x): os.abort()
        def wait(path):
            while not os.path.exists(path): time.sleep(0.001)
        def close_all(x): os.closerange(3, 4096)
        def fork(x):
            pid = os.fork()
            return "child" if pid == 0 else os.WEXITSTATUS(os.waitpid(pid, 0)[1])
        def shout(x):
            print("shouted", x, file=sys.stderr)
            os.abort()
        def say(x): print("said", x)
    """

    def test_a_forked_child_leaves_it_alone(self):
        w, _ = self.worker()
        self.warm_up(w)
        batch = [w.request("inc", [n]) for n in range(9)] + [w.request("fork", [0]), w.request("inc", [1])]
        w.send(batch)
        answers = [w.receive() for _ in batch]
        self.assertEqual([answer["id"] for answer in answers], [request["id"] for request in batch])
        self.assertEqual(answers[9]["result"], 0)


class HeldByNode(Held, ShimTest):
    command = node_command()
    shim = "node"
    extension = ".mjs"
    library = "node_memory"
    CLOSED_STATUS = -signal.SIGABRT  # that of its event loop is among them
    CLOSED_ANSWER = True

    CODE = """
        import fs from "node:fs";
        export const inc = (x) => x + 1;
        export const die = () => process.kill(process.pid, "SIGKILL");
        export const leave = () => process.reallyExit(3);
        export const abort = () => process.abort();
        export const wait = (path) => { while (!fs.existsSync(path)); };
        export const close_all = () => {
          for (const fd of fs.readdirSync("/proc/self/fd")) {
            try { if (fd > 2) fs.closeSync(Number(fd)); } catch {}
          }
        };
        export const shout = (x) => { console.error("shouted", x); process.abort(); };
        export const say = (x) => console.log("said", x);
    """

    def marks(self, id):
        """A file in which the second word is for marks, and what is there after a call with that id."""
        place = os.path.join(self.dir, "marks")
        with open(place, "w+b") as file:
            file.truncate(24)
            os.dup2(file.fileno(), MARKS)
            self.addCleanup(os.close, MARKS)
            self.variables = dict(self.variables, SPV_MARKS="%d:8" % MARKS)
            w = self.start(self.CODE)
            self.assertTrue(w.ready["params"]["marks"])
            w.send(w.request("inc", [1], id=id))
            w.answer(id)
            with open(place, "rb") as written:
                return struct.unpack("<QQQ", written.read())

    def test_the_call_begun_last_is_marked(self):
        self.assertEqual(self.marks(1 << 40), (0, (1 << 40) + 1, 0))

    def test_it_is_marked_without_the_library_too(self):
        self.variables = {}
        self.assertNotIn("shelf", self.start(self.CODE).ready["params"])
        self.assertEqual(self.marks(1 << 40), (0, (1 << 40) + 1, 0))


if __name__ == "__main__":
    main()
