"""A snapshot that comes from a peer, in pieces: in order, again, elsewhere, damaged, interrupted."""

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import DataDirForeign, DiskFull
from bankd.raft.messages import SnapshotRef
from bankd.storage.snapshot_format import SnapshotDamaged
from bankd.storage.snapshot_receiver import IncomingSnapshot
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import ClusterId, LogIndex, Term
from tests.storage.histories import new_disk
from tests.storage.test_snapshot_files import SNAP, content_of, name_of, read_file, save
from tests.storage.test_snapshot_store import disk_with, indexes, names, newest_index, open_store


class Sent:
    """A snapshot on the leader, and its bytes."""

    def __init__(self, index: int = 9) -> None:
        disk = new_disk()
        store = open_store(disk)
        self.ref = save(store, index)
        self.reader = store.open_snapshot(self.ref)
        self.data = self.reader.pread(self.ref.size_bytes, 0)


def transfer(sent: Sent, incoming: IncomingSnapshot, *, piece_bytes: int = 100) -> None:
    """Send what is missing, as the receiver asks for it."""
    while not incoming.is_complete:
        at = incoming.received_bytes
        assert incoming.write(sent.reader.pread(piece_bytes, at), at) > at


def install(incoming: IncomingSnapshot) -> None:
    for _ in incoming.chunks():
        pass
    incoming.seal()


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 10_000])
def test_received_snapshot_is_the_sent_one_byte_for_byte(piece_bytes: int) -> None:
    sent, disk = Sent(), disk_with(5)
    store = open_store(disk)
    incoming = store.receive(sent.ref)
    transfer(sent, incoming, piece_bytes=piece_bytes)
    assert names(disk) == [name_of(5), "receiving.tmp"]
    install(incoming)
    assert store.snapshots[0] == sent.ref
    assert disk.copy()[SNAP / name_of(9)] == sent.data
    assert newest_index(store) == 9


def test_verifying_takes_one_step_for_each_chunk() -> None:
    sent = Sent()
    incoming = open_store(new_disk()).receive(sent.ref)
    transfer(sent, incoming)
    assert len(list(incoming.chunks())) == len(content_of(9))


def test_repeated_piece_is_taken_once_and_one_behind_a_gap_not_at_all() -> None:
    sent = Sent()
    incoming = open_store(new_disk()).receive(sent.ref)
    assert incoming.write(sent.data[:50], 0) == 50
    assert incoming.write(sent.data[:50], 0) == 50
    assert incoming.write(sent.data[10:40], 10) == 50
    assert incoming.write(sent.data[60:90], 60) == 50
    assert incoming.write(b"", 0) == 50
    assert incoming.write(sent.data[20:80], 20) == 80
    transfer(sent, incoming)
    install(incoming)


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.tuples(st.integers(0, 800), st.integers(0, 300)), max_size=30))
def test_pieces_in_any_order_end_in_the_sent_snapshot(cuts: list[tuple[int, int]]) -> None:
    sent, disk = Sent(), new_disk()
    incoming = open_store(disk).receive(sent.ref)
    for start, size in cuts:
        offset = min(start, len(sent.data))
        before, piece = incoming.received_bytes, sent.data[offset : offset + size]
        received = incoming.write(piece, offset)
        assert received == (max(before, offset + len(piece)) if offset <= before else before)
    transfer(sent, incoming)
    install(incoming)
    assert disk.copy()[SNAP / name_of(9)] == sent.data


def test_transfer_goes_on_where_it_stopped_when_another_leader_has_the_same_snapshot() -> None:
    first, second, store = Sent(), Sent(), open_store(new_disk())
    store.receive(first.ref).write(first.data[:300], 0)
    incoming = store.receive(second.ref)
    assert incoming.received_bytes == 300
    transfer(second, incoming)
    install(incoming)


OTHERS: list[Callable[[SnapshotRef], SnapshotRef]] = [
    lambda ref: attrs.evolve(ref, content_id=b"other content id"),
    lambda ref: attrs.evolve(ref, index=LogIndex(ref.index + 1)),
    lambda ref: attrs.evolve(ref, term=Term(ref.term + 1)),
    lambda ref: attrs.evolve(ref, size_bytes=ref.size_bytes + 1),
]


