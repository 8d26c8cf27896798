"""The simulated disk: what survives what, what fails how, and that the same seed does the same."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankd.errors import DataDirLocked, DataDirUnusable, DiskFailed, DiskFull
from bankd.sim.disk import PowerLost, SimDisk, SimFile
from bankd.sim.plan import DiskOdds
from bankd.sim.random import PPM, Stream

DIRECTORY = Path("n1")
FILE = DIRECTORY / "file"


def disk_with_file(content: bytes = b"", *, seed: int = 1, odds: DiskOdds | None = None) -> tuple[SimDisk, SimFile]:
    disk = SimDisk(Stream(seed, "disk n1"), odds)
    disk.restore({FILE: content})
    return disk, disk.open(FILE)


def lose_everything() -> bool:
    return False


def keep_everything() -> bool:
    return True


# Power


def test_what_was_synced_survives_and_the_rest_need_not() -> None:
    disk, file = disk_with_file()
    file.pwrite(b"a" * 600, 0)
    file.sync()
    file.pwrite(b"b" * 600, 0)
    disk.lose_power(lose_everything)
    assert disk.copy()[FILE] == b"a" * 600


def test_any_subset_of_sectors_survives_later_ones_without_earlier_ones() -> None:
    disk, file = disk_with_file(b"a" * 1536)
    file.pwrite(b"b" * 1536, 0)
    survival = iter([False, True, False])
    disk.lose_power(survival.__next__)
    assert disk.copy()[FILE] == b"a" * 512 + b"b" * 512 + b"a" * 512


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(slice(100), b"b" * 100 + b"a" * 412), (slice(100, None), b"a" * 100 + b"b" * 412), (slice(1), b"b" + b"a" * 511)],
)
def test_sector_is_torn_inside_from_either_end(kept: slice, expected: bytes) -> None:
    disk, file = disk_with_file(b"a" * 512)
    file.pwrite(b"b" * 512, 0)
    disk.lose_power(lambda: kept)
    assert disk.copy()[FILE] == expected


def test_file_that_was_extended_grows_only_as_far_as_its_sectors_survive() -> None:
    disk, file = disk_with_file()
    file.pwrite(b"b" * 1200, 0)
    survival: Iterator[bool | slice] = iter([True, slice(7), False, False])
    disk.lose_power(survival.__next__)
    assert disk.copy()[FILE].rstrip(b"\0") == b"b" * 519


def test_file_may_have_grown_without_what_was_written_there() -> None:
    disk, file = disk_with_file(b"a")
    file.pwrite(b"b" * 1200, 0)
    survival = iter([False, True, False, True])
    disk.lose_power(survival.__next__)
    assert disk.copy()[FILE] == b"a" + bytes(511) + b"b" * 512 + bytes(176)


def test_sector_that_was_written_as_it_stands_there_has_nothing_to_lose() -> None:
    disk, file = disk_with_file(b"a" * 1024)
    file.pwrite(b"a" * 512 + b"b" * 512, 0)
    survival = iter([False])
    disk.lose_power(survival.__next__)
    assert next(survival, None) is None
    assert disk.copy()[FILE] == b"a" * 1024


def test_drawn_power_losses_show_every_kind_of_survival() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(300):
        disk, file = disk_with_file(bytes(4 * 512), seed=seed)
        file.pwrite(b"b" * 4 * 512, 0)
        disk.lose_power()
        content = disk.copy()[FILE]
        sectors = [content[at : at + 512].count(b"b") for at in range(0, 2048, 512)]
        torn = sum(0 < survived < 512 for survived in sectors)
        assert torn <= 1, "a disk is in one sector at a time"
        kinds["torn"] += torn
        kinds["all"] += sectors == [512] * 4
        kinds["none"] += sectors == [0] * 4
        kinds["hole"] += sectors.index(0) < 3 and 512 in sectors[sectors.index(0) :] if 0 in sectors else 0
    assert min(kinds.values()) > 10, kinds


def test_name_survives_only_with_its_directory() -> None:
    disk = SimDisk(Stream(1, "disk n1"))
    disk.mkdir(DIRECTORY)
    disk.create(FILE).sync()
    disk.fsync_dir(DIRECTORY)
    disk.lose_power(lose_everything)
    assert disk.copy() == {}, "the directory itself was never synced"
    disk.mkdir(DIRECTORY)
    disk.create(FILE).sync()
    disk.fsync_dir(DIRECTORY)
    disk.fsync_dir(DIRECTORY.parent)
    disk.lose_power(lose_everything)
    assert disk.copy() == {FILE: b""}


def test_any_subset_of_changed_names_survives_later_ones_without_earlier_ones() -> None:
    disk, _ = disk_with_file()
    for name in ("a", "b", "c"):
        disk.create(DIRECTORY / name)
    survival = iter([True, False, True])
    disk.lose_power(survival.__next__)
    assert disk.listdir(DIRECTORY) == ["a", "c", "file"]


@pytest.mark.parametrize(
    ("survival", "expected"),
    [
        ((True, True), ["renamed"]),
        ((True, False), ["file", "renamed"]),
        ((False, True), ["file"]),
        ((False, False), ["file"]),
    ],
)
def test_renamed_file_has_one_name_or_both(survival: tuple[bool, bool], expected: list[str]) -> None:
    disk, _ = disk_with_file(b"content")
    disk.rename(FILE, DIRECTORY / "renamed")
    disk.lose_power(iter(survival).__next__)
    assert disk.copy() == {DIRECTORY / name: b"content" for name in expected}


def test_disk_that_imitates_another_holds_the_same_and_goes_its_own_way() -> None:
    disk, file = disk_with_file(b"a" * 512)
    file.pwrite(b"b" * 512, 0)
    disk.rename(FILE, DIRECTORY / "renamed")
    lost, kept = (SimDisk(Stream(seed, "disk n1")) for seed in (1, 2))
    lost.imitate(disk)
    kept.imitate(disk)
    lost.lose_power(lose_everything)
    kept.lose_power(keep_everything)
    assert lost.copy() == {FILE: b"a" * 512}
    assert kept.copy() == disk.copy() == {DIRECTORY / "renamed": b"b" * 512}
    file.sync()
    disk.lose_power(lose_everything)
    assert disk.copy() == {FILE: b"b" * 512}


def test_unsynced_rename_and_unlink_are_undone() -> None:
    disk, _ = disk_with_file(b"content")
    disk.create(DIRECTORY / "other")
    disk.fsync_dir(DIRECTORY)
    disk.rename(FILE, DIRECTORY / "renamed")
    disk.unlink(DIRECTORY / "other")
    assert disk.listdir(DIRECTORY) == ["renamed"]
    disk.lose_power(lose_everything)
    assert disk.listdir(DIRECTORY) == ["file", "other"]
    assert disk.copy()[FILE] == b"content"


def test_process_that_ends_leaves_its_files_as_written_and_its_lock_free() -> None:
    disk, file = disk_with_file()
    disk.lock(DIRECTORY)
    file.pwrite(b"abc", 0)
    with pytest.raises(DataDirLocked):
        disk.lock(DIRECTORY)
    disk.end_process()
    assert disk.open(FILE).pread(10, 0) == b"abc"
    disk.lock(DIRECTORY)


def test_lock_of_an_ended_process_releases_nothing() -> None:
    disk, _ = disk_with_file()
    stale = disk.lock(DIRECTORY)
    disk.end_process()
    disk.lock(DIRECTORY)
    stale.close()
    with pytest.raises(DataDirLocked):
        disk.lock(DIRECTORY)


def test_file_of_an_ended_process_cannot_be_written() -> None:
    disk, file = disk_with_file()
    disk.end_process()
    with pytest.raises(AssertionError, match="a process that has ended"):
        file.pwrite(b"late", 0)


# Failures


def test_crash_comes_in_the_midst_of_the_operation_that_was_named() -> None:
    disk, file = disk_with_file()
    disk.crash_in(2)
    file.pwrite(b"first", 0)
    disk.short_write_bytes = 3
    with pytest.raises(PowerLost):
        file.pwrite(b"second", 5)
    assert disk.copy()[FILE] == b"firstsec"


def test_failure_comes_once_and_to_the_operation_that_was_named() -> None:
    disk, file = disk_with_file()
    failure = DiskFailed("the disk says no")
    disk.fail_next("sync", failure)
    file.pwrite(b"abc", 0)
    with pytest.raises(DiskFailed) as raised:
        file.sync()
    assert raised.value is failure
    file.pwrite(b"abc", 0)
    file.sync()


def test_pages_of_a_failed_sync_read_well_and_are_never_written() -> None:
    """Until they are written again (ATC'20)."""
    disk, file = disk_with_file(bytes(5120))
    file.pwrite(b"b" * 5120, 0)
    disk.fail_next("sync")
    with pytest.raises(DiskFailed):
        file.sync()
    file.sync()
    assert disk.copy()[FILE] == b"b" * 5120
    disk.lose_power(keep_everything)
    assert b"\0" in disk.copy()[FILE]


def test_process_that_ended_takes_with_it_what_was_to_go_wrong() -> None:
    disk, _ = disk_with_file()
    disk.crash_in(1)
    disk.fail_next("pwrite")
    disk.end_process()
    disk.open(FILE).pwrite(b"abc", 0)
    assert disk.open(FILE).pread(3, 0) == b"abc"


def test_full_disk_takes_only_what_has_room_already() -> None:
    disk, file = disk_with_file(b"a" * 100)
    disk.full = True
    file.pwrite(b"b" * 100, 0)
    file.sync()
    for needs_room in (
        lambda: file.pwrite(b"b", 100),
        lambda: disk.create(DIRECTORY / "new"),
        lambda: disk.mkdir(DIRECTORY / "new"),
    ):
        with pytest.raises(DiskFull):
            needs_room()
    with pytest.raises(DataDirUnusable, match="no room"):
        disk.lock(Path("n2"))
    disk.full = False
    file.pwrite(b"b", 100)


def test_full_disk_has_no_room_for_zeros_in_a_file_that_was_only_lengthened() -> None:
    disk, file = disk_with_file()
    file.truncate(1000)
    disk.full = True
    with pytest.raises(DiskFull):
        file.pwrite(bytes(1000), 0)


def test_missing_file_or_directory_is_a_failure_as_on_a_real_disk() -> None:
    disk = SimDisk(Stream(1, "disk n1"))
    for operation in (
        lambda: disk.open(FILE),
        lambda: disk.create(FILE),
        lambda: disk.listdir(DIRECTORY),
        lambda: disk.rename(FILE, DIRECTORY / "other"),
        lambda: disk.unlink(FILE),
        lambda: disk.fsync_dir(DIRECTORY),
    ):
        with pytest.raises(DiskFailed, match="No such file"):
            operation()


# Damage


def test_flipped_bit_is_durable_and_one() -> None:
    disk, _ = disk_with_file(b"a" * 100 + bytes(5000))
    where = str(disk.flip_durable_bit(Stream(3, "rot")))
    disk.lose_power(lose_everything)
    content = disk.copy()[FILE]
    (at,) = [at for at in range(100) if content[at] != ord("a")]
    assert (content[at] ^ ord("a")).bit_count() == 1
    assert where.startswith("n1/file: bit ")
    assert where.endswith(f" of byte {at}")
    assert SimDisk(Stream(1, "disk n1")).flip_durable_bit(Stream(3, "rot")) is None


def test_older_copy_is_put_back_durably() -> None:
    disk, file = disk_with_file(b"old")
    copy = disk.copy()
    file.pwrite(b"new", 0)
    disk.create(DIRECTORY / "later")
    disk.restore(copy)
    disk.lose_power(lose_everything)
    assert disk.copy() == {FILE: b"old"} == copy


def test_wiped_disk_is_empty() -> None:
    disk, _ = disk_with_file(b"old")
    disk.wipe()
    disk.lose_power(keep_everything)
    assert disk.copy() == {}


# Time


def test_operations_take_time_within_their_odds_and_a_slow_disk_adds_to_it() -> None:
    disk, file = disk_with_file(odds=DiskOdds(write_ns_max=100, sync_ns_max=10_000, slow_sync_ppm=0))
    disk.take_elapsed()
    writes, syncs = set(), set()
    for _ in range(200):
        file.pwrite(b"abc", 0)
        writes.add(disk.take_elapsed())
        file.sync()
        syncs.add(disk.take_elapsed())
    assert 50 < max(writes) <= 100
    assert 5_000 < max(syncs) <= 10_000
    disk.added_ns = 10**9
    file.pwrite(b"abc", 0)
    assert 10**9 <= disk.take_elapsed() <= 10**9 + 100
    assert disk.take_elapsed() == 0


def test_slow_syncs_take_up_to_a_hundred_times_as_long() -> None:
    disk, file = disk_with_file(odds=DiskOdds(write_ns_max=0, sync_ns_max=10_000, slow_sync_ppm=PPM))
    durations = []
    for _ in range(200):
        file.sync()
        durations.append(disk.take_elapsed())
    assert 100_000 < max(durations) <= 1_000_000


def test_reading_is_no_operation_and_takes_no_time() -> None:
    disk, file = disk_with_file(b"abc")
    disk.take_elapsed()
    before = disk.operations
    assert (file.pread(2, 1), file.size(), disk.listdir(DIRECTORY)) == (b"bc", 3, ["file"])
    assert (disk.operations, disk.take_elapsed()) == (before, 0)


def test_same_seed_loses_the_same_and_takes_the_same_time() -> None:
    outcomes = []
    for seed in (5, 5, 6):
        disk, file = disk_with_file(bytes(8192), seed=seed)
        file.pwrite(b"b" * 8192, 0)
        disk.lose_power()
        outcomes.append((disk.copy()[FILE], disk.take_elapsed()))
    assert outcomes[0] == outcomes[1] != outcomes[2]
