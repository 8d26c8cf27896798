"""Decide when a snapshot is taken, freeze the state for it, and tell Raft what became of it. Pure.

    due by entries, by bytes, or asked for   -> freeze, `SnapshotDue` to the driver
    the driver writes it, slice by slice     -> `SnapshotSealed`: it may be sent, and the log in memory is cut
    no room, or whatever else was in the way -> `SnapshotFailed`: tried again when as much again has been applied

One is under way at a time. The log is cut up to where **two** snapshots cover it, as on the disk: so a follower that
was away for less than one snapshot's worth of entries finds them in the log, and a newest snapshot that turns out
damaged costs nothing.

Counted is what was applied since the last one: after a restart the log is applied again from the newest snapshot on, so
nothing else needs to be remembered.
"""

from collections.abc import Callable
from typing import Final

import attrs

from bankd.errors import Refusal
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft
from bankd.raft.messages import SnapshotRef
from bankd.replica.applying import Applying
from bankd.replica.effects import Result, SnapshotDue
from bankd.replica.events import ReplyTo, SnapshotCall, SnapshotFailed, SnapshotSealed
from bankd.replica.refusals import snapshot_failed
from bankd.status import SnapshotTaken
from bankd.types import LogIndex

NEVER: Final = 2**63


@attrs.frozen
class SnapshotPolicy:
    """A snapshot is due after so many entries, or so many bytes of their bodies, whichever comes first."""

    entries: int = NEVER
    log_bytes: int = NEVER


NO_SNAPSHOTS: Final = SnapshotPolicy()  # but those that are asked for


class Snapshots:
    """Invariant: every call that was taken in is answered once: by the snapshot that it asked for, or why there is none."""

    def __init__(self, policy: SnapshotPolicy, raft: Raft, applying: Applying, newest: SnapshotRef | None) -> None:
        self.newest = newest
        self.under_way = False
        self._policy = policy
        self._raft = raft
        self._applying = applying
        self._wanted = False  # asked for by a call, or because the newest cannot be read
        self._calls: list[SnapshotCall] = []
        self._calls_under_way: list[SnapshotCall] = []

    @property
    def count(self) -> int:
        """Calls that await their answer."""
        return len(self._calls) + len(self._calls_under_way)

    @property
    def is_due(self) -> bool:
        if self.under_way:
            return False
        applying, policy = self._applying, self._policy
        return self._wanted or applying.entries_since >= policy.entries or applying.bytes_since >= policy.log_bytes

    def ask(self, call: SnapshotCall, answer: Callable[[ReplyTo, Result], None]) -> None:
        """Take in a call for a snapshot: one of the state as it is now, or a later one."""
        newest = self.newest
        if not self._applying.applied_index:
            answer(call.reply_to, snapshot_failed("this node has no state yet: a leader is to refill it"))
        elif newest is not None and newest.index == self._applying.applied_index:
            answer(call.reply_to, _taken(newest))
        else:
            self._calls.append(call)
            self._wanted = True

    def freeze(self, ledger: Ledger) -> SnapshotDue:
        """Begin the one that is due."""
        applying = self._applying
        self.under_way, self._wanted = True, False
        self._calls_under_way, self._calls = self._calls, []
        applying.count_anew()
        return SnapshotDue(
            ledger.applied_index, applying.applied_term, ledger.last_time_ns, applying.configuration, ledger.freeze()
        )

    def sealed(self, event: SnapshotSealed, answer: Callable[[ReplyTo, Result], None]) -> None:
        self.under_way = False
        self.became_durable(event.snapshot, event.covered_index)
        for call in self._calls_under_way:
            answer(call.reply_to, _taken(event.snapshot))
        self._calls_under_way = []

    def failed(self, event: SnapshotFailed, answer: Callable[[ReplyTo, Result], None]) -> None:
        self.under_way = False
        for call in self._calls_under_way:
            answer(call.reply_to, snapshot_failed(event.reason))
        self._calls_under_way = []

    def became_durable(self, snapshot: SnapshotRef, covered_index: LogIndex) -> None:
        """Let it be sent, and cut the log up to `covered_index`."""
        if self.newest is None or snapshot.index > self.newest.index:
            self.newest = snapshot
        self._raft.snapshot_taken(snapshot)
        self._raft.compact(min(covered_index, self._raft.compactable_index))

    def unreadable(self, snapshot: SnapshotRef) -> None:
        """A snapshot of this node turned out damaged. While it is the newest, followers would be sent it again."""
        self._wanted |= snapshot == self.newest

    def expire(self, now_ns: int, answer: Callable[[ReplyTo, Result], None], refusal: Refusal) -> None:
        """Answer the calls whose deadline has passed; the snapshot goes on."""
        for calls in (self._calls, self._calls_under_way):
            expired = [call for call in calls if call.deadline_ns <= now_ns]
            calls[:] = [call for call in calls if call.deadline_ns > now_ns]
            for call in expired:
                answer(call.reply_to, refusal)

    def abandon(self, refusal: Refusal, answer: Callable[[ReplyTo, Result], None]) -> None:
        """Answer every call: a snapshot of this state is of no use."""
        for call in self._calls + self._calls_under_way:
            answer(call.reply_to, refusal)
        self._calls, self._calls_under_way = [], []


def _taken(snapshot: SnapshotRef) -> SnapshotTaken:
    return SnapshotTaken(snapshot.index, snapshot.term, snapshot.size_bytes, snapshot.content_id)
