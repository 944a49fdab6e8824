"""The Python worker of supervisor: runs functions of a user's module, one JSON-RPC message a line.

Started by supervisor as `python3 -c LOADER CONCURRENCY SPEC`; LOADER runs this text, which comes in the environment
(so that `ps` shows a short line) and leaves it.
SPEC is FILE[:FUNCTION] or MODULE[:FUNCTION]. Needs nothing but the standard library of Python 3.8 or newer.

What it owns: the channel. Before any code of the user runs, descriptors 0 and 1 are moved to private places;
0 becomes empty, and 1 a file in memory whose content belongs to the job that runs. Descriptor 2 stays as it is, for
what a dying interpreter has to say. What it never does: decide about retries, timeouts or order.

Who reads. With one job at a time (Serial) the main thread reads, calls and answers: no hand-over, the fastest way. A
job that takes longer than WATCH_AFTER is watched by a second thread, which reads meanwhile, so that a cancellation, an
answer to another thread's request, and printed output are not kept waiting. With several at a time (Concurrent) one
thread reads, coroutines run on the main thread's event loop and plain functions in as many threads as are needed.

Messages to supervisor, besides answers. JOB is the id of the request that is running, or null.

    ready       {"protocol":1,"name":"python","pid":P,"concurrency":M,"prefetch":true,"batch":true}   the first line
    failed      {"message":"...","traceback":"..."}       instead of ready; the process then exits with 1
    output      {"id":JOB,"stream":"stdout"|"stderr","data":"text" | {"base64":"..."}}    no "id": the worker's own
    stuck       {"id":JOB,"interruptible":false,"traceback":"..."}    a cancelled job still runs; where it is. False: it
                 is a plain function, and waiting for it to notice is no use
    progress    {"id":JOB,"done":N,"total":N|null,"message":"..."|null}
    log         {"id":JOB,"level":"error"|"warning"|"info"|"debug","message":"..."}

Requests to supervisor, with ids "py-1", "py-2", ...; each has "name" and "job":JOB. "timeout" (seconds) is optional.

    lock.acquire       {timeout}              -> {"acquired":true,"previous_holder_died":false}
    lock.release       {}                     -> {}
    semaphore.acquire  {value,timeout}        -> {"acquired":true}      value: the count it is made with
    semaphore.release  {value}                -> {}
    event.set, .clear  {}                     -> {}
    event.is_set       {}                     -> {"set":true}
    event.wait         {timeout}              -> {"set":true}           false: the timeout has passed
    barrier.wait       {parties,timeout}      -> {"index":0}            or {"broken":true}
    value.get          {initial}              -> {"value":V}            initial: what it is made with
    value.set          {initial,value}        -> {"value":V}
    value.add          {initial,amount}       -> {"value":V}            after the addition
    value.cas          {initial,expected,new} -> {"swapped":true,"value":V}
    queue.put          {maxsize,item,timeout} -> {"ok":true}            false: full until the timeout
    queue.get          {maxsize,timeout}      -> {"ok":true,"item":I}   false: empty until the timeout
    queue.size         {maxsize}              -> {"size":N}

Error -32010 to any that waits: waiting would be a deadlock.
"""

import sys

if sys.path and sys.path[0] == "":  # put there by -c; a user's json.py must not become ours
    del sys.path[0]

import _thread
import atexit
import collections
import contextvars
import faulthandler
import fcntl
import importlib
import io
import json
import json.encoder
import json.scanner
import os
import select
import signal
import threading
import traceback
import types

PROTOCOL = 1
SHIM = __spv_file__ if "__spv_file__" in globals() else __file__  # noqa: F821 (set by the loader)
OURS = (SHIM, getattr(importlib, "__file__", None))  # files whose frames tell a user nothing
WATCH_AFTER = 0.02  # seconds after which a running job is watched
STUCK_AFTER = 0.3  # seconds a cancelled coroutine may take before its place is told
STREAM_EVERY = 0.1  # seconds between two deliveries of what a watched job prints
PENDING_OUTPUT = 1 << 18  # characters printed that are kept before they are sent
MAX_TRACEBACK = 1 << 16
MAX_MESSAGE = 1 << 13

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602
FUNCTION_FAILED, CANCELLED, DEADLOCK = -32000, -32800, -32010


# ---- JSON --------------------------------------------------------------------------------------------------------


