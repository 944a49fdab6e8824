# ---- what is printed -----------------------------------------------------------------------------------------------


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
        self._channel.let_go()

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
        self._channel.let_go()

    def close(self):
        pass


