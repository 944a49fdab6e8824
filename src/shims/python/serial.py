# ---- one job at a time -------------------------------------------------------------------------------------------


class Serial(Worker):
    """One job at a time, on the main thread."""

    def __init__(self, channel):
        super().__init__(channel)
        self.queue = collections.deque()
        self.take = self.queue.popleft  # a call that is taken is begun
        self.mark = None  # where that is written down
        self.quick = None  # the library that makes plain calls
        self.quick_after = QUICK_AFTER
        self.current = None  # the request that is being worked on
        self.pace = 1  # jobs done in one stretch
        self.reading = _thread.allocate_lock()
        self.nudge = _thread.allocate_lock()
        self.nudge.acquire()
        self.wanted = False
        self.others_wait = 0
        self.loop = None
        self.task = None
        self.cancel_asked = None
        wake = os.pipe()
        self.wake_out, self.wake_in = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM) for fd in wake)
        for fd in wake:
            os.close(fd)
        os.set_blocking(self.wake_in, False)
        channel.job, channel.capture_job = self.current_job, self.running_job
        self.main = threading.get_ident()
        give_jobs_to_threads(self.owner)

    def run(self):
        give_jobs_to_pools(self.owner)
        self.start_thread(self.watch)
        while self.pull(lambda: self.queue):
            self.channel.flush()  # what was said of recalled ones must not wait for those that begin now
            self.work()
        self.work()

    def sort(self, line):
        if self.quick_after > 0:
            self.quick_after -= 1
            if not self.quick_after:
                self.quick = load_quick(self)
        requests = quick_calls(self.quick, line)
        # An array of calls is queued as it is. What has to be looked at now, a notification or an answer to a request of
        # ours, is told by the `$` in its method or id.
        if requests is None and line[:1] == b"[" and b"$" not in line:
            try:
                requests = from_json(line)
            except (ValueError, RecursionError):
                pass
        if requests:
            self.queue.extend(requests)
            return
        super().sort(line)

    def accept(self, requests):
        self.queue.extend(requests)

    def pull(self, enough):
        """The main thread reads, unless `enough()` says that the watcher has already. False at the end."""
        if not self.reading.acquire(False):
            self.wanted = True  # a byte alone could be taken by a watcher that then comes back sooner than we
            try:
                os.write(self.wake_in, b"x")
            except BlockingIOError:
                pass
            self.reading.acquire()
            self.wanted = False
        try:
            return bool(enough()) or (not self.ended and self.receive())
        finally:
            self.reading.release()

    def work(self):
        """Runs all that is queued, in stretches whose answers leave together: as many jobs as take STRETCH, by what the
        last ones took. What is taken out of the queue is begun: the watcher answers only what is in it."""
        queue, clock, flush = self.queue, time.monotonic, self.channel.flush
        while queue:
            count = min(len(queue), self.pace)
            if count == 1 and len(queue) == 1:  # one at a time: nothing to measure
                self.stretch(1)
            else:
                begin = clock()
                self.stretch(count)
                self.pace = max(1, min(STRETCH_MAX, int(count * STRETCH / (clock() - begin + 1e-9))))
            flush()
        self.current = None

    def stretch(self, count):
        """Runs so many jobs. Each answer is on the shelf when its job has ended, and a job which kills the process takes no
        finished one with it."""
        quick = self.quick
        if quick is not None and self.channel.shelf.room() and (count == 1 or not self.channel.has_others()):
            self.stretch_quickly(quick, count)
            return
        for _ in itertools.repeat(None, count):
            try:
                self.current = self.take()
            except IndexError:  # the watcher gave the rest back
                return
            self.begin(self.current)

    def stretch_quickly(self, quick, count):
        """The same, where the library makes the plain calls and comes back with the others."""
        run = quick.run
        while count > 0:
            try:
                unusual = run(count)
            except BaseException as error:
                job, method, params = self.current
                self.failed(job, self.functions.known[method], params, error)
            else:
                if unusual is None:
                    return
                if unusual:
                    job, method, params = self.current
                    self.finish(job, self.functions.known[method], params, *unusual)
                else:
                    self.begin(self.current)
            count = quick.left()

    def begin(self, request):
        """Calls what is asked for, if it is a call, and answers."""
        found = self.look_into(request)
        if found is None:
            return
        job, function, params = found
        try:
            result = call(function, params)
        except BaseException as error:
            self.failed(job, function, params, error)
        else:
            self.finish(job, function, params, result)

    def finish(self, job, function, params, result, text=None):
        """Answers with what a function has returned, which may have to be waited for."""
        if type(result) not in PLAIN:
            try:
                if hasattr(result, "__await__"):
                    result = self.complete(result)
            except BaseException as error:
                self.failed(job, function, params, error)
                return
        if self.channel.forked:
            _leave_child(self.channel)
        if text is None:
            text = text_or_error(result)
        if type(text) is str:
            self.channel.answer(job, text)
        else:
            self.channel.fail(job, _no_json(result, text))

    def look_into(self, request):
        """(id, function, parameters) of a call; None once it is dealt with, since it was none, or not of a function."""
        if type(request) is tuple:
            request = dict(zip(("id", "method", "params"), request))
        if type(request) is not dict or "method" not in request or "id" not in request:
            self.current = None
            if self.sort_one(request):
                self.notified(request)
            return None
        function, params = self.find(request), request.get("params")
        if function is not None and type(params) not in (list, tuple, dict, type(None)):
            self.channel.fail(request["id"], bad_params(params))
            return None
        return None if function is None else (request["id"], function, params)

    def notified(self, request):
        """Calls what nobody wants an answer of. What it prints is the worker's own."""
        function = self.find(request)
        try:
            result = function and call(function, request.get("params"))
            if hasattr(result, "__await__"):
                self.complete(result)
        except BaseException as error:
            if self.channel.forked:
                _leave_child(self.channel, error)
            self.notification_failed(request["method"], error)
        if self.channel.forked:
            _leave_child(self.channel)
        self.channel.flush_others()
        self.channel.deliver()

    def failed(self, job, function, params, error):
        if self.channel.forked:
            _leave_child(self.channel, error)
        if job == self.cancel_asked and type(error).__name__ == "CancelledError":
            self.channel.fail(job, _cancelled(error))
        else:
            self.channel.fail(job, _call_failed(function, params, error))

    def complete(self, awaitable):
        """Runs a coroutine to its end, on a loop that lives as long as the worker."""
        asyncio = late("asyncio")
        async def whole():
            RUNNING.set(self.current)  # for the tasks that it begins, which may outlast it
            return await awaitable

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        self.task = self.loop.create_task(whole())
        if self.cancel_asked is not None and self.cancel_asked == self.running_job():
            self.interrupt(self.cancel_asked, self.task)
        try:
            while True:
                try:
                    return self.loop.run_until_complete(self.task)
                except (SystemExit, KeyboardInterrupt) as error:
                    if self.task.done() or self.channel.forked or not _is_left_behind(error, self.current):
                        raise
        except BaseException:
            if not (self.task.done() or self.channel.forked):
                self.abandon(self.task)
            raise
        finally:
            self.task = None

    def abandon(self, task):
        """Ends the coroutine of a job that has failed since the loop was left: by `sys.exit` in another task of its, by a
        signal's handler, by `stop`. In the loop it would go on with the next job, and fail that."""
        until = self.loop.time() + ABANDON_WITHIN
        task.cancel()
        while not task.done() and self.loop.time() < until:
            alarm = self.loop.call_at(until, self.loop.stop)
            try:
                self.loop.run_until_complete(task)
            except BaseException:  # how it ends does not matter; nor who else leaves the loop meanwhile
                pass
            alarm.cancel()
        if not task.done():
            self.loop = None  # the jobs that follow get another

    def watch(self):
        """The second thread: sleeps while the main thread waits for input, reads while one job takes long.

        It holds `reading` only while it reads; the main thread asks for it by `wanted` and a byte in the wake pipe.
        """
        while not self.ended:
            before = self.current
            self.nudge.acquire(True, WATCH_AFTER)
            with self.reading:  # held by the main thread for as long as it waits for input: no wake-ups when idle
                if self.ended:
                    return
                if (self.current is not before or before is None) and not self.others_wait:
                    continue
                self.read_for_main()

    def read_for_main(self):
        while not self.ended and not self.wanted:
            ready, _, _ = select.select([self.channel.incoming, self.wake_out], [], [], STREAM_EVERY)
            if self.wake_out in ready:
                os.read(self.wake_out, 4096)
                return
            if ready:
                self.receive()
                self.channel.flush()
            elif self.channel.printed or os.lseek(self.channel.capture, 0, 2) != self.channel.taken:
                self.channel.deliver()
                self.channel.flush()

    def recall(self, job):
        """Takes a job out of the queue that was not begun; whether there was one."""
        for request in list(self.queue):
            if id_of(request) == job:
                try:
                    self.queue.remove(request)
                except (ValueError, IndexError):
                    return False
                self.channel.fail(job, _cancelled())
                return True
        return False

    def cancel(self, job):
        """Takes a job out of the queue, or stops the coroutine, or tells where the running function is."""
        if self.recall(job):
            return
        if self.running_job() != job or job is None:
            return
        self.cancel_asked = job  # first, so that a task that is just being made sees it
        self.interrupt(job, self.task)

    def interrupt(self, job, task):
        if task is not None:
            self.loop.call_soon_threadsafe(task.cancel)
            _after(STUCK_AFTER, lambda: self.task is task and self.stuck(job, _task_stack(task, self.main), True))
            return
        frame = sys._current_frames()[self.main]
        if stack_of(frame):
            self.stuck(job, stack_of(frame), False)
        else:  # not in the function yet, or not any more
            _after(STUCK_AFTER, lambda: self.running_job() == job and self.task is None and self.interrupt(job, None))

    def running_job(self):
        return id_of(self.current)

    def current_job(self):
        """The running job, unless this is a thread or a task that an earlier one has left behind."""
        begun = RUNNING.get()
        return self.running_job() if begun is None or begun is self.current else None

    def owner(self):
        """Whose a thread is that is started here. One from before the first job serves whatever job runs."""
        begun = RUNNING.get()
        return self.current if begun is None else begun

    def is_open(self, job):
        return job == self.running_job()

    def expect(self, more):
        """Others than the main thread wait for answers: the watcher has to read at once."""
        with self.asking:
            self.others_wait += more
        if more > 0:
            try:
                self.nudge.release()
            except RuntimeError:  # it is awake already
                pass

    def wait_for(self, waiter):
        """Waits for an answer of supervisor. The main thread reads it itself: one round trip, no hand-over."""
        if threading.get_ident() != self.main:
            self.expect(1)
            waiter.wait()
            self.expect(-1)
            return
        while waiter.reply is None:
            self.pull(lambda: waiter.reply is not None)


