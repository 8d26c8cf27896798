"""Failing disks: an error becomes one of ours in one place, ends all use, and leaves a log that can be read."""

import errno
import os
import resource
from pathlib import Path

import pytest

from bankd.errors import DiskFailed, DiskFull
from bankd.storage.disk import OsDisk, disk_failure
from bankd.storage.wal import Wal
from tests.storage.histories import (
    DIRECTORY,
    IDENTITY,
    append,
    entry,
    long_history,
    new_disk,
    reopen,
    tiny,
    write_history,
)
from tests.storage.test_power_loss import Run


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, DiskFailed), (errno.EROFS, DiskFailed)],
)
def test_missing_room_is_told_from_other_failures(number: int, expected: type[DiskFailed]) -> None:
    failure = disk_failure(OSError(number, "words"), "sync", Path("wal/x"))
    assert type(failure) is expected
    assert str(failure).startswith("wal/x: sync ")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_what_we_may_not_do_is_not_blamed_on_the_disk(number: int) -> None:
    failure = disk_failure(OSError(number, "words"), "fsync_dir", Path("parent"))
    assert type(failure) is DiskFailed
    assert str(failure) == "parent: fsync_dir failed: words (check its owner and its mode, then start again)"


def test_write_to_a_full_device_is_disk_full() -> None:
    file = OsDisk().open(Path("/dev/full"))
    with pytest.raises(DiskFull, match=r"/dev/full: pwrite found no room"):
        file.pwrite(b"x", 0)
    file.close()


def test_write_that_stops_short_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    """The kernel writes what still fits and reports success; only the next call says what is wrong."""
    file = OsDisk().create(tmp_path / "file")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DiskFailed, match="File too large"):
            file.pwrite(bytes(1500), 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.size() == 1000
    file.close()


def test_every_operation_on_a_missing_path_is_disk_failed(tmp_path: Path) -> None:
    missing, disk = tmp_path / "missing", OsDisk()
    for operation in (
        lambda: disk.open(missing),
        lambda: disk.listdir(missing),
        lambda: disk.create(missing / "file"),
        lambda: disk.unlink(missing),
        lambda: disk.rename(missing, tmp_path / "other"),
        lambda: disk.fsync_dir(missing),
        lambda: disk.free_bytes(missing),
    ):
        with pytest.raises(DiskFailed, match=r"missing.*No such file"):
            operation()


def test_file_reads_what_was_written_and_no_more(tmp_path: Path) -> None:
    file = OsDisk().create(tmp_path / "file")
    file.pwrite(b"abc", 2)
    file.sync()
    assert (file.pread(100, 0), file.pread(2, 2), file.pread(5, 9), file.size()) == (b"\0\0abc", b"ab", b"", 5)
    file.truncate(3)
    assert file.size() == 3
    file.close()


def test_free_bytes_are_those_that_this_process_may_write(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    assert 0 < OsDisk().free_bytes(tmp_path) <= stat.f_blocks * stat.f_frsize
    disk = new_disk()
    disk.mkdir(DIRECTORY)
    assert disk.free_bytes(DIRECTORY) > 0
    disk.full = True
    assert disk.free_bytes(DIRECTORY) == 0


@pytest.mark.parametrize("short_write_bytes", [0, 1, 40, 77, 700])
def test_failure_of_any_operation_ends_all_use_and_leaves_a_readable_log(short_write_bytes: int) -> None:
    operation = 1
    while True:
        run = Run(long_history())
        run.disk.short_write_bytes = short_write_bytes
        run.disk.fail_in(operation, DiskFailed("the disk says no"))
        try:
            run.write_all()
        except DiskFailed:
            pass
        else:
            break
        # The process ends here; the next one finds the disk well again, and later power is lost.
        run.disk.end_process()
        run.synced = run.check(reopen(run.disk, DIRECTORY))
        run.disk.lose_power(lambda: False)
        run.check_goes_on(run.check(reopen(run.disk, DIRECTORY)))
        operation += 1
    assert operation > 40


def test_failed_sync_is_never_tried_again() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    wal.write(append(entry(1)))
    disk.fail_next("sync")
    with pytest.raises(DiskFailed):
        wal.sync()
    with pytest.raises(AssertionError, match="after a failure"):
        wal.sync()
    with pytest.raises(AssertionError):
        wal.write(append(entry(2)))


def test_batch_read_from_a_page_cache_that_lies_is_written_again_before_it_counts() -> None:
    """A failed fsync may leave pages that read well, are marked clean, and never reached the disk (ATC'20)."""
    disk = new_disk()
    write_history(disk, DIRECTORY, [append(entry(1))], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    wal.write(append(entry(2)))
    disk.fail_next("sync")  # marks clean what it did not write
    with pytest.raises(DiskFailed):
        wal.sync()
    disk.end_process()
    assert len(reopen(disk, DIRECTORY).entries) == 2
    disk.lose_power(lambda: False)
    assert len(reopen(disk, DIRECTORY).entries) == 2
