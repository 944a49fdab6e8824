"""The Python shim: locks wanted by several threads and tasks of one job, which supervisor cannot tell apart."""

import collections
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ShimTest, main, python_command  # noqa: E402

TEXT = """
import asyncio, threading, time
from concurrent.futures import ThreadPoolExecutor
from supervisor import Deadlock, Error, Event, Lock, Queue, RLock, Semaphore, Value

def together(*functions):
    '''Runs them in threads; what they return or raise.'''
    def outcome(function):
        try: return function()
        except Exception as error: return type(error).__name__
    with ThreadPoolExecutor(len(functions)) as pool: return list(pool.map(outcome, functions))

def add(kind=Lock):
    for _ in range(10):
        with kind("saldo"): step()
def step():
    value = Value("saldo"); value.set(value.get() + 1)
async def add_async(kind=Lock):
    for _ in range(10):
        async with kind("saldo"):
            await asyncio.sleep(0)
            step()
def twice():
    for _ in range(10):
        with RLock("saldo"), RLock("saldo"): step()
async def several():
    await asyncio.gather(*(add_async() for _ in range(3)))

def threads():
    together(add, add, add)
    return Value("saldo").get()
def loops():
    together(*[lambda: asyncio.run(several())] * 2 + [add])
    return Value("saldo").get()
async def tasks():
    await several()
    return Value("saldo").get()
async def tasks_and_threads():
    loop = asyncio.get_running_loop()
    await asyncio.gather(several(), loop.run_in_executor(None, add))
    return Value("saldo").get()
def reentrant():
    together(twice, twice, lambda: add(RLock))
    return Value("saldo").get()
async def reentrant_tasks():
    async def one():
        for _ in range(10):
            lock = RLock("saldo")
            assert await asyncio.wait_for(lock.acquire_async(), 9)
            async with RLock("saldo"): await asyncio.sleep(0); step()
            await asyncio.wait_for(lock.release_async(), 9)
    await asyncio.gather(one(), one(), one())
    return Value("saldo").get()

def again():
    with Lock("a"), Lock("a"): pass
async def again_async():
    async with Lock("a"):
        async with Lock("a"): pass
def again_in_a_loop():
    async def inside():
        async with Lock("a"): pass
    with Lock("a"): asyncio.run(inside())
async def asleep_in_the_loop():
    async def inside():
        with Lock("a"): pass
    async with Lock("a"): await asyncio.gather(inside())
def hand_over():
    lock = Lock("a"); lock.acquire()
    together(lock.release)
    return lock.acquire()
def not_mine():
    with RLock("a"): return together(RLock("a").release)
def impatient():
    def others():
        begin = time.monotonic()
        got = [Lock("a").acquire(False), Lock("a").acquire(timeout=0.1)]
        return got + [asyncio.run(Lock("a").acquire_async(timeout=0.1)), 0.2 <= time.monotonic() - begin < 9]
    with Lock("a"): return together(others) + [Lock("a").acquire(timeout=0.05)]
def patient():
    lock = Lock("a"); lock.acquire()
    thread = threading.Thread(target=lambda: Lock("a").acquire(timeout=100)); thread.start()
    time.sleep(0.1)
    lock.release(); thread.join()
def side_by_side():
    with Lock("a"):
        together(lambda: Lock("b").acquire())
        with Lock("c"): pass
def cross():
    both = threading.Barrier(2)
    def one(first, second):
        with Lock(first):
            both.wait()
            with Lock(second): return "through"
    return sorted(together(lambda: one("a", "b"), lambda: one("b", "a")))
async def cross_async():
    async def one(first, second):
        async with Lock(first):
            await asyncio.sleep(0.05)
            async with Lock(second): return "through"
    done = await asyncio.gather(one("a", "b"), one("b", "a"), return_exceptions=True)
    return sorted(str(each) for each in done)
async def ticking():
    free, ticks = threading.Event(), 0
    def hold():
        with Lock("a"): free.wait(9)
    holding = asyncio.get_running_loop().run_in_executor(None, hold)
    await asyncio.sleep(0.1)
    waiting = asyncio.ensure_future(Lock("a").acquire_async())
    while ticks < 20:
        await asyncio.sleep(0.001); ticks += 1
    early = waiting.done(); free.set()
    return [early, await waiting, await holding]

left = []
def leave():
    def want():
        try: left.append(Lock("a").acquire())
        except Error as error: left.append(str(error))
    Lock("a").acquire(); RLock("r").acquire()
    threading.Thread(target=want, daemon=True).start()
    lines = Lock.acquire.__globals__["_lines"]
    while not any(len(line) > 1 for job in list(lines.values()) for line in list(job.values())): time.sleep(0.005)
    raise ValueError
def come_after():
    with Lock("a"), RLock("r"): pass
    while not left: time.sleep(0.005)
    return left
async def give_up():
    waiting = Lock("a").acquire_async()
    try: await asyncio.wait_for(waiting, 0.05)
    except asyncio.TimeoutError: pass
    async with Lock("a"): return "in"
async def give_up_in_line():
    async with Lock("a"):
        waiting, other = asyncio.ensure_future(enter()), asyncio.ensure_future(enter())
        await asyncio.sleep(0.05)
        waiting.cancel()
    return await other
async def enter():
    async with Lock("a"): return "in"
def give_up_loop():
    async def get():
        try: await asyncio.wait_for(Queue("q").get_async(), 0.01)
        except asyncio.TimeoutError: pass
    asyncio.run(get())
    time.sleep(0.2)
    return "alive"
def places():
    s = Semaphore("s", 2)
    with s, Semaphore("s", 2): return together(lambda: s.acquire(False))
def crowd():
    inside, most, guard = 0, 0, threading.Lock()
    def one():
        nonlocal inside, most
        for _ in range(5):
            with Semaphore("s", 2):
                with guard: inside += 1; most = max(most, inside)
                time.sleep(0.002)
                with guard: inside -= 1
    together(*[one] * 4)
    return most
"""


