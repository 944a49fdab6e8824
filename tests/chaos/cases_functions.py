"""Long-lived workers: cases A01 to A11 of the plan. Workers die, hang, lie and flood."""

import os
import signal

from case import by_id, calls, case, feed, lines, results_are
from sandbox import command_of, descendants, hit, is_alive


def kinds(run):
    """(guards, the programs behind them) of a run of evil_worker."""
    known = run.matching("evil_worker.py")
    guards = [pid for pid in known if " guard " in command_of(pid)]
    behind = [pid for pid in known if " guard " not in command_of(pid) and " spawn " not in command_of(pid)]
    return guards, behind


@case("A01", "idle workers, their guards, or both are killed (SIGKILL)", "replaced at no charge; every job `ok`, exit 0")
def idle_workers_killed(t):
    victims = {
        "one worker": lambda guards, behind: behind[:1],
        "every worker": lambda guards, behind: behind,
        "one guard": lambda guards, behind: guards[:1],
        "every guard": lambda guards, behind: guards,
        "everything": lambda guards, behind: behind + guards,
    }
    for who, choose in victims.items():

        def kill(run):
            run.until(lambda: run.written().count(b"\n") >= 4)
            run.until(lambda: len(kinds(run)[1]) == 2)
            # A reader that is killed while it waits may still take what comes before it is dead: then the job was begun.
            doomed = set(choose(*kinds(run)))
            below = set().union(*(descendants(pid) for pid in doomed))
            for pid in doomed:
                hit(pid, signal.SIGKILL)
            run.until(lambda: not any(map(is_alive, doomed | below)))

        run = t.run(who, t.evil("ok"), "pipe", script=feed(calls(4), kill, calls(20, 5)), ids=range(1, 25), code=0,
                    want={"ok": 24}, bound=12)
        t.expect(results_are(run.records), who, "a wrong result")


@case("A02", "a busy worker is killed (SIGKILL) in the middle of a job",
      "that job is `crashed` and names SIGKILL, or runs again with `--retries`; no other job is touched")
def busy_worker_killed(t):
    for retries in (0, 1):
        marker = t.path("pid-%d" % retries)
        program = t.program("""
import json, os, sys, time
for line in sys.stdin:
    request = json.loads(line)
    if request["params"] == [5] and not os.path.exists(%r):
        with open(%r, "w") as file: file.write(str(os.getpid()))
        os.rename(%r, %r)
        time.sleep(1000)
    time.sleep(.02)
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "done"}), flush=True)
""" % (marker, marker + ".new", marker + ".new", marker))

        def kill(run):
            run.until(lambda: os.path.exists(marker))
            with open(marker) as file:
                os.kill(int(file.read()), signal.SIGKILL)

        run = t.run("retries %d" % retries, t.spawn("--worker", program, "--retries", retries), calls(30), script=kill,
                    ids=range(1, 31), code=1 - retries, bound=10,
                    want={"ok": 30} if retries else {"ok": 29, "crashed": 1})
        job = by_id(run, 5)
        t.expect(job.get("attempts") == 1 + retries, "attempts", job)
        t.expect(retries or job["error"]["data"]["signal"] == "SIGKILL", "the cause", job)
        t.expect(all(one["attempts"] == 1 for one in run.records if one["id"] != 5), "others ran twice", run.records[:3])


@case("A03", "a worker ends itself in the middle of a job: exit 3, exit 0, a signal, an exception",
      "that job is `crashed` and says how the worker ended; exit 0 without an answer is no success")
def worker_ends_itself(t):
    causes = {"exit3": 3, "exit0": 0, "segv": -11, "abort": -6, "kill9": -9, "sysexit": 3, "interrupt": None}
    for mode, code in causes.items():
        run = t.run(mode, t.evil(mode), calls(20), env=t.counter(), ids=range(1, 21), code=1, bound=12,
                    want={"ok": 19, "crashed": 1})
        data = [one["error"]["data"] for one in run.records if one["status"] == "crashed"]
        t.expect(data and (code is None or data[0]["exit_code"] == code), mode, data)
        t.expect(results_are(run.records), mode, "a wrong result")
    for mode in ("exit0", "replydie", "kill9"):
        t.run("each worker's third request: " + mode, t.evil(mode, 3), calls(45), ids=range(1, 46), code=[0, 1], bound=20)


@case("A04", "a poison job kills every worker that takes it; workers are replaced after each job",
      "given up after its retries, all others `ok`; 100 of 100 with a worker for each")
def poison_and_recycling(t):
    deaths = t.file("deaths", "")
    program = t.program("""
import json, os, sys
for line in sys.stdin:
    request = json.loads(line)
    if request["params"] == [5]:
        open(%r, "a").write("x")
        os.kill(os.getpid(), 9)
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "done"}), flush=True)
""" % deaths)
    run = t.run("poison", t.spawn("--worker", program, "--retries", 2), calls(20), ids=range(1, 21), code=1, bound=12,
                want={"ok": 19, "crashed": 1})
    t.expect(by_id(run, 5).get("attempts") == 3 and os.path.getsize(deaths) == 3, "deaths", by_id(run, 5))
    t.run("a worker a job", t.evil("ok", "", "--max-jobs-per-worker", 1), calls(100), timeout=60, ids=range(1, 101),
          code=0, want={"ok": 100}, bound=50, env=t.environment(EVIL_PAUSE="0"))


