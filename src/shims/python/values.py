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


