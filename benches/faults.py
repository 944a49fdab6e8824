#!/usr/bin/env python3
"""Puts supervisor and its peers under the same faults and counts what came of it.

    benches/faults.py [--rounds N] [--only WORD] [--binary PATH] [--write]

--write puts the table into docs/reliability.md, between its marks. Peers are installed when they are missing: xargs and GNU
parallel from Debian's packages, rust-parallel with cargo, loky and pebble with pip (peers/install.py). The containment that counts who is left is that
of tests/chaos."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys

from peers import install
from peers.install import PEERS, RUST_PARALLEL

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
POOL = os.path.join(ROOT, "benches", "fault_pool.py")
# After so many seconds a run counts as one that does not end; much longer where there is much to do.
SECONDS_MAX, MUCH_SECONDS_MAX = 20, 60
sys.path.insert(0, os.path.join(ROOT, "tests", "chaos"))

from sandbox import Run, Sandbox, limited  # noqa: E402
from table import write_between  # noqa: E402

POOLS = ("Pool", "Executor", "loky", "pebble")
COLUMNS = ("supervisor", "multiprocessing.Pool", "ProcessPoolExecutor", "loky", "pebble", "GNU parallel", "xargs -P", "rust-parallel")
TOLD = ("kill -9 $$", "exit 255", "sleep 1000", "kill -STOP $$", "long")
LIMITED = ("hang", "stop", "tree")
ENDING = {"SIGKILL": (signal.SIGKILL, False), "SIGTERM": (signal.SIGTERM, False), "Ctrl-C": (signal.SIGINT, True)}

# The words of a row; the fault of a function; what job 10 is as a command. None: it makes no sense there.
ROWS = (
    ("the job's process is killed (SIGKILL)", "kill", "kill -9 $$"),
    ("it ends itself (`os._exit(3)`, `exit 255`)", "exit", "exit 255"),
    ("`sys.exit(3)` in a function", "sysexit", None),
    ("an idle worker is killed, then 30 jobs", "idle", None),
    ("the job hangs, timeout of 2 s", "hang", "sleep 1000"),
    ("it is stopped (SIGSTOP), timeout of 2 s", "stop", "kill -STOP $$"),
    ("it is late and has a child in a session of its own", "tree", "setsid sleep 1000 >/dev/null 2>&1 & sleep 1000"),
    ("it leaves a daemon", "daemon", "setsid sleep 1000 >/dev/null 2>&1 &"),
    ("a grandchild holds its output", None, "sleep 1000 & echo ok 10"),
    ("an exception that cannot be sent", "odd", None),
    ("killed while it holds a lock that the others need", "lock", None),
    ("the program gets SIGKILL, jobs have children", "family", "family"),
    ("the program gets SIGTERM", "family", "family"),
    ("Ctrl-C", "family", "family"),
    ("standard output is full (/dev/full)", None, "full"),
    ("its reader leaves (`\\| head -1`), 200 jobs", None, "head"),
    ("256 of 300 jobs fail", None, "many"),
    ("one line of 200 kB", None, "long"),
    ("a line that is no UTF-8", None, "latin"),
    ("100 workers, 200 jobs, `ulimit -n 64`", "descriptors", "descriptors"),
    ("two jobs with 200 MB of output: memory", None, "output"),
)


class Attempt:
    """What came of one peer under one fault."""

    def __init__(self, run, program):
        self.hung, self.left, self.code, self.peak = run.hung, len(run.left), run.code, run.peak_kib // 1024
        self.seen, self.err = set(), run.err
        for line in run.out.decode("utf-8", "replace").splitlines():
            if program == "supervisor" and line.startswith("{"):
                record = json.loads(line)
                if record["status"] == "ok" and isinstance(record["id"], int):
                    self.seen.add(record["id"])
            elif line.startswith("ok ") and line[3:].isdigit():
                self.seen.add(int(line[3:]))
        self.bytes = len(run.out)

    def others(self, jobs):
        return len([n for n in self.seen if 0 < n <= jobs and n != 10])


class Bench:
    def __init__(self, options, python):
        self.options, self.python = options, python
        self.box = Sandbox()
        self.binary = os.path.abspath(options.binary)

    def pool_command(self, kind, fault, workers=2, jobs=30):
        return [self.python, POOL, kind, fault, str(workers), str(jobs)]

    def function_list(self, fault, jobs=30):
        first = -3 if fault == "idle" else 1
        return "".join(json.dumps({"id": n, "params": [n, "none" if n < 1 else fault]}) + "\n" for n in range(first, jobs + 1)).encode()

    def runner(self, program, limit=False, workers=2):
        """The words of a command runner for a list of shell commands on standard input."""
        timeout = {"supervisor": ["--timeout", "2", "--grace", "1"], "GNU parallel": ["--timeout", "2"],
                   "rust-parallel": ["-t", "2"], "xargs -P": ["timeout", "-k", "1", "2"]}[program] if limit else []
        n = str(workers)
        return {
            "supervisor": [self.binary, "spawn", "-q", "-w", n] + timeout,
            "GNU parallel": ["parallel", "-j" + n] + timeout,
            "xargs -P": ["xargs", "-P" + n, "-d", "\\n", "-n1"] + timeout + ["sh", "-c"],
            "rust-parallel": [RUST_PARALLEL, "-j" + n, "-s"] + timeout,
        }[program]

    def run(self, argv, stdin=b"", script=None, stdout=None, before=None, program="", much=False):
        run = Run(self.box, argv, self.binary, stdin=stdin, stdout=stdout, before=before, cwd=PEERS, signals_group=True)
        return Attempt(run.finish(MUCH_SECONDS_MAX if much else SECONDS_MAX, script), program)

    def function(self, program, words, fault):
        """A pool, or supervisor as one, under a fault."""
        script, before, jobs, workers = None, None, 30, 2
        if fault == "family":
            script = self.ending(words)
        if fault == "descriptors":
            before, jobs, workers = limited(nofile=64), 200, 100
        if program != "supervisor":
            kind = POOLS[COLUMNS.index(program) - 1]
            return self.run(self.pool_command(kind, fault, workers, jobs), script=script, before=before, much=fault == "descriptors")
        argv = [self.binary, "spawn", "-q", "--json", "-w", str(workers), "--grace", "1", "--python", POOL + ":job"]
        argv += ["--python-bin", self.python] + ["--timeout", "2"] * (fault in LIMITED)
        if fault != "idle":
            return self.run(argv, self.function_list(fault, jobs), script, before=before, program=program,
                            much=fault == "descriptors")
        lines = self.function_list(fault).splitlines(True)

        def feed(run):
            run.stdin.write(b"".join(lines[:4]))
            run.stdin.flush()
            run.until(lambda: run.written().count(b"\n") >= 4)
            victim = [pid for pid in run.matching("python") if not run.matching("guard") or pid not in run.matching("guard")]
            os.kill(victim[-1], signal.SIGKILL)
            run.sleep(0.3)
            run.stdin.write(b"".join(lines[4:]))
            run.stdin.close()

        return self.run(argv, subprocess.PIPE, feed, program=program)

    def ending(self, words):
        number, group = next(value for name, value in ENDING.items() if name in words)

        def script(run):
            run.until(lambda: len(run.matching("sleep 1003")) >= 2)
            run.sleep(0.3)
            run.signal(number, group)

        return script

    def command(self, program, words, fault):
        """A command runner under a fault."""
        if fault == "family":
            return self.run(self.runner(program), b"sleep 1003 & sleep 1003\n" * 8, self.ending(words))
        if fault in ("full", "head"):
            plain = b"".join(b"sleep .05; echo ok %d\n" % n for n in range(1, 201))
            marker = os.path.join(PEERS, "begun")
            open(marker, "w").close()
            plain = plain.replace(b"sleep", b"printf s >> begun; sleep")
            tail = "> /dev/full" if fault == "full" else "| head -1; exit ${PIPESTATUS[0]}"
            inner = " ".join("'%s'" % word for word in self.runner(program))
            attempt = self.run(["bash", "-c", inner + " " + tail], plain, much=True)
            attempt.begun = os.path.getsize(marker)
            return attempt
        if fault == "many":
            return self.run(self.runner(program), b"exit 1\n" * 256 + b"true\n" * 44, much=True)
        if fault == "output":
            with open(os.path.join(PEERS, "out"), "wb") as out:
                attempt = self.run(self.runner(program), b"head -c 200000000 /dev/zero\n" * 2, stdout=out, much=True)
            attempt.bytes = os.path.getsize(os.path.join(PEERS, "out"))
            return attempt
        if fault == "descriptors":
            plain = b"".join(b"sleep .05; echo ok %d\n" % n for n in range(1, 201))
            return self.run(self.runner(program, workers=100), plain, before=limited(nofile=64), much=True)
        jobs = [b"sleep .05; echo ok %d" % n for n in range(1, 31)]
        jobs[9] = {"long": b"true " + b"x" * 200000, "latin": b"echo \xe9; echo ok 10"}.get(fault, fault.encode())
        limit = any(fault == row[2] for row in ROWS if row[1] in LIMITED)
        return self.run(self.runner(program, limit), b"\n".join(jobs) + b"\n")


def cell(fault, attempt, is_command):
    """One attempt in words, and how bad it was (more is worse)."""
    end = "**hangs**" if attempt.hung else "exit %s" % attempt.code if attempt.code >= 0 else "ends by the signal"
    left = ", **%d left**" % attempt.left if attempt.left else ""
    if fault == "family":
        words = "**runs on**" if attempt.hung else "**%d left**" % attempt.left if attempt.left else "nobody left"
        return words, (attempt.hung, attempt.left)
    if fault == "full":
        return ("**exit 0**" if attempt.code == 0 else end) + ("" if attempt.err else ", not a word"), attempt.code == 0
    if fault == "head":
        return "%d begun, %s" % (attempt.begun, end), attempt.begun
    if fault == "many":
        return end, attempt.code == 0
    if fault == "output":
        return "%d MiB%s" % (attempt.peak, "" if attempt.bytes >= 400000000 else ", **lost**"), attempt.peak
    jobs = 200 if fault == "descriptors" else 29
    count = len(attempt.seen) if fault == "descriptors" else attempt.others(30)
    text = "%d of %d" % (count, jobs)
    text = text if count == jobs else "**%s**" % text
    if fault == "latin" and 10 not in attempt.seen:
        text += ", that line **dropped**, %s" % end
    if attempt.hung:
        text += ", **hangs**"
    # Job 10 failed: a program that says 0 has not told.
    if is_command and attempt.code == 0 and fault in TOLD:
        text += ", **exit 0**"
    return text + left, (attempt.hung, attempt.left, jobs - count)


def table(bench, options):
    for words, of_function, of_command in ROWS:
        if options.only and options.only not in words:
            continue
        cells = [words]
        for column, program in enumerate(COLUMNS):
            is_pool = 1 <= column <= 4
            if (program, of_function) == ("loky", "lock"):
                cells.append("-")
                continue
            # Supervisor does both; where a row makes sense for both, it is tried both ways and the worse is shown.
            ways = [(bench.function, of_function, False)] * (of_function is not None and column <= 4)
            ways += [(bench.command, of_command, True)] * (of_command is not None and not is_pool)
            tried = []
            for way, fault, is_command in ways:
                for _ in range(options.rounds):
                    print("%s: %s" % (words, program), file=sys.stderr)
                    tried.append(cell(fault, way(program, words, fault), is_command))
            cells.append(max(tried, key=lambda one: one[1])[0] if tried else "-")
        row = "| %s |" % " | ".join(cells)
        print(row, flush=True)
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "supervisor"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    install.peers()
    bench = Bench(options, install.PYTHON)
    version = subprocess.run(["parallel", "--version"], stdout=subprocess.PIPE).stdout.split(b"\n")[0].decode()
    head = [
        "`benches/faults.py --rounds %d` on Linux %s, %d cores; Python %s, %s:" % (
            options.rounds, platform.release().split("-")[0], os.cpu_count(), platform.python_version(), version),
        "",
        "| fault | %s |" % " | ".join(COLUMNS),
        "|%s" % (" --- |" * (len(COLUMNS) + 1)),
    ]
    text = "\n".join(head + list(table(bench, options)))
    if options.write:
        write_between(os.path.join(ROOT, "docs", "reliability.md"), "<!-- faults: begin -->", "<!-- faults: end -->", text)


if __name__ == "__main__":
    main()
