# ---- the functions -----------------------------------------------------------------------------------------------


class Refusal(Exception):
    """What is asked for cannot be had, for a reason that needs no traceback."""


class UnknownMethod(Refusal):
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
            if number == 0 and not trusted and not (self._is_own(part, found) or part == name and _is_made_here(found)):
                wrong = "%s is imported into %s, not defined there" if callable(found) else "%s in %s is no function"
                raise UnknownMethod(wrong % (name if callable(found) else part, self.module.__name__))
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
        home, origin = self.module.__name__, _origin(found)
        package = hasattr(self.module, "__path__") and isinstance(origin, str) and origin.startswith(home + ".")
        return origin == home or package

    def names(self):
        """What may be called, for suggestions."""
        own = [name for name, found in vars(self.module).items() if not name.startswith("_") and callable(found)]
        found = ((name, getattr(self.module, name)) for name in own)
        return sorted(name for name, one in found if self._is_own(name, one) or _is_made_here(one))

    def _unknown(self, name):
        near = late("difflib").get_close_matches(str(name), self.names(), 1)
        hint = "; did you mean %s?" % near[0] if near else ""
        return "no function %s in %s%s" % (name, self.module.__name__, hint)


def _origin(found):
    """The name of the module whose code is called."""
    origin = getattr(getattr(found, "__func__", found), "__module__", None)  # an object has that of its class
    return origin if isinstance(origin, str) else type(getattr(found, "__self__", None)).__module__


def _is_made_here(found):
    """Whether others' code made this for the user's file, as a partial or a decorated function: such is not found in the
    module it names, where all that is imported is."""
    if not callable(found) or isinstance(found, types.ModuleType):
        return False
    if isinstance(found, (type, types.FunctionType)) and "<locals>" not in found.__qualname__:
        return False
    if isinstance(found, types.BuiltinFunctionType) and isinstance(found.__self__, (types.ModuleType, type(None))):
        return False
    there = getattr(sys.modules.get(_origin(found)), "__dict__", {})
    return all(one is not found for one in list(there.values()))


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
    sys.argv[:] = [place]
    if not _is_file(place):
        __import__(place)
        module = sys.modules[place]
        sys.argv[:] = [getattr(module, "__file__", None) or place]
        return module
    path = os.path.abspath(place)
    if os.path.isdir(path):
        name = os.path.basename(path)
        message = "%s is a directory; a file is wanted, as in %s, or the name of a module, as in --python %s"
        raise Refusal(message % (place, os.path.join(place, "tasks.py"), name))
    if not os.path.isfile(path):
        raise FileNotFoundError("no file %s" % place)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:  # what the interpreter has loaded under that name stays what it is
        name = "user_" + name
    spec = import_files.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError("%s is no Python file" % place)
    module = import_core.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


