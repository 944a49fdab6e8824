# ---- marks -------------------------------------------------------------------------------------------------------

# Where supervisor keeps a journal (--output), whoever comes after it wants to know which calls had begun when it was
# killed. SPV_MARKS=FD:PLACE says where: a file that several processes have open, and the place in it of eight bytes of
# ours, which hold one more than the id of the call that was begun last.


def open_marks():
    """The word to write to, as a view with one element; None where nobody keeps a journal."""
    told = os.environ.pop("SPV_MARKS", None)
    if told is None:
        return None
    try:
        fd, place = map(int, told.split(":"))
        # Opened anew, so that no process which a function starts holds the lock that goes with the other one.
        own = os.open("/proc/self/fd/%d" % fd, os.O_RDWR | os.O_CLOEXEC)
        try:
            return memoryview(mmap.mmap(own, place + 8))[place:].cast("Q")
        finally:
            os.close(own)
            os.close(fd)
    except (OSError, ValueError):
        return None


def marking(take, word):
    """As `take`, and the call that is taken is written down as begun before it is."""

    def take_and_mark():
        request = take()
        try:
            word[0] = request["id"] + 1
        except (KeyError, TypeError, ValueError, OverflowError):  # no call of supervisor's
            pass
        return request

    return take_and_mark


