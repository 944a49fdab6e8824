#!/usr/bin/env python3
"""libFuzzer over each decoder of tests/fuzz/targets.rs, from the corpora that are in the repository.

    tests/fuzz/long.py [--seconds N] [--keep] [TARGET]...

Ends with 1 when an input makes a decoder fail, and says where that input is. With --keep the inputs that reach something
new are written to corpus/TARGET.found: a line each, as the Rust test of the corpora reads them. Needs a nightly compiler and
cargo-fuzz, and installs them where that can be done."""

import argparse
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CORPUS = os.path.join(HERE, "corpus")
WORK = os.path.join(ROOT, "target", "fuzz")
SANITIZER = ["--sanitizer", "none"]
# Longest input: what matters in a decoder happens within a few lines.
INPUT_BYTES_MAX = 4096
# Longest input that is kept in the repository, and most bytes of all that are kept of a target.
KEPT_INPUT_BYTES_MAX = 600
KEPT_BYTES_MAX = 100 << 10
# An input that takes longer than this hangs.
HANG_SECONDS = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="write what reaches something new to the corpora")
    parser.add_argument("target", nargs="*")
    options = parser.parse_args()
    targets = options.target or sorted(name for name in os.listdir(CORPUS) if os.path.isdir(os.path.join(CORPUS, name)))
    install()
    if subprocess.run(cargo_fuzz("build"), cwd=ROOT).returncode != 0:
        sys.exit("the fuzz targets do not build")
    failed = [target for target in targets if not fuzz(target, options.seconds)]
    if options.keep and not failed:
        for target in targets:
            keep(target)
    if failed:
        sys.exit("a decoder failed: %s; the inputs are in fuzz/artifacts. Each becomes a file of tests/fuzz/corpus" % failed)
    print("%d targets for %d s each: no input makes one fail" % (len(targets), options.seconds))


def cargo_fuzz(*words):
    """Before a run the build is made once, so that time for compiling is not taken from the first target."""
    return ["cargo", "+nightly", "fuzz", words[0], *SANITIZER, *words[1:]]


def install():
    toolchains = subprocess.run(["rustup", "toolchain", "list"], stdout=subprocess.PIPE, text=True).stdout
    if "nightly" not in toolchains:
        command = ["rustup", "toolchain", "install", "nightly", "--profile", "minimal"]
        if subprocess.run(command).returncode != 0:
            sys.exit("libFuzzer needs a nightly compiler, and rustup could not install one (%s)" % " ".join(command))
    if not shutil.which("cargo-fuzz"):
        command = ["cargo", "install", "--quiet", "--locked", "cargo-fuzz"]
        if subprocess.run(command).returncode != 0:
            sys.exit("cargo-fuzz is needed and could not be installed (%s)" % " ".join(command))


def fuzz(target, seconds):
    """Whether the target stood all inputs for so long. The inputs that reach something new are in its folder in WORK."""
    found, seeds = folder(target, "found"), unpacked(target)
    print("== %s: %d inputs to begin with" % (target, len(os.listdir(seeds))), flush=True)
    limits = ["-max_total_time=%d" % seconds, "-max_len=%d" % INPUT_BYTES_MAX, "-timeout=%d" % HANG_SECONDS]
    quiet = ["-verbosity=0", "-print_funcs=0"]
    command = cargo_fuzz("run", target, found, seeds, "--", *limits, *quiet)
    return subprocess.run(command, cwd=ROOT).returncode == 0


def keep(target):
    """Writes the smallest set of found inputs that reaches more than the files beside it do, the short ones first."""
    merged = folder(target, "merged")
    shutil.rmtree(merged)
    os.makedirs(merged)
    written = os.path.join(CORPUS, target)
    # libFuzzer adds to the first folder what the others reach and it does not; the files written by hand are there already.
    for name in os.listdir(written):
        shutil.copy(os.path.join(written, name), merged)
    command = cargo_fuzz("run", target, merged, unpacked(target), folder(target, "found"), "--", "-merge=1", "-verbosity=0")
    subprocess.run(command, cwd=ROOT, check=True)
    new = [read(os.path.join(merged, name)) for name in os.listdir(merged) if name not in os.listdir(written)]
    kept, total = [], 0
    for data in sorted(new, key=lambda data: (len(data), data)):
        line = packed(data)
        if len(data) > KEPT_INPUT_BYTES_MAX or total + len(line) > KEPT_BYTES_MAX:
            break
        kept.append(line)
        total += len(line) + 1
    with open(written + ".found", "w") as file:
        file.writelines(line + "\n" for line in kept)
    print("%s: %d of %d new inputs kept, %d bytes" % (target, len(kept), len(new), total))


def unpacked(target):
    """A folder with one file for each input of the corpus, as libFuzzer wants it."""
    seeds = folder(target, "seeds")
    shutil.rmtree(seeds)
    shutil.copytree(os.path.join(CORPUS, target), seeds)
    packed_file = os.path.join(CORPUS, target + ".found")
    if os.path.exists(packed_file):
        with open(packed_file) as lines:
            for number, line in enumerate(lines):
                with open(os.path.join(seeds, "found-%d" % number), "wb") as seed:
                    seed.write(line.rstrip("\n").encode("ascii").decode("unicode_escape").encode("latin-1"))
    return seeds


def packed(data):
    """Bytes as text in one line: \\xNN for what cannot be shown, so that a reader of the file sees what it is."""
    plain = lambda byte: 32 <= byte < 127 and byte != ord("\\")
    return "".join(chr(byte) if plain(byte) else "\\x%02x" % byte for byte in data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def folder(target, kind):
    path = os.path.join(WORK, kind, target)
    os.makedirs(path, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
