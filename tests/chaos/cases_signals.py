"""The end and the pauses of the supervisor itself: cases A23 to A31 of the plan. Signals of every kind, at every moment."""

import os
import signal

from case import DEAF, FAMILY, by_id, calls, case, commands, feed
from check import detail
from places import first_process
from sandbox import hit, ignore_signals, limited, stat_of

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def when(words, count, then):
    """A script: when so many processes with these words in their command line live, does it."""

    def script(run):
        run.until(lambda: len(run.matching(*words.split())) >= count)
        then(run)

    return script


def send(number, group=False):
    return lambda run: run.signal(number, group)


@case("A23", "the supervisor is killed (SIGKILL): workers idle, busy, with children of their own",
      "nobody is left after 2 s; every line written is whole", slow=True)
def killed(t):
    idle = feed(calls(4), lambda run: run.until(lambda: run.written().count(b"\n") >= 4), send(signal.SIGKILL))
    t.run("idle", t.evil("ok"), "pipe", script=idle, killed=True, code=-9)
    for what, text, words, count in (
        ("busy", "sleep 1000", "sleep 1000", 4),
        ("children", "sleep 1000 & sleep 1003", "sleep 1003", 4),
        ("deaf", DEAF, "trap", 4),
    ):
        t.run(what, t.spawn(workers=4), commands([text] * 8), script=when(words, count, send(signal.SIGKILL)),
              killed=True, code=-9)
    t.run("deaf workers", t.evil("hangterm", 1), calls(8), script=when("evil_worker", 2, send(signal.SIGKILL)),
          killed=True, code=-9)


@case("A24", "killed (SIGKILL) over daemons: `setsid`, double fork, cleared environment; its whole group; its guards too",
      "nobody is left after 2 s", slow=True)
def killed_over_daemons(t):
    family = commands([FAMILY + " sleep 1004"] * 8)
    everybody = when("sleep 1004", 4, lambda run: run.until(lambda: len(run.matching("sleep", "1002")) >= 4))

    def kill(group):
        return lambda run: (everybody(run), run.signal(signal.SIGKILL, group))

    t.run("the supervisor", t.spawn(workers=4), family, script=kill(False), killed=True, code=-9)
    t.run("a worker's daemon", t.evil("daemon", 1), calls(400), killed=True, code=-9,
          script=when("sleep 1000", 1, send(signal.SIGKILL)))
    t.run("another user" if os.getuid() == 0 else "the same user", t.spawn(), commands(
        [("setpriv --reuid 65534 --clear-groups " if os.getuid() == 0 else "") + "sh -c 'setsid sleep 1000 & sleep 1004'"] * 2
    ), script=when("sleep 1004", 2, send(signal.SIGKILL)), killed=True, code=-9)

    def guards(run):
        everybody(run)
        # A job that its worker has not begun would run again, which is right and no end.
        run.until(lambda: len(run.exactly("sleep 1004")) >= 4)
        for pid in run.matching(" worker"):
            hit(pid, signal.SIGKILL)

    t.run("only the workers", t.spawn(workers=4), commands([FAMILY + " sleep 1004"] * 4), script=guards, ids=range(1, 5),
          code=1, want={"crashed": 4}, bound=8)


@case("A25", "SIGTERM or SIGHUP, to the process or its group, once and twice; with nohup; with input or output stalled",
      "what ended is kept, what runs is asked, then killed; a record for every job read; it ends by that signal", slow=True)
def asked_to_end(t):
    for number in (signal.SIGTERM, signal.SIGHUP):
        for group in (False, True):
            for what, text, words in (
                ("plain", "sleep 1004", "sleep 1004"), ("deaf", DEAF, "trap"), ("family", FAMILY + " sleep 1004", "sleep 1004")
            ):
                label = "%s %s%s" % (number.name, what, " group" if group else "")
                t.run(label, t.spawn(), commands(["true"] + [text] * 4), script=when(words, 2, send(number, group)),
                      ids=range(1, 6), code=-number, bound=6, signals_group=group)
        t.run("%s, workers" % number.name, t.evil("hangterm", 1), calls(6), script=when("evil_worker", 4, send(number)),
              code=-number, bound=7)
    twice = when("trap", 2, lambda run: (run.signal(signal.SIGTERM), run.sleep(0.3), run.signal(signal.SIGTERM)))
    t.run("twice", t.spawn("--grace", 20), commands([DEAF] * 4), script=twice, ids=range(1, 5), code=-15, bound=5)
    t.run("nohup", t.spawn(), commands(["sleep 1.5", "echo b"]), script=when("sleep 1.5", 1, send(signal.SIGHUP)),
          before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), ids=[1, 2], code=0, want={"ok": 2}, bound=6)
    t.run("everything ignored", t.spawn(), commands(["kill -PIPE $$", "true"]), before=ignore_signals, ids=[1, 2],
          code=1, want={"failed": 1, "ok": 1}, bound=6)
    t.run("no job yet", t.spawn(), "pipe", script=lambda run: (run.sleep(0.3), run.signal(15), run.process.wait(9)),
          ids=[], code=-15, bound=4)
    reader, writer = os.pipe()

    def stall(run):
        run.sleep(1.5)
        run.signal(signal.SIGTERM)

    big = commands(["head -c 900000 /dev/zero | tr '\\0' x"] * 20)
    t.run("the reader stalls", t.spawn("--max-output", "1m"), big, stdout=writer, script=stall, code=[-15, 6], bound=12, text=True)
    os.close(reader)
    os.close(writer)


