# ---- turns -------------------------------------------------------------------------------------------------------

# To supervisor a job is one, whatever threads and tasks it has. So those of one job that want the same lock stand in line
# here; only the first asks supervisor, and it stays the first until it has released the lock. Who is waited for is a
# thread, or a task where an event loop runs.

_lines = {}  # job -> {name of a lock: claims, the first is whose turn it is}. None is the worker itself
_waiting = {}  # task, or thread that sleeps as a whole -> the claim that it waits with, for as long as it takes
FOREVER = 1e9  # seconds
_turning = threading.RLock()  # entered twice when the collector ends a forgotten `with` in the middle


def _task():
    """The task that runs in this thread, if there is one."""
    current = getattr(sys.modules.get("asyncio"), "current_task", None)
    try:
        return current and current()
    except RuntimeError:  # no loop runs in this thread
        return None


def _is_open(job):
    """Whether a job runs here. None is the worker itself: it is that, for supervisor too, that asks for one which has ended."""
    return job is None or _the_worker.is_open(job)


def _lines_of(job):
    """The lines of a job. Its first claim drops those of jobs that have ended, as supervisor has freed what they held."""
    lines = _lines.get(job)
    if lines is None:
        for ended in [other for other in _lines if not _is_open(other)]:
            for line in _lines.pop(ended).values():
                for claim in itertools.islice(line, 1, None):
                    claim.wake()
        lines = _lines[job] = {}
    return lines


def _ring(future):
    if not future.done():
        future.set_result(None)


class Claim:
    """The place of a thread or a task in the line for a lock, and its hold when it has got it."""

    __slots__ = ("lock", "name", "job", "thread", "owner", "left", "signal", "sleeper", "held", "times")

    def __init__(self, lock, name):
        """`name` is None where nobody stands in line: supervisor lets one job have several places of a semaphore."""
        job = _worker().current_job()
        self.lock, self.name = lock, name
        self.job = job if _is_open(job) else None
        self.thread = threading.get_ident()
        self.owner = _task() or self.thread
        self.left = self.signal = self.sleeper = None
        self.held = False
        self.times = 0  # how often an RLock has it

    def wait(self, timeout):
        """A thread's way to the front: whether it is there in time. What is left of the time is in `left`."""
        self.left = timeout
        place = self._stand()
        if place is False:
            begin = time.monotonic()
            try:
                self.signal.acquire(True, -1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))
                place = self._arrive(begin)
            except BaseException:
                self.leave()
                raise
        return place

    async def wait_async(self, timeout):
        loop = late("asyncio").get_running_loop()
        self.left = timeout
        place = self._stand(loop)
        if place is False:
            begin = time.monotonic()
            alarm = None if timeout is None else loop.call_later(timeout, _ring, self.signal)
            try:
                await self.signal
                place = self._arrive(begin)
            except BaseException:
                self.leave()
                raise
            finally:
                if alarm is not None:
                    alarm.cancel()
        return place

    def _stand(self, loop=None):
        """True: supervisor is to be asked. False: `signal` tells when. None: there is no time to wait."""
        if self.name is None:
            return True
        with _turning:
            lines = _lines_of(self.job)
            line = lines.get(self.name)
            if line is None:
                lines[self.name] = collections.deque((self,))
                return True
            if self.left is None:
                if line[0].held and line[0].owner == self.owner:
                    return True  # supervisor refuses it
                if self._closes_circle(line[0], loop is None):
                    message = "deadlock: %s is held by one who waits for what the asker holds" % to_json(self.name)
                    raise Deadlock({"code": DEADLOCK, "message": message})
            elif self.left <= 0:
                return None
            if loop is None:
                self.signal = _thread.allocate_lock()
                self.signal.acquire()
            else:
                self.signal = loop.create_future()
            if self.left is None:
                self.sleeper = self.thread if loop is None else self.owner
                _waiting[self.sleeper] = self
            line.append(self)
            return False

    def _closes_circle(self, first, sleeps):
        """Whether `first`, or one that it waits for, cannot go on before the asker does."""
        for _ in range(len(_waiting) + 1):
            if self._stops(first, sleeps):
                return True
            waits = _waiting.get(first.owner) or _waiting.get(first.thread)
            line = waits and _lines.get(waits.job, {}).get(waits.name)
            if not line:
                return False
            first = line[0]
        return False

    def _stops(self, first, sleeps):
        """Whether `first` is the asker, or stands still with it: tasks of a sleeping thread, a thread that runs a loop."""
        return first.owner == self.owner or first.thread == self.thread and (sleeps or first.owner == first.thread)

    def patience(self, sleeps):
        """The timeout to ask supervisor with, which sees circles of jobs where there is none. Who has no lock is in no
        circle, but would seem to be in one when another thread of its job has a lock or is about to: that is spared."""
        if self.left is None and self.name is not None:
            with _turning:
                firsts = [line[0] for line in _lines.get(self.job, {}).values()]
            others = [first for first in firsts if first is not self]
            if others and not any(self._stops(first, sleeps) for first in others):
                return FOREVER
        return self.left

    def wake(self):
        """Says that it is the first, or that its job has ended; False when there is nobody to be told."""
        if self.sleeper is not None and _waiting.get(self.sleeper) is self:
            del _waiting[self.sleeper]
        if type(self.signal) is _thread.LockType:
            self.signal.release()
            return True
        try:
            self.signal.get_loop().call_soon_threadsafe(_ring, self.signal)
        except RuntimeError:  # its loop is closed
            return False
        return True

    def _arrive(self, begin):
        """Whether it is the first after its wait; if not, it has given its place up."""
        if self.left is not None:
            self.left = max(0, self.left - (time.monotonic() - begin))
        with _turning:
            line = _lines.get(self.job, {}).get(self.name, ())
            if self not in line or not _is_open(self.job):
                raise Error({"code": CANCELLED, "message": "the job that waits for %s has ended" % to_json(self.name)})
            if line[0] is self:
                return True
            line.remove(self)
            return False

    def leave(self):
        """Gives its place up, if it has one; the next one is told when it was the first."""
        with _turning:
            if self.sleeper is not None and _waiting.get(self.sleeper) is self:
                del _waiting[self.sleeper]
            lines = _lines.get(self.job, {})
            line = lines.get(self.name, ())
            if self not in line:
                return
            first = line[0] is self
            line.remove(self)
            while first and line and not line[0].wake():
                line.popleft()
            if not line:
                del lines[self.name]

    def asked(self):
        """Supervisor was asked: without the lock there is no place to keep, unless the answer is still to come."""
        if not self.held and self.owner is not None:
            self.leave()

    def desert(self, answer):
        """Its owner was cancelled, say, and waits no longer. Its place is kept until the answer comes."""
        self.owner = self.thread = None
        answer.desert(self._late)

    def _late(self, reply):
        if (reply.get("result") or {}).get("acquired") and _is_open(self.job):
            self.lock._give_back(self.job)
        self.leave()

    def hold(self):
        """What its owner would release: what it has itself, or else what another thread of its job has. Nothing: itself.

        Its own may be of another job: with one at a time, a thread from before the first belongs to whatever job runs."""
        if self.name is None:
            return self
        with _turning:
            line = _lines.get(self.job, {}).get(self.name)
            here = line[0] if line and line[0].held else self
            if here is self or here.owner != self.owner:
                for lines in _lines.values():
                    line = lines.get(self.name)
                    if line and line[0].held and line[0].owner == self.owner:
                        return line[0]
            return here


