"""The lock of a data directory on a real disk: one process at a time.

LOCK in the directory is held with flock, so the kernel gives it back when the process ends, in whatever way.
It holds the pid of its holder, for the one that comes second.

Who only looks at a directory shares the lock with others that look, and changes nothing, the pid included: a node that
is started meanwhile is refused, and names the process that had the directory last.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bankd.errors import DataDirLocked, DataDirUnusable

_LOCK: Final = "LOCK"


class OsLock:
    """A lock that is held. See `Disk.lock`."""

    def __init__(self, directory: Path) -> None:
        """Take the lock of `directory`, which is made where it is missing.

        Raises:
          DataDirLocked: another process has it; names its pid.
          DataDirUnusable: the directory or the file in it cannot be made, or not be locked.
        """
        self._descriptor: int | None = _open(directory)
        try:
            _lock(self._descriptor, directory)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it. May be called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirUnusable(
            f"the data directory {directory} cannot be used: {error.strerror} (check the path, its owner and its mode)"
        ) from error


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        raise DataDirLocked(f"{_in_use(descriptor, directory)}: stop that one, or use another directory") from error
    except OSError as error:
        raise DataDirUnusable(f"the data directory {directory} cannot be locked: {error.strerror}") from error


@contextmanager
def nodes_kept_away(directory: Path) -> Iterator[None]:
    """Have no process use the directory meanwhile. One that holds no LOCK was never used, or is a copy: nobody is kept away.

    Raises:
      DataDirLocked: a process has it; names its pid.
      DataDirUnusable: the file cannot be opened, or not be locked.
    """
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise DataDirUnusable(
            f"{directory / _LOCK} cannot be opened: {error.strerror} (check who may read it)"
        ) from error
    try:
        _share(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _share(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataDirLocked(f"{_in_use(descriptor, directory)}, which changes it: stop that one first") from error
    except OSError as error:
        raise DataDirUnusable(f"the data directory {directory} cannot be locked: {error.strerror}") from error


def _in_use(descriptor: int, directory: Path) -> str:
    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    return f"the data directory {directory} is in use by the process with pid {holder}"
