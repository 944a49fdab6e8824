"""Runs one command where nothing of it can escape, and says what it did and who is left.

Survivors are found by membership of a cgroup (v2) where one can be made, and otherwise because this process is a
subreaper: whatever a run leaves behind, by double fork, by `setsid`, with a cleared environment, becomes its
descendant. Owns the containment, the bystanders (processes that nobody may signal) and the measuring of memory and
time; judges nothing."""

import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
import uuid

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
POLL_SECONDS = 0.005
# So long after the end of a run its processes may take to be gone (I5).
GONE_SECONDS = 2.0
LIBC = ctypes.CDLL(None, use_errno=True)


def reset_signals():
    """A run sees the dispositions and the mask of a fresh login, whatever started the tests."""
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                pass
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def ignore_signals():
    for number in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)


def stat_of(pid):
    """(state, parent, ticks of CPU time) of a process; None when it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[11]) + int(fields[12])


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as line:
            return line.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def is_alive(pid):
    stat = stat_of(pid)
    return stat is not None and stat[0] not in "ZX"


def hit(pid, number):
    """Sends a signal to a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def descendants(of):
    """Every process below this one, the dead left out."""
    children, dead = {}, set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = stat_of(int(entry))
            if stat:
                children.setdefault(stat[1], []).append(int(entry))
                if stat[0] in "ZX":
                    dead.add(int(entry))
    found, todo = set(), [of]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found - dead


def cgroup_root():
    """Our own place in the cgroup v2 tree, when groups can be made there."""
    with open("/proc/self/mounts") as mounts:
        mount = next((line.split()[1] for line in mounts if line.split()[2] == "cgroup2"), None)
    with open("/proc/self/cgroup") as own:
        path = next((line.strip()[3:] for line in own if line.startswith("0::")), None)
    if mount is None or path is None:
        return None
    for root in (mount + path.rstrip("/"), mount):
        probe = "%s/chaos-%s" % (root, uuid.uuid4().hex[:10])
        try:
            os.mkdir(probe)
        except OSError:
            continue
        try:
            child = subprocess.Popen(["sleep", "10"])
            try:
                with open(probe + "/cgroup.procs", "w") as procs:
                    procs.write(str(child.pid))
                return root
            finally:
                child.kill()
                child.wait()
        except OSError:
            pass
        finally:
            remove_cgroup(probe)
    return None


def members(group):
    """Everybody in a cgroup and in those below it: a run may make some of its own."""
    found = []
    for path, _, _ in os.walk(group):
        try:
            with open(path + "/cgroup.procs") as procs:
                found += map(int, procs.read().split())
        except OSError:
            pass
    return found


def remove_cgroup(path):
    for _ in range(200):
        for below, _, _ in os.walk(path, topdown=False):
            if below != path:
                try:
                    os.rmdir(below)
                except OSError:
                    pass
        try:
            os.rmdir(path)
            return
        except OSError:
            time.sleep(0.01)


def bystander(dispositions):
    """A process in a group of its own that lives until it is signalled, or we are gone."""

    def enter():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setpgid(0, 0)
        dispositions()

    return subprocess.Popen(["sleep", "3600"], preexec_fn=enter)


class Sandbox:
    """The containment of one case: made once, in a process that runs nothing else."""

    def __init__(self, use_cgroup=True):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.root = cgroup_root() if use_cgroup else None

    @property
    def kind(self):
        return "cgroup v2" if self.root else "subreaper"


