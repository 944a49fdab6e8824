"""Writes what a run of the cases showed into docs/reliability.md, between two marks. Owns the form of the table; the words in
it are those of the cases."""

import os
import platform

BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"


def rows(cases, results):
    """A row a case: fault, what happens, which case shows it, how often it held."""
    for name in sorted(results):
        case, held = cases[name], results[name]
        cells = (case.fault, case.holds, "`%s`" % name, "%d of %d" % (held.count(True), len(held)))
        yield "| %s |" % " | ".join(cell.replace("|", "\\|") for cell in cells)


def text(cases, results, options):
    system = "Linux %s, %s, %d cores" % (platform.release().split("-")[0], platform.machine(), os.cpu_count())
    build = "release" if "release" in options.binary.split(os.sep) else "debug"
    command = "tests/chaos/run --times %d%s" % (options.times, " --binary target/release/supervisor" if build == "release" else "")
    head = [
        "`%s` on %s, a %s build:" % (command, system, build),
        "",
        "| fault | what happens | case | held |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join(head + list(rows(cases, results)))


def write_between(path, begin, end, new):
    with open(path) as page:
        old = page.read()
    before, rest = old.split(begin)
    with open(path, "w") as page:
        page.write(before + begin + "\n" + new + "\n" + end + rest.split(end)[1])


def write(path, cases, results, options):
    write_between(path, BEGIN, END, text(cases, results, options))
