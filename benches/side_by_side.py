#!/usr/bin/env python3
"""Measures supervisor beside its peers: the same work, in turns, in one run. Prints a table of medians and ratios, and one of the aims.

    benches/side_by_side.py [--rounds N] [--jobs N] [--only WORD] [--quick] [--write]

Installs what is missing (benches/peers/install.py has the versions). --quick is one round of a tenth of the jobs, to see that all
rows work; --write puts the tables into docs/performance.md, between its two marks. Wall times swing with whatever else the machine
does; the CPU time a job costs (user and system, of the program and all it started) holds better, so both are shown."""

import argparse
import os
import platform
import sys

from peers import install, large, rates, shapes
from peers.measure import medians

sys.path.insert(0, os.path.join(install.ROOT, "tests", "chaos"))
from table import write_between  # noqa: E402

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEAD = ["| work | program | figure | CPU a job | its peak memory | times supervisor's |", "| --- | --- | --- | --- | --- | --- |"]
AIMS = ["| aim | wanted | measured | |", "| --- | --- | --- | --- |"]
WORDS = {"figure": "", "cpu": "CPU a job, ", "peak": "memory, "}


def number(value):
    return "{:,.0f}".format(value) if value >= 1000 else "%.3g" % value


def rows(group, taken):
    """What was measured of a group, as rows of the table."""
    ours = next(program for program in taken if program.startswith("supervisor"))
    for program, figures in taken.items():
        figure = number(figures["figure"]) + " " + group.unit
        if "p99" in figures:
            figure += " (p99 %s)" % number(figures["p99"])
        cpu = "%s µs" % number(figures["cpu"]) if "cpu" in figures else ""
        peak = "%.1f MiB" % figures["peak"] if figures.get("peak") else ""
        ratio = "%.2f" % (figures["figure"] / taken[ours]["figure"])
        yield "| %s |" % " | ".join((group.name, program, figure, cpu, peak, ratio))


def aims(group, taken):
    """Whether supervisor is where it is to be."""
    for aim in group.aims:
        if aim.ours not in taken or isinstance(aim.theirs, str) and aim.theirs not in taken:
            continue
        ours = taken[aim.ours][aim.what]
        theirs = taken[aim.theirs][aim.what] if isinstance(aim.theirs, str) else aim.theirs
        if aim.more is not None:
            wanted, value, held = "at most %s µs more than" % number(aim.more), "%+.0f µs" % (ours - theirs), ours <= theirs + aim.more
        elif aim.least is not None:
            wanted, value, held = "at least %.3g ×" % aim.least, "%.2f" % (ours / theirs), ours >= theirs * aim.least
        else:
            wanted, value, held = "at most %.3g ×" % aim.most, "%.2f" % (ours / theirs), ours <= theirs * aim.most
        unit = "MiB" if aim.what == "peak" else group.unit
        beside = aim.theirs if isinstance(aim.theirs, str) else "%.4g %s" % (aim.theirs, unit)
        cells = (group.name + ", " + aim.ours, WORDS[aim.what] + wanted + " " + beside, value, "held" if held else "**missed**")
        yield "| %s |" % " | ".join(cells)


def measured(options):
    """The text between the marks."""
    command = "benches/side_by_side.py --rounds %d --jobs %d" % (options.rounds, options.jobs) + " --quick" * options.quick
    machine = "%s, %d cores, Linux %s; medians of %d rounds in turns (first results %d, sleepers %d); `%s`." % (
        platform.machine(), os.cpu_count(), platform.release().split("-")[0], options.rounds, *shapes.times(options), command)
    table, aimed, left_out = [], [], []
    for subject in (rates, large, shapes):
        for group in subject.groups(options):
            if options.only and options.only not in group.name:
                continue
            taken, absent = medians(group, group.times or options.rounds)
            table += rows(group, taken)
            aimed += aims(group, taken)
            left_out += ["%s (%s)" % (program, group.name) for program in sorted(absent)]
    missing = ["", "Could not be measured here: %s." % ", ".join(left_out)] if left_out else []
    return "\n".join([machine, "", install.versions() + ".", ""] + HEAD + table + missing + [""] + AIMS + aimed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=5000, help="commands; the calls are up to 200 times as many")
    parser.add_argument("--only", default="", help="groups that have this in their name")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.only and options.write:
        parser.error("--write with --only would leave a page with these groups alone")
    if options.quick:
        options.rounds, options.jobs = 1, options.jobs // 10
    install.peers()
    install.supervisor()
    text = measured(options)
    print(text)
    if options.write:
        write_between(os.path.join(install.ROOT, "docs", "performance.md"), BEGIN, END, text)


if __name__ == "__main__":
    main()
