#!/usr/bin/env python3
"""Counts the instructions that a job costs, and refuses more than docs/performance.md says.

    benches/count.py [--only WORDS] [--write]

Times swing by two with whatever else a machine does; instructions do not. Each figure is the difference between two sizes
of the same work, so what is done once is in none but the rows called "start". A figure of more than GROWTH_MAX
times that in the table ends with 1: mend it, or have --write put the new figures into the table and write
beneath it why they had to grow. Needs valgrind."""

import argparse
import concurrent.futures
import json
import os
import platform
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, "docs", "performance.md")
BEGIN, END = "<!-- counted: begin -->", "<!-- counted: end -->"

# What a figure may be, as a share of the one in the table.
GROWTH_MAX = 1.05
# The same where compiler, C library or valgrind are others than those of the table: they alone make some percent.
GROWTH_MAX_ELSEWHERE = 1.25
# Below this the table is worth writing anew, so that what was won is held.
SHRUNK = 0.9
# Runs of a figure above its bound before it is believed: the rows of whole programs differ a little from run to run.
TRIES = 3
# The core with 1,000 workers beside the core with 2: what is searched is a tree, and nothing is scanned.
WORKERS_RATIO_MAX = 1.25
FEW, MANY = "core: a job, 2 workers", "core: a job, 1,000 workers"
# Rounds of the pure parts.
ROUNDS = (2, 10)
# Longest that one count may take.
TIMEOUT_SECONDS = 300


def build():
    """The three programs, by name. One command for all, so that what they depend on is compiled once."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "supervisor", "--example", "serve", "--bench", "micro"]
    built = subprocess.run(command + ["--message-format=json"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit("the programs to count do not build")
    messages = map(json.loads, built.stdout.splitlines())
    return {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}


def instructions(argv, stdin=b""):
    """How many a program takes. What it starts is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        counted = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=" + log]
        # The place of the stack, and so the way of some copies, depends on the environment.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(counted + argv, input=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              env=environment, timeout=TIMEOUT_SECONDS)
        with open(log) as lines:
            found = re.search(r"Collected : (\d+)", lines.read())
    if done.returncode != 0 or not found:
        sys.exit("%s ended with %d under valgrind: %s" % (" ".join(argv), done.returncode, done.stderr.decode()))
    return int(found.group(1))


