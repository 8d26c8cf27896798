"""Small files that are written as a whole: META, REFILL, PEERS.

    file   u32 length · u32 CRC32C of the rest · the rest, a protobuf message (proto/entry.proto, proto/storage.proto)

One is never changed in place: it is written beside, synced, renamed, and its directory synced. So a crash leaves the old
one or the new one, whole, and whatever does not verify is rot.
"""

import struct
from pathlib import Path
from typing import Final

import google_crc32c

from bankd.storage.disk import Disk

TEMPORARY_SUFFIX: Final = ".tmp"
_FRAME: Final = struct.Struct("<II")  # length, CRC32C


def framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), google_crc32c.value(body)) + body


def body_of(data: bytes) -> bytes:
    """Return what stands behind the frame, sound or not."""
    return data[_FRAME.size :]


def damage_of(data: bytes) -> str | None:
    """Say what was expected of a file that is not as it was written; None: it is."""
    if len(data) < _FRAME.size:
        return f"{_FRAME.size} bytes or more, not {len(data)}"
    length, stored_crc = _FRAME.unpack_from(data)
    body = body_of(data)
    if length != len(body):
        return f"{length} bytes behind the first {_FRAME.size}, not {len(body)}"
    crc = google_crc32c.value(body)
    return None if crc == stored_crc else f"a checksum of {crc:08x}, not {stored_crc:08x}"


def read_if_there(disk: Disk, path: Path, bytes_max: int) -> bytes | None:
    """Return a file's first bytes, None where there is no such file."""
    if path.name not in disk.listdir(path.parent):
        return None
    file = disk.open(path)
    try:
        return file.pread(bytes_max, 0)
    finally:
        file.close()


def replace_file(disk: Disk, path: Path, data: bytes) -> None:
    """Make a file of this content, or give the one that is there this content, durably.

    Raises:
      DiskFailed, DiskFull: it is the old one or the new one.
    """
    beside = path.with_name(path.name + TEMPORARY_SUFFIX)
    file = disk.create(beside)
    try:
        file.truncate(0)
        file.pwrite(data, 0)
        file.sync()
    finally:
        file.close()
    disk.rename(beside, path)
    disk.fsync_dir(path.parent)
