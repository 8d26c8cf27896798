"""Which snapshots a node has: the newest two, the damaged reported, the unfinished removed; and failing disks."""

from pathlib import Path

import pytest

from bankd.errors import DataDirForeign, DiskFailed, DiskFull
from bankd.raft.messages import SnapshotRef
from bankd.sim.disk import SimDisk
from bankd.sim.random import Stream
from bankd.storage.data_dir import DataDir
from bankd.storage.snapshot_draft import SYNC_BYTES
from bankd.storage.snapshot_format import CHUNK_BYTES_MAX, SnapshotDamaged
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.storage.snapshot_store import SnapshotGone, SnapshotStore
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Term
from tests.storage.histories import LoggedDisk, new_disk
from tests.storage.test_snapshot_files import (
    CLUSTER,
    SNAP,
    content_of,
    header_of,
    name_of,
    read_file,
    save,
    stored,
)


def open_store(disk: SimDisk) -> SnapshotStore:
    return SnapshotStore.open(disk, SNAP, CLUSTER)


def disk_with(*indexes: int) -> SimDisk:
    """Return a disk with these snapshots, all of them kept."""
    disk = new_disk()
    disk.restore({SNAP / name_of(index): stored(content_of(index), index) for index in indexes})
    return disk


def flip_middle(disk: SimDisk, index: int) -> None:
    files = disk.copy()
    data = bytearray(files[SNAP / name_of(index)])
    data[len(data) // 2] ^= 1
    disk.restore(files | {SNAP / name_of(index): bytes(data)})


def names(disk: SimDisk) -> list[str]:
    return disk.listdir(SNAP)


def indexes(store: SnapshotStore) -> list[int]:
    return [snapshot.index for snapshot in store.snapshots]


def open_newest(store: SnapshotStore) -> SnapshotReader | None:
    """Open the newest snapshot that verifies as a whole, and tell the store of those before it that do not."""
    for snapshot in store.snapshots:
        try:
            reader = store.open_snapshot(snapshot)
            for _ in reader.verify():
                pass
        except SnapshotDamaged as error:
            store.mark_damaged(snapshot, str(error))
        else:
            return reader
    return None


def newest_index(store: SnapshotStore) -> int | None:
    reader = open_newest(store)
    if reader is None:
        return None
    assert list(reader.chunks()) == content_of(reader.header.index)
    reader.close()
    return reader.header.index


def test_new_store_is_empty_and_its_directory_durable() -> None:
    disk = new_disk()
    assert newest_index(open_store(disk)) is None
    disk.lose_power(lambda: False)
    assert names(disk) == []


def test_sealed_snapshots_are_listed_newest_first_and_found_again() -> None:
    disk = new_disk()
    store = open_store(disk)
    refs = [save(store, 5), save(store, 9)]
    for found in (store, open_store(disk)):
        assert found.snapshots == (refs[1], refs[0])
        assert found.damaged == ()
        assert newest_index(found) == 9
        assert found.size_bytes == sum(map(len, disk.copy().values()))


def test_the_newest_two_are_kept_and_what_is_deleted_is_said() -> None:
    disk = disk_with(5, 9)
    store = open_store(disk)
    writer = store.begin(header_of(12))
    sealed = writer.seal()
    assert sealed.deleted == (name_of(5),)
    assert indexes(store) == [12, 9]
    assert names(disk) == [name_of(9), name_of(12)]


def test_log_may_go_only_as_far_as_two_snapshots_cover_it() -> None:
    store = open_store(new_disk())
    covered = [store.covered_index]
    for index in (5, 9, 12):
        save(store, index)
        covered.append(store.covered_index)
    store.mark_damaged(store.snapshots[0], "found so")
    assert [*covered, store.covered_index] == [0, 0, 5, 9, 0]


def test_one_too_many_from_a_crash_goes_with_the_next_seal() -> None:
    disk = disk_with(3, 5, 9)
    store = open_store(disk)
    assert indexes(store) == [9, 5, 3]
    assert store.covered_index == 5
    save(store, 12)
    assert names(disk) == [name_of(9), name_of(12)]


def test_snapshot_sealed_again_replaces_itself() -> None:
    disk = disk_with(5, 9)
    store = open_store(disk)
    save(store, 9)
    assert indexes(store) == [9, 5]
    assert newest_index(store) == 9


def test_temporary_files_of_a_crash_are_removed_when_the_store_is_opened() -> None:
    disk = new_disk()
    store = open_store(disk)
    save(store, 5)
    store.begin(header_of(9)).add(b"unfinished")
    store.receive(SnapshotRef(header_of(9).index, header_of(9).term, 1000, b"i" * 16)).write(b"unfinished", 0)
    assert names(disk) == [name_of(5), "receiving.tmp", "writing.tmp"]
    disk.end_process()
    assert indexes(open_store(disk)) == [5]
    assert names(disk) == [name_of(5)]


def test_files_of_others_are_left_alone() -> None:
    disk = disk_with(5, 9)
    disk.restore(disk.copy() | {SNAP / "README": b"hands off", SNAP / "backup.snap": b"mine"})
    store = open_store(disk)
    assert [(bad.name, bad.reason) for bad in store.damaged] == [
        ("backup.snap", "snap/backup.snap at byte 0: expected a name of the form <index>-<term>.snap")
    ]
    save(store, 12)
    assert names(disk) == [name_of(9), name_of(12), "README", "backup.snap"]


# Damage


def test_damaged_newest_is_reported_and_the_older_one_used() -> None:
    disk = disk_with(5, 9)
    flip_middle(disk, 9)
    before = disk.copy()
    store = open_store(disk)
    assert newest_index(store) == 5
    (bad,) = store.damaged
    assert bad.name == name_of(9)
    assert "expected chunk 3 with checksum" in bad.reason
    assert indexes(store) == [5]
    assert disk.copy() == before


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_snapshot_that_was_cut_is_reported_at_once(cut: int) -> None:
    disk = disk_with(5, 9)
    disk.restore(disk.copy() | {SNAP / name_of(9): disk.copy()[SNAP / name_of(9)][:cut]})
    store = open_store(disk)
    assert [bad.name for bad in store.damaged] == [name_of(9)]
    assert newest_index(store) == 5


def test_no_sound_snapshot_is_none_and_both_are_reported() -> None:
    disk = disk_with(5, 9)
    for index in (5, 9):
        flip_middle(disk, index)
    store = open_store(disk)
    assert newest_index(store) is None
    assert [bad.name for bad in store.damaged] == [name_of(9), name_of(5)]


def test_snapshot_under_the_name_of_another_is_damaged() -> None:
    disk = disk_with(5)
    disk.restore({SNAP / name_of(9): disk.copy()[SNAP / name_of(5)]})
    store = open_store(disk)
    assert f"expected snapshot {name_of(9)}, not {name_of(5)}" in store.damaged[0].reason


def test_damaged_snapshot_goes_only_once_a_newer_one_is_sealed() -> None:
    disk = disk_with(5, 9)
    flip_middle(disk, 9)
    store = open_store(disk)
    assert newest_index(store) == 5
    save(store, 7)
    assert names(disk) == [name_of(5), name_of(7), name_of(9)]
    save(store, 12)
    assert names(disk) == [name_of(7), name_of(12)]
    assert store.damaged == ()


def test_damaged_snapshot_does_not_count_among_the_two_that_are_kept() -> None:
    disk = disk_with(5, 9)
    flip_middle(disk, 9)
    store = open_store(disk)
    assert newest_index(store) == 5
    save(store, 12)
    assert names(disk) == [name_of(5), name_of(12)]


def test_damaged_snapshot_is_replaced_by_a_sound_one_of_the_same_index() -> None:
    disk = disk_with(5, 9)
    flip_middle(disk, 9)
    store = open_store(disk)
    assert newest_index(store) == 5
    save(store, 9)
    assert (indexes(store), store.damaged) == ([9, 5], ())
    assert newest_index(store) == 9


def test_snapshot_that_changed_since_it_was_listed_does_not_open() -> None:
    disk = disk_with(5)
    store = open_store(disk)
    (ref,) = store.snapshots
    save(SnapshotStore.open(disk, SNAP, CLUSTER), 5, [b"other"])
    with pytest.raises(SnapshotDamaged, match=r"expected SnapshotRef\("):
        store.open_snapshot(ref)


def test_snapshot_that_was_deleted_since_it_was_listed_is_gone_and_no_failure_of_the_disk() -> None:
    disk = disk_with(5, 9)
    store = open_store(disk)
    oldest = store.snapshots[-1]
    save(store, 12)
    with pytest.raises(SnapshotGone):
        store.open_snapshot(oldest)


def test_snapshot_of_another_cluster_is_refused() -> None:
    with pytest.raises(DataDirForeign, match="belongs to cluster 0000000000000007, this is 0000000000000008"):
        SnapshotStore.open(disk_with(5), SNAP, ClusterId(8))


def test_deleted_snapshot_stays_readable_for_whoever_has_it_open() -> None:
    """A transfer to a follower goes to its end."""
    disk = disk_with(5, 9)
    store = open_store(disk)
    reader = store.open_snapshot(store.snapshots[-1])
    save(store, 12)
    assert name_of(5) not in names(disk)
    assert list(reader.chunks()) == content_of(5)


# Failing disks


def test_full_disk_costs_the_snapshot_and_nothing_else() -> None:
    disk = new_disk()
    store = open_store(disk)
    save(store, 5)
    before = disk.copy()
    writer = store.begin(header_of(9))
    disk.full = True
    with pytest.raises(DiskFull):
        writer.add(b"no room")
    with pytest.raises(AssertionError, match="after a failure"):
        writer.add(b"no room")
    writer.abandon()
    writer.abandon()
    assert disk.copy() == before
    with pytest.raises(DiskFull):
        store.begin(header_of(9))
    assert disk.copy() == before
    disk.full = False
    save(store, 9)
    assert newest_index(store) == 9


@pytest.mark.parametrize("error", [DiskFull("no room"), DiskFailed("the disk says no")])
def test_failure_of_any_operation_leaves_the_old_snapshots_and_lets_a_new_one_be_written(error: DiskFailed) -> None:
    operation = 1
    while True:
        disk = disk_with(5, 9)
        store = open_store(disk)
        disk.fail_in(operation, error)
        try:
            writer = store.begin(header_of(12))
            try:
                for chunk in content_of(12):
                    writer.add(chunk)
                writer.seal()
            except DiskFailed:
                writer.abandon()
                raise
        except DiskFailed:
            pass
        else:
            break
        assert "writing.tmp" not in names(disk)
        assert newest_index(store) in (9, 12)
        save(store, 14)
        assert indexes(store)[0] == 14
        assert names(disk) == sorted(map(name_of, indexes(store)))
        operation += 1
    assert operation > 12


def test_snapshot_that_failed_before_its_name_was_durable_does_not_count() -> None:
    """Its log must not be dropped."""
    disk = disk_with(5)
    store = open_store(disk)
    writer = store.begin(header_of(9))
    disk.fail_next("fsync_dir", DiskFull("no room"))
    with pytest.raises(DiskFull):
        writer.seal()
    writer.abandon()
    assert indexes(store) == [5]


def test_steps_of_writing_and_sealing_are_in_the_order_that_crashes_survive() -> None:
    disk = LoggedDisk()
    store = SnapshotStore.open(disk, SNAP, CLUSTER)
    for index in (5, 9):
        save(store, index)
    disk.log.clear()
    writer = store.begin(header_of(12))
    writer.add(b"one chunk")
    writer.seal()
    assert disk.log == [
        "create writing.tmp",
        "truncate writing.tmp",
        "pwrite writing.tmp",
        "pwrite writing.tmp",
        "pwrite writing.tmp",
        "sync writing.tmp",
        f"rename {name_of(12)}",
        "fsync_dir snap",
        f"unlink {name_of(5)}",
        "fsync_dir snap",
    ]


def test_no_sync_has_more_than_its_bound_to_write() -> None:
    disk = LoggedDisk()
    store = SnapshotStore.open(disk, SNAP, CLUSTER)
    incoming = store.receive(SnapshotRef(header_of(5).index, header_of(5).term, 10 * CHUNK_BYTES_MAX, b"i" * 16))
    piece = SYNC_BYTES // 4
    for _ in range(20):
        incoming.write(bytes(piece), incoming.received_bytes)
    assert disk.log.count("sync receiving.tmp") == 5


def test_second_writer_at_once_is_our_bug() -> None:
    store = open_store(new_disk())
    first = store.begin(header_of(5))
    with pytest.raises(AssertionError, match="under way"):
        store.begin(header_of(5))
    first.abandon()
    store.begin(header_of(5)).seal()


def test_data_directory_says_where_its_snapshots_are() -> None:
    disk = new_disk()
    data_dir = DataDir.open_or_create(
        Path("data"),
        cluster="main",
        cluster_id=CLUSTER,
        node_id=NodeId("n1"),
        new_incarnation=lambda: Incarnation(1),
        disk=disk,
    )
    store = SnapshotStore.open(disk, data_dir.snapshot_dir, CLUSTER)
    save(store, 5)
    assert read_file(disk, Path("data/snap") / name_of(5)) == content_of(5)


class NearlyFullDisk(SimDisk):
    """A disk that says that so much is free, and has more."""

    free = 0

    def free_bytes(self, path: Path) -> int:
        return self.free


def test_a_snapshot_leaves_the_log_its_room_and_is_taken_once_there_is_more() -> None:  # D15
    disk, size_bytes = NearlyFullDisk(Stream(7, "disk")), len(stored(content_of(5)))
    disk.free = 1_000 + size_bytes
    disk.mkdir(SNAP)
    store = SnapshotStore.open(disk, SNAP, CLUSTER, reserve_bytes=1_001)
    incoming = SnapshotRef(LogIndex(9), Term(1), size_bytes, b"x" * 16)
    with pytest.raises(DiskFull, match=r"bytes of the .* that are free"):
        store.receive(incoming)
    assert names(disk) == []
    disk.free += 1
    assert store.receive(incoming).received_bytes == 0
    disk.free = 1_001
    with pytest.raises(DiskFull, match="would leave less than 1001 bytes"):
        store.begin(header_of(5))
    assert names(disk) == ["receiving.tmp"]
    disk.free += size_bytes
    assert save(store, 5).index == 5
