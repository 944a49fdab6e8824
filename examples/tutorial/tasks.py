"""The functions of the tutorial. Nothing here knows of supervisor, but for the two that share a counter."""

import asyncio
import time

# ---- waiting: a coroutine, and a plain function ------------------------------------------------------------------


async def tugas(nama, detik):
    print(f"{nama} mulai")
    await asyncio.sleep(detik)
    print(f"{nama} selesai setelah {detik} detik")


def proses(nama, detik):
    print(f"{nama} mulai")
    time.sleep(detik)
    print(f"{nama} selesai setelah {detik} detik")


# ---- two threads with numbers and letters ------------------------------------------------------------------------


def number(n):
    print(f"Number: {n}")
    time.sleep(0.2)


def letter(c):
    print(f"Letter: {c}")
    time.sleep(0.2)


# ---- a shared counter --------------------------------------------------------------------------------------------


def add_without_lock(times):
    from supervisor import Value

    counter = Value("counter")
    for _ in range(times):
        seen = counter.get()
        counter.set(seen + 1)  # what another worker wrote since the line above is lost


def add_with_lock(times):
    from supervisor import Lock, Value

    counter = Value("counter")
    for _ in range(times):
        with Lock("counter"):
            seen = counter.get()
            counter.set(seen + 1)


def counted():
    from supervisor import Value

    return Value("counter").get()


# ---- work for the processor --------------------------------------------------------------------------------------


def primes(limit):
    """How many primes are below the limit, the slow way."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, limit))


def primes_timed(limit):
    """The same, with the processor time that this thread spent on it."""
    begun = time.thread_time()
    return {"primes": primes(limit), "cpu_seconds": time.thread_time() - begun}
