"""A snapshot file in the making: a temporary name until everything is durable, then the real one.

What crashes leave, by the step that they interrupt:

    append ..    a part under the temporary name: removed when the store is next opened
    sync         the same; nobody relies on a temporary file, whatever of it is durable
    rename       one name or the other, or both: whole and durable under each
    fsync_dir    the same, until it returns
    from here on the snapshot is there

It is synced as it grows, so that no sync of it is long: a sync of the log waits behind one. A draft begins empty and
never takes over bytes of an earlier process: those may stand in the page cache, read well, and never reach the disk
after a sync that failed there.

A draft may fail without harm to the node: give it up, and the files are as before. That is right for DiskFull. After
any other DiskFailed the log is on the same disk, and the process ends.
"""

from pathlib import Path
from typing import Final

from bankd.errors import DiskFailed, DiskFull
from bankd.storage.disk import Disk

# At most so much, and one piece, is written and not synced. fdatasync of the log beside it measured p99 0.7 ms at
# 128 KiB, 3.6 ms at 1 MiB (see wal.py); a file that grows wants its metadata synced each time as well.
SYNC_BYTES: Final = 256 << 10


def require_room(disk: Disk, path: Path, size_bytes: int, reserve_bytes: int) -> None:
    """Raise DiskFull if a file that grows by so much would leave less than the reserve: the log needs it more."""
    if reserve_bytes and (free_bytes := disk.free_bytes(path.parent)) < size_bytes + reserve_bytes:
        raise DiskFull(
            f"{path}: {size_bytes} bytes more would leave less than {reserve_bytes} bytes of the {free_bytes} that are free "
            "to the log (free some)"
        )


class Draft:
    """One file under a temporary name. Every method raises DiskFailed, DiskFull; then only `abandon` may follow."""

    def __init__(self, disk: Disk, path: Path, reserve_bytes: int = 0) -> None:
        """Make the file, or empty the one that is there. It leaves that much room on the disk for others."""
        self.path = path
        self.size = 0
        self.is_open = True  # neither published nor abandoned
        self._disk = disk
        self._reserve_bytes = reserve_bytes
        self._unsynced_bytes = 0
        self._sound = True  # nothing has failed
        self._file = disk.create(path)
        try:
            self._file.truncate(0)
        except DiskFailed:
            self.abandon()
            raise

    def append(self, data: bytes) -> None:
        """Write at the end; make it durable if enough has gathered."""
        self._begin_step()
        require_room(self._disk, self.path, len(data), self._reserve_bytes)
        self._file.pwrite(data, self.size)
        self.size += len(data)
        self._unsynced_bytes += len(data)
        if self._unsynced_bytes >= SYNC_BYTES:
            self._file.sync()
            self._unsynced_bytes = 0
        self._sound = True

    def publish(self, name: str) -> None:
        """Make it durable, and then a file of that name in the same directory, durably."""
        self._begin_step()
        self._file.sync()
        self._disk.rename(self.path, self.path.parent / name)
        self._disk.fsync_dir(self.path.parent)
        self.is_open = False
        self._file.close()

    def abandon(self) -> None:
        """Remove the file. After a failure in the midst of `publish` it may have its real name: it is whole, and stays.

        Does nothing once it is published or abandoned.
        """
        if not self.is_open:
            return
        self.is_open = self._sound = False
        self._file.close()
        if self.path.name in self._disk.listdir(self.path.parent):
            self._disk.unlink(self.path)

    def _begin_step(self) -> None:
        assert self.is_open, f"{self.path.name} is closed"
        assert self._sound, f"{self.path.name} goes on after a failure"
        self._sound = False
