"""Runs programs on the same work, in turns, and takes medians. Owns what a row, a group of rows and a figure are; knows no peer."""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from peers import install

SAMPLES_A_SECOND = 50
# What takes longer than this hangs; the slowest row takes some 40 s.
RUN_SECONDS_MAX = 180
PIECE = 1 << 20
# What a figure is made of: the wall seconds of a run, its row, its peak MiB.
UNITS = {
    "jobs/s": lambda wall, row, peak: row.count / wall,
    "MB/s": lambda wall, row, peak: row.megabytes / wall,
    "ms": lambda wall, row, peak: wall * 1000,
    "s": lambda wall, row, peak: wall,
    "MiB": lambda wall, row, peak: peak,
}


class Row:
    """A program and its work: `jobs` is the list as bytes, or the shell commands that write it; `count` how many jobs that is."""

    def __init__(self, program, argv, jobs=b"", count=1, megabytes=0, pipe=False):
        self.program, self.argv, self.jobs = program, argv, jobs
        self.count, self.megabytes, self.pipe = count, megabytes, pipe


class Aim:
    """What supervisor is to reach: `what` (figure, cpu, peak) of `ours`, as a multiple of that of `theirs` or of a number."""

    def __init__(self, ours, theirs, least=None, most=None, what="figure", more=None):
        self.ours, self.theirs, self.least, self.most, self.what = ours, theirs, least, most, what
        # At most so much above theirs, where a difference counts and not a ratio.
        self.more = more


class Group:
    """Rows that do the same work. `first`: a run is over with its first line of output. `times`: rounds, where not those of the others."""

    def __init__(self, name, unit, rows, aims=(), first=False, times=None, take=None):
        self.name, self.unit, self.rows, self.aims = name, unit, rows, aims
        # `take` measures a row where a run and its wall time are not what is to be had.
        self.first, self.times, self.take = first, times, take or self.once

    def once(self, row, jobs):
        wall, cpu, peak = run(row.argv, jobs, row.pipe, self.first)
        figure = UNITS[self.unit](wall, row, peak)
        return {"figure": figure, "cpu": cpu / row.count * 1e6, "peak": peak}


class Hung(RuntimeError):
    """A program that did not end: `multiprocessing.Pool` does so now and then. Other rounds may still have its figures."""


class Memory(threading.Thread):
    """Looks again and again for the peak of a process by itself, without what it started. What the kernel tells afterwards would
    count this Python, which every child is for a moment."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, 0, threading.Event()

    def run(self):
        while not self.over.wait(1 / SAMPLES_A_SECOND):
            try:
                with open("/proc/%d/status" % self.pid) as status:
                    self.peak = max([self.peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
            except OSError:
                pass


def environment():
    """As users have it, where code that Python compiled once is kept."""
    here = {"XDG_CACHE_HOME": os.path.join(install.PEERS, "cache"), "NODE_PATH": install.MODULES}
    unset = ("SPV_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in dict(os.environ, **here).items() if not name.startswith(unset)}


def run(argv, jobs, pipe, first):
    """Wall seconds (until the first line of output, if asked), CPU seconds of it and all it started, its peak MiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, line = None, b""
    with open(jobs, "rb") as stdin, tempfile.TemporaryFile() as stderr:
        output = subprocess.PIPE if pipe or first else subprocess.DEVNULL
        env = environment()
        begin = time.monotonic()
        child = subprocess.Popen(argv, stdin=stdin, stdout=output, stderr=stderr, env=env)
        memory = Memory(child.pid)
        limit = threading.Timer(RUN_SECONDS_MAX, child.kill)
        limit.start()
        if not first:
            memory.start()
        while child.stdout:
            piece = os.read(child.stdout.fileno(), PIECE)
            if first and wall is None:
                line += piece
                wall = time.monotonic() - begin if b"\n" in line else None
            if not piece:
                child.stdout.close()
                break
        status = child.wait()
        hung = limit.finished.is_set()
        limit.cancel()
        wall = wall or time.monotonic() - begin
        memory.over.set()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if hung:
            raise Hung("%s had not ended after %d s" % (argv[0], RUN_SECONDS_MAX))
        if status != 0:
            stderr.seek(0)
            raise RuntimeError("%s ended with %d: %s" % (argv[0], status, stderr.read()[-300:].decode(errors="replace")))
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, memory.peak / 1024


def medians(group, rounds):
    """program -> medians of its figures, in the order of the rows; and the programs that could not be measured."""
    there = [row for row in group.rows if shutil.which(row.argv[0])]
    absent = {row.program for row in group.rows if row not in there}
    taken = {row.program: [] for row in there}
    with tempfile.TemporaryDirectory() as folder:
        lists = written({row.jobs for row in there}, folder)
        for at in range(rounds):
            for row in there:
                if row.program in absent:
                    continue
                print("%s, round %d: %s" % (group.name, at + 1, row.program), file=sys.stderr)
                try:
                    taken[row.program].append(group.take(row, lists[row.jobs]))
                except RuntimeError as error:
                    if isinstance(error, Hung) and not row.program.startswith("supervisor"):
                        print("hung: %s" % error, file=sys.stderr)
                        continue
                    if row.program.startswith("supervisor"):
                        raise
                    print("left out: %s" % error, file=sys.stderr)
                    absent.add(row.program)
    middle = lambda runs: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return {program: middle(runs) for program, runs in taken.items() if runs and program not in absent}, absent


def written(lists, folder):
    """Job list -> the file that holds it."""
    files = {}
    for at, jobs in enumerate(sorted(lists, key=str)):
        files[jobs] = os.path.join(folder, str(at))
        with open(files[jobs], "wb") as file:
            if isinstance(jobs, bytes):
                file.write(jobs)
            else:
                # The writers in front of a `head` end by SIGPIPE, which is as it should be.
                subprocess.run(["sh", "-c", jobs], stdout=file, stderr=subprocess.DEVNULL, check=False)
    return files
