"""What a keeper does with a snapshot that it is sent, on a simulated disk."""

import attrs

from bankd.keeper.keeper import Happening, Keeper
from bankd.keeper.work import Lane, run_now
from bankd.ledger.state import Ledger
from bankd.raft.messages import SnapshotRef
from bankd.raft.ready import ChunkReceived, ChunkWanted
from bankd.replica.effects import Effects, SnapshotDue
from bankd.replica.events import ChunkKept, Event, SnapshotReceived
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import ClusterId, LogIndex, NodeId, Term, TimeNs
from tests.client.snapshots import SnapshotFile, snapshot_of
from tests.ledger.images import eventful_bank
from tests.storage.histories import new_disk
from tests.storage.test_snapshot_files import CLUSTER, SNAP


class Kept:
    """A keeper of an empty store, and all that it posted and told."""

    def __init__(self) -> None:
        self.posted: list[Event] = []
        self.told: list[Happening] = []
        self.store = SnapshotStore.open(new_disk(), SNAP, CLUSTER)
        self.keeper = Keeper(
            self.store,
            CLUSTER,
            prune=lambda _covered: 0,
            forget_loss=lambda: None,
            post=self.posted.append,
            tell=lambda happening, _index, _words: self.told.append(happening),
        )

    def send(self, file: SnapshotFile) -> None:
        """The whole file in one message, as of a leader."""
        snapshot = SnapshotRef(file.taken.index, file.taken.term, file.taken.size_bytes, file.taken.content_id)
        self.keeper.carry_out(Effects(chunks_received=(ChunkReceived(snapshot, 0, file.data),)))
        self._work(self.keeper.receiving)

    def take(self, index: int) -> None:
        """A snapshot of a state after so many entries."""
        ledger = Ledger()
        for at in range(1, index + 1):
            ledger.skip(LogIndex(at))
        self.keeper.carry_out(
            Effects(snapshot_due=SnapshotDue(LogIndex(index), Term(1), TimeNs(0), b"", ledger.freeze()))
        )
        self._work(self.keeper.taking)

    def read(self, index: int) -> None:
        """Its beginning, for a follower."""
        [snapshot] = [one for one in self.store.snapshots if one.index == index]
        self.keeper.carry_out(Effects(chunks_wanted=(ChunkWanted(NodeId("n2"), snapshot, 0),)))
        self._work(self.keeper.sending)

    @property
    def open_indexes(self) -> list[int]:
        return [snapshot.index for snapshot in self.keeper._readers]

    def _work(self, lane: Lane) -> None:
        while (work := lane.next_work()) is not None:
            run_now(work)


def test_whole_snapshot_of_the_leaders_is_restored_and_sealed() -> None:
    kept, ledger = Kept(), eventful_bank().ledger
    kept.send(snapshot_of(ledger, CLUSTER))
    assert kept.told == [Happening.RECEIVED]
    assert isinstance(kept.posted[0], ChunkKept)
    assert isinstance(kept.posted[1], SnapshotReceived)
    assert kept.posted[1].ledger.digest == ledger.digest


def test_snapshot_whose_bytes_are_right_and_no_state_is_left_alone_when_it_comes_again() -> None:
    """Sent again it would be the same."""
    kept, ledger = Kept(), eventful_bank().ledger
    file = snapshot_of(ledger, CLUSTER, index=LogIndex(7))
    for _ in range(3):
        kept.send(file)
    assert (kept.told, len(kept.posted)) == ([Happening.DAMAGED], 1)
    assert not any(isinstance(event, SnapshotReceived) for event in kept.posted)


def test_snapshot_that_was_damaged_on_its_way_may_be_sent_again() -> None:
    kept, file = Kept(), snapshot_of(eventful_bank().ledger, CLUSTER)
    middle = len(file.data) // 2
    flipped = file.data[:middle] + bytes([file.data[middle] ^ 1]) + file.data[middle + 1 :]
    kept.send(attrs.evolve(file, data=flipped))
    assert kept.told == [Happening.NOT_RECEIVED]
    kept.send(file)
    assert isinstance(kept.posted[-1], SnapshotReceived)


def test_room_of_a_deleted_snapshot_is_given_back_once_nobody_asks_for_it_any_more() -> None:
    kept = Kept()
    for index in (1, 2):
        kept.take(index)
        kept.read(index)
    kept.read(1)
    kept.take(3)
    assert kept.open_indexes == [1, 2], "the first is deleted, and was asked for since the second was begun"
    assert kept.keeper.sealed_bytes > kept.store.size_bytes
    kept.take(4)
    kept.take(5)
    assert kept.open_indexes == []
    assert kept.keeper.sealed_bytes == kept.store.size_bytes


def test_snapshot_of_another_cluster_is_left_alone_when_it_comes_again() -> None:
    """The same bytes would be refused again, and again sent as a whole."""
    kept = Kept()
    file = snapshot_of(eventful_bank().ledger, ClusterId(CLUSTER + 1))
    for _ in range(2):
        kept.send(file)
    assert (kept.told, len(kept.posted)) == ([Happening.NOT_RECEIVED], 1)
