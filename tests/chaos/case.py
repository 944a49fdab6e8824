"""What a case is written with: its registry, its workers and lists, and one call that runs and judges.

A case is a function with a number, a fault, and what must hold; it runs in a process of its own (see `run`)."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import uuid

import check
from sandbox import Run, Sandbox

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {}


class Case:
    """One case: its number, the fault it makes, what must hold then, and where it is heard of."""

    def __init__(self, name, fault, holds, function, slow, alone):
        self.name, self.fault, self.holds, self.function = name, fault, holds, function
        self.slow, self.alone = slow, alone


def case(name, fault, holds, slow=False, alone=False):
    """Registers a case. A slow one is repeated less often; one that is alone has no other beside it."""

    def register(function):
        assert name not in CASES, name
        CASES[name] = Case(name, fault, holds, function, slow, alone)
        return function

    return register


class Failed(Exception):
    """The case does not hold."""


def lines(jobs):
    return "".join(json.dumps(job) + "\n" for job in jobs).encode()


def calls(count, first=1):
    """Function calls, with ids from `first` on."""
    return lines({"id": n, "method": "f", "params": [n]} for n in range(first, first + count))


def commands(texts):
    """Shell commands, with ids from 1 on."""
    return lines({"id": n, "command": text} for n, text in enumerate(texts, 1))


# A background child, a child in a session of its own, and a daemon that forked twice and has no descriptor of ours.
FAMILY = "sleep 1000 & setsid sleep 1001 >/dev/null 2>&1 & setsid sh -c 'env -i setsid sleep 1002 <&- >&- 2>&- &' &"
# A command that no polite signal ends.
DEAF = 'trap "" TERM INT HUP; while :; do sleep 1; done'


class Trial:
    """One try of one case."""

    def __init__(self, binary, seed, use_cgroup=True, long=False):
        self.binary, self.seed, self.long = os.path.abspath(binary), seed, long
        self.random = random.Random(seed)
        self.sandbox = Sandbox(use_cgroup)
        self.faults, self.notes, self.runs = [], [], 0
        self.folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), "chaos-" + uuid.uuid4().hex[:10])
        os.mkdir(self.folder, 0o700)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def note(self, text):
        """Says something about how the case was run: a route that was taken for want of another."""
        if text not in self.notes:
            self.notes.append(text)

    def spawn(self, *options, workers=2):
        """`supervisor spawn` for commands."""
        options = list(map(str, options))
        grace = [] if "--grace" in options else ["--grace", "1"]
        return [self.binary, "spawn", "--json", "--workers", str(workers)] + grace + options

    def program(self, text):
        """The value of --worker for a Python program of our own."""
        path = self.file("worker-%s.py" % uuid.uuid4().hex[:6], text)
        return "%s -S -E %s" % (sys.executable, path)

    def evil(self, mode, bad="", *options, workers=2):
        """`supervisor spawn` with workers that misbehave on their `bad`-th request."""
        worker = "%s -S -E %s/evil_worker.py %s %s" % (sys.executable, HERE, mode, bad)
        return self.spawn("--worker", worker.strip(), *options, workers=workers)

    def counter(self, **more):
        """Environment in which misbehaving workers count their requests together."""
        return self.environment(EVIL_COUNT=self.path("count-" + uuid.uuid4().hex[:6]), **more)

    def environment(self, **more):
        return dict(os.environ, **more)

    def run(self, label, argv, stdin=b"", timeout=30, script=None, stdout=None, env=None, cwd=None, before=None,
            signals_group=False, **wanted):
        """Runs, judges, and gives the run. What is wrong is kept with the label; the case goes on."""
        self.runs += 1
        run = Run(self.sandbox, argv, self.binary, stdin=subprocess.PIPE if stdin == "pipe" else stdin, stdout=stdout,
                  env=env, cwd=cwd or self.folder, before=before, signals_group=signals_group)
        run.finish(timeout, script)
        faults = check.judge(run, **wanted)
        if faults:
            words = run.err[-900:].decode("utf-8", "replace")
            self.faults.append("%s\n      %s\n      stderr: %s" % (label, "\n      ".join(faults), words))
        return run

    def expect(self, condition, label, what=""):
        """What only this case knows."""
        if not condition:
            self.faults.append("%s\n      %s" % (label, what))


def feed(*pieces):
    """A script that writes pieces to the standard input and closes it."""

    def script(run):
        try:
            for piece in pieces:
                if callable(piece):
                    piece(run)
                else:
                    run.stdin.write(piece)
                    run.stdin.flush()
            run.stdin.close()
        except BrokenPipeError:
            pass

    return script


def results_are(records, value="done"):
    """Whether the results of all good jobs are what they would be without the fault (I3)."""
    return all(record["result"] == value for record in records if record["status"] == "ok")


def by_id(run, identity):
    return next((record for record in run.records if record["id"] == identity), {"status": None})