@pytest.mark.parametrize("other", OTHERS)
def test_any_other_snapshot_is_begun_anew_in_place_of_the_first(other: Callable[[SnapshotRef], SnapshotRef]) -> None:
    sent, disk = Sent(), new_disk()
    store = open_store(disk)
    store.receive(sent.ref).write(sent.data[:300], 0)
    incoming = store.receive(other(sent.ref))
    assert incoming.received_bytes == 0
    assert disk.copy() == {SNAP / "receiving.tmp": b""}


def test_restarted_receiver_begins_at_0() -> None:
    """What an earlier process wrote may never have reached the disk, though it reads well (ATC'20)."""
    sent, disk = Sent(), new_disk()
    open_store(disk).receive(sent.ref).write(sent.data[:300], 0)
    disk.end_process()
    assert open_store(disk).receive(sent.ref).received_bytes == 0


def test_own_snapshot_is_written_while_another_one_is_received() -> None:
    sent, disk = Sent(12), disk_with(5)
    store = open_store(disk)
    incoming = store.receive(sent.ref)
    incoming.write(sent.data[:300], 0)
    save(store, 9)
    transfer(sent, incoming)
    install(incoming)
    assert indexes(store) == [12, 9]
    assert read_file(disk, SNAP / name_of(12)) == content_of(12)


def test_damaged_transfer_never_becomes_a_snapshot() -> None:
    sent, disk = Sent(), disk_with(5)
    store = open_store(disk)
    for at in range(0, len(sent.data), 5):
        incoming = store.receive(sent.ref)
        damaged = bytearray(sent.data)
        damaged[at] ^= 1
        incoming.write(bytes(damaged), 0)
        with pytest.raises(SnapshotDamaged):
            install(incoming)
        with pytest.raises(AssertionError, match="before it was verified"):
            incoming.seal()
        incoming.abandon()
        assert names(disk) == [name_of(5)]
    install_whole(store, sent)


def install_whole(store: SnapshotStore, sent: Sent) -> None:
    incoming = store.receive(sent.ref)
    transfer(sent, incoming)
    install(incoming)
    assert newest_index(store) == sent.ref.index


def test_sound_snapshot_that_is_not_the_announced_one_is_refused() -> None:
    sent, other = Sent(9), Sent(8)
    assert sent.ref.size_bytes == other.ref.size_bytes
    for announced in (sent.ref, attrs.evolve(other.ref, content_id=sent.ref.content_id)):
        incoming = open_store(new_disk()).receive(announced)
        incoming.write(other.data, 0)
        with pytest.raises(SnapshotDamaged, match=r"expected SnapshotRef\("):
            install(incoming)


def test_snapshot_of_another_cluster_is_refused_without_harm_to_the_node() -> None:
    sent = Sent()
    incoming = SnapshotStore.open(new_disk(), SNAP, ClusterId(8)).receive(sent.ref)
    transfer(sent, incoming)
    with pytest.raises(DataDirForeign, match="belongs to cluster 0000000000000007"):
        install(incoming)
    incoming.abandon()


def test_more_than_announced_is_refused_before_it_is_written() -> None:
    sent, disk = Sent(), new_disk()
    incoming = open_store(disk).receive(attrs.evolve(sent.ref, size_bytes=100))
    with pytest.raises(SnapshotDamaged, match="at byte 100: expected the end of the snapshot, not 101 bytes"):
        incoming.write(sent.data[:101], 0)
    assert disk.copy() == {SNAP / "receiving.tmp": b""}


def test_announced_sizes_cost_nothing() -> None:
    incoming = open_store(new_disk()).receive(SnapshotRef(Sent().ref.index, Sent().ref.term, 2**63, b"i" * 16))
    assert incoming.write(b"a beginning", 0) == 11


def test_incomplete_or_unverified_snapshot_is_not_sealed() -> None:
    sent = Sent()
    incoming = open_store(new_disk()).receive(sent.ref)
    incoming.write(sent.data[:-1], 0)
    with pytest.raises(AssertionError, match="bytes to verify"):
        install(incoming)
    incoming.write(sent.data[-1:], len(sent.data) - 1)
    next(incoming.chunks())
    with pytest.raises(AssertionError, match="before it was verified"):
        incoming.seal()


def test_full_disk_costs_the_transfer_and_nothing_else() -> None:
    sent, disk = Sent(), disk_with(5)
    store = open_store(disk)
    incoming = store.receive(sent.ref)
    incoming.write(sent.data[:300], 0)
    disk.full = True
    with pytest.raises(DiskFull):
        incoming.write(sent.data[300:], 300)
    incoming.abandon()
    disk.full = False
    assert names(disk) == [name_of(5)]
    install_whole(store, sent)
