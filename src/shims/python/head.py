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

    ready       {"protocol":1,"name":"python","pid":P,"concurrency":M,"prefetch":true,"recall":true,"batch":true,
                 "shelf":{"fd":N,"mark":"..."}}   the first line; with several at a time "stuck":true, and no shelf
    failed      {"message":"...","traceback":"..."}       instead of ready; the process then exits with 1
    output      {"id":JOB,"stream":"stdout"|"stderr","data":"text" | {"base64":"..."}}    no "id": the worker's own
    stuck       {"id":JOB,"interruptible":false,"blocking":false,"traceback":"..."}    a cancelled job still runs; where it
                 is. False: it is a plain function, and waiting for it to notice is no use. Blocking: it holds up the others
    progress    {"id":JOB,"done":N,"total":N|null,"message":"..."|null}
    log         {"id":JOB,"level":"error"|"warning"|"info"|"debug","message":"..."}

Requests to supervisor, with ids "$py-1", "$py-2", ...; each has "name" and "job":JOB. "timeout" (seconds) is optional.

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
import io
import itertools
import mmap
import os
import select
import threading
import time
import types

try:
    import _signal as signal  # without the enumerations around it, which take longer to make than all the rest of it
except ImportError:
    import signal

try:
    import _frozen_importlib as import_core  # what `importlib` is made of, and there already
    import _frozen_importlib_external as import_files
except ImportError:
    from importlib import _bootstrap as import_core, _bootstrap_external as import_files

# Needed rarely, or only in part, and long to import: whoever needs one asks `late` for it. Where files of the user's have
# names of the library's, `_prepare_path` imports these before it lets the user's be found, with what they import when called.
LATE = "json traceback inspect base64 difflib functools queue asyncio".split()
LATER = "ast unicodedata tokenize linecache contextlib warnings _colorize concurrent.futures.thread".split()

library = {}  # name -> module: those that were needed so far


def late(name):
    """That module of the library, and never a file of the user's."""
    found = library.get(name)
    if found is None:
        found = library[name] = __import__(name)
    return found


PROTOCOL = 1
SHIM = __spv_file__ if "__spv_file__" in globals() else __file__  # noqa: F821 (set by the loader)
STRETCH = 0.0003  # seconds of work whose answers leave together
STRETCH_MAX = 256  # and at most so many jobs
WATCH_AFTER = 0.02  # seconds after which a running job is watched
STUCK_AFTER = 0.3  # seconds a cancelled coroutine may take before its place is told
ABANDON_WITHIN = 3  # seconds that the coroutine of a job which has failed already may take to clean up
STREAM_EVERY = 0.1  # seconds between two deliveries of what a watched job prints
PENDING_OUTPUT = 1 << 18  # characters printed that are kept before they are sent
OUTPUT_PIECE = 1 << 16  # and most of them in one message, which may be six times as long as they are
MAX_TRACEBACK = 1 << 16
MAX_MESSAGE = 1 << 13

# Private descriptors start here, out of the way of programs that count on low numbers; lower where few are allowed.
PRIVATE_FROM = max(3, min(64, os.sysconf("SC_OPEN_MAX") // 2))

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602
FUNCTION_FAILED, CANCELLED, DEADLOCK = -32000, -32800, -32010


