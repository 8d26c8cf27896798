"""A disk in memory that loses power.

What was synced survives. Of the rest, any subset of 512-byte sectors does, and of the changed names any
prefix (a journalling file system keeps their order); who drives it decides which. It counts its operations, and can
crash or fail at any one of them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from bankd.errors import DiskFailed
from bankd.storage.disk import DiskFile

SECTOR = 512

Survives = Callable[[], bool]  # asked for each unsynced sector and each changed name, in order


class PowerLost(BaseException):
    """The machine stopped in the middle of an operation."""


@attrs.define(eq=False)
class Inode:
    """One file's bytes as they are, and as they would be found after a power loss that lost all it could."""

    current: bytearray = attrs.field(factory=bytearray)
    durable: bytearray = attrs.field(factory=bytearray)
    dirty: set[int] = attrs.field(factory=set)  # sectors

    def write(self, data: bytes | bytearray, offset: int) -> None:
        end = offset + len(data)
        self.current.extend(bytes(max(0, end - len(self.current))))
        self.current[offset:end] = data
        self.dirty.update(range(offset // SECTOR, -(-end // SECTOR)))

    def sync(self) -> None:
        """Bring what is marked dirty to the platter: no more than that, as a kernel does."""
        self._keep(self.dirty)
        self.durable = self.durable[: len(self.current)].ljust(len(self.current), b"\0")
        self.dirty.clear()

    def lose_power(self, survives: Survives) -> None:
        self._keep(sector for sector in sorted(self.dirty) if survives())
        self.current = bytearray(self.durable)
        self.dirty.clear()

    def _keep(self, sectors: Iterable[int]) -> None:
        for sector in sectors:
            start, data = sector * SECTOR, self.current[sector * SECTOR : (sector + 1) * SECTOR]
            self.durable.extend(bytes(max(0, start + len(data) - len(self.durable))))
            self.durable[start : start + len(data)] = data


class MemoryFile:
    def __init__(self, disk: "MemoryDisk", name: str, inode: Inode) -> None:
        self._disk = disk
        self._name = name
        self._inode = inode

    def pread(self, size: int, offset: int) -> bytes:
        return bytes(self._inode.current[offset : offset + size])

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        try:
            self._disk.operate("pwrite", self._name)
        except (PowerLost, DiskFailed):
            self._inode.write(data[: self._disk.short_write_bytes], offset)
            raise
        self._inode.write(data, offset)

    def sync(self) -> None:
        self._disk.operate("sync", self._name)
        self._inode.sync()

    def size(self) -> int:
        return len(self._inode.current)

    def truncate(self, size: int) -> None:
        self._disk.operate("truncate", self._name)
        del self._inode.current[size:]
        self._inode.current.extend(bytes(size - len(self._inode.current)))

    def close(self) -> None:
        pass


class MemoryDisk:
    """Set `power_lost_at` or `failure_at` to the number of the operation that shall not complete (from 1)."""

    def __init__(self) -> None:
        self.names: dict[Path, Inode] = {}
        self.operations = 0
        self.log: list[str] = []
        self.power_lost_at = 0
        self.failure_at = 0
        self.failure = DiskFailed("the disk says no")
        self.short_write_bytes: int | None = None  # of the write that does not complete; None: all of it
        self._durable_names: dict[Path, Inode] = {}
        self._name_changes: list[tuple[Path, Inode | None]] = []  # since the last fsync_dir

    def operate(self, operation: str, name: str) -> None:
        self.operations += 1
        self.log.append(f"{operation} {name}")
        if self.operations == self.power_lost_at:
            raise PowerLost
        if self.operations == self.failure_at:
            raise self.failure

    def lose_power(self, survives: Survives) -> None:
        """Go back to what a power loss at this moment leaves. Open files must not be used any more."""
        inodes = {id(inode): inode for inode in (*self.names.values(), *self._durable_names.values())}
        for inode in inodes.values():
            inode.lose_power(survives)
        self.names = dict(self._durable_names)
        for path, changed in self._name_changes:
            if not survives():
                break
            self._set(self.names, path, changed)
        self._durable_names = dict(self.names)
        self._name_changes = []
        self.operations = self.power_lost_at = self.failure_at = 0

    def open(self, path: Path) -> DiskFile:
        return MemoryFile(self, path.name, self.names[path])

    def create(self, path: Path) -> DiskFile:
        self.operate("create", path.name)
        if path not in self.names:
            self._change(path, Inode())
        return self.open(path)

    def listdir(self, path: Path) -> list[str]:
        return sorted(name.name for name in self.names if name.parent == path)

    def mkdir(self, path: Path) -> None:
        self.operate("mkdir", path.name)

    def rename(self, source: Path, target: Path) -> None:
        self.operate("rename", target.name)
        inode = self.names[source]
        self._change(target, inode)
        self._change(source, None)

    def unlink(self, path: Path) -> None:
        self.operate("unlink", path.name)
        self._change(path, None)

    def fsync_dir(self, path: Path) -> None:
        self.operate("fsync_dir", path.name)
        for changed, inode in self._name_changes:
            if changed.parent == path:
                self._set(self._durable_names, changed, inode)
        self._name_changes = [change for change in self._name_changes if change[0].parent != path]

    def _change(self, path: Path, inode: Inode | None) -> None:
        self._name_changes.append((path, inode))
        self._set(self.names, path, inode)

    @staticmethod
    def _set(names: dict[Path, Inode], path: Path, inode: Inode | None) -> None:
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode
