# ---- several jobs at a time --------------------------------------------------------------------------------------

class Job:
    """One job of Concurrent."""

    __slots__ = ("id", "silent", "method", "function", "params", "thread", "task", "cancelled", "over", "done")

    def __init__(self, request, function):
        self.id = request.get("id")
        self.silent = "id" not in request  # nobody wants an answer; it is begun before what came later
        self.method = request["method"]
        self.function = function
        self.params = request.get("params")
        self.thread = self.task = None
        self.cancelled = self.over = self.done = False

    def call(self):
        if type(self.params) is dict:
            return self.function(**self.params)
        return self.function(*(self.params or ()))


class Concurrent(Worker):
    """Up to `limit` jobs at a time: coroutines on the main thread's loop, functions in threads."""

    def __init__(self, channel, limit):
        super().__init__(channel)
        self.limit = self.free = limit
        self.pending = collections.deque()
        self.running = {}
        self.alone = False  # a silent one runs: the others wait
        self.state = threading.Lock()
        self.changed = threading.Condition(self.state)
        self.work = collections.deque()
        self.idle_threads = 0
        self.threads = 0
        self.loop = None
        self.main_needed = threading.Event()
        self.main = threading.get_ident()
        channel.job, channel.capture_job = self.current_job, self.only_job
        give_jobs_to_threads(RUNNING.get)

    def run(self):
        give_jobs_to_pools(RUNNING.get)
        self.start_thread(self.read)
        self.main_needed.wait()
        while self.loop is not None:
            late("asyncio").set_event_loop(self.loop)
            try:
                self.loop.run_forever()
                break
            except (SystemExit, KeyboardInterrupt):  # raised by a task of the user's own; its job has its answer
                continue

    def read(self):
        incoming = self.channel.incoming
        while True:
            if self.running and not select.select([incoming], [], [], STREAM_EVERY)[0]:
                if self.channel.printed or os.lseek(self.channel.capture, 0, 2) != self.channel.taken:
                    self.channel.deliver()
                continue
            if not self.receive():
                break
        with self.state:
            self.end_if_done()

    def accept(self, requests):
        for request in requests:
            params = request.get("params")
            if "id" in request and not (params is None or type(params) is list or type(params) is dict):
                self.channel.fail(request["id"], bad_params(params))
                continue
            function = self.find(request)
            if function is not None:
                with self.state:
                    self.pending.append(Job(request, function))
        with self.state:
            self.start_more()

    def start_more(self):
        """Begins as many jobs as there is room for; `state` is held."""
        while self.free and self.pending and not self.alone:
            job = self.pending.popleft()
            self.alone = job.silent
            self.free -= 1
            self.running[job.id] = job
            if _is_coroutine(job.function):
                self.need_loop()
                self.loop.call_soon_threadsafe(self.begin, job)
            else:
                self.work.append(job)
                if self.idle_threads < len(self.work) and self.threads < self.limit:
                    self.threads += 1
                    self.start_thread(self.serve)
                else:
                    self.changed.notify()

    def need_loop(self):
        """Sees to it that there is one; `state` is held."""
        if self.loop is None:
            self.loop = late("asyncio").new_event_loop()
            self.main_needed.set()

    def begin(self, job, awaitable=None):
        """Begins a coroutine function, or what a plain function gave to be awaited."""
        job.task = self.loop.create_task(self.follow(job, awaitable))
        job.task.add_done_callback(lambda task: self.end_unbegun(job, awaitable))
        if job.cancelled:
            job.task.cancel()

    def end_unbegun(self, job, awaitable):
        """A task that is cancelled before its first step never gets to `follow`."""
        if not job.done:
            if hasattr(awaitable, "close"):
                awaitable.close()  # a coroutine; Python would complain that nobody awaited it
            self.fail(job, late("asyncio").CancelledError())
            self.finish(job)

    async def follow(self, job, awaitable):
        RUNNING.set(job)
        try:
            result = await (job.call() if awaitable is None else awaitable)
        except BaseException as error:
            self.fail(job, error)
        else:
            self.succeed(job, result)
        self.finish(job)

    def serve(self):
        """One of the threads that plain functions run in."""
        while True:
            with self.state:
                while not self.work:
                    self.idle_threads += 1
                    self.changed.wait()
                    self.idle_threads -= 1
                job = self.work.popleft()
                job.thread = threading.get_ident()
            RUNNING.set(job)
            self.call(job)
            RUNNING.set(None)

    def call(self, job):
        try:
            result = job.call()
            awaited = hasattr(result, "__await__")
        except BaseException as error:
            self.fail(job, error)
        else:
            if awaited:
                self.hand_over(job, result)
                return
            self.succeed(job, result)
        job.thread = None
        self.finish(job)

    def hand_over(self, job, awaitable):
        """A plain function, a decorator's say, gave something to await: from here on it is a coroutine like others."""
        with self.state:
            self.need_loop()
        job.thread = None
        self.loop.call_soon_threadsafe(self.begin, job, awaitable)

    def succeed(self, job, result):
        if self.channel.forked:
            _leave_child(self.channel)
        if job.silent:
            self.channel.flush_others()
            self.channel.deliver()
            return
        try:
            text = result_json(result)
        except BaseException as error:
            job.over = True
            self.channel.fail(job.id, _no_json(result, error))
        else:
            job.over = True  # before supervisor knows, whose next job may look for what this one leaves behind
            self.channel.answer(job.id, text)

    def fail(self, job, error):
        if self.channel.forked:
            _leave_child(self.channel, error)
        job.over = True
        if job.silent:
            self.notification_failed(job.method, error)
        elif job.cancelled and type(error).__name__ == "CancelledError":
            self.channel.fail(job.id, _cancelled(error))
        else:
            self.channel.fail(job.id, _call_failed(job.function, job.params, error))

    def finish(self, job):
        with self.state:
            job.done = True
            self.running.pop(job.id, None)
            self.free += 1
            self.alone = self.alone and not job.silent
            self.start_more()
            self.end_if_done()

    def end_if_done(self):
        if self.ended and self.free == self.limit and not self.pending:
            if self.loop is not None:
                self.loop.call_soon_threadsafe(self.loop.stop)
            self.main_needed.set()

    def recall(self, wanted):
        """Takes a job out of the queue that was not begun; whether there was one."""
        with self.state:
            for job in self.pending:
                if job.id == wanted:
                    self.pending.remove(job)
                    self.channel.fail(wanted, _cancelled())
                    return True
        return False

    def cancel(self, wanted):
        if self.recall(wanted):
            return
        with self.state:
            try:
                job = self.running.get(wanted)
            except TypeError:
                return
            if job is None:
                return
            job.cancelled = True
            waiting = job in self.work  # no thread has taken it yet
            if waiting:
                self.work.remove(job)
        if waiting:
            self.channel.fail(wanted, _cancelled())
            self.finish(job)
        elif job.thread is not None:
            self.locate(job)
        elif self.loop is not None:
            heard = []  # by the loop, which hears nothing as long as something blocks it
            self.loop.call_soon_threadsafe(lambda: (heard.append(True), job.task and job.task.cancel()))
            _after(STUCK_AFTER, lambda: self.locate(job, bool(heard)))

    def locate(self, job, heard=True):
        """Tells where a cancelled job is that still runs."""
        if job.done:
            return
        if job.task is not None:
            self.stuck(job.id, _task_stack(job.task, self.main), True, not heard)
            return
        frame = sys._current_frames().get(job.thread or self.main)
        if frame is not None and stack_of(frame):
            self.stuck(job.id, stack_of(frame), False)
        else:  # not in the function yet, or not any more
            _after(STUCK_AFTER, lambda: self.locate(job))

    def current_job(self):
        job = RUNNING.get()
        return None if job is None else job.id

    def is_open(self, job):
        running = self.running.get(job)
        return running is not None and not running.over

    def only_job(self):
        """Whose a child's output is: that of the one job that runs, if there is one."""
        running = list(self.running)
        return running[0] if len(running) == 1 else None

    def expect(self, more):
        """The reading thread always reads."""

    def wait_for(self, waiter):
        waiter.wait()


def _is_coroutine(function):
    inspect, partial = late("inspect"), late("functools").partial
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


