"""Tell which entries of a log no later one replaced, reading it twice and keeping next to nothing.

An entry at an index replaces everything from that index on, a base replaces all that was written before it. So an entry
is in the end part of the log if no later entry stands at its index or below, and no base behind it. Only entries that replace something matter for that, and of those only the ones
with no later one at the same index or below: their indexes ascend, and there are at most as many as leaders changed.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import attrs

from bankd.raft.messages import Entry
from bankd.types import LogIndex

_Where = TypeVar("_Where")


@attrs.define
class Survivors:
    """First `note` every entry in file order, then let the same entries pass through `among`."""

    entries: int = 0
    _cuts: list[tuple[int, LogIndex]] = attrs.field(factory=list)  # place among the entries, and index: both ascend

    def note(self, index: LogIndex, next_index: LogIndex) -> None:
        """Take note of the entry at `index`, before which `next_index` was the log's next."""
        if index < next_index:
            while self._cuts and self._cuts[-1][1] >= index:
                self._cuts.pop()
            self._cuts.append((self.entries, index))
        self.entries += 1

    def begin_anew(self) -> None:
        """Take note of a base: nothing before it counts."""
        self._cuts = [(self.entries, LogIndex(0))]

    def among(self, entries: Iterable[tuple[_Where, Entry]]) -> Iterator[tuple[_Where, Entry]]:
        """Give the entries that are part of the log in the end: one for each index, in order."""
        ahead = 0  # of the cuts: those before it are passed
        for place, (where, entry) in enumerate(entries):
            while ahead < len(self._cuts) and self._cuts[ahead][0] <= place:
                ahead += 1
            if ahead == len(self._cuts) or entry.index < self._cuts[ahead][1]:
                yield where, entry