def rows(programs):
    """name -> a function that counts; the ones that are exact first."""
    supervisor, serve, micro = (programs[name] for name in ("supervisor", "serve", "micro"))
    exact, nearly = {}, {}
    names = subprocess.run([micro, "--names"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in names.splitlines():
        name, items = line.split("\t")
        exact[name] = lambda name=name, items=int(items): each(
            lambda rounds: instructions([micro, "--count", name, str(rounds)]), ROUNDS, items)

    spawn = [supervisor, "spawn", "--quiet", "--workers", "1"]
    call = '{"method":"add_one","params":[%d]}\n'
    request = '{"jsonrpc":"2.0","id":%d,"method":"add_one","params":[%d]}\n'
    execute = '{"jsonrpc":"2.0","id":%d,"method":"exec","params":{"command":["true"]}}\n'
    calls = lambda count: "".join(call % number for number in range(count)).encode()
    requests = lambda count: "".join(request % (number, number) for number in range(count)).encode()
    executions = lambda count: "".join(execute % number for number in range(count)).encode()
    nearly["program: start, and the first command"] = lambda: instructions(spawn, b"true\n")
    nearly["program: a command"] = lambda: each(lambda count: instructions(spawn, b"true\n" * count), (50, 350))
    nearly["program: a call"] = lambda: each(
        lambda count: instructions(spawn + ["--json", "--worker", serve], calls(count)), (2000, 12000))
    nearly["worker for commands: a command"] = lambda: each(
        lambda count: instructions([supervisor, "worker"], executions(count)), (50, 350))
    nearly["worker in Rust: start"] = lambda: instructions([serve])
    nearly["worker in Rust: a call"] = lambda: each(lambda count: instructions([serve], requests(count)), (2000, 12000))
    return exact, nearly


def each(count, sizes, items=1):
    """What one item costs: the difference of two sizes."""
    small, large = sizes
    return round((count(large) - count(small)) / ((large - small) * items))


def measure(counters, bounds):
    """name -> figure. What is above its bound is counted again, and the least figure holds."""
    exact, nearly = counters
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        figures = dict(zip(exact, threads.map(lambda name: exact[name](), exact)))
    for name, counter in nearly.items():
        figures[name] = counter()
        for _ in range(TRIES - 1):
            if figures[name] <= bounds.get(name, 0):
                break
            figures[name] = min(figures[name], counter())
    return figures


def versions():
    """What the figures depend on besides our own sources."""
    first = lambda *argv: subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    libc = "-".join(platform.libc_ver())
    return "%s, rustc %s, %s, %s" % (platform.machine(), first("rustc", "--version")[1], libc, first("valgrind", "--version")[0])


def read():
    """The line about the machine, and name -> figure, as they stand in the document."""
    with open(DOCUMENT) as document:
        text = document.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit("docs/performance.md has no place for the table of counts: %s ... %s" % (BEGIN, END))
    table = text.split(BEGIN)[1].split(END)[0].strip()
    found = re.findall(r"^\| (.+?) \| ([\d,]+) \|$", table, re.MULTILINE)
    return table.split(";")[0], {name: int(figure.replace(",", "")) for name, figure in found}


def write(here, figures):
    with open(DOCUMENT) as document:
        text = document.read()
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    lines = ["%s; `benches/count.py --write`" % here, "", "| work | instructions |", "| --- | --- |"]
    lines += ["| %s | %s |" % (name, format(figure, ",")) for name, figure in figures.items()]
    with open(DOCUMENT, "w") as document:
        document.write(head + BEGIN + "\n" + "\n".join(lines) + "\n" + END + tail)


def faults(figures, reference, growth_max):
    """What is refused, in sentences."""
    found = []
    for name, figure in figures.items():
        if name not in reference:
            found.append("%s: %s instructions, and no such row in docs/performance.md" % (name, format(figure, ",")))
        elif figure > reference[name] * growth_max:
            more = 100 * (figure / reference[name] - 1)
            found.append("%s: %s instructions where docs/performance.md has %s: %.1f %% more, and %d %% are admitted" % (
                name, format(figure, ","), format(reference[name], ","), more, round(100 * (growth_max - 1))))
    if FEW in figures and MANY in figures and figures[MANY] > figures[FEW] * WORKERS_RATIO_MAX:
        found.append("with 1,000 workers a job costs %.2f times what it costs with 2, more than %.2f: something is scanned" % (
            figures[MANY] / figures[FEW], WORKERS_RATIO_MAX))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose names have these words; nothing is said of the others")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/performance.md")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("the table is written whole: --write goes without --only")
    there, reference = read()
    here = versions()
    if platform.machine() != there.split(",")[0] and not options.write:
        print("nothing is compared: the figures in docs/performance.md are of another processor (%s)" % there)
        return
    growth_max = GROWTH_MAX if here == there else GROWTH_MAX_ELSEWHERE
    if here != there:
        print("here: %s; the table: %s: %d %% more are admitted" % (here, there, round(100 * (growth_max - 1))))
    exact, nearly = (
        {name: counter for name, counter in kind.items() if options.only in name} for kind in rows(build()))
    bounds = {} if options.write else {name: figure * growth_max for name, figure in reference.items()}
    figures = measure((exact, nearly), bounds)
    for name, figure in figures.items():
        change = "%+.1f %%" % (100 * (figure / reference[name] - 1)) if name in reference else "new"
        print("%-40s %9s  %s" % (name, format(figure, ","), change))
    if options.write:
        return write(here, figures)
    gone = [name for name in reference if options.only in name and name not in figures]
    if any(figure < SHRUNK * reference.get(name, 0) for name, figure in figures.items()) or gone:
        print("some rows are far below the table, or gone: benches/count.py --write holds what was won")
    found = faults(figures, reference, growth_max)
    if found:
        sys.exit("\n".join(found) + "\nMend it, or run benches/count.py --write and say beneath the table why it had to grow. "
                 "Where it goes: valgrind --tool=callgrind, then callgrind_annotate; docs/performance.md tells how")


if __name__ == "__main__":
    main()
