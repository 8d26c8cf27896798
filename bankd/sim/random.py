"""Chance for a simulated world: a small generator of our own, whose numbers can never change.

One stream per thing that is drawn for ("link n1>n2", "disk n3"), named after the seed and the thing, so
that a fault taken out of a plan leaves every other draw as it was. The numbers are those of splitmix64
(Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), begun at a hash of
seed and name: three multiplications a draw, and the same in every Python and on every machine.

Limits: 64 bits of state. Good enough to pick faults; no secrets come from here.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

PPM: Final = 1_000_000
_MASK: Final = 2**64 - 1
_STEP: Final = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, odd


class Stream:
    """One sequence of draws. It is a `RandomSource` for consensus as well."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, name: str) -> None:
        digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
        self._state = int.from_bytes(digest, "little")

    def u64(self) -> int:
        self._state = state = (self._state + _STEP) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)

    def below(self, bound: int) -> int:
        """0 <= n < bound. Even to within bound / 2**64."""
        assert bound > 0, f"nothing is below {bound}"
        return self.u64() * bound >> 64

    def between(self, low: int, high: int) -> int:
        """low <= n <= high."""
        return low + self.below(high - low + 1)

    def chance(self, ppm: int) -> bool:
        """True in `ppm` of a million draws. One number is drawn whatever the odds."""
        return self.u64() * PPM >> 64 < ppm

    def pick(self, sequence: Sequence[T]) -> T:
        return sequence[self.below(len(sequence))]

    def shuffled(self, sequence: Sequence[T]) -> list[T]:
        """The same items in a drawn order (Fisher and Yates)."""
        items = list(sequence)
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
        return items