def _unusual(value):
    """What becomes of a value that JSON has no word for. Raises TypeError for what cannot be told."""
    kind = type(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        import base64

        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, (set, frozenset)):
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    if isinstance(value, (types.GeneratorType, range, map, filter, zip, collections.deque)) or isinstance(
        value, (type({}.keys()), type({}.values()), type({}.items()))
    ):
        return list(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__ if hasattr(value, name)}
    family = kind.__module__.partition(".")[0]
    if family == "datetime" and hasattr(value, "isoformat"):
        return value.isoformat()
    if family == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if (family, kind.__name__) in (("decimal", "Decimal"), ("uuid", "UUID")):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if "enum" in sys.modules and isinstance(value, sys.modules["enum"].Enum):
        return value.value
    raise TypeError("%s has no form in JSON" % _kind_name(kind))


def _kind_name(kind):
    return kind.__qualname__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__qualname__)


_options = {"allow_nan": False, "separators": (",", ":"), "default": _unusual}
to_json = json.JSONEncoder(ensure_ascii=False, **_options).encode
to_ascii_json = json.JSONEncoder(ensure_ascii=True, **_options).encode
quote = json.encoder.encode_basestring
_scan = json.scanner.make_scanner(json.JSONDecoder())


def from_json(line):
    """The value of one line. Raises ValueError (which includes UnicodeDecodeError)."""
    text = line.decode()
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    return json.loads(text)


def result_json(result):
    """The JSON text of a function's result. Raises whatever the encoder raises."""
    kind = type(result)
    if kind is str:
        return quote(result)
    if result is None:
        return "null"
    return to_json(result)


# ---- errors ------------------------------------------------------------------------------------------------------


def _shorten(text, most):
    if len(text) <= most:
        return text
    head = most // 4
    return "%s\n  ... %d characters left out ...\n%s" % (text[:head], len(text) - most, text[head - most :])


def _is_ours(filename):
    return filename in OURS or filename.startswith("<frozen importlib")


def describe(error):
    """(type name, message, traceback) of an exception; the shim's own frames are left out."""
    name = type(error).__qualname__
    try:
        text = str(error)
    except BaseException as second:
        text = "<its text cannot be told: %s>" % type(second).__qualname__
    message = _shorten("%s: %s" % (name, text) if text else name, MAX_MESSAGE)
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    try:
        lines = traceback.format_exception(type(error), error.with_traceback(frames), frames)
        trace = _shorten("".join(lines), MAX_TRACEBACK)
    except BaseException as second:
        trace = "%s\n(the traceback cannot be told: %s)\n" % (message, type(second).__qualname__)
    return name, message, trace


def _failure(error):
    name, message, trace = describe(error)
    return {"code": FUNCTION_FAILED, "message": message, "data": {"type": name, "traceback": trace}}


def _no_json(result, error):
    """A result that cannot be told fails its job, with the type named."""
    kind = _kind_name(type(result))
    message = "the result, %s %s, is no JSON: %s" % ("an" if kind[:1] in "aeiou" else "a", kind, describe(error)[1])
    return {"code": FUNCTION_FAILED, "message": message, "data": {"type": type(error).__qualname__, "result_type": kind}}


def _call_failed(function, params, error):
    """Arguments that do not fit are told apart from a TypeError of the function itself; only looked at after it."""
    inner = error.__traceback__
    while inner is not None and _is_ours(inner.tb_frame.f_code.co_filename):
        inner = inner.tb_next
    if isinstance(error, TypeError) and inner is None:
        import inspect

        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return _failure(error)
        try:
            signature.bind(**params) if type(params) is dict else signature.bind(*(params or []))
        except TypeError as misfit:
            name = getattr(function, "__qualname__", repr(function))
            message = "%s%s: %s" % (name, signature, misfit)
            return {"code": BAD_PARAMS, "message": _shorten(message, MAX_MESSAGE), "data": {"type": "TypeError"}}
    return _failure(error)


def _cancelled(error=None):
    """The answer to a cancelled job: `error` is how it left the place where it was, None when it had not begun."""
    data = {"begun": error is not None}
    if error is not None:
        data["traceback"] = describe(error)[2]
    return {"code": CANCELLED, "message": "cancelled", "data": data}


def stack_of(frame):
    """The stack of a frame, oldest call first, from the user's first frame on; empty when there is none."""
    stack = traceback.extract_stack(frame)
    while stack and _is_ours(stack[-1].filename):  # waiting inside a lock of ours: its caller is the place
        stack.pop()
    first = max((at + 1 for at, one in enumerate(stack) if one.filename == SHIM), default=0)
    stack = stack[first:] if first else []
    if not stack:
        return ""
    return _shorten("Traceback (most recent call last):\n" + "".join(traceback.format_list(stack)), MAX_TRACEBACK)