class Supervisor:
    """As much of supervisor as is needed here: a job has a lock, not a thread of it."""

    def __init__(self, worker):
        self.worker = worker
        self.asked = []
        self.values = collections.Counter()
        self.holders = collections.defaultdict(list)  # (kind, name) -> jobs
        self.line = collections.defaultdict(collections.deque)

    def result(self, method):
        answer = self.run(method)
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, method):
        """Sends a call and serves what is asked meanwhile; its answer."""
        self.asked = []
        request = self.worker.request(method)
        self.worker.send(request)
        while True:
            message = self.worker.receive()
            if message.get("method", "output") == "output":
                if message.get("id") == request["id"]:
                    self.end(request["id"])
                    return message
            elif "id" in message:
                self.asked.append((message["method"], message["params"]))
                self.serve(message)

    def serve(self, message):
        verb, params, id = message["method"], message["params"], message["id"]
        kind, job = (verb.split(".")[0], params["name"]), params.get("job")
        holders, count = self.holders[kind], params.get("value", 1)
        if verb == "value.set":
            self.values[params["name"]] = params["value"]
        if verb.startswith("value."):
            self.say(id, {"value": self.values[params["name"]]})
        elif verb.endswith(".release"):
            if job not in holders:
                return self.say(id, code=-32012, message="not held")
            holders.remove(job)
            self.say(id, {})
            self.next(kind)
        elif len(holders) < count:
            holders.append(job)
            self.say(id, {"acquired": True})
        elif params.get("timeout") == 0:
            self.say(id, {"acquired": False})
        elif kind[0] == "lock" and job in holders and "timeout" not in params:
            self.say(id, code=-32010, message="held by the asker")
        else:
            self.line[kind].append((id, job))

    def say(self, id, result=None, **error):
        self.worker.send({"jsonrpc": "2.0", "id": id, **({"error": error} if error else {"result": result})})

    def next(self, kind):
        if self.line[kind]:
            id, job = self.line[kind].popleft()
            self.holders[kind].append(job)
            self.say(id, {"acquired": True})

    def end(self, job):
        """What a job held is free when it has ended."""
        for kind, holders in self.holders.items():
            self.line[kind] = collections.deque(one for one in self.line[kind] if one[1] != job)
            while job in holders:
                holders.remove(job)
                self.next(kind)

    def methods(self):
        return [method for method, _ in self.asked]


