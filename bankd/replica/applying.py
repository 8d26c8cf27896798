"""Apply committed entries to the ledger, in log order and in slices, and answer the calls that they carry.

An entry that this node proposed finds its commands still decoded (writes.py); any other is decoded here.

Invariant: entries are applied without gaps, and each leaves the backlog once it is applied, not before. So
an entry that cannot be decoded is met again, and raises again, whoever goes on asking.
Invariant: `applied_term` and `configuration` are those at `applied_index`: with the ledger they are what a snapshot holds.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from bankd.ledger.commands import Command
from bankd.ledger.state import Ledger
from bankd.raft.messages import Entry, EntryType
from bankd.replica.costs import applying_ns
from bankd.replica.digests import DigestRing
from bankd.replica.effects import Reply
from bankd.replica.writes import Writes
from bankd.types import LogIndex, Term, TimeNs


class Batch(Protocol):
    """A decoded log entry."""

    @property
    def time_ns(self) -> TimeNs: ...
    @property
    def commands(self) -> Sequence[Command]: ...


@attrs.frozen
class EntryCodec:
    """How commands look as bytes, which this layer does not know."""

    encode_head: Callable[[TimeNs], bytes]
    decode: Callable[[bytes], Batch]  # raises UnknownEntryVersion, and nothing else


@attrs.frozen
class Applied:
    """What is remembered of the log beside the ledger: the term of the last entry applied, and the newest
    configuration up to there, as the body of its entry."""

    term: Term
    configuration: bytes


class Applying:
    def __init__(self, ledger: Ledger, applied: Applied, codec: EntryCodec, writes: Writes) -> None:
        self.backlog: deque[Entry] = deque()  # committed and not yet applied
        self._codec = codec
        self._writes = writes
        self.restart(ledger, applied)

    def restart(self, ledger: Ledger, applied: Applied) -> None:
        """Go on from this state; what was still to be applied to the former one is part of it."""
        self._ledger = ledger
        self.backlog.clear()
        self.digests = DigestRing(ledger.applied_index, ledger.digest)
        self.applied_term = applied.term
        self.configuration = applied.configuration
        self.count_anew()

    def count_anew(self) -> None:
        """Count entries, and the bytes of their bodies, from here on."""
        self._counted_from = self._ledger.applied_index
        self.bytes_since = 0

    @property
    def applied_index(self) -> LogIndex:
        return self._ledger.applied_index

    @property
    def entries_since(self) -> int:
        return self._ledger.applied_index - self._counted_from

    def apply(self, budget_ns: int, replies: list[Reply]) -> int:
        """Apply the backlog as far as `budget_ns` goes, by estimate; the answers are added to `replies`.

        Returns what is left of the budget: 0 or less when it was used up.

        Raises:
          UnknownEntryVersion: the first entry of the backlog is newer than this program.
        """
        while self.backlog and budget_ns > 0:
            entry = self.backlog[0]
            commands = 0
            if entry.type is EntryType.COMMANDS:
                commands = self._apply_commands(entry, replies)
            else:
                self._ledger.skip(entry.index)
                if entry.type is EntryType.CONFIG:
                    self.configuration = entry.body
            self.backlog.popleft()
            self.applied_term = entry.term
            self.digests.record(entry.index, self._ledger.digest)
            size = len(entry.body)
            self.bytes_since += size
            budget_ns -= applying_ns(size, commands)
        return budget_ns

    def _apply_commands(self, entry: Entry, replies: list[Reply]) -> int:
        """Apply one entry; returns how many commands it held."""
        ours = self._writes.take_logged(entry.index, entry.term)
        if ours is None:
            batch = self._codec.decode(entry.body)
            self._ledger.apply(entry.index, batch.time_ns, batch.commands)
            return len(batch.commands)
        outcomes = self._ledger.apply(entry.index, ours.time_ns, ours.commands)
        for mark, outcome in zip(ours.reply_tos, outcomes, strict=True):
            if mark is not None:
                replies.append(Reply(mark, outcome))
        return len(ours.commands)
