"""1 GB of text in writes of what a pipe holds: little else than output, where `head -c` makes 16 times as many system calls."""

import os

PIECE = b"x" * 63 + b"\n"
PIECE *= 1000

for _ in range(1_000_000_000 // len(PIECE)):
    os.write(1, PIECE)