@case("A26", "Ctrl-C: SIGINT to the process or its group, once and twice; ignored at the start",
      "as SIGTERM; the second kills at once; what was ignored stays ignored", slow=True)
def interrupted(t):
    for group in (False, True):
        t.run("once", t.spawn(), commands(["true"] + ["sleep 1004"] * 4), ids=range(1, 6), code=-2, bound=6,
              script=when("sleep 1004", 2, send(signal.SIGINT, group)), signals_group=group)
        twice = when("trap", 2, lambda run: (run.signal(2, group), run.sleep(0.7), run.signal(2, group)))
        t.run("twice", t.spawn("--grace", 20), commands(["true"] + [DEAF] * 4), script=twice, ids=range(1, 6), code=-2,
              bound=6, signals_group=group)
        twice = when("evil_worker", 4, lambda run: (run.signal(2, group), run.sleep(0.7), run.signal(2, group)))
        t.run("twice, workers", t.evil("hangterm", 1, "--grace", 20), calls(6), script=twice, code=-2, bound=6,
              signals_group=group)
    t.run("ignored", t.spawn(), commands(["sleep 1.5", "echo b"]), script=when("sleep 1.5", 1, send(signal.SIGINT)),
          before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), ids=[1, 2], code=0, want={"ok": 2}, bound=6)


@case("A27", "every other signal that kills (QUIT, USR1, ALRM, ABRT, PIPE, SEGV ...); a storm of 300 harmless ones a second",
      "nobody is left; the storm changes nothing", slow=True)
def other_signals(t):
    deadly = (3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 24, 25, 26, 27, 29, 30, 31, 34, 40, 64)
    for number in deadly:
        # One that does not end it is followed by SIGKILL.
        both = when("sleep 1004", 2, lambda run: (run.signal(number), run.sleep(0.3), run.signal(signal.SIGKILL)))
        t.run("signal %d" % number, t.spawn(), commands(["true"] + [FAMILY + " sleep 1004"] * 2), script=both, killed=True,
              before=limited(core=0))

    def storm(run):
        while run.process.poll() is None:
            for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGURG):
                run.signal(number)
            run.sleep(0.01)

    t.run("storm", t.spawn(), commands(["sleep .02; echo x"] * 150), script=storm, ids=range(1, 151), code=0,
          want={"ok": 150}, bound=20)


@case("A28", "SIGTERM, SIGINT or SIGKILL t ms after the start, t = 0 to 60 and on",
      "never a hang, nobody left, never exit 0 with a record missing; once a record is out, all are", slow=True)
def at_every_moment(t):
    moments = list(range(0, 61, 1 if t.long else 6)) + list(range(80, 500, 50 if t.long else 140))
    for moment in moments:
        for what, argv, jobs in (("commands", t.spawn(), commands(["echo a; sleep .01"] * 10)), ("calls", t.evil("ok"), calls(10))):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
                label = "%s, %s at %d ms" % (what, number.name, moment)
                run = t.run(label, argv, jobs, script=lambda run: (run.sleep(moment / 1000), run.signal(number)),
                            code=[0, -number], killed=number == signal.SIGKILL, bound=6)
                count = len(run.records)
                t.expect(len({one["id"] for one in run.records}) == count, label, "a job twice")
                t.expect(run.code != 0 or count == 10, label, "exit 0 with %d records" % count)
                t.expect(run.code != -number or number == signal.SIGKILL or count in (0, 10), label, "%d records" % count)


