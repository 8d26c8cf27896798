"""The disk of one simulated node: files in memory, and everything that disks do to them.

- A power loss keeps what was synced and some of the rest: any subset of the sectors of every file (inode.py), and of
  the names changed since their directory was synced, later changes without earlier ones too.
- A process that ends otherwise leaves the files as written.
- An operation can end the process in its midst (`crash_in`) or fail (`fail_in`, `fail_next`, `full`). A write is then partly done. A
  sync that failed has written a part, and the rest will never be written: its pages read well and are marked clean.
- Bits flip, an older copy is put back, everything is gone (`flip_durable_bit`, `restore`, `wipe`).

Every change is an operation, counted, and takes simulated time that `take_elapsed` hands out; reading is neither. Nothing here
waits: a late or hanging disk is the driver's, who holds completions back.

Limits: a directory sync covers the names right in that directory, and a rename may be seen half done after a
power loss (both names, never neither); file systems that keep better order, as journals do, are not modelled.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from bankd.errors import DataDirLocked, DataDirUnusable, DiskFailed, DiskFull
from bankd.sim.inode import SECTOR, Inode, Survives
from bankd.sim.plan import DiskOdds
from bankd.sim.random import PPM, Stream


@attrs.frozen
class Flip:
    """One flipped bit of a file, counted from its first byte's lowest."""

    path: Path
    bit: int

    def __str__(self) -> str:
        return f"{self.path}: bit {self.bit % 8} of byte {self.bit // 8}"


_NameChange = tuple[tuple[Path, Inode | None], ...]  # of one operation: the second part survives with the first only

_DIRECTORY: Final = Inode()  # stands for every directory
_SYNCS: Final = frozenset({"sync", "fsync_dir"})
_SURVIVAL_PPM: Final = (0, 250_000, 500_000, 900_000, PPM)  # one of these for all sectors of a power loss
_FREE_BYTES: Final = 1 << 40  # until it is full
_TORN_PPM: Final = 250_000  # of sectors asked for, until one was torn


class PowerLost(BaseException):
    """The process ended in the midst of a disk operation. Raised by the disk, caught by who drives the node."""


class SimFile:
    """An open file. Of no use any more once its process has ended."""

    def __init__(self, disk: "SimDisk", path: Path, inode: Inode) -> None:
        self.path = path
        self._disk = disk
        self._inode = inode
        self._process = disk.process

    def pread(self, size: int, offset: int) -> bytes:
        return bytes(self._inode.current[offset : offset + size])

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        disk, inode = self._disk, self._inode
        try:
            self._operate("pwrite", takes_room=offset + len(data) > inode.filled)
        except (PowerLost, DiskFailed):
            inode.write(data[: disk.short_write(len(data))], offset)
            raise
        inode.write(data, offset)

    def sync(self) -> None:
        try:
            self._operate("sync")
        except DiskFailed:
            self._inode.fail_sync(self._disk.drawn_survival())
            raise
        self._inode.sync()

    def size(self) -> int:
        return len(self._inode.current)

    def truncate(self, size: int) -> None:
        self._operate("truncate")
        self._inode.truncate(size)

    def close(self) -> None:
        pass

    def _operate(self, operation: str, *, takes_room: bool = False) -> None:
        assert self._process == self._disk.process, f"{operation} of {self.path} by a process that has ended"
        self._disk.operate(operation, self.path, takes_room=takes_room)


class _SimLock:
    def __init__(self, disk: "SimDisk", directory: Path) -> None:
        self._disk = disk
        self._directory = directory
        self._process = disk.process

    def close(self) -> None:
        if self._process == self._disk.process:
            self._disk.locked.discard(self._directory)


