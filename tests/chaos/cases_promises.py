"""What the project promises beyond the plan: runs of all kinds killed over daemons, poison among a thousand jobs, and what
Python functions can do to their worker."""

import json
import signal
import subprocess

from case import FAMILY, by_id, case, commands, feed, lines
from check import detail, tally

TASKS = """
import os, subprocess, sys, threading, time

def family():
    subprocess.Popen(["sh", "-c", %r])

def daemons(n):
    family()
    time.sleep(0.01)
    return n

def fault(kind):
    if kind == "exit": os._exit(3)
    if kind == "sysexit": sys.exit(3)
    if kind == "interrupt": raise KeyboardInterrupt
    if kind == "abort": os.abort()
    if kind == "segv": os.kill(os.getpid(), 11)
    if kind == "descriptors": os.closerange(0, 256)
    if kind == "raise": raise Odd(1, 2)
    if kind == "unserialisable": return lambda: 1
    if kind == "recursion": return fault("recursion")
    if kind == "stdout": os.write(1, b"junk {\\n" * 1000); print("more")
    if kind == "fork":
        if os.fork() == 0: return "child"
    if kind == "forkexit":
        if os.fork() == 0: os._exit(0)
    if kind == "thread": threading.Thread(target=time.sleep, args=(1000,)).start()
    return "done"

class Odd(Exception):
    def __init__(self, one, two): super().__init__("odd")
    def __reduce__(self): raise TypeError("cannot be pickled")

def poison(n):
    if n %% 200 == 100: os.kill(os.getpid(), 9)
    time.sleep(0.002)
    return n
""" % (FAMILY + " exit 0")

MODULE = """
import { spawn } from "node:child_process";
export async function daemons(n) {
  spawn("sh", ["-c", %s], { stdio: "ignore" });
  await new Promise((resolve) => setTimeout(resolve, 10));
  return n;
}
"""


@case("P01", "SIGKILL at random moments of runs of commands, of Python, of Node, each job with daemonised grandchildren",
      "0 processes after 2 s", slow=True)
def killed_over_everything(t):
    tasks = t.file("tasks.py", TASKS)
    module = t.file("tasks.mjs", MODULE % json.dumps(FAMILY + " exit 0"))
    numbers = b"".join(b"[%d]\n" % n for n in range(400))
    kinds = (("commands", t.spawn(workers=4), commands([FAMILY + " sleep .01"] * 400)),
             ("python", t.spawn("--python", tasks + ":daemons", "-c", 4), numbers),
             ("node", t.spawn("--node", module + ":daemons", "-c", 4), numbers))
    for turn in range(50 if t.long else 9):
        what, argv, jobs = kinds[turn % 3]
        moment = t.random.uniform(0, 0.8)

        def kill(run):
            run.until(lambda: run.matching("sleep", "1000"))
            run.sleep(moment)
            run.signal(signal.SIGKILL)

        label = "%s, %.3f s after the first daemon (seed %d)" % (what, moment, t.seed)
        t.run(label, argv, jobs, script=kill, killed=True, code=[-9, 0])


@case("P02", "1,000 jobs of which 5 kill their worker, `--concurrency 8 --retries 2`", "995 `ok`, 5 `crashed`", slow=True)
def poison_among_a_thousand(t):
    tasks = t.file("tasks.py", TASKS)
    run = t.run("poison", t.spawn("--python", tasks + ":poison", "-c", 8, "--retries", 2),
                b"".join(b"[%d]\n" % n for n in range(1000)), timeout=90, ids=range(1, 1001), code=1,
                want={"ok": 995, "crashed": 5}, bound=60)
    bad = sorted(one["id"] for one in run.records if one["status"] == "crashed")
    t.expect(bad == [101, 301, 501, 701, 901], "poison", bad)