def _is_left_behind(error, request):
    """Whether what left the loop was raised in a task or a callback of an earlier job than the one of this request."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "_run" and frame.f_globals.get("__name__") == "asyncio.events":
            begun = frame.f_locals["self"]._context.get(RUNNING)
            return begun is not None and begun is not request
        trace = trace.tb_next
    return False


PLAIN = frozenset((int, str, float, bool, type(None), list, dict))  # kinds of results that nobody waits for


def id_of(request):
    """Whose request this is: a message, or (id, method, parameters) where the library has read it."""
    if type(request) is tuple:
        return request[0]
    return request.get("id") if type(request) is dict else None


def call(function, params):
    """Calls with named parameters, or none."""
    return function(**params) if type(params) is dict else function(*(params or ()))


def _leave_child(channel, error=None):
    """A forked child of the user's function came back into the shim: it ends as Python would end it."""
    channel.let_go()
    if error is None:
        os._exit(0)
    if issubclass(type(error), SystemExit):
        code = error.code
        if code is None or isinstance(code, int):
            os._exit((code or 0) & 0xFF)
        os.write(2, ("%s\n" % (code,)).encode())
    else:
        os.write(2, describe(error)[2].encode("utf-8", "backslashreplace"))
    os._exit(1)


def _after(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def _task_stack(task, thread):
    """Where a coroutine waits, or where it holds the event loop up."""
    chain, awaited = [], task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None and not _is_ours(frame.f_code.co_filename):
            chain.append((frame, frame.f_lineno))
        if getattr(awaited, "cr_running", False):
            return stack_of(sys._current_frames()[thread])
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    lines = late("traceback").StackSummary.extract(chain).format()
    return _shorten("Traceback (most recent call last):\n" + "".join(lines), MAX_TRACEBACK)


