"""B1: snapshots keep the log bounded, in memory and on the disk.

- One is begun in the very turn in which so many entries, or bytes of them, were applied since the last one was begun,
  or since a state came from elsewhere. One at a time.
- It is durable or given up within a bounded time in which nothing ails the disk and the process runs.
- In the turn in which it became durable, the log in memory is cut up to where two stand for it. What may hold that up is
  an older snapshot on its way to a follower that answers, and entries that are not durable here yet.
- A start finds no file of the log that was to be deleted before. The last two stay, and may have been these.

So entries in memory are those behind the second newest snapshot: twice the interval, and what is applied while one is
being written.

Limits: deletions are not made durable each by itself, so files are not counted after a loss of power.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from bankd.raft.messages import AppendResponse, SnapshotRequest
from bankd.replica.core import Replica
from bankd.replica.effects import Effects
from bankd.replica.events import Event, PeerMessage, Received, SnapshotFailed, SnapshotReceived, SnapshotSealed
from bankd.sim.found import Found
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.books import NodeBook
from bankd.sim.judges.tampering import is_tampered
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Crash, Fault, Freeze, HungDisk, OlderCopy, Plan, SlowDisk, Wipe
from bankd.types import LogIndex, NodeId, Term

TAKING_NS_MIN: Final = 2_000_000_000  # slices, and deleting files of the log
TAKING_ELECTION_TIMEOUTS: Final = 10  # a slow sync takes half of one at most, and a snapshot a few of them
HEARD_ELECTION_TIMEOUTS: Final = 2
FILES_LEFT_MAX: Final = 2


@attrs.define(eq=False)
class Shelf:
    """The snapshots of one process."""

    counted_from: LogIndex  # entries applied since are counted
    under_way: LogIndex | None = None
    begun_ns: int = 0
    told_covered: LogIndex = LogIndex(0)  # up to here the log was deleted
    office: Term = Term(0)
    sending: dict[NodeId, LogIndex] = attrs.field(factory=dict)  # which snapshot, by follower, in this office
    heard_ns: dict[NodeId, int] = attrs.field(factory=dict)  # in this office


class Room:
    def __init__(self, plan: Plan, bank: Bank) -> None:
        product = plan.product
        self._plan = plan
        self._bank = bank
        self._entries_max, self._bytes_max = product.snapshot_every, product.snapshot_every_bytes
        self._taking_ns_max = TAKING_NS_MIN + TAKING_ELECTION_TIMEOUTS * product.election_timeout_ns
        self._heard_ns_max = HEARD_ELECTION_TIMEOUTS * product.election_timeout_ns
        self._shelves: dict[NodeId, Shelf] = {}
        self._lost_power: set[NodeId] = set()

    def struck(self, fault: Fault) -> None:
        if isinstance(fault, Crash) and fault.power:
            self._lost_power.add(fault.node)

    def booted(self, now_ns: int, book: NodeBook, found: Found) -> None:
        before = self._shelves.get(book.node)
        excused = book.node in self._lost_power or is_tampered(self._plan, book.node, now_ns, OlderCopy, Wipe)
        if before is not None and not excused:
            left = sum(following - 1 <= before.told_covered for following in found.segments[1:])
            if left > FILES_LEFT_MAX:
                text = f"finds {left} files of its log that hold nothing behind {before.told_covered}"
                raise Violation("B1", text, now_ns, book.node)
        self._lost_power.discard(book.node)
        self._shelves[book.node] = Shelf(counted_from=book.applied_index)

    def turned(self, now_ns: int, book: NodeBook, replica: Replica, events: Sequence[Event], effects: Effects) -> None:
        """A node took these events. What it committed and applied is booked as of the end of the turn."""
        shelf = self._shelves[book.node]
        held_up = [*self._held_up(now_ns, book, shelf)]
        if book.leads:
            self._note_sends(now_ns, book, shelf, events, effects)
        held_up += self._held_up(now_ns, book, shelf)  # a follower may be heard again in this very turn
        fault = self._judge_events(book, shelf, replica, events, held_up)
        if effects.snapshot_due is not None:
            if shelf.under_way is not None:
                fault = fault or f"begins a snapshot, and one at {shelf.under_way} is under way"
            shelf.under_way = shelf.counted_from = effects.snapshot_due.index
            shelf.begun_ns = now_ns
        fault = fault or self._judge_pace(now_ns, book, shelf)
        if fault is not None:
            raise Violation("B1", fault, now_ns, book.node)

    def installed(self, book: NodeBook, index: LogIndex) -> None:
        """A node put the leader's state in the place of its own."""
        self._shelves[book.node].counted_from = index

    def _judge_events(
        self, book: NodeBook, shelf: Shelf, replica: Replica, events: Sequence[Event], held_up: Sequence[LogIndex]
    ) -> str | None:
        fault = None
        for event in events:
            if isinstance(event, SnapshotSealed | SnapshotFailed):
                shelf.under_way = None
            if isinstance(event, SnapshotSealed | SnapshotReceived):
                shelf.told_covered = event.covered_index
                due = min([event.covered_index, book.stable_index, *held_up])
                if replica.raft.base_index < due:
                    fault = f"keeps its log from {replica.raft.base_index} on, and two snapshots stand for {due} of it"
        return fault

    def _held_up(self, now_ns: int, book: NodeBook, shelf: Shelf) -> Iterator[LogIndex]:
        if shelf.office == book.leads:
            for follower, index in shelf.sending.items():
                if now_ns - shelf.heard_ns.get(follower, now_ns) <= self._heard_ns_max:
                    yield index

    def _note_sends(self, now_ns: int, book: NodeBook, shelf: Shelf, events: Sequence[Event], effects: Effects) -> None:
        if shelf.office != book.leads:
            shelf.office, shelf.sending, shelf.heard_ns = book.leads, {}, {}
        for message in effects.send_now:
            if type(message) is SnapshotRequest:
                shelf.sending[message.to] = message.snapshot.index
        for event in events:
            if type(event) is Received and event.message.term == shelf.office:
                shelf.heard_ns[event.message.sender] = now_ns
                if shelf.sending:
                    _note_answer(shelf, event.message)

    def _judge_pace(self, now_ns: int, book: NodeBook, shelf: Shelf) -> str | None:
        if shelf.under_way is None:
            entries = book.applied_index - shelf.counted_from
            sums = self._bank.entries_bytes
            size_bytes = sums[book.applied_index] - sums[shelf.counted_from]
            if entries >= self._entries_max or size_bytes >= self._bytes_max:
                return f"has applied {entries} entries of {size_bytes} bytes and begins no snapshot"
        elif now_ns - shelf.begun_ns > self._taking_ns_max and not self._is_ailing(now_ns, book.node):
            return f"began a snapshot at {shelf.under_way} {(now_ns - shelf.begun_ns) // 1_000_000} ms ago"
        return None

    def _is_ailing(self, now_ns: int, node: NodeId) -> bool:
        """Whether the process stood still, or its disk was slow or hung, in the time that a snapshot may take."""
        return any(
            isinstance(fault, Freeze | SlowDisk | HungDisk)
            and fault.node == node
            and fault.at_ns <= now_ns <= fault.at_ns + fault.for_ns + self._taking_ns_max
            for fault in self._plan.faults
        )


def _note_answer(shelf: Shelf, message: PeerMessage) -> None:
    match message:
        case AppendResponse(accepted=True, match_index=index) if index >= shelf.sending.get(message.sender, index + 1):
            del shelf.sending[message.sender]
        case _:
            pass
