"""Make ids for writes: UUIDv7 (RFC 9562, 5.7), rising within one source.

An id stands for one intent, so it is made once and kept over every retry. Its time part keeps ids
of one moment together; within a millisecond a counter goes up (RFC 9562, 6.2, method 2), which is
also what makes an id cheap. The counter begins at random in every millisecond: two processes
that share a past (a fork) part ways with the next one.
"""

from collections.abc import Callable
from typing import Final

NS_PER_MS: Final = 1_000_000
_START_BYTES: Final = 9  # 26 random bits in front of the counter, and the 46 bits that it begins with
_VARIANT: Final = 0x8000


class IdSource:
    """`random_bytes(n)` gives n unpredictable bytes, `clock_ns()` the wall clock in nanoseconds since 1970 UTC.

    Invariant: every id is greater than the one before, also when the clock steps back.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], clock_ns: Callable[[], int]) -> None:
        self._random_bytes = random_bytes
        self._clock_ns = clock_ns
        self._ms = -1
        self._prefix = ""
        self._counter = 0  # the last 48 bits

    def make(self) -> str:
        ms = self._clock_ns() // NS_PER_MS
        if ms > self._ms:
            self._begin(ms)
        self._counter += 1
        return f"{self._prefix}{self._counter:012x}"

    def make_many(self, count: int) -> list[str]:
        """As many ids as asked for, in rising order, all of this moment."""
        ms = self._clock_ns() // NS_PER_MS
        if ms > self._ms:
            self._begin(ms)
        prefix, first = self._prefix, self._counter + 1
        self._counter += count
        return [f"{prefix}{counter:012x}" for counter in range(first, first + count)]

    def _begin(self, ms: int) -> None:
        start = int.from_bytes(self._random_bytes(_START_BYTES), "big")
        self._ms = ms
        middle = f"7{start & 0xFFF:03x}-{_VARIANT | start >> 12 & 0x3FFF:04x}"
        self._prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-{middle}-"
        # Two bits at the counter's top stay free: it cannot overflow within a millisecond.
        self._counter = start >> 26
