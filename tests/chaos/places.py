"""Places that a case needs and a machine may refuse: mounts and process namespaces of its own, a cgroup with a limit,
another user. Gives the words to put in front of a command, or says on the case what is wanting and gives None; the case then
takes another route to the same fault, never none."""

import os
import subprocess
import uuid

from sandbox import remove_cgroup


def works(argv):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.run(argv, timeout=10, **quiet).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def first_that_works(trial, ways, probe, want):
    for words in ways:
        if works(words + probe):
            return words
    trial.note("no %s here: by another route" % want)
    return None


def private_mounts(trial):
    """A mount namespace: as root, or as root of a user namespace."""
    ways = (["unshare", "-m"], ["unshare", "-Urm"])
    return first_that_works(trial, ways, ["mount", "-t", "tmpfs", "none", "/mnt"], "mount namespace")


def first_process(trial):
    """A PID namespace in which the command is process 1."""
    ways = (["unshare", "-pf", "--mount-proc"], ["unshare", "-Urpf", "--mount-proc"])
    return first_that_works(trial, ways, ["true"], "PID namespace")


def foreign_proc(trial):
    """A PID namespace that sees the processes of the one above in /proc."""
    return first_that_works(trial, (["unshare", "-pf"], ["unshare", "-Urpf"]), ["true"], "PID namespace")


def another_user(trial):
    """A user with no other process, so that limits on their number mean ours alone."""
    uid = str(61000 + os.getpid() % 4000)
    ways = (["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"],)
    return first_that_works(trial, ways, ["true"], "way to become another user")


def processes_of_user():
    """Threads of this user, as RLIMIT_NPROC counts them."""
    count = 0
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.stat("/proc/" + entry).st_uid == os.getuid():
                count += len(os.listdir("/proc/%s/task" % entry))
        except OSError:
            pass
    return count


class LimitedGroup:
    """A cgroup with one limit, of either version; `path` is None where none can be made."""

    FILES = {"pids": ("pids.max", "pids.max"), "memory": ("memory.max", "memory.limit_in_bytes")}

    def __init__(self, trial, controller, limit):
        self.path = None
        for root, version in (("/sys/fs/cgroup", 0), ("/sys/fs/cgroup/" + controller, 1)):
            path = "%s/chaos-%s" % (root, uuid.uuid4().hex[:8])
            try:
                os.mkdir(path)
            except OSError:
                continue
            try:
                # Where this is a plain directory, or the controller is not handed down, there is no such file.
                with open("%s/%s" % (path, self.FILES[controller][version]), "r+") as file:
                    file.write(str(limit))
                self.path = path
                break
            except OSError:
                os.rmdir(path)
        if self.path is None:
            trial.note("no cgroup with a limit on %s here: by another route" % controller)

    def enter(self):
        """For `before`: moves the process in."""
        with open(self.path + "/cgroup.procs", "w") as procs:
            procs.write("0")

    def remove(self):
        if self.path:
            remove_cgroup(self.path)
