"""Runs the text of the shim, as it was kept compiled by an earlier run if it was: compiling takes longer than the rest of
the start. It is kept where the user's caches are, readable by nobody else, and taken from there only if it is the user's own.
"""

import marshal
import os
import sys

if sys.version_info < (3, 7):  # said in words that each of them understands
    sys.stdout.write(
        '{"jsonrpc":"2.0","method":"failed","params":{"message":"Python 3.8 or newer is needed, and this is %d.%d"}}\n'
        % sys.version_info[:2]
    )
    sys.exit(1)


def _compiled(text, place):
    """`place` says what text it is; which Python compiled it is added here. Empty: nothing is kept."""
    place = place and "%s.%s-%x-%d" % (place, sys.implementation.cache_tag, sys.hexversion, sys.flags.optimize)
    try:
        with open(place, "rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid == os.geteuid() and not facts.st_mode & 0o022:
                code = marshal.loads(file.read())
                if isinstance(code, type(_compiled.__code__)):
                    return code
    except (OSError, EOFError, ValueError, TypeError):
        pass  # not there, or torn: it is written anew
    code = compile(text, "<supervisor>", "exec")
    if place and not sys.dont_write_bytecode:
        _keep(place, marshal.dumps(code))
    return code


def _keep(place, content):
    temporary = "%s.%s" % (place, os.urandom(8).hex())
    folder = os.path.dirname(place)
    caches = os.path.dirname(folder)
    above = [path for path in (folder, caches, os.path.dirname(caches)) if os.path.isdir(path)]
    # No home is made where there is none, and nothing among the caches of somebody else (with sudo, say).
    if not above or os.stat(above[0]).st_uid != os.geteuid():
        return
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
        os.rename(temporary, place)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass


exec(_compiled(os.environ.pop("SPV_SHIM_TEXT"), os.environ.pop("SPV_SHIM_KEPT", "")), globals())
