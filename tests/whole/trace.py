"""Note what happens in a world, as one number for comparing runs and as last lines for reading."""

import hashlib
from collections import deque
from typing import Final

import trio

LINES_KEPT: Final = 40


class Trace:
    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.count = 0

    def note(self, *what: object) -> None:
        """One thing that happened. `what` must read the same in every run: no address, no order of a set."""
        line = f"{trio.current_time():10.6f} {' '.join(map(str, what))}"
        self._hash.update(line.encode())
        self._lines.append(line)
        self.count += 1

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def last_lines(self) -> str:
        return "\n".join(self._lines)
