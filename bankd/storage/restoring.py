"""Make a data directory that goes on from a backup: all of it is there, or nothing that starts.

    META.restoring   META in the making; while it is there, the directory holds what is being restored, and no node starts

    1. META.restoring, durably
    2. what an interrupted attempt has left in wal/ and snap/ is removed, durably
    3. the log and the snapshot, made by the caller
    4. META.restoring becomes META, durably

Whatever interrupts it, the same call begins anew: in front of 1 the directory is empty, between 1 and 4 the marker says
that all in it is ours to remove, and after 4 it is a node's like any other. A directory with anything else in it is left
as it is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bankd.errors import DataDirUnusable
from bankd.storage.data_dir import META, META_RESTORING, SNAPSHOTS, WAL
from bankd.storage.disk import Disk
from bankd.storage.identity import Identity, encode_meta

# The lock leaves its file, whoever had it.
_NOTHING: Final = frozenset({"LOCK"})


def restore_into(disk: Disk, path: Path, identity: Identity, fill: Callable[[Path, Path], None]) -> None:
    """Make the data directory `path` for `identity`; `fill` is given the places of its log and of its snapshots, and
    makes both, durably. Nobody uses the directory on return.

    Raises:
      DataDirLocked: a process has it.
      DataDirUnusable: it cannot be made, or holds something else.
      DiskFailed, DiskFull: the same call may be made again once that is put right.
    """
    lock = disk.lock(path)
    try:
        _claim(disk, path, identity)
        fill(path / WAL, path / SNAPSHOTS)
        disk.fsync_dir(path)  # names may reach the disk in any order, and META must be the last
        disk.rename(path / META_RESTORING, path / META)
        disk.fsync_dir(path)
    finally:
        lock.close()


def _claim(disk: Disk, path: Path, identity: Identity) -> None:
    names = disk.listdir(path)
    if META_RESTORING not in names:
        _require_empty(path, names)
    file = disk.create(path / META_RESTORING)
    try:
        file.truncate(0)
        file.pwrite(encode_meta(identity), 0)
        file.sync()
    finally:
        file.close()
    disk.fsync_dir(path)  # before anything else has a name
    disk.fsync_dir(path.parent)
    for directory in (WAL, SNAPSHOTS):
        if directory in names:
            _remove_all(disk, path / directory)


def _require_empty(path: Path, names: list[str]) -> None:
    found = [name for name in names if name not in _NOTHING]
    if found:
        raise DataDirUnusable(
            f"the data directory {path} is not empty (it holds {', '.join(found)}), and is left as it is: "
            "restore into one that is empty or not there"
        )


def _remove_all(disk: Disk, directory: Path) -> None:
    for name in disk.listdir(directory):
        disk.unlink(directory / name)
    disk.fsync_dir(directory)
