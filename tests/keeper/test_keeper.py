"""What a keeper does with a snapshot that it is sent, on a simulated disk."""

from bankd.keeper.keeper import Happening, Keeper
from bankd.keeper.work import run_now
from bankd.raft.messages import SnapshotRef
from bankd.raft.ready import ChunkReceived
from bankd.replica.effects import Effects
from bankd.replica.events import ChunkKept, Event, SnapshotReceived
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import ClusterId, LogIndex
from tests.client.snapshots import SnapshotFile, snapshot_of
from tests.ledger.images import eventful_bank
from tests.storage.histories import new_disk
from tests.storage.test_snapshot_files import CLUSTER, SNAP


class Kept:
    """A keeper of an empty store, and all that it posted and told."""

    def __init__(self) -> None:
        self.posted: list[Event] = []
        self.told: list[Happening] = []
        self.keeper = Keeper(
            SnapshotStore.open(new_disk(), SNAP, CLUSTER),
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
        while (work := self.keeper.receiving.next_work()) is not None:
            run_now(work)


def test_whole_snapshot_of_the_leaders_is_restored_and_sealed() -> None:
    kept, ledger = Kept(), eventful_bank().ledger
    kept.send(snapshot_of(ledger, CLUSTER))
    assert kept.told == [Happening.RECEIVED]
    assert isinstance(kept.posted[0], ChunkKept)
    assert isinstance(kept.posted[1], SnapshotReceived)
    assert kept.posted[1].ledger.digest == ledger.digest


def test_snapshot_that_is_not_its_headers_is_given_up_and_may_be_sent_again() -> None:
    kept, ledger = Kept(), eventful_bank().ledger
    file = snapshot_of(ledger, CLUSTER, index=LogIndex(7))
    for times in (1, 2):
        kept.send(file)
        assert kept.told == [Happening.NOT_RECEIVED] * times
    assert not any(isinstance(event, SnapshotReceived) for event in kept.posted)


def test_snapshot_of_another_cluster_is_left_alone_when_it_comes_again() -> None:
    """The same bytes would be refused again, and again sent as a whole."""
    kept = Kept()
    file = snapshot_of(eventful_bank().ledger, ClusterId(CLUSTER + 1))
    for _ in range(2):
        kept.send(file)
    assert (kept.told, len(kept.posted)) == ([Happening.NOT_RECEIVED], 1)
