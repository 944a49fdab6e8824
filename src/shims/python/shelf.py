# ---- the shelf ---------------------------------------------------------------------------------------------------

# A file in memory that supervisor has open too. What is said lies there until it is worth a write, and when this process
# dies before that, supervisor takes it from there: a finished job is never lost, and costs no system call of its own.
# Its words: a random mark, whether supervisor has it open, the place of the first byte in all that was said since
# `ready`, and where in the file what is held ends. That last one is written after the bytes it covers.
SHELF_MARK, SHELF_TAKEN, SHELF_BASE, SHELF_END = range(4)
SHELF_HEAD = 64
SHELF_BYTES = 1 << 16  # what a pipe holds: more could not be written at once


def memory_file(name):
    """A private file without a name in any directory."""
    try:
        fd = os.memfd_create(name)
    except (AttributeError, OSError):
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    private = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE_FROM)
    os.close(fd)
    return private


class Turn:
    """Who may write: a lock. The library, which has the interpreter's lock for as long as it puts an answer on the shelf,
    asks for no other; it only looks whether somebody is in the middle of writing."""

    __slots__ = ("lock", "claimed")

    def __init__(self):
        self.lock = _thread.allocate_lock()
        self.claimed = False

    def acquire(self, blocking=True):
        if not self.lock.acquire(blocking):
            return False
        self.claimed = True
        return True

    def release(self):
        self.claimed = False
        self.lock.release()

    def __enter__(self):
        self.acquire()

    def __exit__(self, *_):
        self.release()


class Shelf:
    """The way out: the pipe, and the shelf in front of it where there is one. Who calls it has the `Turn`."""

    __slots__ = ("outgoing", "position", "area", "view", "words")

    def __init__(self, outgoing):
        self.outgoing = outgoing
        self.position = 0
        self.area = self.view = None
        self.words = [0, 0, 0, SHELF_HEAD]

    def open(self):
        """What `ready` says of the shelf; nothing where files in memory cannot be had."""
        try:
            fd = memory_file("supervisor-shelf")
            os.ftruncate(fd, SHELF_BYTES)
            self.area = mmap.mmap(fd, SHELF_BYTES)
        except (OSError, ValueError):
            return {}
        self.view = memoryview(self.area)
        mark = os.urandom(8)
        self.view[:8] = mark
        self.words = self.view[:SHELF_HEAD].cast("Q")
        self.words[SHELF_END] = SHELF_HEAD
        return {"shelf": {"fd": fd, "mark": mark.hex()}}

    def begin(self):
        """From here on it is counted what was said."""
        self.position = self.words[SHELF_BASE] = 0

    def held(self):
        """Where in the file what is held ends."""
        return self.words[SHELF_END]

    def room(self):
        """Where what is held must end; 0 as long as supervisor does not look."""
        return SHELF_BYTES if self.words[SHELF_TAKEN] else 0

    def put(self, data):
        """Holds it back, or writes it if it cannot be held."""
        if self.held() + len(data) > SHELF_BYTES:
            self.flush()
        end = self.held() + len(data)
        if end <= self.room():
            self.area[self.held() : end] = data
            self.words[SHELF_END] = end
        else:
            self.flush()
            self._write(data)
            self.words[SHELF_BASE] = self.position

    def flush(self):
        """Writes what is held. At no moment could supervisor find a byte twice, or miss one."""
        if self.held() > SHELF_HEAD:
            self._write(self.view[SHELF_HEAD : self.held()])
            self.words[SHELF_END] = SHELF_HEAD
            self.words[SHELF_BASE] = self.position

    def _write(self, data):
        """Writes all of it. Ends the process when there is nobody left to write to."""
        done = 0
        while done < len(data):
            try:
                done += os.write(self.outgoing, data[done:] if done else data)
            except BlockingIOError:
                select.select([], [self.outgoing], [])
            except OSError:
                os._exit(0 if self.outgoing < 0 else 1)
        self.position += done