@case("A29", "SIGKILL at random moments of a run", "every line is whole, nobody is left", slow=True)
def at_random_moments(t):
    jobs = commands([FAMILY + " echo x" if n % 3 == 0 else "echo %d; sleep .02" % n for n in range(200)])
    for _ in range(40 if t.long else 15):
        moment = t.random.uniform(0.01, 1.2)
        run = t.run("at %.3f s (seed %d)" % (moment, t.seed), t.spawn(workers=4), jobs, killed=True, ids=range(1, 201),
                    script=lambda run: (run.sleep(moment), run.signal(signal.SIGKILL)), code=[-9, 0])
        t.expect(len({one["id"] for one in run.records}) == len(run.records), "at %.3f s" % moment, "a job twice")


@case("A30", "Ctrl-Z for 4 s and then fg; everything frozen for 4 s; `--timeout 3`, jobs of 2 s",
      "the jobs stop too, stopped time does not count, all are `ok`", slow=True)
def stopped_for_a_while(t):
    kinds = (
        ("command", t.spawn("--timeout", 3), commands(["sleep 2; echo x"] * 2), 2),
        ("shell loop", t.spawn("--timeout", 3), commands(["for i in 1 2 3 4 5 6; do sleep .2; done"] * 2), 2),
        ("worker", t.evil("ok", "", "--timeout", 3), calls(2), 2),
    )
    for what, argv, jobs, count in kinds:
        wanted = {"ids": range(1, count + 1), "code": 0, "want": {"ok": count}, "bound": 14}
        busy = "evil_worker" if what == "worker" else "sleep"
        states = []

        def ctrl_z(run):
            run.until(lambda: len(run.matching(busy)) >= 2)
            run.sleep(0.5)
            run.signal(signal.SIGTSTP, True)
            run.sleep(2)
            states.extend(stat_of(pid)[0] for pid in run.matching(busy) if stat_of(pid))
            run.sleep(2)
            run.signal(signal.SIGCONT, True)

        def freeze(run):
            run.until(lambda: len(run.matching(busy)) >= 2)
            run.sleep(0.5)
            run.freeze(True)
            run.sleep(4)
            run.freeze(False)

        env = t.environment(EVIL_PAUSE="2")
        t.run("Ctrl-Z, " + what, argv, jobs, script=ctrl_z, env=env, signals_group=True, **wanted)
        # A process that was just forked may be stopped a moment later; the workers' guards sleep on.
        t.expect("T" in states, "Ctrl-Z, " + what, "nobody stopped: %s" % states)
        t.run("frozen, " + what, argv, jobs, script=freeze, env=env, signals_group=True, **wanted)
    killed = when("sleep 1004", 2, lambda run: (run.signal(20, True), run.sleep(0.5), run.signal(9)))
    t.run("killed while stopped", t.spawn(), commands(["sleep 1004"] * 2), script=killed, killed=True, code=-9, signals_group=True)
    ended = when("sleep 1004", 2, lambda run: (run.signal(20, True), run.sleep(0.5), run.signal(15), run.signal(18)))
    t.run("ended while stopped", t.spawn(), commands(["sleep 1004"] * 2), script=ended, ids=[1, 2], code=-15, bound=6, signals_group=True)


@case("A31", "as process 1 of a PID namespace, with 30 orphaned zombies; SIGTERM",
      "reaps what it adopts, obeys the signal", slow=True)
def first_in_a_container(t):
    prefix = first_process(t) or []
    count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l" if prefix else "echo 0"
    orphans = "for i in $(seq 30); do (setsid sh -c 'sleep .2' &) ; done; echo ok"
    run = t.run("orphans", prefix + t.spawn(), commands([orphans, "sleep 1; " + count]), ids=[1, 2], code=0, bound=8)
    t.expect(int(detail(by_id(run, 2)).get("stdout", "99")) <= 1, "orphans", by_id(run, 2))
    inherited = "for i in $(seq 30); do sleep .3 & done; exec " + " ".join(t.spawn())
    run = t.run("inherited", prefix + ["sh", "-c", inherited], commands(["sleep 1; " + count]), ids=[1], code=0, bound=8)
    t.expect(int(detail(by_id(run, 1)).get("stdout", "99")) <= 1, "inherited", by_id(run, 1))
    for number in ENDING:
        def end(run):
            run.until(lambda: len(run.matching("sleep 1004")) >= 2)
            os.kill(run.supervisor(), number)

        t.run(number.name, prefix + t.spawn(), commands(["true"] + ["sleep 1004"] * 3), script=end, ids=range(1, 5),
              code=128 + number if prefix else -number, bound=6)
