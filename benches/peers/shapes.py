"""What a rate does not show: the first result, many workers that sleep, one long job among short ones, memory over long lists."""

from peers.install import LIMIT, SERVE
from peers.measure import Aim, Group, Row
from peers.rates import BARE, POOLS, SPAWN, lines, python, request

LONG, SHORT, SHORTS, AT_ONCE = 5, 0.002, 5000, 4
SERVED = SPAWN + ["--json", "--worker", SERVE]


def times(options):
    """Rounds of the first results, which are over in no time, and of the sleepers, which take a minute."""
    return (5, 1) if options.quick else (20, 2)


def first_result(options):
    """Until the first line of a result can be read from standard output."""
    rounds = times(options)[0]
    ours = "supervisor"
    yield Group("first of 3 `echo`, 3 at a time", "ms", [
        Row("xargs -P3 -n1", ["xargs", "-P3", "-n1", "echo"], "seq 3", 3),
        Row(ours, SPAWN + ["-w", "3", "--", "echo"], "seq 3", 3),
        Row("GNU parallel -j3", ["parallel", "-j3", "echo"], "seq 3", 3),
    ], [Aim(ours, "xargs -P3 -n1", most=1.5)], first=True, times=rounds)
    # A shell that starts them side by side costs a millisecond of its own, a relay in Python would cost as much as they do.
    relay = "while read -r line; do echo \"$line\" | '%s' '%s' & done; wait" % tuple(BARE)
    limit, ours = "3 bare interpreters behind a shell (limit)", "supervisor --python"
    yield Group("first of 3 Python `x + 1`, 3 workers", "ms", [
        Row(limit, ["sh", "-c", relay], lines(3, request("inc")), 3),
        Row(ours, SPAWN + ["-w", "3"] + python("inc"), lines(3, "[&]"), 3),
        Row("Pool(3), fork", POOLS + ["imap", "first", "3"], count=3),
        Row("Pool(3), spawn", POOLS + ["spawned", "first", "3"], count=3),
    ], [Aim(ours, limit, most=1.2)], first=True, times=rounds)


def sleepers(options):
    rounds = times(options)[1]
    commands, naps = lines(10_000, "sleep 1"), lines(10_000, '{"method":"nap","params":[1]}')
    many, few = "%s -w 1000, 10,000 jobs", "%s -w 10, 100 jobs"
    aims = lambda ours: [Aim(many % ours, 10, most=1.05), Aim(many % ours, few % ours, most=2, what="cpu")]
    limit = "posix_spawn loop, 1,000 at a time (limit)"
    yield Group("`sleep 1`, 10 for each worker", "s", [
        Row(limit, [LIMIT, "10000", "1000", "sleep", "1"], count=10_000),
        Row(many % "supervisor", SPAWN + ["-w", "1000"], commands, 10_000),
        Row(few % "supervisor", SPAWN + ["-w", "10"], lines(100, "sleep 1"), 100),
    ], aims("supervisor") + [Aim(many % "supervisor", limit, most=1.05)], times=rounds)
    yield Group("Rust function that sleeps 1 s, 10 for each worker", "s", [
        Row(many % "supervisor --worker", SERVED + ["-w", "1000"], naps, 10_000),
        Row(few % "supervisor --worker", SERVED + ["-w", "10"], lines(100, '{"method":"nap","params":[1]}'), 100),
    ], aims("supervisor --worker"), times=rounds)


def bound(before):
    """When the last job ends at best where nobody knows which job is long, and starting one takes no time: all before it are shared
    by all workers, those behind it by the others."""
    begun = before * SHORT / AT_ONCE
    rest = (SHORTS - before) * SHORT
    others = begun + min(rest / (AT_ONCE - 1), LONG)
    return max(begun + LONG, others)


def tail():
    at_once = ["-w", str(AT_ONCE)]
    middle = SHORTS // 2
    for place, before in (("in the middle of", middle), ("before", 0)):
        naps = lambda form: "; ".join(
            "yes '%s' | head -n %d" % (form % seconds, count) for seconds, count in ((SHORT, before), (LONG, 1), (SHORT, SHORTS - before)))
        named, shell = naps('{"method":"nap","params":[%s]}'), naps("sleep %s")
        best = bound(before)
        rows = [
            Row("supervisor --python", SPAWN + at_once + python("nap"), naps("[%s]"), SHORTS + 1),
            Row("supervisor --worker", SERVED + at_once, named, SHORTS + 1),
        ]
        if before:
            rows += [
                Row("Pool.imap_unordered(chunksize=1)", POOLS + ["imap", "nap", "/dev/stdin"], naps("[%s]"), SHORTS + 1),
                Row("supervisor, `sleep`", SPAWN + at_once, shell, SHORTS + 1),
                Row("xargs -P4 -L1 env, `sleep`", ["xargs", "-P4", "-L1", "env"], shell, SHORTS + 1),
            ]
        yield Group("5 s %s 5,000 × 2 ms, 4 at a time (at best %.2f s)" % (place, best), "s", rows,
                    [Aim("supervisor --python", best, most=1.05), Aim("supervisor --worker", best, most=1.05)])


def memory(options):
    """By itself: what its workers take is not counted."""
    counts = (10_000, 1_000_000) if options.quick else (10_000, 1_000_000, 10_000_000)
    name = "supervisor --worker, {:,} jobs".format
    # The last job takes its time, so that the peak is there to be looked at when all others have ended.
    calls = """yes '{"method":"add_one","params":[1]}' | head -n %d; echo '{"method":"nap","params":[0.3]}'"""
    rows = [Row(name(count), SERVED + ["-w", "2"], calls % (count - 1), count) for count in counts]
    yield Group("peak memory", "MiB", rows, [Aim(name(counts[-1]), 16, most=1), Aim(name(counts[-1]), name(counts[0]), most=1.2)])


def groups(options):
    yield from first_result(options)
    yield from sleepers(options)
    yield from tail()
    yield from memory(options)
