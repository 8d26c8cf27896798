"""S3, D1: a snapshot is the state that the bank had at its index, stays once it is durable, and alone lets a log shrink.

A snapshot that is due must carry the term, the configuration and the digest of its index; a state that was read back,
at a start or from the leader, everything that the judges' bank holds there. It counts as durable once the node says so.
A crash may come between the disk and that word, so a start may find one that was being made: one, by its place in the log.

Two are made at the same time, one of a node's own and one that it receives, so one may be said to cover the log before it
is said to be durable; from then on it must be there.

The two newest must be found again at every start, unless newer ones took their place, or the plan let them rot. The log
in memory goes no further than two of them stand for it, or behind the one that was installed; the disk's log is judged
where it is read (`disks`).
"""

from collections.abc import Sequence

from bankd.raft.messages import SnapshotRef
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, SnapshotDue
from bankd.replica.events import Event, SnapshotReceived, SnapshotSealed
from bankd.sim.found import Found
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.books import SNAPSHOTS_KEPT, Books, NodeBook
from bankd.sim.judges.states import States
from bankd.sim.judges.tampering import is_replaced, is_tampered
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Plan, Rot
from bankd.types import LogIndex, NodeId, Term

Place = tuple[LogIndex, Term]


class Snapshots:
    def __init__(self, plan: Plan, books: Books, bank: Bank, states: States) -> None:
        self._plan = plan
        self._chain = books.chain
        self._bank = bank
        self._states = states
        self._making: dict[NodeId, set[Place]] = {node: set() for node in plan.nodes}  # by this process
        self._made: dict[NodeId, set[Place]] = {node: set() for node in plan.nodes}  # durable at some time

    # Starts

    def booted(self, now_ns: int, book: NodeBook, found: Found) -> None:
        """A process listed its snapshots, and took the state of one of them."""
        if is_replaced(self._plan, book, now_ns):
            book.snapshots, book.covered_index = (), found.recovered.base_index
        else:
            self._judge_found(now_ns, book, found)
        book.sendable.clear()
        book.keep_snapshots(found.snapshots)
        book.snapshots = found.snapshots[:SNAPSHOTS_KEPT]
        self._making[book.node].clear()
        self._made[book.node].update(map(_place, found.snapshots))

    def started(self, now_ns: int, book: NodeBook, replica: Replica, restored: SnapshotRef | None) -> None:
        """A process has its first state, before its first event."""
        if restored is not None:
            self._judge_place(now_ns, book, _place(restored))
            self._states.restored(now_ns, book, restored.index, replica.digest_at(restored.index), replica.ledger)
            book.applied_index = restored.index

    def _judge_found(self, now_ns: int, book: NodeBook, found: Found) -> None:
        if found.restored != next(iter(found.snapshots), None):
            text = f"starts from {_name(found.restored)}, and {_name(found.snapshots[0])} is sound"
            raise Violation("D1", text, now_ns, book.node)
        for snapshot in found.snapshots:
            if _place(snapshot) not in self._making[book.node] | self._made[book.node]:
                raise Violation("D1", f"has {_name(snapshot)}, which it never made", now_ns, book.node)
        if is_tampered(self._plan, book.node, now_ns, Rot):
            return
        for snapshot in book.snapshots:
            newer = sum(other.index > snapshot.index for other in found.snapshots)
            if newer < SNAPSHOTS_KEPT and all(other.index != snapshot.index for other in found.snapshots):
                raise Violation("D1", f"lost {_name(snapshot)}, which was durable", now_ns, book.node)

    # Turns

    def stepped(self, now_ns: int, book: NodeBook, events: Sequence[Event]) -> None:
        """A node took these events."""
        for event in events:
            if isinstance(event, SnapshotSealed | SnapshotReceived):
                self._became_durable(now_ns, book, event)

    def _became_durable(self, now_ns: int, book: NodeBook, event: SnapshotSealed | SnapshotReceived) -> None:
        snapshot = event.snapshot
        if _place(snapshot) not in self._making[book.node]:
            raise Violation("D1", f"has {_name(snapshot)}, which it never made", now_ns, book.node)
        self._made[book.node].add(_place(snapshot))
        book.keep_snapshots([snapshot])
        self._believe_other_lane(book, event.covered_index)
        if event.covered_index > book.covered_index:
            text = f"drops its log up to {event.covered_index}, and two snapshots stand for {book.covered_index} of it"
            raise Violation("D1", text, now_ns, book.node)

    def _believe_other_lane(self, book: NodeBook, covered_index: LogIndex) -> None:
        """Of two that are made at the same time, the one that was not told of yet may be durable as well."""
        for index, term in sorted(self._making[book.node] - self._made[book.node]):
            if index == covered_index > book.covered_index:
                book.keep_snapshots([SnapshotRef(index, term, 0, b"")])
            elif index > covered_index and any(snapshot.index == covered_index for snapshot in book.snapshots):
                book.covered_index = max(book.covered_index, covered_index)

    def read_back(self, now_ns: int, book: NodeBook, replica: Replica, events: Sequence[Event]) -> None:
        """Judge the states that came from the leader, once what is committed by now is known to the bank."""
        for event in events:
            if isinstance(event, SnapshotReceived):
                index, ledger = event.snapshot.index, event.ledger
                self._judge_place(now_ns, book, _place(event.snapshot))
                if event.configuration_body != self._bank.configuration(index):
                    text = f"takes another configuration from {_name(event.snapshot)} than the log has there"
                    raise Violation("S3", text, now_ns, book.node)
                went_on = ledger.applied_index > index  # as the node's own, in the same turn
                digest = replica.digest_at(index) if went_on else ledger.digest
                self._states.restored(now_ns, book, index, digest, ledger)

    def asked(self, now_ns: int, book: NodeBook, effects: Effects) -> None:
        """What a node asks of its disk: a snapshot of its own, or to keep a part of the leader's."""
        if effects.snapshot_due is not None:
            self._judge_due(now_ns, book, effects.snapshot_due)
            self._making[book.node].add((effects.snapshot_due.index, effects.snapshot_due.term))
        for received in effects.chunks_received:
            self._making[book.node].add(_place(received.snapshot))

    def _judge_due(self, now_ns: int, book: NodeBook, due: SnapshotDue) -> None:
        index, digest = due.index, due.image.head.digest
        self._judge_place(now_ns, book, (index, due.term))
        if index != book.applied_index or digest != self._states.digests[index]:
            text = f"makes a snapshot at {index}, having applied {book.applied_index}, with digest {digest.hex()[:8]}"
            raise Violation("S3", text, now_ns, book.node)
        if due.configuration != self._bank.configuration(index):
            text = f"makes a snapshot at {index} with another configuration than the log has there"
            raise Violation("S3", text, now_ns, book.node)

    def begun_behind(self, now_ns: int, book: NodeBook, base: SnapshotRef) -> None:
        """A node asked its disk to begin the log anew behind a snapshot."""
        if base not in book.snapshots:
            text = f"begins its log anew behind {_name(base)}, which is not durable here"
            raise Violation("D1", text, now_ns, book.node)

    def compacted(self, now_ns: int, book: NodeBook, base_index: LogIndex) -> None:
        """The log in memory may have been cut; an entry that serves as its base is no loss."""
        if base_index > max(book.covered_index, book.log.base_index + 1):
            text = f"drops its log up to {base_index}, and two snapshots stand for {book.covered_index} of it"
            raise Violation("D1", text, now_ns, book.node)

    def _judge_place(self, now_ns: int, book: NodeBook, place: Place) -> None:
        index, term = place
        if [entry.term for entry in self._chain[index - 1 : index]] != [term]:
            raise Violation("S3", f"has a snapshot at {index}@{term}, which is not committed", now_ns, book.node)


def _place(snapshot: SnapshotRef) -> Place:
    return snapshot.index, snapshot.term


def _name(snapshot: SnapshotRef | None) -> str:
    return "no snapshot" if snapshot is None else f"snapshot {snapshot.index}@{snapshot.term}"
