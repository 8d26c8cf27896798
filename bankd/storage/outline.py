"""Follow the log record by record without keeping its entries: what comes next, and whether a record may come next.

Rules of order: an entry stands at the next index or replaces everything from its own index on; a base replaces
everything, and the next index is the one behind it; terms never fall along the log, nor in hard states; a seal names the
next index. Pure; a few bytes a term, whatever the length of the log.

A log whose first segments were deleted begins with another `next_index`; entries in front of that may still come, and
be replaced.
"""

from typing import Final, assert_never

import attrs

from bankd.raft.messages import Entry, HardState
from bankd.storage.records import Base, Record, Seal
from bankd.types import LogIndex, Term

FIRST_INDEX: Final = LogIndex(1)


@attrs.define
class Outline:
    """What the records so far amount to, but for the bodies."""

    hard_state: HardState = attrs.field(factory=HardState)
    next_index: LogIndex = FIRST_INDEX
    _terms: list[tuple[LogIndex, Term]] = attrs.field(factory=list)  # the first index of each term, ascending in both

    @property
    def last_term(self) -> Term:
        """The term of the last entry, 0 without one."""
        return self._terms[-1][1] if self._terms else Term(0)

    def term_at(self, index: LogIndex) -> Term | None:
        """The term of the entry at `index`, which is not beyond the last; None: it is older than what was read."""
        return next((term for first, term in reversed(self._terms) if first <= index), None)

    def take(self, record: Record) -> str | None:
        """Take in one record; return what was expected instead if it cannot follow."""
        match record:
            case Entry():
                return self._append(record)
            case HardState():
                if record.term < self.hard_state.term:
                    return f"a term of {self.hard_state.term} or more, not {record.term}"
                self.hard_state = record
                return None
            case Base():
                self.next_index, self._terms = LogIndex(record.index + 1), [(record.index, record.term)]
                return None
            case Seal():
                at = record.next_index
                return None if at == self.next_index else f"a seal at index {self.next_index}, not at {at}"
            case _:
                assert_never(record)

    def _append(self, entry: Entry) -> str | None:
        if not FIRST_INDEX <= entry.index <= self.next_index:
            return f"an entry at index {self.next_index} or before, not at {entry.index}"
        while self._terms and self._terms[-1][0] >= entry.index:
            self._terms.pop()
        if entry.term < self.last_term:
            return f"an entry of term {self.last_term} or later, not of {entry.term}"
        if entry.term > self.last_term:
            self._terms.append((entry.index, entry.term))
        self.next_index = LogIndex(entry.index + 1)
        return None
