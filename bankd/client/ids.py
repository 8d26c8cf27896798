"""Make ids for writes: UUIDv7 (RFC 9562, 5.7), rising within one source.

An id stands for one intent, so it is made once and kept over every retry. Its time part keeps ids
of one moment together; within a millisecond a counter goes up (RFC 9562, 6.2, method 2), which is
also what makes an id cheap. The counter begins at random in every millisecond: two processes
that share a past (a fork) part ways with the next one.
"""

from collections.abc import Callable
from typing import Final

NS_PER_MS: Final = 1_000_000
_COUNTER_BITS: Final = 62  # what version and variant leave behind the first 64 bits
_START_BYTES: Final = 9  # 12 random bits in front of the counter, and its beginning
_VARIANT: Final = 0b10 << _COUNTER_BITS
_LOW_48: Final = (1 << 48) - 1


class IdSource:
    """`random_bytes(n)` gives n unpredictable bytes, `clock_ns()` the wall clock in nanoseconds since 1970 UTC.

    Invariant: every id is greater than the one before, also when the clock steps back.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], clock_ns: Callable[[], int]) -> None:
        self._random_bytes = random_bytes
        self._clock_ns = clock_ns
        self._ms = -1
        self._prefix = ""
        self._tail = 0

    def make(self) -> str:
        ms = self._clock_ns() // NS_PER_MS
        if ms > self._ms:
            self._begin(ms)
        self._tail += 1
        tail = self._tail
        return f"{self._prefix}{tail >> 48:04x}-{tail & _LOW_48:012x}"

    def _begin(self, ms: int) -> None:
        start = int.from_bytes(self._random_bytes(_START_BYTES), "big")
        self._ms = ms
        self._prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{start & 0xFFF:03x}-"
        # One bit below the top stays free: the counter cannot overflow within a millisecond.
        self._tail = _VARIANT | (start >> 12) & ((1 << (_COUNTER_BITS - 2)) - 1)