class SharedThreads(ShimTest):
    command = python_command()
    shim = "python"
    library = "python_calls"
    extension = ".py"

    def supervisors(self):
        for concurrency in (1, 2):
            yield Supervisor(self.start(TEXT, concurrency=concurrency))

    def test_threads_and_tasks_of_a_job_take_turns(self):
        wanted = {"threads": 30, "loops": 70, "tasks": 30, "tasks_and_threads": 40}
        wanted.update(reentrant=30, reentrant_tasks=30)
        for s in self.supervisors():
            for method, count in wanted.items():
                s.values.clear()
                self.assertEqual(s.result(method), count, method)
                self.assertFalse(any(s.holders.values()), method)

    def test_who_has_a_lock_and_asks_again_is_refused(self):
        for s in self.supervisors():
            for method in ("again", "again_async"):
                self.assertEqual(s.run(method)["error"]["message"], "Deadlock: held by the asker")
                self.assertEqual(s.methods(), ["lock.acquire", "lock.acquire", "lock.release"])
            for method in ("again_in_a_loop", "asleep_in_the_loop"):
                message = 'Deadlock: deadlock: "a" is held by one who waits for what the asker holds'
                self.assertEqual(s.run(method)["error"]["message"], message)
                self.assertEqual(s.methods(), ["lock.acquire", "lock.release"])

    def test_a_thread_may_release_what_another_has_unless_it_counts(self):
        s = Supervisor(self.start(TEXT))
        self.assertEqual(s.result("hand_over"), True)
        self.assertEqual(s.methods(), ["lock.acquire", "lock.release", "lock.acquire"])
        self.assertEqual(s.result("not_mine"), ["RuntimeError"])

    def test_a_timeout_counts_both_waits(self):
        for s in self.supervisors():
            self.assertEqual(s.result("impatient"), [[False, False, False, True], False])
            self.assertEqual(s.methods(), ["lock.acquire", "lock.release"])
        s.run("patient")
        self.assertEqual(s.methods(), ["lock.acquire", "lock.release", "lock.acquire"])
        self.assertTrue(80 < s.asked[2][1]["timeout"] < 99.95, s.asked)

    def test_who_has_no_lock_is_in_no_circle_of_jobs(self):
        for s in self.supervisors():
            s.run("side_by_side")
            waits = [(p["name"], p.get("timeout")) for method, p in s.asked if method == "lock.acquire"]
            self.assertEqual(waits, [("a", None), ("b", 1e9), ("c", None)])

    def test_two_that_wait_for_each_other_are_told(self):
        message = 'deadlock: "%s" is held by one who waits for what the asker holds'
        for s in self.supervisors():
            self.assertEqual(s.result("cross"), ["Deadlock", "through"])
            told, through = s.result("cross_async")
            self.assertIn(told, [message % "a", message % "b"])
            self.assertEqual(through, "through")

    def test_a_task_in_line_leaves_the_loop_to_others(self):
        for s in self.supervisors():
            self.assertEqual(s.result("ticking"), [False, True, None])

    def test_what_a_job_leaves_behind_holds_up_no_other(self):
        for s in self.supervisors():
            self.assertEqual(s.run("leave")["error"]["data"]["type"], "ValueError")
            self.assertEqual(s.result("come_after"), ['the job that waits for "a" has ended'])

    def test_a_lock_that_comes_for_a_cancelled_task_is_given_back(self):
        for s in self.supervisors():
            s.worker.send(s.worker.request("give_up"))
            asked = s.worker.receive()
            self.assertEqual(asked["method"], "lock.acquire")
            time.sleep(0.3)  # it has given up, and its second wish waits behind the first
            s.say(asked["id"], {"acquired": True})
            released, again = s.worker.receive(), s.worker.receive()
            self.assertEqual((released["method"], again["method"]), ("lock.release", "lock.acquire"))
            s.say(released["id"], {})
            s.say(again["id"], {"acquired": True})
            s.say(s.worker.receive()["id"], {})
            self.assertEqual(s.worker.receive()["result"], "in")
            self.assertEqual(s.result("give_up_in_line"), "in")
            self.assertEqual(s.methods(), ["lock.acquire", "lock.release"] * 2)

    def test_an_answer_for_a_loop_that_is_gone(self):
        w = self.start(TEXT)
        w.send(w.request("give_up_loop"))
        asked = w.receive()
        time.sleep(0.1)
        w.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"ok": True, "item": 1}})
        self.assertEqual(w.receive()["result"], "alive")

    def test_a_job_may_have_several_places_of_a_semaphore(self):
        for s in self.supervisors():
            self.assertEqual(s.result("crowd"), 2)
        s = Supervisor(self.start(TEXT))
        self.assertEqual(s.result("places"), [False])
        self.assertEqual(s.methods(), ["semaphore.acquire"] * 3 + ["semaphore.release"] * 2)


if __name__ == "__main__":
    main()