@case("P03", "what a Python function can do: exit, abort, close all descriptors, fork and return twice, return or raise "
      "what cannot be sent, print junk",
      "that job alone ends, `crashed` or `failed`, with its cause; 29 of 29 others `ok`", slow=True)
def functions_misbehave(t):
    tasks = t.file("tasks.py", TASKS)
    # None: how it ends depends on what the job meant; it ends, and alone.
    wanted = {"exit": "crashed", "sysexit": None, "interrupt": None, "abort": "crashed", "segv": "crashed",
              "descriptors": "crashed", "raise": "failed", "unserialisable": "failed", "recursion": "failed", "stdout": "ok",
              "fork": None, "forkexit": "ok", "thread": "ok"}
    for kind, status in wanted.items():
        jobs = lines({"id": n, "method": "fault", "params": [kind if n == 10 else "fine"]} for n in range(1, 31))
        run = t.run(kind, t.spawn("--python", tasks), jobs, ids=range(1, 31), code=[0, 1], bound=20)
        others = [one for one in run.records if one["id"] != 10]
        t.expect(tally(others) == {"ok": 29} and all(one["result"] == "done" for one in others), kind, tally(others))
        own = by_id(run, 10)
        t.expect(status is None and own["status"] in ("ok", "failed", "crashed") or own["status"] == status, kind, own)


@case("P04", "1 of 300 commands dies of SIGINT; one is killed from outside; one exits 255", "the other 297 are `ok`, exit 1")
def one_of_many(t):
    texts = ["true"] * 300
    texts[9], texts[99], texts[199] = "kill -INT $$", "kill -KILL $$", "exit 255"
    run = t.run("all", t.spawn(), commands(texts), ids=range(1, 301), code=1, want={"ok": 297, "failed": 3}, bound=20)
    t.expect([detail(by_id(run, n)).get("exit_code") for n in (10, 100, 200)] == [-2, -9, 255], "codes", run.records[:2])


@case("P05", "a worker is killed while it holds a lock that others wait for", "the lock is free at once; only that job is `crashed`")
def lock_holder_killed(t):
    tasks = t.file("locks.py", """
import os
import supervisor

def f(n):
    with supervisor.Lock("one"):
        if n == 5: os.kill(os.getpid(), 9)
    return "done"
""")
    run = t.run("lock", t.spawn("--python", tasks + ":f", workers=3), b"".join(b"[%d]\n" % n for n in range(1, 31)),
                ids=range(1, 31), code=1, want={"ok": 29, "crashed": 1}, bound=15)
    t.expect(by_id(run, 5)["status"] == "crashed", "lock", by_id(run, 5))


@case("P06", "a list a hundred (long: a thousand) times as long as another; a line of 1 GB",
      "peak memory at most 1.2 times that of the shorter; the line is `invalid`, and cost no memory", slow=True)
def memory_of_long_lists(t):
    # The last job takes its time, so that the peak is there to be looked at when all others have ended.
    tasks = t.file("tasks.py", "import time\ndef add(x):\n    x or time.sleep(0.3)\n    return x + 1\n")
    peaks = []
    for count in (10000, 10000000 if t.long else 1000000):
        def produce(run, count=count):
            feed(*(b"".join(b"[%d]\n" % (count - 1 - n) for n in range(first, first + 10000)) for first in range(0, count, 10000)))(run)

        run = t.run("%d jobs" % count, t.spawn("--python", tasks + ":add"), "pipe", timeout=600, script=produce, stdout=subprocess.DEVNULL,
                    code=0, bound=580)
        peaks.append(run.peak_kib)
    t.expect(peaks[1] <= 1.2 * peaks[0], "peaks", "%d and %d KiB" % tuple(peaks))
    piece = b"x" * 1000000
    t.run("a line of 1 GB", t.spawn(), "pipe", timeout=120, script=feed(b"echo 1\n", *[piece] * 1000, b"\necho 2\n"), code=3,
                want={"ok": 2, "invalid": 1}, bound=100, line_mib=100)
