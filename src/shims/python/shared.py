# ---- shared state: what `import supervisor` gives to the functions ------------------------------------------------


class Error(Exception):
    """supervisor has refused a request."""

    def __init__(self, error):
        super().__init__(error.get("message", "refused"))
        self.code = error.get("code")
        self.data = error.get("data")


class Deadlock(Error):
    """Waiting for this would never end."""


class BrokenBarrier(Exception):
    """Somebody who was waited for at a barrier is gone, or a timeout has passed."""


def _outcome(reply):
    if "error" not in reply:
        return reply["result"] or {}
    error = reply["error"] if type(reply["error"]) is dict else {}
    raise (Deadlock if error.get("code") == DEADLOCK else Error)(error)


class _Shared:
    """Something that supervisor keeps, known by its name."""

    def __init__(self, name):
        self.name = str(name)

    def __repr__(self):
        return "%s(%r)" % (type(self).__name__, self.name)

    def _params(self, timeout=None, **more):
        params = {"name": self.name, "job": _worker().current_job()}
        params.update(more)
        if timeout is not None:
            params["timeout"] = max(0, timeout)
        return params

    def _send(self, answer, method, params):
        worker = _worker()
        worker.ask(method, self._params(**params), answer)
        if worker.ended:
            raise Error({"code": -32001, "message": "supervisor has closed the channel"})
        return worker

    def _ask(self, method, claim=None, **params):
        answer = _Answer()
        worker = self._send(answer, method, params)
        try:
            worker.wait_for(answer)
        except BaseException:  # out of a signal handler
            if claim is not None:
                claim.desert(answer)
            raise
        return _outcome(answer.reply)

    async def _ask_async(self, method, claim=None, **params):
        answer = _AsyncAnswer(late("asyncio").get_running_loop())
        worker = self._send(answer, method, params)
        worker.expect(1)
        try:
            await answer.future
        except BaseException:
            if claim is not None:
                claim.desert(answer)
            raise
        finally:
            worker.expect(-1)
        return _outcome(answer.reply)


class _Answer(Waiter):
    """An answer of supervisor that a thread waits for, or has deserted: then it is for `late`."""

    late = None

    def settle(self, reply):
        super().settle(reply)
        self._pass_on()

    def desert(self, late):
        self.late = late
        self._pass_on()

    def _pass_on(self):
        with _turning:
            late = self.late if self.reply is not None else None
            if late is not None:
                self.late = None
        if late is not None:
            late(self.reply)


class _AsyncAnswer(_Answer):
    """An answer of supervisor that a coroutine waits for."""

    def __init__(self, loop):
        super().__init__()
        self.loop, self.future = loop, loop.create_future()

    def settle(self, reply):
        super().settle(reply)
        try:
            self.loop.call_soon_threadsafe(_ring, self.future)
        except RuntimeError:  # the loop is closed: nobody waits
            pass


class Event(_Shared):
    """A flag that can be waited for."""

    def set(self):
        self._ask("event.set")

    def clear(self):
        self._ask("event.clear")

    def is_set(self):
        return self._ask("event.is_set")["set"]

    def wait(self, timeout=None):
        return self._ask("event.wait", timeout=timeout)["set"]

    async def wait_async(self, timeout=None):
        return (await self._ask_async("event.wait", timeout=timeout))["set"]


class Barrier(_Shared):
    """A point that `parties` jobs reach together."""

    def __init__(self, name, parties):
        super().__init__(name)
        self.parties = parties

    def wait(self, timeout=None):
        return self._passed(self._ask("barrier.wait", parties=self.parties, timeout=timeout))

    async def wait_async(self, timeout=None):
        return self._passed(await self._ask_async("barrier.wait", parties=self.parties, timeout=timeout))

    def _passed(self, answer):
        if answer.get("broken"):
            raise BrokenBarrier(self.name)
        return answer["index"]


class Value(_Shared):
    """A value that all workers see: any JSON; `add` and `compare_and_swap` are single steps."""

    def __init__(self, name, initial=0):
        super().__init__(name)
        self.initial = initial

    def get(self):
        return self._ask("value.get", initial=self.initial)["value"]

    def set(self, value):
        self._ask("value.set", initial=self.initial, value=value)

    def add(self, amount=1):
        """The value after the addition."""
        return self._ask("value.add", initial=self.initial, amount=amount)["value"]

    def compare_and_swap(self, expected, new):
        """Whether the value was `expected` and is now `new`."""
        return self._ask("value.cas", initial=self.initial, expected=expected, new=new)["swapped"]

    value = property(get, set)


class Queue(_Shared):
    """A queue of JSON values between jobs; `maxsize` 0 is no limit. Raises queue.Full, queue.Empty."""

    def __init__(self, name, maxsize=0):
        super().__init__(name)
        self.maxsize = maxsize

    def put(self, item, block=True, timeout=None):
        self._put(self._ask("queue.put", maxsize=self.maxsize, item=item, timeout=_wait(block, timeout)))

    def get(self, block=True, timeout=None):
        return self._item(self._ask("queue.get", maxsize=self.maxsize, timeout=_wait(block, timeout)))

    async def put_async(self, item, timeout=None):
        self._put(await self._ask_async("queue.put", maxsize=self.maxsize, item=item, timeout=timeout))

    async def get_async(self, timeout=None):
        return self._item(await self._ask_async("queue.get", maxsize=self.maxsize, timeout=timeout))

    def qsize(self):
        return self._ask("queue.size", maxsize=self.maxsize)["size"]

    def _put(self, answer):
        if not answer.get("ok", True):
            raise late("queue").Full

    def _item(self, answer):
        if not answer.get("ok", True):
            raise late("queue").Empty
        return answer["item"]


def _wait(blocking, timeout):
    """As in `threading`: not blocking is a timeout of 0, and -1 is none."""
    if not blocking:
        return 0
    return None if timeout is not None and timeout < 0 else timeout


def progress(done, total=None, message=None):
    """Tells how far the running job is."""
    worker = _worker()
    worker.channel.notify("progress", {"id": worker.current_job(), "done": done, "total": total, "message": message})


def log(message, level="info"):
    """A line for the person who runs this; level is error, warning, info or debug."""
    worker = _worker()
    worker.channel.notify("log", {"id": worker.current_job(), "level": level, "message": str(message)})


def job_id():
    """The id of the request that is running here, or None."""
    return _worker().current_job()


_the_worker = None


def _worker():
    if _the_worker is None:
        raise RuntimeError("shared state is there for functions that run as jobs of supervisor")
    if _the_worker.channel.forked:
        raise RuntimeError("a process forked by a job has no channel to supervisor")
    return _the_worker


def _offer_module():
    """Makes `import supervisor` work, unless a module of that name is installed; `supervisor_client` always does."""
    module = types.ModuleType("supervisor", "Shared state between the workers of supervisor.")
    names = "Lock RLock Semaphore Event Barrier Value Queue Error Deadlock BrokenBarrier progress log job_id".split()
    for name in names:
        setattr(module, name, globals()[name])
    module.__all__ = names
    sys.modules["supervisor_client"] = module
    try:
        taken = import_core._find_spec("supervisor", None) is not None
    except (ImportError, ValueError):
        taken = False
    if not taken:
        sys.modules["supervisor"] = module