@case("A05", "the worker dies before it is ready: exit 7, not found, not executable",
      "each job has one record `skipped`, exit 5, the cause is named, starts are counted and slowed")
def worker_never_starts(t):
    programs = {
        "exit 7": t.evil("startcrash"),
        "not found": t.spawn("--worker", "/nonexistent/worker"),
        "not executable": t.spawn("--worker", "/etc/passwd"),
        "no such module": t.spawn("--python", "nosuchmodule:f"),
    }
    for what, argv in programs.items():
        run = t.run(what, argv, calls(20), ids=range(1, 21), code=5, want={"skipped": 20}, bound=12)
        words = {"exit 7": b"7", "not found": b"ENOENT", "not executable": b"EACCES", "no such module": b"nosuchmodule"}
        t.expect(words[what] in run.err, what, "stderr does not name the cause: %r" % run.err[-300:])


@case("A06", "a worker that is never ready, that needs two seconds, that does not end with its input",
      "the first ends the run with 5 after `--start-timeout`; the slow one is fine; the deaf one is ended by TERM, then KILL")
def worker_start_and_end(t):
    t.run("never ready", t.evil("starthang", "", "--start-timeout", 1), calls(4), ids=range(1, 5), code=5,
          want={"skipped": 4}, bound=10)
    t.run("slow", t.evil("startslow"), calls(4), ids=range(1, 5), code=0, want={"ok": 4}, bound=10)
    t.run("deaf to the end", t.evil("ignoreeof"), calls(20), ids=range(1, 21), code=0, want={"ok": 20}, bound=8)


@case("A07", "a job hangs, ignores SIGTERM, or its worker is stopped (SIGSTOP), with `--timeout 2`",
      "that job is `timeout` (`crashed` with `--heartbeat`), its worker is replaced, no other job is later for it", slow=True)
def job_hangs(t):
    for mode in ("hang", "hangterm", "stop", "tornhang", "closeout", "alien"):
        other = mode in ("closeout", "alien")
        run = t.run(mode, t.evil(mode, 3, "--timeout", 2), calls(40), env=t.counter(), ids=range(1, 41), code=1, bound=9,
                    want={"ok": 39, "crashed" if other else "timeout": 1})
        t.expect(results_are(run.records), mode, "a wrong result")
    run = t.run("stop, --heartbeat", t.evil("stop", 3, "--heartbeat", "500ms"), calls(40), env=t.counter(), code=1, bound=9,
                ids=range(1, 41), want={"ok": 39, "crashed": 1})
    t.expect(results_are(run.records), "stop, --heartbeat", "a wrong result")


@case("A08", "half an answer and then the end; SIGKILL in an answer of 50 MB; a grandchild holds the pipe",
      "`crashed`, and no byte of it in any other record", slow=True)
def torn_answers(t):
    for mode in ("torn", "torn9", "killmid", "grandchild"):
        run = t.run(mode, t.evil(mode), calls(20), env=t.counter(), ids=range(1, 21), code=1, bound=25, line_mib=50,
                    want={"ok": 19, "crashed": 1})
        t.expect(results_are(run.records), mode, "a wrong result")


@case("A09", "junk on a worker's standard output, invalid UTF-8, two answers, a good answer and then death",
      "junk is shown and does no harm; a broken answer is `crashed`; an answer counts, whatever comes after")
def junk(t):
    for mode in ("garbage", "notobject", "crlf", "replydie", "daemon"):
        run = t.run(mode, t.evil(mode), calls(20), env=t.counter(), ids=range(1, 21), code=0, bound=12, want={"ok": 20})
        t.expect(results_are(run.records), mode, "a wrong result")
    for mode in ("badutf8", "twice"):
        run = t.run(mode, t.evil(mode), calls(20), env=t.counter(), ids=range(1, 21), code=[0, 1], bound=12)
        others = [one for one in run.records if one["status"] != "ok"]
        t.expect(len(others) <= 1 and results_are(run.records), mode, others)


@case("A10", "an answer of 100 MB; an answer without an end", "the first arrives, at bounded memory; the second ends at "
      "`--max-message` with its worker", slow=True)
def big_answers(t):
    run = t.run("100 MB", t.evil("big"), calls(5), env=t.counter(), timeout=90, ids=range(1, 6), code=0, want={"ok": 5},
                bound=60, line_mib=100)
    t.expect(max([len(one["result"]) for one in run.records] + [0]) == 100 << 20, "100 MB", "not whole")
    t.run("endless", t.evil("endlessline", 3, "--max-message", "16MiB"), calls(5), env=t.counter(), timeout=60,
          ids=range(1, 6), code=1, want={"ok": 4, "crashed": 1}, bound=40, line_mib=16)


@case("A11", "both sides write at once: 2 MB before the first read, requests of 1 MB, 64 MB on stderr",
      "nobody waits for the other; every result", slow=True)
def full_pipes(t):
    t.run("2 MB first", t.evil("floodfirst"), calls(20), ids=range(1, 21), code=0, want={"ok": 20}, bound=20)
    big = lines({"id": n, "method": "f", "params": ["x" * 1000000]} for n in range(50))
    t.run("1 MB requests", t.evil("ok"), big, timeout=60, ids=range(50), code=0, want={"ok": 50}, bound=40, line_mib=1)
    t.run("64 MB on stderr", t.evil("stderrflood"), calls(10), timeout=60, env=t.counter(), ids=range(1, 11), code=0,
          want={"ok": 10}, bound=40)
