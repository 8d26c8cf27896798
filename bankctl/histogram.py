"""Latencies by the million in a few kilobytes: counts in buckets that keep 8 significant bits.

The idea is HdrHistogram's (Gil Tene): equal steps inside each power of two, so the error of every
percentile is below 0.8 %, whatever the size. The maximum is kept exactly.
"""

from collections import Counter
from typing import Final

SUB_BITS: Final = 7  # 128 steps in each power of two


class Histogram:
    """Whole microseconds."""

    def __init__(self) -> None:
        self.count = 0
        self.max_us = 0
        self._buckets: Counter[int] = Counter()

    def add(self, us: int) -> None:
        self.count += 1
        self.max_us = max(self.max_us, us)
        self._buckets[bucket_of(us)] += 1

    def merge(self, other: "Histogram") -> None:
        self.count += other.count
        self.max_us = max(self.max_us, other.max_us)
        self._buckets.update(other._buckets)

    def percentile_us(self, percent: float) -> int:
        """The latency that `percent` of all did not exceed; 0 when there are none."""
        wanted = self.count * percent / 100.0
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(top_of(bucket), self.max_us)
        return 0


def bucket_of(us: int) -> int:
    shift = max(0, us.bit_length() - SUB_BITS - 1)
    return (shift << SUB_BITS) + (us >> shift)


def top_of(bucket: int) -> int:
    """The greatest value that falls into the bucket."""
    shift = max(0, (bucket >> SUB_BITS) - 1)
    return ((bucket - (shift << SUB_BITS) + 1) << shift) - 1