# ---- the channel -------------------------------------------------------------------------------------------------


# Private descriptors start here, out of the way of programs that count on low numbers; lower where few are allowed.
PRIVATE_FROM = max(3, min(64, os.sysconf("SC_OPEN_MAX") // 2))


class Channel:
    """The two private descriptors, the lock that keeps lines whole, and what was printed."""

    def __init__(self):
        for fd in (0, 1, 2):
            try:
                fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        self.incoming = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
        self.outgoing = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
        self.crash = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
        self.writing = _thread.allocate_lock()
        self.tail = []
        self.printed = collections.deque()
        self.pending = 0
        self.taken = 0
        self.forked = False
        self.job = lambda: None  # the id of the job that is running in this thread or task
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.capture = self._memory_file()
        os.dup2(self.capture, 1)
        sys.stdout = Stream(self, "stdout", 1)
        sys.stderr = Stream(self, "stderr", 2)
        os.register_at_fork(after_in_child=self._in_child)

    @staticmethod
    def _memory_file():
        try:
            fd = os.memfd_create("supervisor-stdout")
        except (AttributeError, OSError):
            import tempfile

            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        private = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
        os.close(fd)
        fcntl.fcntl(private, fcntl.F_SETFL, fcntl.fcntl(private, fcntl.F_GETFL) | os.O_APPEND)
        return private

    def _in_child(self):
        """A forked child has no channel: its output goes to the descriptors, and it must not answer."""
        self.forked = True
        self.writing = _thread.allocate_lock()
        self.printed.clear()
        for fd in (self.incoming, self.outgoing):
            try:
                os.close(fd)
            except OSError:
                pass
        self.incoming = self.outgoing = -1
        faulthandler.unregister(signal.SIGTERM)

    def read_lines(self):
        """The lines that have arrived, None at the end. Blocks for at least one piece."""
        piece = os.read(self.incoming, 65536)
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

    def _write(self, data):
        """Writes all of it; the lock is held. Ends the process when there is nobody left to write to."""
        try:
            done = os.write(self.outgoing, data)
            if done != len(data):
                view = memoryview(data)
                while done < len(data):
                    try:
                        done += os.write(self.outgoing, view[done:])
                    except BlockingIOError:
                        select.select([], [self.outgoing], [])
        except BlockingIOError:
            select.select([], [self.outgoing], [])
            self._write(data)
        except OSError:
            os._exit(0 if self.forked else 1)

    def send(self, text):
        """One line."""
        try:
            data = text.encode()
        except UnicodeEncodeError:  # a lone surrogate inside a string: only an escape can carry it
            data = to_ascii_json(json.loads(text)).encode() + b"\n"
        with self.writing:
            self._write(data)

    def answer(self, job, text):
        """The result of a job, given as JSON text, after what it printed."""
        if self.printed or os.lseek(self.capture, 0, 2) != self.taken:
            self.deliver()
        if type(job) is not int:
            job = to_json(job)
        self.send('{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (job, text))

    def fail(self, job, error):
        """The failure of a job, after what it printed."""
        self.deliver()
        self.send(to_json({"jsonrpc": "2.0", "id": job, "error": error}) + "\n")

    def request(self, name, method, params):
        self.send(to_json({"jsonrpc": "2.0", "id": name, "method": method, "params": params}) + "\n")

    def notify(self, method, params):
        self.send(to_json({"jsonrpc": "2.0", "method": method, "params": params}) + "\n")

    def deliver(self):
        """Sends what was printed so far. Taking and writing are one step, so that no answer overtakes it."""
        with self.writing:
            self._deliver()

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
            params.update(stream=stream, data=_text(run))
            line = to_json({"jsonrpc": "2.0", "method": "output", "params": params}) + "\n"
            self._write(line.encode())

    def _collect(self):
        """Takes what was written to descriptor 1 by other means than `sys.stdout`; the lock is held."""
        end = os.lseek(self.capture, 0, 2)
        while self.taken < end:
            piece = os.pread(self.capture, end - self.taken, self.taken)
            if not piece:
                break
            self.taken += len(piece)
            self.printed.append((self.capture_job(), "stdout", piece))
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
            while raw:
                raw = raw[os.write(fd, raw) :]
            return
        if os.lseek(self.capture, 0, 2) != self.taken and self.writing.acquire(False):
            try:
                self._collect()  # a child wrote before this: the order is kept
            finally:
                self.writing.release()
        self.printed.append((self.job(), stream, data))
        self.pending += len(data)
        if self.pending > PENDING_OUTPUT and self.writing.acquire(False):
            try:
                self._deliver()
            finally:
                self.writing.release()


def _text(parts):
    """One string, or base64 when it is no UTF-8."""
    if all(type(part) is str for part in parts):
        text = "".join(parts)
        try:
            text.encode()
            return text
        except UnicodeEncodeError:
            parts = [text]
    raw = b"".join(part if type(part) is bytes else part.encode("utf-8", "surrogatepass") for part in parts)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        try:
            raw = raw.decode("utf-8", "surrogatepass").encode("utf-8", "surrogateescape")
        except UnicodeError:
            pass
        return _unusual(raw)


class Stream(io.TextIOBase):
    """What `sys.stdout` and `sys.stderr` are: each piece belongs to the job that prints it."""

    encoding = "utf-8"
    errors = "surrogateescape"
    newlines = None
    line_buffering = False
    write_through = False

    def __init__(self, channel, stream, fd):
        super().__init__()
        self._channel = channel
        self._fd = fd
        self.name = "<%s>" % stream
        self.mode = "w"
        self._stream = stream
        self.buffer = BinaryStream(channel, stream, fd)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        if text:
            self._channel.print(self._stream, str(text))
        return len(text)

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self._fd

    def flush(self):
        pass

    def close(self):
        pass

    def reconfigure(self, **_):
        pass


class BinaryStream(io.BufferedIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, channel, stream, fd):
        super().__init__()
        self._channel = channel
        self._fd = fd
        self._stream = stream
        self.name = "<%s>" % stream
        self.mode = "wb"

    def write(self, data):
        data = bytes(data)
        if data:
            self._channel.print(self._stream, data)
        return len(data)

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    def flush(self):
        pass

    def close(self):
        pass


# ---- the functions -----------------------------------------------------------------------------------------------


class UnknownMethod(Exception):
    """No function of that name may be called."""


class Functions:
    """The functions of one module, by the name a job gives."""

    def __init__(self, module):
        self.module = module
        self.known = {}
        self.instances = {}

    def find(self, name):
        """The callable of that name. Names with a leading underscore and imported things are no functions of ours."""
        if name in self.known:
            return self.known[name]
        function = self.look_up(name, trusted=False)
        self.known[name] = function
        return function

    def look_up(self, name, trusted):
        holder = self.module
        parts = name.split(".") if type(name) is str else [""]
        if any(not part or part.startswith("_") for part in parts):
            raise UnknownMethod(self._unknown(name))
        for number, part in enumerate(parts):
            try:
                found = getattr(holder, part)
            except AttributeError:
                raise UnknownMethod(self._unknown(name)) from None
            if number == 0 and not trusted and not self._is_own(part, found):
                raise UnknownMethod("%s is imported into %s, not defined there" % (name, self.module.__name__))
            if isinstance(found, types.ModuleType):
                raise UnknownMethod("%s is a module, not a function" % ".".join(parts[: number + 1]))
            if isinstance(holder, type) and isinstance(found, types.FunctionType):
                if not isinstance(_static(holder, part), staticmethod):
                    found = getattr(self._instance(holder), part)
            holder = found
        if not callable(holder):
            raise UnknownMethod("%s in %s is no function" % (name, self.module.__name__))
        return holder

    def _instance(self, kind):
        """Methods are called on one object for each worker, made without arguments when it is first needed."""
        if kind not in self.instances:
            self.instances[kind] = kind()
        return self.instances[kind]

    def _is_own(self, name, found):
        if name in (getattr(self.module, "__all__", None) or ()):
            return True
        home = self.module.__name__
        inner = getattr(found, "func", None) or getattr(found, "__func__", None) or found
        origin = getattr(inner, "__module__", None)
        package = hasattr(self.module, "__path__") and isinstance(origin, str) and origin.startswith(home + ".")
        return origin == home or package

    def names(self):
        """What may be called, for suggestions."""
        own = [name for name, found in vars(self.module).items() if not name.startswith("_") and callable(found)]
        return sorted(name for name in own if self._is_own(name, getattr(self.module, name)))

    def _unknown(self, name):
        import difflib

        near = difflib.get_close_matches(str(name), self.names(), 1)
        hint = "; did you mean %s?" % near[0] if near else ""
        return "no function %s in %s%s" % (name, self.module.__name__, hint)


def _static(kind, name):
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None


def split_spec(spec):
    """FILE_OR_MODULE[:FUNCTION]."""
    place, colon, function = spec.rpartition(":")
    if colon and all(part.isidentifier() for part in function.split(".")):
        return place, function
    return spec, None


def load(place):
    """Imports the user's module; `sys.argv` is what a program started with it would see."""
    import importlib.util

    sys.argv[:] = [place]
    if not _is_file(place):
        module = importlib.import_module(place)
        sys.argv[:] = [getattr(module, "__file__", None) or place]
        return module
    path = os.path.abspath(place)
    if not os.path.isfile(path):
        raise FileNotFoundError("no file %s" % place)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:  # what the interpreter has loaded under that name stays what it is
        name = "user_" + name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError("%s is no Python file" % place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# ---- one job at a time -------------------------------------------------------------------------------------------


class Worker:
    """What both ways of running have in common: messages in, waiting for answers of supervisor."""

    def __init__(self, channel):
        self.channel = channel
        self.functions = None
        self.ended = False
        self.waiters = {}
        self.asked = 0
        self.asking = _thread.allocate_lock()

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
            self.channel.fail(None, {"code": PARSE_ERROR, "message": "the line is no JSON: %s" % error})
            return
        if type(message) is not list:
            message = [message]
        elif not message:
            self.channel.fail(None, {"code": INVALID_REQUEST, "message": "an empty batch"})
        requests = []
        for one in message:
            if type(one) is not dict:
                self.channel.fail(None, {"code": INVALID_REQUEST, "message": "a message is a JSON object"})
            elif "method" in one:
                if "id" in one:
                    requests.append(one)
                elif type(one.get("params")) is not dict:
                    pass
                elif one["method"] == "$/cancelRequest":
                    self.cancel(one["params"].get("id"))
                elif one["method"] == "$/recall":
                    self.recall(one["params"].get("id"))
            elif "result" in one or "error" in one:
                waiter = self.waiters.get(one.get("id")) if type(one.get("id")) is str else None
                if waiter:
                    waiter.settle(one)
            else:
                self.channel.fail(None, {"code": INVALID_REQUEST, "message": "neither a request nor an answer"})
        if requests:
            self.accept(requests)

    def find(self, request):
        """The function of a request, or None after it was answered with an error."""
        try:
            return self.functions.find(request["method"])
        except UnknownMethod as error:
            self.channel.fail(request["id"], {"code": UNKNOWN_METHOD, "message": str(error)})
        except BaseException as error:  # a module's or class's own code ran and raised
            self.channel.fail(request["id"], _failure(error))
        return None

    def ask(self, method, params, waiter):
        """Sends a request of our own; `waiter` is settled by its answer."""
        with self.asking:
            self.asked += 1
            name = "py-%d" % self.asked
        self.waiters[name] = waiter
        waiter.forget = lambda: self.waiters.pop(name, None)
        self.channel.request(name, method, params)

    def stuck(self, job, trace, interruptible):
        """A cancelled job that still runs: its record gets the place, before the worker is killed."""
        self.channel.deliver()
        self.channel.notify("stuck", {"id": job, "interruptible": interruptible, "traceback": trace})
        faulthandler.unregister(signal.SIGTERM)  # it would tell the same again, less readably


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


class Serial(Worker):
    """One job at a time, on the main thread."""

    def __init__(self, channel):
        super().__init__(channel)
        self.queue = collections.deque()
        self.current = None
        self.begun = 0
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
        channel.job = channel.capture_job = lambda: self.current
        self.main = threading.get_ident()

    def run(self):
        _thread.start_new_thread(self.watch, ())
        while self.pull(lambda: self.queue):
            self.work()
        self.work()

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
        """Runs all that is queued. What is taken out of the queue is begun: the watcher answers only what is in it.

        This is the hot path: a call of `x + 1` costs about as much as the one write of its answer. Each answer is
        written when it is there, so that a job which kills the process takes no finished one with it.
        """
        channel, known, take = self.channel, self.functions.known, self.queue.popleft
        printed, lseek, capture = channel.printed, os.lseek, channel.capture
        writing, write, outgoing = channel.writing, os.write, channel.outgoing
        while self.queue:
            try:
                request = take()
            except IndexError:
                break
            job = self.current = request["id"]
            self.begun += 1
            try:
                function = known[request["method"]]
            except (KeyError, TypeError):
                function = self.find(request)
                if function is None:
                    continue
            params = request.get("params")
            try:
                if type(params) is list:
                    result = function(*params)
                elif type(params) is dict:
                    result = function(**params)
                elif params is None:
                    result = function()
                else:
                    channel.fail(job, {"code": BAD_PARAMS, "message": "params is an array or an object"})
                    continue
                if hasattr(result, "__await__"):
                    result = self.complete(result)
            except BaseException as error:
                self.failed(job, function, params, error)
                continue
            if channel.forked:
                os._exit(0)
            try:
                text = str(result) if type(result) is int else result_json(result)
            except BaseException as error:
                channel.fail(job, _no_json(result, error))
                continue
            if type(job) is not int or printed or lseek(capture, 0, 2) != channel.taken:
                channel.answer(job, text)
                continue
            try:
                data = ('{"jsonrpc":"2.0","id":%d,"result":%s}\n' % (job, text)).encode()
            except UnicodeEncodeError:
                channel.answer(job, text)
                continue
            with writing:
                try:
                    done = write(outgoing, data)
                except OSError:
                    done = 0
                if done != len(data):
                    channel._write(data[done:])
        self.current = None

    def failed(self, job, function, params, error):
        if self.channel.forked:
            _leave_child(error)
        if job == self.cancel_asked and type(error).__name__ == "CancelledError":
            self.channel.fail(job, _cancelled(error))
        else:
            self.channel.fail(job, _call_failed(function, params, error))

    def complete(self, awaitable):
        """Runs a coroutine to its end, on a loop that lives as long as the worker."""
        import asyncio

        async def whole():
            return await awaitable

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        self.task = self.loop.create_task(whole())
        if self.cancel_asked is not None and self.cancel_asked == self.current:
            self.interrupt(self.current, self.task)
        try:
            return self.loop.run_until_complete(self.task)
        finally:
            self.task = None

    def watch(self):
        """The second thread: sleeps while the main thread waits for input, reads while one job takes long.

        It holds `reading` only while it reads; the main thread asks for it by `wanted` and a byte in the wake pipe.
        """
        while not self.ended:
            begun = self.begun
            self.nudge.acquire(True, WATCH_AFTER)
            with self.reading:  # held by the main thread for as long as it waits for input: no wake-ups when idle
                if self.ended:
                    return
                if (self.begun != begun or self.current is None) and not self.others_wait:
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
            elif self.channel.printed or os.lseek(self.channel.capture, 0, 2) != self.channel.taken:
                self.channel.deliver()

    def recall(self, job):
        """Takes a job out of the queue that was not begun; whether there was one."""
        for request in list(self.queue):
            if request["id"] == job:
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
        if self.current != job or job is None:
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
            _after(STUCK_AFTER, lambda: self.current == job and self.task is None and self.interrupt(job, None))

    def current_job(self):
        return self.current

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


def _leave_child(error):
    """A forked child of the user's function came back into the shim: it ends as Python would end it."""
    if isinstance(error, SystemExit):
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
    lines = traceback.StackSummary.extract(chain).format()
    return _shorten("Traceback (most recent call last):\n" + "".join(lines), MAX_TRACEBACK)


# ---- several jobs at a time --------------------------------------------------------------------------------------

RUNNING = contextvars.ContextVar("supervisor_job", default=None)


class Job:
    """One job of Concurrent."""

    __slots__ = ("id", "function", "params", "thread", "task", "cancelled", "done")

    def __init__(self, request, function):
        self.id = request["id"]
        self.function = function
        self.params = request.get("params")
        self.thread = self.task = None
        self.cancelled = self.done = False

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
        self.state = threading.Lock()
        self.changed = threading.Condition(self.state)
        self.work = collections.deque()
        self.idle_threads = 0
        self.threads = 0
        self.loop = None
        self.main_needed = threading.Event()
        self.main = threading.get_ident()
        channel.job = self.current_job

    def run(self):
        _thread.start_new_thread(self.read, ())
        self.main_needed.wait()
        while self.loop is not None:
            import asyncio

            asyncio.set_event_loop(self.loop)
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
            if params is not None and type(params) is not list and type(params) is not dict:
                self.channel.fail(request["id"], {"code": BAD_PARAMS, "message": "params is an array or an object"})
                continue
            function = self.find(request)
            if function is not None:
                with self.state:
                    self.pending.append(Job(request, function))
        with self.state:
            self.start_more()

    def start_more(self):
        """Begins as many jobs as there is room for; `state` is held."""
        while self.free and self.pending:
            job = self.pending.popleft()
            self.free -= 1
            self.running[job.id] = job
            if _is_coroutine(job.function):
                self.on_loop(job)
            else:
                self.work.append(job)
                if self.idle_threads < len(self.work) and self.threads < self.limit:
                    self.threads += 1
                    _thread.start_new_thread(self.serve, ())
                else:
                    self.changed.notify()

    def on_loop(self, job):
        self.need_loop()
        self.loop.call_soon_threadsafe(self.begin, job)

    def need_loop(self):
        import asyncio

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            self.main_needed.set()

    def begin(self, job):
        job.task = self.loop.create_task(self.follow(job))

    async def follow(self, job):
        RUNNING.set(job)
        try:
            result = await job.call()
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
            try:
                result = job.call()
                if hasattr(result, "__await__"):
                    result = self.elsewhere(result)
            except BaseException as error:
                self.fail(job, error)
            else:
                self.succeed(job, result)
            job.thread = None
            RUNNING.set(None)
            self.finish(job)

    def elsewhere(self, awaitable):
        """A plain function gave something to await: the loop does, this thread waits."""
        import asyncio

        with self.state:
            self.need_loop()

        async def whole():
            return await awaitable

        return asyncio.run_coroutine_threadsafe(whole(), self.loop).result()

    def succeed(self, job, result):
        if self.channel.forked:
            os._exit(0)
        try:
            text = result_json(result)
        except BaseException as error:
            self.channel.fail(job.id, _no_json(result, error))
        else:
            self.channel.answer(job.id, text)

    def fail(self, job, error):
        if self.channel.forked:
            _leave_child(error)
        if job.cancelled and type(error).__name__ == "CancelledError":
            self.channel.fail(job.id, _cancelled(error))
        else:
            self.channel.fail(job.id, _call_failed(job.function, job.params, error))

    def finish(self, job):
        with self.state:
            job.done = True
            self.running.pop(job.id, None)
            self.free += 1
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
            self.loop.call_soon_threadsafe(lambda: job.task and job.task.cancel())
            _after(STUCK_AFTER, lambda: self.locate(job))

    def locate(self, job):
        """Tells where a cancelled job is that still runs."""
        if job.done:
            return
        if job.task is not None:
            self.stuck(job.id, _task_stack(job.task, self.main), True)
            return
        frame = sys._current_frames().get(job.thread or self.main)
        if frame is not None and stack_of(frame):
            self.stuck(job.id, stack_of(frame), False)
        else:  # not in the function yet, or not any more
            _after(STUCK_AFTER, lambda: self.locate(job))

    def current_job(self):
        job = RUNNING.get()
        return None if job is None else job.id

    def expect(self, more):
        """The reading thread always reads."""

    def wait_for(self, waiter):
        waiter.wait()


def _is_coroutine(function):
    import functools
    import inspect

    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


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

    def _ask(self, method, **params):
        worker, waiter = _worker(), Waiter()
        worker.ask(method, self._params(**params), waiter)
        if worker.ended:
            raise Error({"code": -32001, "message": "supervisor has closed the channel"})
        worker.wait_for(waiter)
        return _outcome(waiter.reply)

    async def _ask_async(self, method, **params):
        import asyncio

        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiter = _AsyncWaiter(loop, future)
        worker = _worker()
        worker.ask(method, self._params(**params), waiter)
        worker.expect(1)
        try:
            return _outcome(await future)
        finally:
            worker.expect(-1)


class _AsyncWaiter:
    """An answer of supervisor that a coroutine waits for."""

    def __init__(self, loop, future):
        self.loop, self.future = loop, future
        self.forget = lambda: None

    def settle(self, reply):
        self.forget()
        self.loop.call_soon_threadsafe(lambda: self.future.done() or self.future.set_result(reply))


class Lock(_Shared):
    """One holder among all workers. Given free when its holder dies; `previous_holder_died` then says so."""

    previous_holder_died = False

    def acquire(self, blocking=True, timeout=None):
        return self._got(self._ask("lock.acquire", timeout=_wait(blocking, timeout)))

    def release(self):
        self._ask("lock.release")

    async def acquire_async(self, timeout=None):
        return self._got(await self._ask_async("lock.acquire", timeout=timeout))

    async def release_async(self):
        await self._ask_async("lock.release")

    def _got(self, answer):
        self.previous_holder_died = bool(answer.get("previous_holder_died"))
        return answer.get("acquired", True)

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

    _held = {}  # (name, holder) -> count

    def _key(self):
        holder = _worker().current_job()
        return self.name, threading.get_ident() if holder is None else str(holder)

    def _again(self):
        held = self._key() in self._held
        if held:
            self._held[self._key()] += 1
        return held

    def _last(self):
        count = self._held.get(self._key())
        if count is None:
            raise RuntimeError("the lock %s is not held here" % self.name)
        if count > 1:
            self._held[self._key()] = count - 1
            return False
        del self._held[self._key()]
        return True

    def _got(self, answer):
        if super()._got(answer):
            self._held[self._key()] = 1
            return True
        return False

    def acquire(self, blocking=True, timeout=None):
        return self._again() or super().acquire(blocking, timeout)

    def release(self):
        if self._last():
            super().release()

    async def acquire_async(self, timeout=None):
        return self._again() or await super().acquire_async(timeout)

    async def release_async(self):
        if self._last():
            await super().release_async()


class Semaphore(Lock):
    """At most `value` holders among all workers."""

    def __init__(self, name, value=1):
        super().__init__(name)
        self.value = value

    def acquire(self, blocking=True, timeout=None):
        return self._got(self._ask("semaphore.acquire", value=self.value, timeout=_wait(blocking, timeout)))

    def release(self):
        self._ask("semaphore.release", value=self.value)

    async def acquire_async(self, timeout=None):
        return self._got(await self._ask_async("semaphore.acquire", value=self.value, timeout=timeout))

    async def release_async(self):
        await self._ask_async("semaphore.release", value=self.value)


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
            import queue

            raise queue.Full

    def _item(self, answer):
        if not answer.get("ok", True):
            import queue

            raise queue.Empty
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
    import importlib.util

    module = types.ModuleType("supervisor", "Shared state between the workers of supervisor.")
    names = "Lock RLock Semaphore Event Barrier Value Queue Error Deadlock BrokenBarrier progress log job_id".split()
    for name in names:
        setattr(module, name, globals()[name])
    module.__all__ = names
    sys.modules["supervisor_client"] = module
    try:
        taken = importlib.util.find_spec("supervisor") is not None
    except (ImportError, ValueError):
        taken = False
    if not taken:
        sys.modules["supervisor"] = module


# ---- start and end -----------------------------------------------------------------------------------------------


def _prepare_path(place):
    """Puts the directory in front of the search path in which a user expects imports to be looked for."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, os.path.dirname(os.path.realpath(place)) if _is_file(place) else os.getcwd())


def _is_file(place):
    return place.endswith(".py") or os.sep in place


def _start_failure(channel, error):
    """Says once why this worker cannot work; supervisor gives up at once."""
    if isinstance(error, UnknownMethod):
        message, trace = str(error), ""
    else:
        _, message, trace = describe(error)
        if trace.strip() == message:
            trace = ""
    channel.deliver()
    channel.notify("failed", {"message": message, "traceback": trace})
    os._exit(1)


def _leave():
    """Ends the process although threads of the user's may still run: exit functions and buffers first."""
    global _the_worker
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    import gc

    for thing in gc.get_objects():
        if isinstance(thing, io.IOBase):
            try:
                thing.flush()
            except Exception:
                pass
    channel = _the_worker.channel
    if channel.printed or os.lseek(channel.capture, 0, 2) != channel.taken:
        channel.deliver()
    os._exit(0)


def main():
    """Arguments: concurrency, spec."""
    global _the_worker
    concurrency, spec = int(sys.argv[1]), sys.argv[2]
    channel = Channel()
    faulthandler.enable(channel.crash)
    faulthandler.register(signal.SIGTERM, channel.crash, all_threads=True, chain=True)
    try:
        place, function = split_spec(spec)
        _prepare_path(place)
        _offer_module()
        _the_worker = worker = Serial(channel) if concurrency == 1 else Concurrent(channel, concurrency)
        module = load(place)
        worker.functions = Functions(module)
        if function is not None:
            worker.functions.known[function] = worker.functions.look_up(function, trusted=True)
    except BaseException as error:
        _start_failure(channel, error)
    if channel.printed or os.lseek(channel.capture, 0, 2) != channel.taken:
        channel.deliver()
    ready = {"protocol": PROTOCOL, "name": "python", "pid": os.getpid(), "concurrency": concurrency}
    channel.notify("ready", dict(ready, prefetch=True, batch=True))
    worker.run()
    _leave()


main()
