# ---- the channel -------------------------------------------------------------------------------------------------


# To be woken takes longer than a short call does. So after a wait of at most LOOK seconds the next begins with a look
# that does not sleep, for as long; unless much came at once, which is no single call. (`edge::Lookout` is the same.)
LOOK = 0.0002
FLOW_BYTES = 1 << 14


class Channel:
    """The two private descriptors, the lock that keeps lines whole, and what was printed."""

    def __init__(self):
        for fd in (0, 1, 2):
            try:
                fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        self.incoming = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
        self.shelf = Shelf(fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM))
        self.crash = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
        self.writing = Turn()
        self.arrivals = select.poll()
        self.arrivals.register(self.incoming, select.POLLIN)
        self.look_takes = LOOK if len(os.sched_getaffinity(0)) > 1 else -1
        self.comes_soon = False  # the last wait was short
        self.tail = []
        self.printed = collections.deque()
        self.pending = 0
        self.taken = 0  # how far the file behind descriptor 1 was read
        self.front = b""  # how it begins
        self.resting = 0  # its length when the last job had ended: no other since, and this one has printed nothing there
        self.reopened = False  # somebody has opened it by its name /dev/stdout
        self.forked = False
        self.torn = {}  # of a forked child: by descriptor, the line that has not ended. Others print beside it, in lines
        self.job = lambda: None  # the id of the job that is running in this thread or task
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.capture = memory_file("supervisor-stdout")
        fcntl.fcntl(self.capture, fcntl.F_SETFL, fcntl.fcntl(self.capture, fcntl.F_GETFL) | os.O_APPEND)
        os.dup2(self.capture, 1)
        sys.stdout = self.out = Stream(self, "stdout", 1)
        sys.stderr = self.err = Stream(self, "stderr", 2)
        os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self):
        """A forked child has no channel: its output goes to the descriptors, and it must not answer."""
        self.forked = True
        self.torn = {}
        self.writing = Turn()
        self.printed.clear()
        for fd in (self.incoming, self.shelf.outgoing):
            try:
                os.close(fd)
            except OSError:
                pass
        self.incoming = -1
        self.shelf = Shelf(-1)
        faulthandler.unregister(signal.SIGTERM)

    def read_lines(self):
        """The lines that have arrived, None at the end. Blocks for at least one piece; nothing is held back meanwhile."""
        self.flush()
        begin = time.monotonic()
        if self.comes_soon:
            self.look(begin)
        piece = os.read(self.incoming, 65536)
        self.comes_soon = len(piece) < FLOW_BYTES and time.monotonic() - begin <= self.look_takes
        if not piece:
            return None
        if b"\n" not in piece:
            self.tail.append(piece)
            return ()
        lines = piece.split(b"\n")
        if self.tail:
            self.tail.append(lines[0])
            lines[0] = b"".join(self.tail)
            self.tail = []
        last = lines.pop()
        if last:
            self.tail.append(last)
        return lines

    def look(self, begin):
        """Looks for what comes next without sleeping, and leaves the core to whoever can use it meanwhile."""
        arrived = self.arrivals.poll
        while not arrived(0) and time.monotonic() - begin < self.look_takes:
            os.sched_yield()

    def send(self, text):
        """One line, to be read now, and all that was said before it."""
        self.say(text)
        self.flush()

    def say(self, text):
        """One line, which may wait on the shelf until `flush`."""
        try:
            data = text.encode()
        except UnicodeEncodeError:  # a lone surrogate inside a string: only an escape can carry it
            data = to_ascii_json(value_of(text)).encode() + b"\n"
        with self.writing:
            self.shelf.put(data)

    def flush(self):
        """Puts what waits into the pipe."""
        if self.shelf.held() > SHELF_HEAD:
            with self.writing:
                self.shelf.flush()

    def answer(self, job, text):
        """The result of a job, given as JSON text, after what it printed."""
        self.flush_others()
        if self.printed or os.lseek(self.capture, 0, 2) != self.resting:
            self.conclude(job)
        if type(job) is not int:
            job = to_json(job)
        self.say('{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (job, text))

    def fail(self, job, error):
        """The failure of a job, after what it printed."""
        self.flush_others()
        self.conclude(job)
        self.say(_readable({"jsonrpc": "2.0", "id": job, "error": error}))

    def request(self, name, method, params):
        self.send(to_json({"jsonrpc": "2.0", "id": name, "method": method, "params": params}) + "\n")

    def notify(self, method, params):
        self.send(_readable({"jsonrpc": "2.0", "method": method, "params": params}))

    def ready(self, params):
        """The first line; what is said is counted from its end on."""
        line = to_json({"jsonrpc": "2.0", "method": "ready", "params": params}) + "\n"
        with self.writing:
            self.shelf.put(line.encode())
            self.shelf.begin()

    def has_others(self):
        """Whether a user's streams stand in for ours: a TextIOWrapper around `sys.stdout.buffer`, say."""
        return getattr(sys, "stdout", None) is not self.out or getattr(sys, "stderr", None) is not self.err

    def flush_others(self):
        """Such a stream holds back what a job printed."""
        if self.has_others():
            for name in ("stdout", "stderr"):
                try:
                    getattr(sys, name).flush()
                except Exception:  # it may be anything, or closed
                    pass

    def deliver(self):
        """Says what was printed so far. Taking and saying are one step, so that no answer overtakes it."""
        with self.writing:
            self._deliver()

    def conclude(self, job):
        """The same at the end of a job. The next one finds the file behind descriptor 1 empty if this was the only one."""
        with self.writing:
            self._deliver()
            if self.taken != self.resting and job is not None and job == self.capture_job():
                self._empty()

    def _empty(self):
        """Who opens /dev/stdout makes the file behind it empty, and writes from its front, where another job's output may have
        been. So none is left there when a job begins; unless processes are, which could print between two of these lines and
        lose it. That risk is the lesser one where /dev/stdout was opened before."""
        if self.taken and (self.reopened or _has_no_children()):
            if os.lseek(self.capture, 0, 2) != self.taken:
                return
            os.ftruncate(self.capture, 0)
            self.taken = 0
        self.resting = self.taken

    def _deliver(self):
        self._collect()
        parts = []
        while self.printed:
            parts.append(self.printed.popleft())
        self.pending = 0
        at = 0
        while at < len(parts):
            job, stream, _ = parts[at]
            run = []
            while at < len(parts) and parts[at][0] == job and parts[at][1] == stream:
                run.append(parts[at][2])
                at += 1
            params = {} if job is None else {"id": job}
            for data in _pieces(run):
                params.update(stream=stream, data=data)
                line = to_json({"jsonrpc": "2.0", "method": "output", "params": params}) + "\n"
                self.shelf.put(line.encode())

    def _collect(self):
        """Takes what was written to descriptor 1 by other means than `sys.stdout`; the lock is held."""
        end = os.lseek(self.capture, 0, 2)
        if self.taken and (end < self.taken or os.pread(self.capture, len(self.front), 0) != self.front):
            self.taken, self.reopened = 0, True  # it was made empty, and all of it is new
        while self.taken < end:
            piece = os.pread(self.capture, end - self.taken, self.taken)
            if not piece:
                break
            self.taken += len(piece)
            self.printed.append((self.capture_job(), "stdout", piece))
        self.front = os.pread(self.capture, 16, 0)
        if self.taken > 1 << 22 and self.taken == os.lseek(self.capture, 0, 2):
            os.ftruncate(self.capture, 0)
            self.taken = 0

    def capture_job(self):
        """Whose descriptor 1 is: the running job's when there is only one at a time."""
        return None

    def print(self, stream, data):
        """Keeps what was printed until its job ends, or there is much of it."""
        if self.forked:
            raw = data if type(data) is bytes else data.encode("utf-8", "surrogateescape")
            fd = 1 if stream == "stdout" else 2
            raw = self.torn.pop(fd, b"") + raw
            end = raw.rfind(b"\n") + 1 if len(raw) < PENDING_OUTPUT else len(raw)
            if end < len(raw):
                self.torn[fd] = raw[end:]
            _write_all(fd, raw[:end])
            return
        if os.lseek(self.capture, 0, 2) != self.taken and self.writing.acquire(False):
            try:
                self._collect()  # a child wrote before this: the order is kept
            finally:
                self.writing.release()
        self.printed.append((self.job(), stream, data))
        self.pending += len(data)
        if self.pending > PENDING_OUTPUT or (stream == "stderr" and data.endswith("\n" if type(data) is str else b"\n")):
            self.let_go()

    def let_go(self):
        """What was printed so far is told, though the process may die next: from the shelf it is taken then."""
        while self.torn:
            _write_all(*self.torn.popitem())
        if self.printed and not self.forked and self.writing.acquire(False):
            try:
                self._deliver()
            finally:
                self.writing.release()


def _write_all(fd, raw):
    while raw:
        raw = raw[os.write(fd, raw) :]


def _has_no_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return False
    except ChildProcessError:
        return True


def _readable(message):
    """A line for people. Half a character, as in the name of a file that is no UTF-8, is written out: no text has one."""
    line = to_json(message) + "\n"
    try:
        line.encode()
        return line
    except UnicodeEncodeError:
        return "".join("\\\\u%04x" % ord(one) if "\ud800" <= one <= "\udfff" else one for one in line)


def _pieces(parts):
    """What was printed, in pieces of which each makes a line that is not too long for anybody."""
    if all(type(part) is str for part in parts):
        whole = "".join(parts)
    else:
        whole = b"".join(part if type(part) is bytes else part.encode("utf-8", "surrogatepass") for part in parts)
    return (_text(whole[at : at + OUTPUT_PIECE]) for at in range(0, len(whole), OUTPUT_PIECE))


def _text(data):
    """One string, or base64 when it is no UTF-8."""
    if type(data) is str:
        try:
            data.encode()
            return data
        except UnicodeEncodeError:
            data = data.encode("utf-8", "surrogatepass")
    try:
        return data.decode()
    except UnicodeDecodeError:
        try:
            data = data.decode("utf-8", "surrogatepass").encode("utf-8", "surrogateescape")
        except UnicodeError:
            pass
        return _unusual(data)
