"""Read files that nothing here may change, and say in words why one cannot be read.

Two kinds of failure: what the user can put right (a wrong path, no permission) ends the command; what the disk cannot
give back is damage like any other, and has a place in the file.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

import attrs

from bankd.errors import FileUnusable

_DISK_ERRNOS: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN)


@attrs.frozen
class Unreadable(Exception):
    """The disk did not give back what stands from `offset` on. Caught where damage is reported."""

    offset: int
    reason: str

    @property
    def expected(self) -> str:
        return f"readable bytes, not an error of the disk ({self.reason})"


def read_file(path: Path) -> bytes:
    """Return a file's whole content.

    Raises:
      FileUnusable: it is not there, no file, or not for us to read.
      Unreadable: the disk failed.
    """
    offset = 0
    try:
        with open(path, "rb", buffering=0) as file:
            try:
                return file.readall()
            except OSError:
                offset = file.tell()
                raise
    except OSError as error:
        if error.errno in _DISK_ERRNOS:
            raise Unreadable(offset, os.strerror(error.errno)) from error
        raise unusable(path, error) from error


def is_directory(path: Path) -> bool:
    """Tell a directory from everything else, also from what is not there.

    Raises FileUnusable: it is not for us to know.
    """
    try:
        return path.is_dir()
    except OSError as error:
        raise unusable(path, error) from error


def size_of(path: Path) -> int:
    """Return the bytes of a file that may be anything but a pipe: to open one would wait for its other end.

    Raises FileUnusable: it is not there, a pipe, or not for us to look at.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise unusable(path, error) from error
    if stat.S_ISFIFO(found.st_mode):
        raise FileUnusable(f"{path} is no file (check the path)")
    return found.st_size


def first_bytes(path: Path, size: int) -> bytes:
    """Return up to `size` bytes from the beginning of a file that may be anything.

    Raises FileUnusable: it is not there, no file, or not for us to read.
    """
    size_of(path)
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise unusable(path, error) from error


def list_names(directory: Path) -> list[str]:
    """Return the names in a directory, sorted.

    Raises FileUnusable.
    """
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        raise unusable(directory, error) from error


def unusable(path: Path, error: OSError) -> FileUnusable:
    to_check = "its owner and its mode" if error.errno in (errno.EACCES, errno.EPERM) else "the path"
    return FileUnusable(f"{path} cannot be read: {error.strerror} (check {to_check})")
