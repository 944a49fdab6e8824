"""Drives a shim over pipes, without supervisor: what the tests of both languages share."""

import json
import os
import re
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHIMS = os.path.join(ROOT, "src", "shims")
DEADLINE = 20.0  # seconds after which a test gives up waiting for an event


def text_of(name):
    with open(os.path.join(SHIMS, name), encoding="utf-8") as file:
        return file.read()


def shim_text(language):
    """The shim as supervisor hands it over: its files, joined in the order of the table."""
    table = text_of("table.rs")
    row = table[table.index('name: "%s"' % language) :]
    row = row[: row.index("};")]
    files = [name for name in re.findall(r'include_str!\("([^"]+)"\)', row) if "/" in name]
    return "".join(text_of(name) for name in files)


def python_command(interpreter=None):
    return [interpreter or os.environ.get("SHIM_PYTHON") or sys.executable, "-c", text_of("python_loader.py").strip()]


def node_command():
    channel = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2'
    loader = text_of("node_loader.cjs").strip()
    return ["/bin/sh", "-c", channel, "node", "-e", loader]


def library(name):
    """A library that a shim loads, where tests/shims.rs says that it was built."""
    place = os.path.join(os.environ.get("SHIM_LIBRARIES", ""), name + ".so")
    if not os.path.isfile(place) or os.path.getsize(place) == 0:
        raise AssertionError("SHIM_LIBRARIES must name the directory of %s.so: target/*/build/supervisor-*/out" % name)
    return place


WITHOUT_LIBRARY = "--without-library"  # the shims do without, too: a script run with it shows that


def main():
    unittest.main(argv=[one for one in sys.argv if one != WITHOUT_LIBRARY])


class Worker:
    """One running shim."""

    def __init__(self, command, shim, spec, concurrency, cwd, more):
        env = dict(os.environ, SPV_SHIM=shim_text(shim), **more)
        self.process = subprocess.Popen(
            command + [str(concurrency), spec],
            cwd=cwd,
            env=env,
            pass_fds=[int(place.split(":")[0]) for place in [more.get("SPV_MARKS")] if place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.buffer = b""
        self.err = b""
        self.ids = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ, "out")
        self.selector.register(self.process.stderr, selectors.EVENT_READ, "err")

    def write(self, data):
        """Writes all of it while reading, as supervisor does: neither side can hold the other up."""
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message):
        self.write(json.dumps(message).encode() + b"\n")

    def request(self, method, params=None, id=None):
        self.ids += 1
        message = {"jsonrpc": "2.0", "id": self.ids if id is None else id, "method": method}
        if params is not None:
            message["params"] = params
        return message

    def cancel(self, id):
        self.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}})

    def _pump(self, until):
        left = until - time.monotonic()
        if left <= 0:
            raise AssertionError("nothing came in time; read so far: %r, stderr: %r" % (self.buffer, self.err))
        for key, _ in self.selector.select(left):
            data = os.read(key.fileobj.fileno(), 1 << 16)
            if not data:
                self.selector.unregister(key.fileobj)
            elif key.data == "out":
                self.buffer += data
            else:
                self.err += data

    def receive(self):
        """The next message, or None at the end."""
        until = time.monotonic() + DEADLINE
        while b"\n" not in self.buffer:
            if self.process.stdout not in [key.fileobj for key in self.selector.get_map().values()]:
                assert not self.buffer, "a line without an end: %r" % self.buffer
                return None
            self._pump(until)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def until(self, wanted):
        """All messages up to the first for which `wanted` holds, that one included."""
        seen = []
        while True:
            message = self.receive()
            if message is None:
                raise AssertionError("the worker has closed the channel after %r; stderr: %r" % (seen, self.err))
            seen.append(message)
            if wanted(message):
                return seen

    def answer(self, id):
        return self.until(lambda m: m.get("id") == id and "method" not in m)[-1]

    def call(self, method, *params, **named):
        """The answer to one request, and what was printed before it."""
        request = self.request(method, named or list(params))
        self.send(request)
        seen = self.until(lambda m: m.get("id") == request["id"] and "method" not in m)
        return seen[-1], [m["params"] for m in seen if m.get("method") == "output"]

    def result(self, method, *params, **named):
        answer, _ = self.call(method, *params, **named)
        if "error" in answer:
            raise AssertionError("%s failed: %r" % (method, answer["error"]))
        return answer["result"]

    def error(self, method, *params, **named):
        answer, _ = self.call(method, *params, **named)
        if "error" not in answer:
            raise AssertionError("%s succeeded: %r" % (method, answer))
        return answer["error"]

    def stderr_until(self, text):
        until = time.monotonic() + DEADLINE
        while text not in self.err:
            self._pump(until)

    def finish(self):
        """Closes stdin; (exit code, all that was left to read)."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        rest = []
        while True:
            message = self.receive()
            if message is None:
                break
            rest.append(message)
        code = self.process.wait(DEADLINE)
        return code, rest

    def drop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        self.selector.close()


class ShimTest(unittest.TestCase):
    """Makes a directory with the user's files, and workers in it."""

    command = None
    shim = None
    extension = None
    library = None
    is_looked_at = True  # a worker's shelf, as by supervisor; so that what can be done quickly is
    variables = {}

    @classmethod
    def setUpClass(cls):
        if cls.library is not None and WITHOUT_LIBRARY not in sys.argv:
            cls.variables = dict(cls.variables, SPV_LIBRARY=library(cls.library))

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="shim-test-")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        return path

    def start(self, text, function=None, concurrency=1):
        self.file("tasks" + self.extension, text)
        return self.start_spec("tasks" + self.extension + (":" + function if function else ""), concurrency)

    def start_spec(self, spec, concurrency=1):
        worker = self.open_spec(spec, concurrency)
        ready = worker.receive()
        while ready and ready.get("method") == "output":
            ready = worker.receive()
        self.assertIsNotNone(ready, worker.err)
        self.assertEqual(ready["method"], "ready", ready)
        self.assertEqual(ready["params"]["protocol"], 1)
        self.assertEqual(ready["params"]["concurrency"], concurrency)
        worker.ready = ready
        if self.is_looked_at and "SPV_LIBRARY" in self.variables and "shelf" in ready["params"]:
            self.hurry(worker)
        return worker

    def hurry(self, worker):
        """Has what follows done the fast way: it is for those whose shelf is looked at, and in Python not for the first lines."""
        params = worker.ready["params"]
        fd = os.open("/proc/%d/fd/%d" % (params["pid"], params["shelf"]["fd"]), os.O_RDWR)
        os.pwrite(fd, struct.pack("=Q", 1), 8)
        os.close(fd)
        for _ in range(3):
            worker.send({"jsonrpc": "2.0", "method": "$/recall", "params": {"id": -1}})

    def open_spec(self, spec, concurrency=1):
        worker = Worker(self.command, self.shim, spec, concurrency, self.dir, self.variables)
        self.addCleanup(worker.drop)
        return worker

    def failure(self, spec):
        """What a worker that cannot start says; it exits with 1."""
        worker = self.open_spec(spec)
        said = worker.receive()
        self.assertEqual(said["method"], "failed", said)
        code, rest = worker.finish()
        self.assertEqual((code, rest), (1, []))
        return said["params"]

    def printed(self, output, stream="stdout", id=None):
        chosen = [o for o in output if o["stream"] == stream and (id is None or o.get("id") == id)]
        return "".join(o["data"] for o in chosen)
