"""Has what is to be measured: builds supervisor, installs the peers, each in the version named here. What cannot be had is left out
of the tables and named below them."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PEERS = os.path.join(ROOT, "target", "peers")
SUPERVISOR = os.path.join(ROOT, "target", "release", "supervisor")
SERVE = os.path.join(ROOT, "target", "release", "examples", "serve")
LIMIT = os.path.join(PEERS, "spawn_limit")
RUST_PARALLEL = os.path.join(PEERS, "bin", "rust-parallel")
# All that is Python runs on this interpreter, supervisor's workers too.
PYTHON = os.path.join(PEERS, "venv", "bin", "python")
MODULES = os.path.join(PEERS, "node_modules")

RUST = "rust-parallel@1.24.0"
PIP = ("loky==3.7.0", "joblib==1.6.0", "mpire==2.10.2", "pebble==5.2.3", "dask==2026.8.0", "distributed==2026.8.0")
NPM = ("workerpool@10.0.3", "piscina@5.3.2", "jest-worker@30.5.1")
# A command and the Debian package that has it.
APT = {"parallel": "parallel", "make": "make", "xargs": "findutils", "cc": "gcc"}


def peers():
    """Installs what is missing. A list of versions that was changed is installed again."""
    os.makedirs(PEERS, exist_ok=True)
    for command, package in APT.items():
        if not shutil.which(command) and os.geteuid() == 0:
            attempt(["apt-get", "install", "-qy", package])
    once("cargo", (RUST,), lambda: attempt(["cargo", "install", "--quiet", "--locked", "--force", "--root", PEERS, RUST]))
    once("pip", PIP, lambda: attempt([sys.executable, "-m", "venv", os.path.join(PEERS, "venv")])
         and attempt([PYTHON, "-m", "pip", "install", "--quiet", *PIP]))
    if shutil.which("npm"):
        once("npm", NPM, lambda: attempt(["npm", "install", "--silent", "--prefix", PEERS, *NPM]))


def supervisor():
    """Builds it as users have it, and the limit."""
    subprocess.run(["cargo", "build", "--locked", "--release", "--quiet", "--bins", "--examples"], cwd=ROOT, check=True)
    attempt(["cc", "-O2", "-o", LIMIT, os.path.join(HERE, "spawn_limit.c")])


def attempt(command):
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        print("cannot be had here: %s" % " ".join(command), file=sys.stderr)
    return done.returncode == 0


def once(what, wanted, act):
    stamp = os.path.join(PEERS, "installed-" + what)
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read().split() == list(wanted):
                return
    if act():
        with open(stamp, "w") as file:
            file.write("\n".join(wanted))


def versions():
    """Of everything measured, for the page."""
    first = lambda *argv: subprocess.run(argv, stdout=subprocess.PIPE, text=True).stdout.split("\n")[0].strip()
    told = [first(*argv) for argv in (("xargs", "--version"), ("parallel", "--version"), ("make", "--version"), ("node", "--version")) if shutil.which(argv[0])]
    told = [{"v": "Node " + word[1:]}.get(word[:1], word) for word in told]
    return ", ".join([first(PYTHON, "--version")] + told + [word.replace("==", " ").replace("@", " ") for word in (RUST, *PIP, *NPM)])
