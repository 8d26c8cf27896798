"""The few file operations that storage/ uses, and how they fail.

`Disk` is a protocol so that a simulated disk can stand in for the real one; `OsDisk` is the real
one. Everything blocks; nothing here knows what the bytes mean.

Rules:
- Every OSError becomes `DiskFailed` or `DiskFull` here and nowhere else. Whoever gets one stops
  using the file: after a failed fsync the kernel may drop the dirty pages and report success next
  time (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
- A name is durable only after `fsync_dir` on its directory, bytes only after `sync` on their file.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from bankd.errors import DiskFailed, DiskFull
from bankd.storage.lock import OsLock


class DiskFile(Protocol):
    """An open file. Offsets and sizes are bytes. Every method raises DiskFailed, for want of room DiskFull."""

    def pread(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes; fewer only at the end of the file."""

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        """Write all of `data`, or raise with an unknown part of it written. Not durable by itself."""

    def sync(self) -> None:
        """Make what was written durable, and as much metadata as reading it takes. One fdatasync."""

    def size(self) -> int: ...

    def truncate(self, size: int) -> None: ...

    def close(self) -> None: ...


class DiskLock(Protocol):
    """The right of one process to use a directory."""

    def close(self) -> None:
        """Let go of it. May be called again."""


class Disk(Protocol):
    """A file system, as far as storage/ needs one. Every method but `lock` raises DiskFailed, for want of room DiskFull."""

    def lock(self, directory: Path) -> DiskLock:
        """Take the lock of a directory, which is made (mode 0700) where it is missing, with its missing parents.

        Held until it is closed, or until the process ends in whatever way.

        Raises:
          DataDirLocked: another process has it.
          DataDirUnusable: the directory cannot be made, or not be locked.
        """

    def open(self, path: Path) -> DiskFile:
        """Open an existing file for reading and writing."""

    def create(self, path: Path) -> DiskFile:
        """Open a file for reading and writing, making it (mode 0600) where it does not exist. Keeps its content."""

    def listdir(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted."""

    def mkdir(self, path: Path) -> None:
        """Make a directory (mode 0700) and its missing parents; one that exists is left as it is."""

    def rename(self, source: Path, target: Path) -> None: ...

    def unlink(self, path: Path) -> None: ...

    def fsync_dir(self, path: Path) -> None:
        """Make the names in a directory durable."""

    def free_bytes(self, path: Path) -> int:
        """Return how many bytes this process may still write on the file system of `path`."""


def disk_failure(error: OSError, operation: str, path: Path) -> DiskFailed:
    """Say in words what failed, and whether room or permission is what was missing."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"{path}: {operation} found no room on the disk: {error.strerror} (free some, then start again)"
        )
    to_check = "its owner and its mode" if error.errno in (errno.EACCES, errno.EPERM) else "the disk"
    return DiskFailed(f"{path}: {operation} failed: {error.strerror} (check {to_check}, then start again)")


class _HasPath(Protocol):
    @property
    def path(self) -> Path: ...


_S = TypeVar("_S", bound=_HasPath)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _disk_operation(method: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
    """Turn the OSErrors of one file's method into disk failures named after it."""

    def guarded(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            raise disk_failure(error, method.__name__, self.path) from error

    return guarded


class OsFile:
    """A real file, owned by one opener at a time."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @_disk_operation
    def pread(self, size: int, offset: int) -> bytes:
        parts: list[bytes] = []
        # One call returns at most 2 GiB less a page; end of file is an empty answer.
        while size > 0 and (part := os.pread(self._descriptor, size, offset)):
            parts.append(part)
            size -= len(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @_disk_operation
    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        written = os.pwrite(self._descriptor, data, offset)
        # The kernel stops short when room runs out in mid-write; the next call then says why.
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], offset + written)

    @_disk_operation
    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    @_disk_operation
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    @_disk_operation
    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    @_disk_operation
    def close(self) -> None:
        os.close(self._descriptor)


class _OsPath:
    """One path and what can be done with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @_disk_operation
    def open(self, flags: int) -> OsFile:
        return OsFile(self.path, os.open(self.path, flags | os.O_CLOEXEC, 0o600))

    @_disk_operation
    def listdir(self) -> list[str]:
        return sorted(os.listdir(self.path))

    @_disk_operation
    def mkdir(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @_disk_operation
    def rename(self, target: Path) -> None:
        os.rename(self.path, target)

    @_disk_operation
    def unlink(self) -> None:
        os.unlink(self.path)

    @_disk_operation
    def fsync_dir(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @_disk_operation
    def free_bytes(self) -> int:
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize


class OsDisk:
    """The operating system's files."""

    def lock(self, directory: Path) -> OsLock:
        return OsLock(directory)

    def open(self, path: Path) -> OsFile:
        return _OsPath(path).open(os.O_RDWR)

    def create(self, path: Path) -> OsFile:
        return _OsPath(path).open(os.O_RDWR | os.O_CREAT)

    def listdir(self, path: Path) -> list[str]:
        return _OsPath(path).listdir()

    def mkdir(self, path: Path) -> None:
        _OsPath(path).mkdir()

    def rename(self, source: Path, target: Path) -> None:
        _OsPath(source).rename(target)

    def unlink(self, path: Path) -> None:
        _OsPath(path).unlink()

    def fsync_dir(self, path: Path) -> None:
        _OsPath(path).fsync_dir()

    def free_bytes(self, path: Path) -> int:
        return _OsPath(path).free_bytes()
