"""Bytes a second: an argument of 64 MB there and back, output of 1 GB.

The bare exchange is `cat LIST | worker`: the same requests to the same worker through one pipe and its answers through another,
with nobody who looks at them in between. MB are those of the argument, counted once for both ways; launch and end are in the time."""

import os

from peers.install import HERE, PYTHON, RUST_PARALLEL, SERVE
from peers.measure import Aim, Group, Row
from peers.rates import BARE, NODE_POOLS, SPAWN, python

ARGUMENT, CALLS = 64_000_000, 4
OUTPUT_MEGABYTES = 1000
BARE_LIMIT = "bare exchange (limit)"


def arguments(before, after):
    """Shell that writes the calls as lines, the text between the two pieces."""
    text = "head -c %d /dev/zero | tr '\\0' x" % ARGUMENT
    return "for id in $(seq %d); do printf '%s' $id; %s; echo '%s'; done" % (CALLS, before, text, after)


def bare(worker):
    return ["sh", "-c", "cat | " + " ".join("'%s'" % word for word in worker)]


def groups(options):
    of = {"count": CALLS, "megabytes": CALLS * ARGUMENT / 1e6, "pipe": True}
    whole = '{"jsonrpc":"2.0","id":%s,"method":"echo","params":'
    ours = "supervisor --worker"
    jest = "jest-worker, processes"
    alone = SPAWN + ["-w", "1"]
    yield Group("64 MB there and back, Rust worker", "MB/s", [
        Row(BARE_LIMIT, bare([SERVE]), arguments(whole + '{"text":"', '"}}'), **of),
        Row(ours, alone + ["--json", "--worker", SERVE], arguments('{"id":%s,"method":"echo","params":{"text":"', '"}}'), **of),
        Row(jest, NODE_POOLS + ["jest-worker", "echo", str(CALLS), str(ARGUMENT)], **of),
    ], [Aim(ours, BARE_LIMIT, least=0.8), Aim(ours, jest, least=1)])
    yield Group("64 MB there and back, Python worker", "MB/s", [
        Row(BARE_LIMIT, bare(BARE), arguments(whole + '["', '"]}'), **of),
        Row("supervisor --python", alone + python("echo"), arguments('{"id":%s,"params":["', '"]}'), **of),
    ], [Aim("supervisor --python", BARE_LIMIT, least=0.8)])
    # Text: of bytes that JSON escapes, those of the output that are kept for the record would take six times the room.
    command = [PYTHON, os.path.join(HERE, "gigabyte.py")]
    listed = "echo " + " ".join(command)
    for place, pipe, least in (("through a pipe", True, 1), ("to /dev/null", False, 1.2)):
        to = {"megabytes": OUTPUT_MEGABYTES, "pipe": pipe}
        yield Group("1 GB of grouped output, " + place, "MB/s", [
            Row("the command alone (limit)", command, **to),
            Row("supervisor", alone, listed, **to),
            Row("GNU parallel -j1", ["parallel", "-j1"], listed, **to),
            Row("rust-parallel -j1", [RUST_PARALLEL, "-j1"], listed, **to),
        ], [Aim("supervisor", "GNU parallel -j1", least=least), Aim("supervisor", 16, most=1, what="peak")])