class Run:
    """One command in the sandbox. Everything is readable once `finish` has returned."""

    def __init__(self, sandbox, argv, binary, stdin=b"", stdout=None, env=None, cwd=None, before=None, signals_group=False):
        self.sandbox, self.binary, self.argv = sandbox, binary, argv
        self.cgroup = None
        if sandbox.root:
            self.cgroup = "%s/chaos-%s" % (sandbox.root, uuid.uuid4().hex[:10])
            os.mkdir(self.cgroup)
        self.peak_kib, self.seconds, self.hung, self.code = 0, 0.0, False, None
        self.script_failed = None
        self.out_file, self.err_file = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        # One process in the group of the run, one beside it: whoever signals the group, everybody, or a number that
        # is not his own hits them.
        self.mate = bystander(ignore_signals if signals_group else reset_signals)
        self.group = self.mate.pid
        self.neighbour = bystander(reset_signals)
        self.input_file = None
        if isinstance(stdin, bytes):
            self.input_file = tempfile.TemporaryFile()
            self.input_file.write(stdin)
            self.input_file.seek(0)
            stdin = self.input_file

        def enter():
            if self.cgroup:
                with open(self.cgroup + "/cgroup.procs", "w") as procs:
                    procs.write("0")
            os.setpgid(0, self.group)
            reset_signals()
            if before:
                before()

        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            argv, preexec_fn=enter, stdin=stdin, stdout=stdout if stdout is not None else self.out_file,
            stderr=self.err_file, env=env, cwd=cwd,
        )
        self.pid = self.process.pid
        self.stdin = self.process.stdin

    # What a script may ask and do while the run goes on.

    def alive(self):
        """The processes of the run that live."""
        if self.cgroup:
            return [pid for pid in members(self.cgroup) if is_alive(pid)]
        return sorted(descendants(os.getpid()) - {self.mate.pid, self.neighbour.pid})

    def matching(self, *words):
        """Those whose command line has all these words."""
        return [pid for pid in self.alive() if all(word in command_of(pid) for word in words)]

    def exactly(self, command):
        """Those whose command line is this one: not the shells that have it in theirs."""
        return [pid for pid in self.alive() if command_of(pid).strip() == command]

    def until(self, condition, seconds=15.0):
        """Waits for something to become true. Gives what it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                return condition()
            time.sleep(POLL_SECONDS)
        raise TimeoutError("what the script waits for did not happen within %g s" % seconds)

    def sleep(self, seconds):
        time.sleep(seconds)

    def signal(self, number, group=False):
        try:
            (os.killpg if group else os.kill)(self.group if group else self.pid, number)
        except ProcessLookupError:
            pass

    def written(self):
        """What is on the standard output by now."""
        return os.pread(self.out_file.fileno(), 1 << 26, 0)

    def supervisor(self):
        """The process id of the supervisor itself: of the run, or below a program in front of it."""
        for pid in [self.pid] + self.alive():
            words = command_of(pid).split(" ")
            if words and words[0] == self.binary and "spawn" in words:
                return pid
        return None

    def our_ticks(self):
        """CPU time of all processes of our own binary, in ticks."""
        total = 0
        for pid in self.alive():
            try:
                ours = os.readlink("/proc/%d/exe" % pid) == os.path.realpath(self.binary)
            except OSError:
                continue
            stat = stat_of(pid)
            total += stat[2] if ours and stat else 0
        return total

    def idle_share(self, seconds=2.0):
        """The share of one core that our processes use from now on (I8)."""
        before = self.our_ticks()
        time.sleep(seconds)
        return (self.our_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds

    def freeze(self, on):
        """Stops or continues every process, without a signal where there is a cgroup."""
        if self.cgroup:
            with open(self.cgroup + "/cgroup.freeze", "w") as freezer:
                freezer.write("1" if on else "0")
            return
        for pid in self.alive():
            hit(pid, signal.SIGSTOP if on else signal.SIGCONT)

    # The end.

    def finish(self, timeout, script=None):
        """Waits for the end, at most so long, and counts who is left."""
        thread = None
        if script:
            thread = threading.Thread(target=self._play, args=(script,), daemon=True)
            thread.start()
        watched = None
        while self.process.poll() is None and time.monotonic() - self.begun < timeout:
            watched = watched or self.supervisor()
            self._measure(watched)
            time.sleep(POLL_SECONDS)
        self.seconds = time.monotonic() - self.begun
        self.code = self.process.poll()
        self.hung = self.code is None
        if thread:
            thread.join(0.1 if self.hung else 20)
        self._count_survivors()
        self._clean()
        for name, file in (("out", self.out_file), ("err", self.err_file)):
            file.seek(0)
            setattr(self, name, file.read())
            file.close()
        if self.input_file:
            self.input_file.close()
        return self

    def _play(self, script):
        try:
            script(self)
        except Exception as error:  # Whatever it is, it is told with the case.
            self.script_failed = "%s: %s" % (type(error).__name__, error)

    def _measure(self, pid):
        try:
            with open("/proc/%d/status" % (pid or self.pid)) as status:
                for line in status:
                    if line.startswith("VmHWM"):
                        self.peak_kib = max(self.peak_kib, int(line.split()[1]))
        except OSError:
            pass

    def _count_survivors(self):
        end = time.monotonic()
        survivors = self.alive()
        self.stuck = []
        if self.hung:
            self.stuck = [(pid, command_of(pid)[:60], stat_of(pid)) for pid in survivors[:8]]
        while not self.hung and survivors and time.monotonic() - end < GONE_SECONDS:
            time.sleep(POLL_SECONDS)
            survivors = self.alive()
        self.gone_after = time.monotonic() - end
        self.left = [] if self.hung else [(pid, command_of(pid)[:80]) for pid in survivors]
        self.hit = [who.args for who in (self.mate, self.neighbour) if who.poll() is not None]

    def _clean(self):
        if self.stdin:
            try:
                self.stdin.close()
            except OSError:
                pass
        end = time.monotonic() + 10
        while True:
            if self.cgroup:
                try:
                    with open(self.cgroup + "/cgroup.kill", "w") as kill:
                        kill.write("1")
                except OSError:
                    pass
            for pid in self.alive():
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            if not self.alive() or time.monotonic() > end:
                break
            time.sleep(POLL_SECONDS)
        for one in (self.process, self.mate, self.neighbour):
            if one.poll() is None:
                one.kill()
            one.wait()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if self.cgroup:
            remove_cgroup(self.cgroup)


def limited(**limits):
    """For `before`: sets resource limits by name, `nofile=64`."""

    def apply():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, "RLIMIT_" + name.upper()), (value, value))

    return apply
