# ---- what both ways of running have in common ----------------------------------------------------------------------


class Worker:
    """What both ways of running have in common: messages in, waiting for answers of supervisor."""

    def __init__(self, channel):
        self.channel = channel
        self.functions = None
        self.ended = False
        self.waiters = {}
        self.asked = 0
        self.asking = _thread.allocate_lock()

    def start_thread(self, work):
        """A thread that others wait for. Without it they would wait for ever: an exception that leaves it, as none should,
        ends the process where all can see it, and supervisor sees to the jobs."""

        def guarded():
            try:
                work()
            except BaseException as error:
                _die(self.channel, error)

        _thread.start_new_thread(guarded, ())

    def receive(self):
        """Reads once and sorts what came. False at the end."""
        lines = self.channel.read_lines()
        if lines is None:
            self.end()
            return False
        for line in lines:
            if line and not line.isspace():
                self.sort(line)
        return True

    def end(self):
        self.ended = True
        for waiter in list(self.waiters.values()):
            waiter.settle({"error": {"code": -32001, "message": "supervisor has closed the channel"}})

    def sort(self, line):
        try:
            message = from_json(line)
        except (ValueError, RecursionError) as error:
            # A plain ValueError is no fault of the line: it is of a number that is too long for Python.
            message = readable_parts(line) if type(error) in (ValueError, RecursionError) else None
            if not message:
                self.channel.fail(None, {"code": PARSE_ERROR, "message": "the line is no JSON: %s" % error})
                return
        if type(message) is not list:
            message = [message]
        elif not message:
            self.channel.fail(None, {"code": INVALID_REQUEST, "message": "an empty batch"})
        requests = [one for one in message if self.sort_one(one)]
        if requests:
            self.accept(requests)

    def sort_one(self, one):
        """Deals with one message, unless it is a call, which is accepted with those that came with it."""
        if type(one) is not dict:
            self.channel.fail(None, {"code": INVALID_REQUEST, "message": "a message is a JSON object"})
        elif "method" in one:
            if "id" in one or not str(one["method"]).startswith("$/"):
                return True
            job = one["params"].get("id") if type(one.get("params")) is dict else None
            if job is None:
                pass
            elif one["method"] == "$/cancelRequest":
                self.cancel(job)
            elif one["method"] == "$/recall":
                self.recall(job)
        elif "result" in one or "error" in one:
            waiter = self.waiters.get(one.get("id")) if type(one.get("id")) is str else None
            if waiter:
                waiter.settle(one)
        else:
            self.channel.fail(None, {"code": INVALID_REQUEST, "message": "neither a request nor an answer"})
        return False

    def find(self, request):
        """The function of a call, or None after it was told why there is none."""
        try:
            return self.functions.find(request["method"])
        except BaseException as error:  # a module's or class's own code may run and raise
            if "id" not in request:
                self.notification_failed(request["method"], error)
            elif isinstance(error, UnknownMethod):
                self.channel.fail(request["id"], {"code": UNKNOWN_METHOD, "message": str(error)})
            else:
                self.channel.fail(request["id"], _failure(error))
        return None

    def notification_failed(self, method, error):
        """A call that wants no answer, as one of --init may be: what went wrong with it is told as the worker's own output."""
        why = str(error) if isinstance(error, UnknownMethod) else describe(error)[2].rstrip()
        self.channel.flush_others()
        self.channel.deliver()
        self.channel.notify("output", {"stream": "stderr", "data": "the notification %s failed: %s\n" % (method, why)})

    def ask(self, method, params, waiter):
        """Sends a request of our own; `waiter` is settled by its answer."""
        with self.asking:
            self.asked += 1
            name = "$py-%d" % self.asked
        self.waiters[name] = waiter
        waiter.forget = lambda: self.waiters.pop(name, None)
        self.channel.request(name, method, params)

    def stuck(self, job, trace, interruptible, blocking=False):
        """A cancelled job that still runs: its record gets the place, before the worker is killed."""
        # At the end it would tell the same again, less readably; and where threads run on meanwhile, it may fall over them.
        faulthandler.unregister(signal.SIGTERM)
        self.channel.deliver()
        self.channel.notify("stuck", {"id": job, "interruptible": interruptible, "blocking": blocking, "traceback": trace})


def _die(channel, error, end=os._exit):
    """Whatever a function has done to the libraries, it ends."""
    try:
        try:
            text = "".join(late("traceback").format_exception(type(error), error, error.__traceback__))
        except BaseException:
            text = describe(error)[1] + "\n"
        os.write(channel.crash, text.encode("utf-8", "backslashreplace"))
    finally:
        end(1)


class Waiter:
    """An answer of supervisor that a thread waits for."""

    def __init__(self):
        self.reply = None
        self.arrived = _thread.allocate_lock()
        self.arrived.acquire()
        self.forget = lambda: None

    def settle(self, reply):
        if self.reply is None:
            self.forget()
            self.reply = reply
            self.arrived.release()

    def wait(self):
        self.arrived.acquire()


