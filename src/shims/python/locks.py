# ---- locks -------------------------------------------------------------------------------------------------------


class Lock(_Shared):
    """One holder among all workers, threads and tasks. Free when its holder ends; `previous_holder_died` says that it did not release it."""

    previous_holder_died = False

    def acquire(self, blocking=True, timeout=None):
        return self._acquire(self._claim(), _wait(blocking, timeout))

    def release(self):
        self._release(self._claim())

    # Whose it is, is seen in the call: `asyncio.wait_for` may await what comes of it in a task of its own.

    def acquire_async(self, timeout=None):
        return self._acquire_async(self._claim(), timeout)

    def release_async(self):
        return self._release_async(self._claim())

    def _claim(self):
        return Claim(self, self.name)

    def _request(self, verb, job, **more):
        return dict(more, method="lock." + verb, job=job)

    def _acquire(self, claim, timeout):
        if not claim.wait(timeout):
            return self._got(claim, {"acquired": False})
        try:
            request = self._request("acquire", claim.job, timeout=claim.patience(True))
            return self._got(claim, self._ask(claim=claim, **request))
        finally:
            claim.asked()

    async def _acquire_async(self, claim, timeout):
        if not await claim.wait_async(timeout):
            return self._got(claim, {"acquired": False})
        try:
            request = self._request("acquire", claim.job, timeout=claim.patience(False))
            return self._got(claim, await self._ask_async(claim=claim, **request))
        finally:
            claim.asked()

    def _got(self, claim, answer):
        self.previous_holder_died = bool(answer.get("previous_holder_died"))
        claim.held = answer.get("acquired", True)
        return claim.held

    def _release(self, claim):
        hold = claim.hold()
        try:
            self._ask(**self._request("release", hold.job))
        finally:
            hold.leave()

    async def _release_async(self, claim):
        hold = claim.hold()
        try:
            await self._ask_async(**self._request("release", hold.job))
        finally:
            hold.leave()

    def _give_back(self, job):
        """Releases what came for nobody."""
        request = self._request("release", job)
        _worker().ask(request.pop("method"), self._params(**request), Waiter())

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *_):
        self.release()

    async def __aenter__(self):
        await self.acquire_async()
        return self

    async def __aexit__(self, *_):
        await self.release_async()


class RLock(Lock):
    """A lock that its holder may acquire again; supervisor is asked only for the first and the last time."""

    def _again(self, claim):
        hold = claim.hold()
        again = hold.times > 0 and hold.owner == claim.owner and hold.job == claim.job
        if again:
            hold.times += 1
        return again

    def _last(self, claim):
        hold = claim.hold()
        if hold.times == 0 or hold.owner != claim.owner:
            raise RuntimeError("the lock %s is not held here" % self.name)
        hold.times -= 1
        return hold.times == 0

    def _got(self, claim, answer):
        claim.times = int(super()._got(claim, answer))
        return claim.held

    def _acquire(self, claim, timeout):
        return self._again(claim) or super()._acquire(claim, timeout)

    async def _acquire_async(self, claim, timeout):
        return self._again(claim) or await super()._acquire_async(claim, timeout)

    def _release(self, claim):
        if self._last(claim):
            super()._release(claim)

    async def _release_async(self, claim):
        if self._last(claim):
            await super()._release_async(claim)


class Semaphore(Lock):
    """At most `value` holders among all workers; a job may be several of them."""

    def __init__(self, name, value=1):
        super().__init__(name)
        self.value = value

    def _claim(self):
        return Claim(self, None)

    def _request(self, verb, job, **more):
        return dict(more, method="semaphore." + verb, job=job, value=self.value)


