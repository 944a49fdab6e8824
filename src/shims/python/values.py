# ---- JSON --------------------------------------------------------------------------------------------------------


def _unusual(value):
    """What becomes of a value that JSON has no word for. Raises TypeError for what cannot be told."""
    kind = type(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": late("base64").b64encode(value).decode()}
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
    if "enum" in sys.modules and isinstance(value, getattr(sys.modules["enum"], "Enum", ())):
        return value.value
    raise TypeError("%s has no form in JSON" % _kind_name(kind))


def _kind_name(kind):
    return kind.__qualname__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__qualname__)


def _by_library():
    """What `json` offers: (for any text, for ASCII alone, for a string, for the front of a text)."""
    import json
    import json.encoder
    import json.scanner

    options = {"allow_nan": False, "separators": (",", ":"), "default": _unusual}
    encode, encode_ascii = (json.JSONEncoder(ensure_ascii=ascii, **options).encode for ascii in (False, True))
    return encode, encode_ascii, json.encoder.encode_basestring, json.scanner.make_scanner(json.JSONDecoder())


def _by_hand():
    """The same from the C functions that `json` calls: importing it takes a quarter of the start, and not for these."""
    import _json

    class Settings:
        strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int
        parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__

    def encoder(quoted):
        def encode(value):
            if isinstance(value, str):
                return quoted(value)
            return "".join(_json.make_encoder({}, _unusual, quoted, None, ":", ",", False, False, False)(value, 0))

        return encode

    quoted, scan = _json.encode_basestring, _json.make_scanner(Settings())
    made = encoder(quoted), encoder(_json.encode_basestring_ascii), quoted, scan
    text = '{"a":[1,-2.5,null,true,"\u00e9\\n",{}]}'
    value = {"a": [1, -2.5, None, True, "\u00e9\n", {}]}
    if made[0](value) != text or made[1](value) != text.replace("\u00e9", "\\u00e9") or scan(text, 0) != (value, len(text)):
        raise ImportError("these functions are others than those known here")
    return made


try:
    to_json, to_ascii_json, quote, _scan = _by_library() if "json" in sys.modules else _by_hand()
except Exception:  # another Python, or another release of it
    to_json, to_ascii_json, quote, _scan = _by_library()


def from_json(line):
    """The value of one line. Raises ValueError (which includes UnicodeDecodeError)."""
    return value_of(line.decode())


def value_of(text):
    """The value that JSON text stands for. Raises ValueError."""
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (StopIteration, SystemError):  # this is what it raises as long as nobody has imported `json`
        pass
    return late("json").loads(text)


class Unreadable(str):
    """Why the parameters of a call could not be read; stands in their place."""

    __iter__ = None  # no parameters are its letters


def readable_parts(line):
    """The messages of a line that is JSON and yet none for Python: values lie too deep in one of them, or a number is too
    long. That one is told by its `id`, or nobody would answer it; the others are as they came."""
    parts = []
    for text, members in _outlines(line):
        try:
            parts.append(from_json(text))
        except (ValueError, RecursionError) as error:
            part = {name: from_json(members[name]) for name in ("id", "method") if name in members}
            if "method" in part:
                part["params"] = Unreadable("Python cannot read the parameters: %s" % error)
            else:
                part["error"] = {"code": PARSE_ERROR, "message": "Python cannot read the answer: %s" % error}
            parts.append(part)
    return parts


def _outlines(line):
    """The text of each message of a line, and that of its members, found without going into the depth."""
    outer = int(line.lstrip()[:1] == b"[")
    depth = begin = value = 0
    name = text = None
    found = []
    for token in late("re").finditer(rb'"(?:[^"\\]|\\.)*"|[][{},:]', line):
        sign = token.group()
        if sign in (b"{", b"["):
            depth += 1
            if depth == outer + 1:
                begin, name, members = token.start(), None, {}
        elif sign == b":":
            if depth == outer + 1:
                name, value = text, token.end()
        elif sign in (b",", b"}", b"]"):
            if depth == outer + 1 and name is not None:
                members[from_json(name)] = line[value : token.start()]
                name = None
            if sign != b",":
                if depth == outer + 1 and sign == b"}":
                    found.append((line[begin : token.end()], members))
                depth -= 1
        else:
            text = sign
    return found


def result_json(result):
    """The JSON text of a function's result. Raises whatever the encoder raises."""
    kind = type(result)
    if kind is str:
        return quote(result)
    if result is None:
        return "null"
    return to_json(result)


def text_or_error(result):
    """The same; what is raised is returned. Asked once for each result: a generator is used up by it."""
    try:
        return result_json(result)
    except BaseException as error:
        return error
