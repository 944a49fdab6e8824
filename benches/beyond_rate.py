"""The workloads of side_by_side.py whose figure is not jobs a second: bytes, first results, sleepers, tails, memory.

Each measurement is a function that runs one program once and gives its figure; the table takes medians, in turns."""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SAMPLES_A_SECOND = 50


class Row:
    """A program and how it is run: argv, the command that writes its job list, and whether its output goes to a pipe."""

    def __init__(self, program, argv, lister, piped=False):
        self.program, self.argv, self.lister, self.piped = program, argv, lister, piped


class Memory(threading.Thread):
    """Looks again and again for the peak of a process and of what it started itself, the largest of them. What the kernel
    tells afterwards would count this Python, which every child is for a moment."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, 0, threading.Event()

    def run(self):
        while not self.over.wait(1 / SAMPLES_A_SECOND):
            try:
                with open("/proc/%d/task/%d/children" % (self.pid, self.pid)) as children:
                    pids = [self.pid] + [int(pid) for pid in children.read().split()[:4]]
                for pid in pids:
                    with open("/proc/%d/status" % pid) as status:
                        peak = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
                        self.peak = max([self.peak] + peak)
            except OSError:
                pass


def run(row, first=False):
    """Wall seconds (until the first byte of output, if asked), CPU seconds of all it started, peak MiB."""
    with tempfile.TemporaryFile() as jobs:
        subprocess.run(["sh", "-c", row.lister], stdout=jobs, stderr=subprocess.DEVNULL, check=False)
        jobs.seek(0)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        piped = row.piped or first
        output = subprocess.PIPE if piped else subprocess.DEVNULL
        begin = time.monotonic()
        child = subprocess.Popen(row.argv, stdin=jobs, stdout=output, stderr=subprocess.DEVNULL)
    memory = Memory(child.pid)
    memory.start()
    wall = None
    while piped:
        piece = os.read(child.stdout.fileno(), 1 << 20)
        if first and wall is None:
            wall = time.monotonic() - begin
        if not piece:
            break
    status = child.wait()
    memory.over.set()
    if wall is None:
        wall = time.monotonic() - begin
    if status != 0:
        raise RuntimeError("%s ended with %d" % (row.argv[0], status))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, memory.peak / 1024


def workloads(supervisor):
    """name -> (unit, figure of one measurement, whether the first byte ends it, rows)"""
    spawn = [supervisor, "spawn", "-q"]
    parallel = ["parallel", "--will-cite"]
    rate = lambda wall, rss: 1000 / wall
    milliseconds = lambda wall, rss: wall * 1000
    seconds = lambda wall, rss: wall
    memory = lambda wall, rss: rss
    gigabyte = """echo "head -c 1000000000 /dev/zero | tr '\\\\0' x\""""
    tail = "yes sleep 0.002 | head -n 2500; echo sleep 5; yes sleep 0.002 | head -n 2500"
    sleepers = "yes sleep 1 | head -n %d"
    calls = """yes '{"method":"add_one","params":[1]}' | head -n %d"""
    example = os.path.join(os.path.dirname(supervisor), "examples", "serve")
    served = spawn + ["-w", "2", "--json", "--worker", example]
    return {
        "1 GB of grouped output, pipe": ("MB/s", rate, False, [
            Row("supervisor", spawn + ["-w", "1"], gigabyte, True),
            Row("GNU parallel", parallel + ["-j1"], gigabyte, True),
            Row("the command alone (limit)", ["sh"], gigabyte, True),
        ]),
        "1 GB of grouped output, /dev/null": ("MB/s", rate, False, [
            Row("supervisor", spawn + ["-w", "1"], gigabyte),
            Row("GNU parallel", parallel + ["-j1"], gigabyte),
            Row("the command alone (limit)", ["sh"], gigabyte),
        ]),
        "first result of 3 echo, 3 at a time": ("ms", milliseconds, True, [
            Row("supervisor", spawn + ["-w", "3", "--", "echo"], "seq 3"),
            Row("xargs", ["xargs", "-P3", "-n1", "echo"], "seq 3"),
            Row("GNU parallel", parallel + ["-j3", "echo"], "seq 3"),
        ]),
        "sleep 1, 10 for each worker": ("s", seconds, False, [
            Row("supervisor -w 1000, 10000 jobs", spawn + ["-w", "1000"], sleepers % 10000),
            Row("supervisor -w 10, 100 jobs", spawn + ["-w", "10"], sleepers % 100),
            Row("xargs -P1000, 10000 jobs", ["xargs", "-P1000", "-L1", "env"], sleepers % 10000),
        ]),
        "5 s in the middle of 5,000 x 2 ms, 4 at a time": ("s", seconds, False, [
            Row("supervisor", spawn + ["-w", "4"], tail),
            Row("xargs", ["xargs", "-P4", "-L1", "env"], tail),
        ]),
        "peak memory of supervisor": ("MiB", memory, False, [
            Row("10,000 jobs", served, calls % 10_000),
            Row("1,000,000 jobs", served, calls % 1_000_000),
            Row("10,000,000 jobs", served, calls % 10_000_000),
        ]),
    }


def table(supervisor, rounds, only):
    """The second table, as lines."""
    lines = []
    for name, (unit, figure, first, rows) in workloads(supervisor).items():
        if only and only not in name:
            continue
        there = [row for row in rows if shutil.which(row.argv[0])]
        taken = {row.program: [] for row in there}
        for at in range(rounds):
            for row in there:
                print("%s, round %d: %s" % (name, at + 1, row.program), file=sys.stderr)
                wall, cpu, rss = run(row, first)
                taken[row.program].append((figure(wall, rss), cpu, rss))
        for program, results in taken.items():
            value, cpu, rss = (statistics.median(column) for column in zip(*results))
            lines.append("| %s | %s | %.3g %s | %.3g | %.1f |" % (name, program, value, unit, cpu, rss))
    if not lines:
        return []
    head = [
        "",
        "| work | program | figure | CPU s, whole | peak MiB of the program |",
        "| --- | --- | --- | --- | --- |",
    ]
    return head + lines
