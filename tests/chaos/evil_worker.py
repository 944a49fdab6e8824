#!/usr/bin/env python3
"""A worker that keeps the protocol until it is told not to.

    evil_worker.py MODE [N]

It answers each request with "done" after EVIL_PAUSE seconds (0.02); on the N-th request (default 3), counted over all
workers together when EVIL_COUNT names a file, it does what MODE says. Modes are the functions of `Request` and `START`.
It knows nothing of how it is judged."""

import fcntl
import json
import os
import signal
import sys
import time

FOR_EVER = 1e6


def say(text, end="\n"):
    sys.stdout.write(text + end)
    sys.stdout.flush()


def die(number):
    os.kill(os.getpid(), number)
    time.sleep(FOR_EVER)


class Request:
    """The request to misbehave on: a method is a mode."""

    def __init__(self, identity):
        self.identity = identity

    def reply(self, value="done"):
        return json.dumps({"jsonrpc": "2.0", "id": self.identity, "result": value})

    def ok(self):
        say(self.reply())

    def kill9(self):
        die(signal.SIGKILL)

    def segv(self):
        die(signal.SIGSEGV)

    def abort(self):
        os.abort()

    def exit3(self):
        os._exit(3)

    def exit0(self):
        """A clean end without an answer."""
        os._exit(0)

    def sysexit(self):
        sys.exit(3)

    def interrupt(self):
        raise KeyboardInterrupt

    def stop(self):
        os.kill(os.getpid(), signal.SIGSTOP)
        say(self.reply())

    def hang(self):
        time.sleep(FOR_EVER)

    def hangterm(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(FOR_EVER)

    def torn(self):
        say(self.reply()[:9], end="")
        os._exit(0)

    def torn9(self):
        say(self.reply()[:9], end="")
        die(signal.SIGKILL)

    def tornhang(self):
        say(self.reply()[:9], end="")
        time.sleep(FOR_EVER)

    def killmid(self):
        """Killed in the middle of an answer of 50 MB."""
        sys.stdout.write('{"jsonrpc":"2.0","id":%s,"result":"' % json.dumps(self.identity))
        for _ in range(50):
            sys.stdout.write("x" * (1 << 20))
        sys.stdout.flush()
        die(signal.SIGKILL)

    def replydie(self):
        """A good answer, then death: one record, `ok`."""
        say(self.reply())
        die(signal.SIGKILL)

    def twice(self):
        say(self.reply())
        say(self.reply("again"))

    def alien(self):
        """An answer to a request that nobody made."""
        self.identity = 987654
        say(self.reply())
        time.sleep(FOR_EVER)

    def garbage(self):
        say("Traceback: not JSON at all")
        say(self.reply())

    def notobject(self):
        say("[1,2]\n42\nnull\n" + self.reply())

    def badutf8(self):
        line = b'{"jsonrpc":"2.0","id":%s,"result":"\xff\xfe"}\n' % json.dumps(self.identity).encode()
        sys.stdout.buffer.write(line)
        sys.stdout.flush()

    def crlf(self):
        say(self.reply() + "\r")

    def big(self):
        say(self.reply("x" * (100 << 20)))

    def endlessline(self):
        while True:
            sys.stdout.write("x" * 65536)

    def stderrflood(self):
        for _ in range(64):
            sys.stderr.write("e" * (1 << 20))
        say(self.reply())

    def closeout(self):
        """Closes its standard output and lives on."""
        os.close(1)
        time.sleep(FOR_EVER)

    def grandchild(self):
        """A child that keeps the standard output open after our death."""
        if os.fork() == 0:
            time.sleep(FOR_EVER)
        die(signal.SIGKILL)

    def daemon(self):
        """A daemon in a session of its own, with no descriptor and no environment of ours."""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in (0, 1, 2):
                    os.close(number)
                os.execve("/bin/sleep", ["sleep", "1000"], {})
            os._exit(0)
        say(self.reply())


def floodfirst():
    """Two megabytes before the first request is read."""
    say("\n".join(json.dumps({"jsonrpc": "2.0", "method": "log", "params": {"x": "x" * 1000}}) for _ in range(2000)))


START = {
    "startcrash": lambda: os._exit(7),
    "starthang": lambda: time.sleep(FOR_EVER),
    "startslow": lambda: time.sleep(2),
    "floodfirst": floodfirst,
}


def counted():
    """Numbers the requests: over all workers when there is a file for it."""
    path = os.environ.get("EVIL_COUNT")
    if not path:
        counted.mine = getattr(counted, "mine", 0) + 1
        return counted.mine
    with open(path, "a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.write("x")
        counter.flush()
        return counter.tell()


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else "ok"
    bad = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    pause = float(os.environ.get("EVIL_PAUSE", "0.02"))
    START.get(mode, lambda: None)()
    deed = getattr(Request, mode, Request.ok)
    for line in iter(sys.stdin.readline, ""):
        request = Request(json.loads(line).get("id"))
        if counted() == bad:
            deed(request)
        else:
            time.sleep(pause)
            request.ok()
    if mode == "ignoreeof":
        time.sleep(FOR_EVER)


if __name__ == "__main__":
    main()
