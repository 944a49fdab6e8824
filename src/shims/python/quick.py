# ---- plain calls, quickly --------------------------------------------------------------------------------------------

# Of a call that takes a fraction of a microsecond, most is our own loop in Python. A library of supervisor's does the same
# for calls in which nothing is unusual (native/lib.rs). SPV_LIBRARY names it. It is loaded when the second line comes: the
# first result is waited for, and may be the only one.

QUICK_AFTER = 2
QUICK_LINE_MAX = 1 << 20  # what is longer takes its time anyway, and may have to be read twice
QUICK = "supervisor_calls"
quick_place = os.environ.pop("SPV_LIBRARY", None)


def load_quick(worker):
    """The library, ready to run what this worker has in its queue; None where it cannot be had. It is made for the objects
    of CPython as it mostly is, not for builds for debugging or without the one lock."""
    channel = worker.channel
    if quick_place is None or channel.shelf.view is None or sys.implementation.name != "cpython" or sys.abiflags:
        return None
    try:
        if os.stat(quick_place).st_mode & 0o170000 != 0o100000:  # where processes have other numbers it may be any process's pipe
            return None
        loader = import_files.ExtensionFileLoader(QUICK, quick_place)
        quick = import_core.module_from_spec(import_core.ModuleSpec(QUICK, loader, origin=quick_place))
        sys.modules.pop(QUICK, None)  # it is nobody else's
        quick.prepare(
            worker,
            channel,
            channel.writing,
            worker.queue.popleft,
            worker.functions.known,
            channel.printed,
            channel.out,
            channel.err,
            text_or_error,
            channel.capture,
            channel.shelf.view,
            worker.mark,
        )
    except Exception:  # another C library, another Python than this one was made for
        return None
    return quick


def quick_calls(quick, line):
    """The calls of a line, as tuples (id, method, parameters); None where one of them is no plain one."""
    return None if quick is None or len(line) > QUICK_LINE_MAX else quick.parse(line)
