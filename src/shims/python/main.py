# ---- start and end -----------------------------------------------------------------------------------------------


def _prepare_path(place):
    """Puts the directory in front of the search path in which a user expects imports to be looked for."""
    if not getattr(sys.flags, "safe_path", False):
        folder = os.path.dirname(os.path.realpath(place)) if _is_file(place) else os.getcwd()
        hidden = _hidden_by(folder)
        if hidden:  # the user's json.py must not become ours
            _import_late(hidden - {os.path.splitext(os.path.basename(place))[0]})
        sys.path.insert(0, folder)


def _hidden_by(folder):
    """The library's modules, not imported yet, that would not be found any more once this folder is searched first."""
    try:
        names = {entry.partition(".")[0] for entry in os.listdir(folder)}.difference(sys.modules)
    except OSError:
        return set()
    find = import_files.PathFinder.find_spec  # of a folder that is no package, it says that it has no loader
    return {name for name in names & _library_names() if getattr(find(name, [folder]), "loader", None) is not None}


def _library_names():
    names = getattr(sys, "stdlib_module_names", None)
    if names is None:  # before Python 3.10
        home = os.path.dirname(os.__file__)
        folders = filter(os.path.isdir, (home, os.path.join(home, "lib-dynload")))
        names = {entry.partition(".")[0] for folder in folders for entry in os.listdir(folder)}
    return names


def _import_late(hidden):
    """Imports all that is needed late. What the user's files are named after is then as if it had not been: his `import json`
    is for his json.py. Only what the library imports again when it is called has to stay."""
    before = set(sys.modules)
    for name in LATE:
        late(name)
    for name in LATER:
        try:
            __import__(name)
        except ImportError:  # not in this release of Python
            pass
    stays = {name.partition(".")[0] for name in LATER} | {"asyncio"}
    for name in set(sys.modules).difference(before):
        root = name.partition(".")[0]
        if root in hidden and root not in stays:
            del sys.modules[name]


def _is_file(place):
    return place.endswith(".py") or os.sep in place


def _start_failure(channel, error):
    """Says once why this worker cannot work; supervisor gives up at once."""
    if isinstance(error, Refusal):
        message, trace = str(error), ""
    else:
        _, message, trace = describe(error)
        if trace.strip() == message:
            trace = ""
    channel.deliver()
    channel.notify("failed", {"message": message, "traceback": trace})
    os._exit(1)


def _leave():
    """Ends the process although threads of the user's may still run: exit functions and buffers first."""
    global _the_worker
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    import gc

    for thing in gc.get_objects():
        if isinstance(thing, io.IOBase):
            try:
                thing.flush()
            except Exception:
                pass
    channel = _the_worker.channel
    if channel.printed or os.lseek(channel.capture, 0, 2) != channel.taken:
        channel.deliver()
    channel.flush()
    os._exit(0)


def main():
    """Arguments: concurrency, spec."""
    global _the_worker
    concurrency, spec = int(sys.argv[1]), sys.argv[2]
    word = open_marks()
    channel = Channel()
    faulthandler.enable(channel.crash)
    faulthandler.register(signal.SIGTERM, channel.crash, all_threads=True, chain=True)
    try:
        place, function = split_spec(spec)
        _prepare_path(place)
        _offer_module()
        _the_worker = worker = Serial(channel) if concurrency == 1 else Concurrent(channel, concurrency)
        module = load(place)
        worker.functions = Functions(module)
        if function is not None:
            worker.functions.known[function] = worker.functions.look_up(function, trusted=True)
    except BaseException as error:
        _start_failure(channel, error)
    if channel.printed or os.lseek(channel.capture, 0, 2) != channel.taken:
        channel.deliver()
    ready = {"protocol": PROTOCOL, "name": "python", "pid": os.getpid(), "concurrency": concurrency}
    ready.update(prefetch=True, recall=True, batch=True)
    if concurrency == 1:  # one that holds several jobs open has nothing to gain: their answers come one by one
        ready.update(channel.shelf.open())
        if word is not None:
            worker.take, worker.mark = marking(worker.take, word), word
            ready.update(marks=True)
    else:
        ready.update(stuck=True)
    channel.ready(ready)
    worker.run()
    _leave()


main()
