#!/usr/bin/env python3
"""The limit for calls: moves lines between a list and two workers, and knows nothing of what they say.

    relay.py WORKER [ARG]... < REQUESTS > ANSWERS        requests as lines, in pieces of what a pipe holds, in turns
    relay.py --ping COUNT PROGRAM [ARG]...               one line at a time: microseconds there and back, p50 and p99

For --ping the lines come from standard input, over and over."""

import os
import select
import subprocess
import sys
import time

PIECE = 1 << 16


def start(argv):
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def pieces():
    """The list in pieces that end where a line ends."""
    rest = b""
    while True:
        piece = os.read(0, PIECE - len(rest))
        if not piece:
            if rest:
                yield rest
            return
        end = (rest + piece).rfind(b"\n") + 1
        whole = (rest + piece)[:end]
        rest = (rest + piece)[end:]
        if whole:
            yield whole


def relay(argv):
    workers = [start(argv) for _ in range(2)]
    source = pieces()
    waiting = {}
    for worker in workers:
        os.set_blocking(worker.stdin.fileno(), False)
        waiting[worker.stdin.fileno()] = b""
    readers = {worker.stdout.fileno() for worker in workers}
    while readers:
        for fd in [fd for fd, piece in waiting.items() if not piece]:
            piece = next(source, None)
            if piece is None:
                os.close(fd)
                del waiting[fd]
            else:
                waiting[fd] = piece
        readable, writable, _ = select.select(list(readers), list(waiting), [])
        for fd in writable:
            waiting[fd] = waiting[fd][os.write(fd, waiting[fd]) :]
        for fd in readable:
            piece = os.read(fd, PIECE)
            if piece:
                os.write(1, piece)
            else:
                readers.remove(fd)


def ping(count, argv):
    lines = sys.stdin.buffer.readlines()
    worker = start(argv)
    into, out = worker.stdin.fileno(), worker.stdout.fileno()
    spans = []
    for number in range(count):
        line = lines[number % len(lines)]
        begin = time.perf_counter_ns()
        os.write(into, line)
        answer = os.read(out, PIECE)
        while not answer.endswith(b"\n"):
            answer += os.read(out, PIECE)
        spans.append(time.perf_counter_ns() - begin)
    worker.stdin.close()
    worker.wait()
    print(percentiles(spans))


def percentiles(spans):
    """p50 and p99 of nanoseconds, in microseconds. The first tenth is left out: caches are cold there."""
    spans = sorted(spans[len(spans) // 10 :])
    return "%.1f %.1f" % (spans[len(spans) // 2] / 1000, spans[len(spans) * 99 // 100] / 1000)


if __name__ == "__main__":
    if sys.argv[1] == "--ping":
        ping(int(sys.argv[2]), sys.argv[3:])
    else:
        relay(sys.argv[1:])
