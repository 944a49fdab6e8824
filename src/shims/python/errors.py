# ---- errors ------------------------------------------------------------------------------------------------------


def _shorten(text, most):
    if len(text) <= most:
        return text
    head = most // 4
    return "%s\n  ... %d characters left out ...\n%s" % (text[:head], len(text) - most, text[head - most :])


def _is_ours(filename):
    """Whether frames of this file tell a user nothing."""
    return filename == SHIM or filename.startswith("<frozen importlib")


# Of the library, what calls us back on the way to the user's code.
BETWEEN = ("asyncio.base_events", "json.encoder")


def _from_user(trace):
    """A traceback from the user's first frame on; None when there is no such frame."""
    first = trace
    while trace is not None:
        if _is_ours(trace.tb_frame.f_code.co_filename):
            trace = first = trace.tb_next
        elif trace.tb_frame.f_globals.get("__name__") in BETWEEN:
            trace = trace.tb_next
        else:
            return first
    return None


def describe(error):
    """(type name, message, traceback) of an exception; the shim's own frames are left out."""
    name = type(error).__qualname__
    try:
        text = str(error)
    except BaseException as second:
        text = "<its text cannot be told: %s>" % type(second).__qualname__
    message = _shorten("%s: %s" % (name, text) if text else name, MAX_MESSAGE)
    frames = _from_user(error.__traceback__)
    try:
        lines = late("traceback").format_exception(type(error), error.with_traceback(frames), frames)
        trace = _shorten("".join(lines), MAX_TRACEBACK)
    except BaseException as second:
        trace = "%s\n(the traceback cannot be told: %s)\n" % (message, type(second).__qualname__)
    return name, message, trace


def _failure(error):
    name, message, trace = describe(error)
    return {"code": FUNCTION_FAILED, "message": message, "data": {"type": name, "traceback": trace}}


def _no_json(result, error):
    """A result that cannot be told fails its job, with the type named; a generator may also raise, as any function."""
    if _from_user(error.__traceback__) is not None:
        return _failure(error)
    kind = _kind_name(type(result))
    message = "the result, %s %s, is no JSON: %s" % ("an" if kind[:1] in "aeiou" else "a", kind, describe(error)[1])
    return {"code": FUNCTION_FAILED, "message": message, "data": {"type": type(error).__qualname__, "result_type": kind}}


def _call_failed(function, params, error):
    """Arguments that do not fit are told apart from a TypeError of the function itself; only looked at after it."""
    if _from_user(error.__traceback__) is None and issubclass(type(error), TypeError):  # `isinstance` would run code of the user
        try:
            signature = late("inspect").signature(function)
        except (TypeError, ValueError):
            return _failure(error)
        try:
            signature.bind(**params) if type(params) is dict else signature.bind(*(params or []))
        except TypeError as misfit:
            name = getattr(function, "__qualname__", repr(function))
            message = "%s%s: %s" % (name, signature, misfit)
            return {"code": BAD_PARAMS, "message": _shorten(message, MAX_MESSAGE), "data": {"type": "TypeError"}}
    return _failure(error)


def bad_params(params):
    return {"code": BAD_PARAMS, "message": params if type(params) is Unreadable else "params is an array or an object"}


def _cancelled(error=None):
    """The answer to a cancelled job: `error` is how it left the place where it was, None when it had not begun."""
    data = {"begun": error is not None}
    if error is not None:
        data["traceback"] = describe(error)[2]
    return {"code": CANCELLED, "message": "cancelled", "data": data}


def stack_of(frame):
    """The stack of a frame, oldest call first, from the user's first frame on; empty when there is none."""
    traceback = late("traceback")
    stack = traceback.extract_stack(frame)
    while stack and _is_ours(stack[-1].filename):  # waiting inside a lock of ours: its caller is the place
        stack.pop()
    first = max((at + 1 for at, one in enumerate(stack) if one.filename == SHIM), default=0)
    stack = stack[first:] if first else []
    if not stack:
        return ""
    return _shorten("Traceback (most recent call last):\n" + "".join(traceback.format_list(stack)), MAX_TRACEBACK)