class SimDisk:
    """A `bankd.storage.disk.Disk` for one node. All that is drawn comes from `stream`.

    Attributes that a driver sets:
      full: whatever takes room fails with DiskFull; bytes once written can be written again.
      added_ns: every operation takes that much longer.
      short_write_bytes: how much of a write that does not complete is done; None: drawn.
    """

    def __init__(self, stream: Stream, odds: DiskOdds | None = None) -> None:
        self.full = False
        self.added_ns = 0
        self.short_write_bytes: int | None = None
        self.operations = 0
        self.process = 0  # counts the processes that have ended on this disk
        self.locked: set[Path] = set()
        self._stream = stream
        self._odds = odds or DiskOdds()
        self._elapsed_ns = 0
        self._crash_at = 0  # number of an operation
        self._fail_at = 0
        self._failure = DiskFailed("")
        self._failing: dict[str, DiskFailed] = {}
        self._names: dict[Path, Inode] = {}
        self._durable_names: dict[Path, Inode] = {}
        self._name_changes: list[_NameChange] = []  # not synced yet, in order

    # What the driver does to it

    def crash_in(self, operations: int) -> None:
        """Raise PowerLost in the midst of the n-th operation from now; 1 is the next one."""
        self._crash_at = self.operations + operations

    def fail_in(self, operations: int, error: DiskFailed) -> None:
        """Have the n-th operation from now fail."""
        self._fail_at, self._failure = self.operations + operations, error

    def fail_next(self, operation: str, error: DiskFailed | None = None) -> None:
        """Have the next operation of that name fail, with EIO unless told otherwise."""
        self._failing[operation] = error or DiskFailed(f"{operation} failed: Input/output error")

    def disarm(self) -> None:
        """Call off what was to go wrong."""
        self._crash_at = self._fail_at = 0
        self._failing.clear()

    def take_elapsed(self) -> int:
        """Return how long the operations since the last call took, in nanoseconds."""
        elapsed_ns, self._elapsed_ns = self._elapsed_ns, 0
        return elapsed_ns

    def end_process(self) -> None:
        """Release what a process held. Its files stay as written; what was to go wrong for it will not any more."""
        self.process += 1
        self.locked.clear()
        self.disarm()

    def lose_power(self, survives: Survives | None = None) -> None:
        """End the process and go back to what a power loss at this moment leaves. `survives`: None: drawn."""
        self.end_process()
        survives = survives or self.drawn_survival()
        for inode in dict.fromkeys([*self._durable_names.values(), *self._names.values()]):
            inode.lose_power(survives)
        for change in self._name_changes:
            survived = [survives() for _ in change]
            for (path, changed), kept in zip(change, survived, strict=True):
                if not kept:
                    break
                _set(self._durable_names, path, changed)
        self._name_changes.clear()
        directories = dict.fromkeys(path.parent for path in self._durable_names)
        reachable = [directory for directory in directories if not _missing(self._durable_names, directory)]
        self._names = {path: inode for path, inode in self._durable_names.items() if path.parent in reachable}
        self._durable_names = dict(self._names)

    def flip_durable_bit(self, stream: Stream) -> Flip | None:
        """Flip a bit of some file, up to its last byte that is not zero. Returns where; None: the disk is empty."""
        used = {path: len(inode.durable.rstrip(b"\0")) for path, inode in sorted(self._names.items())}
        paths = [path for path, size in used.items() if size]
        if not paths:
            return None
        path = stream.pick(paths)
        bit = stream.below(used[path] * 8)
        self._names[path].flip(bit)
        return Flip(path, bit)

    def copy(self) -> dict[Path, bytes]:
        """Return every file as it reads now."""
        return {path: bytes(inode.current) for path, inode in self._names.items() if inode is not _DIRECTORY}

    def imitate(self, other: "SimDisk") -> None:
        """End the process and hold what another disk does, with what is not synced there. Each goes its own way then."""
        self.end_process()
        changed = [inode for change in other._name_changes for _, inode in change]
        inodes = [*other._durable_names.values(), *other._names.values(), *changed]
        copies = {inode: inode.copy() for inode in inodes if inode is not None} | {_DIRECTORY: _DIRECTORY}
        self._names = {path: copies[inode] for path, inode in other._names.items()}
        self._durable_names = {path: copies[inode] for path, inode in other._durable_names.items()}
        self._name_changes = [
            tuple((path, copies[inode] if inode else None) for path, inode in change) for change in other._name_changes
        ]

    def restore(self, files: Mapping[Path, bytes]) -> None:
        """End the process and make these the only files, durably, with the directories that they need."""
        self.wipe()
        for path, content in files.items():
            self._names.update(dict.fromkeys(_missing(self._names, path.parent), _DIRECTORY))
            self._names[path] = Inode.of(content)
        self._durable_names = dict(self._names)

    def wipe(self) -> None:
        """End the process and lose everything."""
        self.end_process()
        self._names, self._durable_names = {}, {}
        self._name_changes.clear()

    # What files ask it

    def operate(self, operation: str, path: Path, *, takes_room: bool = False) -> None:
        """Count an operation on `path`, and take its time; raise what is due to go wrong."""
        self.operations += 1
        if self.operations == self._crash_at:
            raise PowerLost(f"{operation} {path}")
        if self.operations == self._fail_at:
            raise self._failure
        if self._failing and operation in self._failing:
            raise self._failing.pop(operation)
        if takes_room and self.full:
            raise DiskFull(f"{path}: {operation} found no room on the disk")
        self._elapsed_ns += self.added_ns + self._drawn_ns(operation)

    def short_write(self, size: int) -> int:
        """Return how many of `size` bytes a write that does not complete has written."""
        return self._stream.below(size + 1) if self.short_write_bytes is None else self.short_write_bytes

    def drawn_survival(self) -> Survives:
        """Return a judge that lets a drawn share survive, and tears one sector or none."""
        stream = Stream(self._stream.u64(), "survival")  # one draw for each loss, however much is lost
        share, torn = stream.pick(_SURVIVAL_PPM), False

        def survives() -> bool | slice:
            nonlocal torn
            if not torn and stream.chance(_TORN_PPM):
                torn = True
                cut = stream.between(1, SECTOR - 1)
                return slice(cut) if stream.chance(PPM // 2) else slice(cut, None)
            return stream.chance(share)

        return survives

    # bankd.storage.disk.Disk

    def lock(self, directory: Path) -> _SimLock:
        try:
            self.mkdir(directory)
        except DiskFailed as error:
            raise DataDirUnusable(f"the data directory {directory} cannot be used: {error}") from error
        if directory in self.locked:
            raise DataDirLocked(f"the data directory {directory} is in use by another process")
        self.locked.add(directory)
        return _SimLock(self, directory)

    def open(self, path: Path) -> SimFile:
        inode = self._find(path, "open")
        assert inode is not _DIRECTORY, f"{path} is a directory"
        self.operate("open", path)
        return SimFile(self, path, inode)

    def create(self, path: Path) -> SimFile:
        self._find(path.parent, "create")
        inode = self._names.get(path)
        self.operate("create", path, takes_room=inode is None)
        if inode is None:
            inode = Inode()
            self._change((path, inode))
        return SimFile(self, path, inode)

    def listdir(self, path: Path) -> list[str]:
        self._find(path, "listdir")
        return sorted(name.name for name in self._names if name.parent == path and name != path)

    def mkdir(self, path: Path) -> None:
        missing = _missing(self._names, path)
        self.operate("mkdir", path, takes_room=bool(missing))
        for directory in missing:
            self._change((directory, _DIRECTORY))

    def rename(self, source: Path, target: Path) -> None:
        inode = self._find(source, "rename")
        assert inode is not _DIRECTORY, f"{source} is a directory"
        self.operate("rename", target)
        self._change((target, inode), (source, None))

    def unlink(self, path: Path) -> None:
        self._find(path, "unlink")
        self.operate("unlink", path)
        self._change((path, None))

    def fsync_dir(self, path: Path) -> None:
        self._find(path, "fsync_dir")
        self.operate("fsync_dir", path)
        for change in self._name_changes:
            for name, inode in change:
                if name.parent == path:
                    _set(self._durable_names, name, inode)
        elsewhere = [tuple(part for part in change if part[0].parent != path) for change in self._name_changes]
        self._name_changes = [change for change in elsewhere if change]

    def free_bytes(self, path: Path) -> int:
        self._find(path, "free_bytes")
        return 0 if self.full else _FREE_BYTES

    def _find(self, path: Path, operation: str) -> Inode:
        if path.parent == path:  # the root, or where relative paths begin: always there
            return _DIRECTORY
        inode = self._names.get(path)
        if inode is None:
            raise DiskFailed(f"{path}: {operation} failed: No such file or directory")
        return inode

    def _change(self, *change: tuple[Path, Inode | None]) -> None:
        self._name_changes.append(change)
        for path, inode in change:
            _set(self._names, path, inode)

    def _drawn_ns(self, operation: str) -> int:
        stream, odds = self._stream, self._odds
        if operation not in _SYNCS:
            return stream.below(odds.write_ns_max + 1)
        drawn_ns = stream.below(odds.sync_ns_max + 1)
        return drawn_ns * stream.between(2, 100) if stream.chance(odds.slow_sync_ppm) else drawn_ns


def _set(names: dict[Path, Inode], path: Path, inode: Inode | None) -> None:
    if inode is None:
        names.pop(path, None)
    else:
        names[path] = inode


def _missing(names: Mapping[Path, Inode], directory: Path) -> list[Path]:
    """Return which of a directory and those above it are not there, the uppermost first."""
    above = [directory, *directory.parents][:-1]  # the last one is the root, or where relative paths begin
    return [path for path in reversed(above) if path not in names]
