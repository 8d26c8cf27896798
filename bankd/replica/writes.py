"""Hold the writes of a leader between the call and the answer.

A call is first *gathered*: it waits to join the next log entry. Proposed, it is *logged*: it
waits, with everybody else in its entry, for that entry to be applied. The commands stay decoded
here, so that a leader applies its own entries without reading their bytes again.

Invariant: what is gathered has entered no log, so it may be refused as UNAVAILABLE.
Invariant: what is logged is answered by its outcome or as unknown, never as refused.
Invariant: `count` is the number of calls held that still await their answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from bankd.ledger.commands import Command
from bankd.raft.messages import Entry
from bankd.replica.events import ReplyTo, WriteCall
from bankd.types import LogIndex, Term, TimeNs

ENTRY_BYTES_MAX: Final = 1024 * 1024  # one AppendRequest's worth; a batch beyond it becomes several entries


@attrs.define
class LoggedEntry:
    """The calls of one entry of ours. A reply that was given early, at its deadline, leaves a None."""

    term: Term
    time_ns: TimeNs
    commands: list[Command]
    reply_tos: list[ReplyTo | None]
    deadlines_ns: list[int]


class Writes:
    def __init__(self) -> None:
        self._gathered: list[WriteCall] = []
        self._logged: dict[LogIndex, LoggedEntry] = {}
        self.gathered_bytes = 0
        self.count = 0

    @property
    def any_gathered(self) -> bool:
        return bool(self._gathered)

    def gather(self, call: WriteCall) -> None:
        self._gathered.append(call)
        self.gathered_bytes += len(call.raw)
        self.count += 1

    def take_gathered(self) -> list[WriteCall]:
        """Hand out everything that waits for a log entry; the caller logs or answers each."""
        calls, self._gathered = self._gathered, []
        self.gathered_bytes = 0
        self.count -= len(calls)
        return calls

    def logged(self, index: LogIndex, term: Term, time_ns: TimeNs, calls: Sequence[WriteCall]) -> None:
        self._logged[index] = LoggedEntry(
            term,
            time_ns,
            [call.command for call in calls],
            [call.reply_to for call in calls],
            [call.deadline_ns for call in calls],
        )
        self.count += len(calls)

    def take_logged(self, index: LogIndex, term: Term) -> LoggedEntry | None:
        """The calls of the entry that is being applied, if it is the very one that this node proposed."""
        entry = self._logged.pop(index, None)
        if entry is None:
            return None
        # Whoever loses leadership keeps only what is committed, so another term's entry cannot be met here.
        assert entry.term == term, f"index {index} was proposed in term {entry.term} and committed in {term}"
        self.count -= sum(reply_to is not None for reply_to in entry.reply_tos)
        return entry

    def abandon(self, committed: Iterable[Entry]) -> list[ReplyTo]:
        """Leadership is lost: hand out every logged call whose outcome this node may never see.

        Calls whose own entry is among `committed`, not yet applied, go on waiting: it is about to be.
        """
        kept: dict[LogIndex, LoggedEntry] = {}
        for entry in committed:
            ours = self._logged.get(entry.index)
            if ours is not None and ours.term == entry.term:
                kept[entry.index] = self._logged.pop(entry.index)
        lost = [mark for given_up in self._logged.values() for mark in given_up.reply_tos if mark is not None]
        self._logged = kept
        self.count -= len(lost)
        return lost

    def expire_gathered(self, now_ns: int) -> list[ReplyTo]:
        expired = [call.reply_to for call in self._gathered if call.deadline_ns <= now_ns]
        if expired:
            self._gathered = [call for call in self._gathered if call.deadline_ns > now_ns]
            self.gathered_bytes = sum(len(call.raw) for call in self._gathered)
            self.count -= len(expired)
        return expired

    def expire_logged(self, now_ns: int) -> list[ReplyTo]:
        expired: list[ReplyTo] = []
        for entry in self._logged.values():
            for at, deadline_ns in enumerate(entry.deadlines_ns):
                mark = entry.reply_tos[at]
                if deadline_ns <= now_ns and mark is not None:
                    expired.append(mark)
                    entry.reply_tos[at] = None
        self.count -= len(expired)
        return expired


def split_by_bytes(calls: Sequence[WriteCall], bytes_max: int) -> Iterator[Sequence[WriteCall]]:
    """Cut a batch of calls into runs of at most `bytes_max` raw bytes; a call larger than that is a run of its own."""
    start = size = 0
    for at, call in enumerate(calls):
        if size and size + len(call.raw) > bytes_max:
            yield calls[start:at]
            start, size = at, 0
        size += len(call.raw)
    if start < len(calls):
        yield calls[start:] if start else calls
