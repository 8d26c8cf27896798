"""Hold the log in memory and know how far it is written, durable, committed and delivered.

    base ............ delivered ...... commit ................ last
                                stable ........ written ...... last

`written_index` is what has been handed to the disk, `stable_index` what the disk has confirmed. The
two rows are independent: a follower may learn that an entry is committed before its own copy is
durable (a quorum of others holds it), and most entries are durable before they are committed.

The log judges no message: who may append, and what may be committed, is decided in `replication` and
`follower`. Terms never decrease along the log, which makes every search for a term a bisection.

The log starts behind a base: index 0 of term 0, or the last entry that a snapshot covers and that was dropped here.
All entries behind it are in memory.

Source: paper 5.3 and figure 2; the split by stability follows thesis 10.2.1.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from bankd.raft.messages import Entry
from bankd.types import LogIndex, Term

ENTRY_OVERHEAD_BYTES: Final = 24  # what an entry counts for, beside its body, against every bound in bytes


def _term_of(entry: Entry) -> Term:
    return entry.term


class RaftLog:
    """The entries behind a base, in index order.

    Invariant: the entry at list place i has index base_index + 1 + i; terms never decrease.
    Invariant: base_index <= delivered_index <= commit_index <= last_index.
    Invariant: base_index <= stable_index <= written_index <= last_index.
    Invariant: commit_index never falls, and nothing at or below it is ever replaced.
    """

    __slots__ = (
        "_base_term",
        "_entries",
        "base_index",
        "commit_index",
        "delivered_index",
        "last_index",
        "stable_index",
        "written_index",
    )

    def __init__(
        self,
        entries: Sequence[Entry] = (),
        *,
        base_index: LogIndex = LogIndex(0),
        base_term: Term = Term(0),
        commit_index: LogIndex = LogIndex(0),
    ) -> None:
        """Take over durable entries. Those up to `commit_index` count as delivered: the caller has applied them."""
        self._base_term = base_term
        self._entries = list(entries)
        self.base_index = base_index
        self.last_index = LogIndex(base_index + len(self._entries))
        self.stable_index = self.last_index
        self.written_index = self.last_index
        self.commit_index = max(commit_index, base_index)
        self.delivered_index = self.commit_index
        assert self.commit_index <= self.last_index, f"commit {commit_index} beyond the log's end {self.last_index}"
        self._check_order()

    def _check_order(self) -> None:
        term = self._base_term
        for index, entry in enumerate(self._entries, self.base_index + 1):
            assert entry.index == index, f"entry {entry.index} stands where {index} belongs"
            assert entry.term >= term, f"entry {index}: term {entry.term} behind term {term}"
            term = entry.term

    @property
    def last_term(self) -> Term:
        return self._entries[-1].term if self._entries else self._base_term

    def term_at(self, index: LogIndex) -> Term:
        """Return the term of the entry at `index`; the base's own at the base. The index must be in the log."""
        if index == self.base_index:
            return self._base_term
        assert self.base_index < index <= self.last_index, f"no entry {index} in {self.base_index}..{self.last_index}"
        return self._entries[index - self.base_index - 1].term

    def matches(self, index: LogIndex, term: Term) -> bool:
        """Return whether the log holds `index` with that term (paper 5.3, consistency check). Any index may be asked."""
        return self.base_index <= index <= self.last_index and self.term_at(index) == term

    def is_up_to_date(self, last_index: LogIndex, last_term: Term) -> bool:
        """Return whether a log that ends in (last_index, last_term) may lead this one (paper 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def agree_index(self, index: LogIndex, term: Term) -> LogIndex:
        """Return the last index at or before `index` whose term is at most `term`.

        Behind it a log that has `term` at `index` cannot agree with this one: entries there have
        newer terms here. One answer skips all the terms between (paper 5.3, last paragraphs).
        """
        if index <= self.base_index:
            return index
        places = min(index, self.last_index) - self.base_index
        return LogIndex(self.base_index + bisect_right(self._entries, term, 0, places, key=_term_of))

    def slice(self, lo: LogIndex, hi: LogIndex, bytes_max: int) -> tuple[Entry, ...]:
        """Return the entries lo..hi (both included), cut where they would pass `bytes_max`; at least one."""
        entries = self._entries
        first = lo - self.base_index - 1
        room_bytes = bytes_max - len(entries[first].body) - ENTRY_OVERHEAD_BYTES
        end = first + 1
        while end < hi - self.base_index:
            room_bytes -= len(entries[end].body) + ENTRY_OVERHEAD_BYTES
            if room_bytes < 0:
                break
            end += 1
        return tuple(entries[first:end])

    def bytes_between(self, after: LogIndex, to: LogIndex) -> int:
        """Return the size of the entries after < index <= to."""
        entries = self._entries[after - self.base_index : to - self.base_index]
        return sum([len(entry.body) for entry in entries]) + ENTRY_OVERHEAD_BYTES * len(entries)

    def append(self, entry: Entry) -> None:
        """Add one entry behind the last."""
        assert entry.index == self.last_index + 1, f"entry {entry.index} behind {self.last_index}"
        self._entries.append(entry)
        self.last_index = entry.index

    def merge(self, entries: Sequence[Entry]) -> LogIndex | None:
        """Make the log hold `entries`; return from where older ones were replaced, or None.

        The caller has checked that the log matches just before the first of them and that it is
        beyond the commit index. Entries held already stay, whatever follows them: an old append that
        comes late must not shorten the log.
        """
        for place, entry in enumerate(entries):
            if self.matches(entry.index, entry.term):
                continue
            replaced_from = entry.index if entry.index <= self.last_index else None
            if replaced_from is not None:
                self._truncate(replaced_from)
            self._entries.extend(entries[place:])
            self.last_index = entries[-1].index
            return replaced_from
        return None

    def _truncate(self, from_index: LogIndex) -> None:
        assert from_index > self.commit_index, f"truncate {from_index} at or below commit {self.commit_index}"
        del self._entries[from_index - self.base_index - 1 :]
        self.last_index = LogIndex(from_index - 1)
        self.written_index = min(self.written_index, self.last_index)
        self.stable_index = min(self.stable_index, self.last_index)

    def compact(self, index: LogIndex) -> None:
        """Drop the entries up to `index`, which a durable snapshot covers; a lower one than the base changes nothing."""
        assert index <= min(self.delivered_index, self.stable_index), f"{index} is not done with"
        if index > self.base_index:
            self._base_term = self.term_at(index)
            del self._entries[: index - self.base_index]
            self.base_index = index

    def restart(self, index: LogIndex, term: Term) -> None:
        """Give up every entry: a durable snapshot stands for all up to `index`, and none behind it may stay."""
        assert index > self.commit_index, f"snapshot {index} at or below commit {self.commit_index}"
        self._entries.clear()
        self._base_term = term
        self.base_index = self.last_index = index
        self.stable_index = self.written_index = index
        self.commit_index = self.delivered_index = index

    def take_unwritten(self) -> tuple[Entry, ...]:
        """Return the entries that no write carries yet, and count them as written."""
        if self.written_index == self.last_index:
            return ()
        entries = tuple(self._entries[self.written_index - self.base_index :])
        self.written_index = self.last_index
        return entries

    def stable_to(self, index: LogIndex) -> bool:
        """Note that the log is durable up to `index`; return whether that is news."""
        assert index <= self.written_index, f"stable {index} beyond what was written, {self.written_index}"
        if index <= self.stable_index:
            return False
        self.stable_index = index
        return True

    def commit_to(self, index: LogIndex) -> None:
        """Raise the commit index; a lower one changes nothing."""
        assert index <= self.last_index, f"commit {index} beyond the log's end {self.last_index}"
        if index > self.commit_index:
            self.commit_index = index

    def take_committed(self) -> tuple[Entry, ...]:
        """Return the committed entries not handed out yet, in order, and count them as delivered."""
        if self.delivered_index == self.commit_index:
            return ()
        base = self.base_index
        entries = tuple(self._entries[self.delivered_index - base : self.commit_index - base])
        self.delivered_index = self.commit_index
        return entries
