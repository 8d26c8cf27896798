"""Segments: the files that the log is cut into. Their names, their header, their making.

A segment is `<sequence>-<first index>.wal`: both in decimal, counted from 1. It is filled with zeros to
its capacity and synced under a temporary name before its header goes in, so that fdatasync later has
no metadata to write, and so that a sector which is still zero was never written.

    header (one sector)   magic · u32 version · u64 cluster id · u64 incarnation · u64 sequence · u64 first index
                          · u64 first batch · u64 nonce · u64 capacity · u32 running CRC so far
                          · u16 length of node id · node id · zeros · u32 CRC32C of all that

The first index is the log's next one when the segment was begun; records inside may still
overwrite lower ones (a new leader's entries replace a suffix, wherever that began).

Invariant: a name that ends in .wal has a durable header. It appears by one rename, and nothing is
written behind the header before the directory is synced, but for the hard state that a log may begin with.
"""

import re
import struct
from pathlib import Path
from typing import Final

import attrs
import google_crc32c

from bankd.errors import DataDirForeign, LogDamaged
from bankd.raft.messages import HardState
from bankd.storage.disk import Disk, DiskFile
from bankd.storage.identity import Identity
from bankd.storage.records import SECTOR_BYTES, Place, encode_batch
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId

VERSION: Final = 2  # 1: batches with a trailer, and no edges; never released

MAGIC: Final = b"BANKWAL\n"
_HEADER: Final = struct.Struct("<8sIQQQQQQQIH")
_CRC: Final = struct.Struct("<I")
_NAME: Final = re.compile(r"(\d{10})-(\d{20})\.wal")
NAME_EXPECTED: Final = "a name of the form <sequence>-<first index>.wal"


@attrs.frozen
class Owner:
    """Whose a segment is, by its own header."""

    cluster_id: ClusterId
    node_id: NodeId
    incarnation: Incarnation

    @classmethod
    def of(cls, identity: Identity) -> "Owner":
        return cls(identity.cluster_id, identity.node_id, identity.incarnation)

    def __str__(self) -> str:
        return f"node {self.node_id} (incarnation {self.incarnation:016x}) of cluster {self.cluster_id:016x}"


class HeaderDamaged(Exception):
    """Bytes that are no segment's header; says what was expected. Raised by `parse_header`."""


@attrs.frozen
class SegmentHeader:
    sequence: int
    first_index: LogIndex
    first_batch: int
    nonce: int  # random: batches of this segment carry it, and nobody outside the file knows it
    capacity: int  # bytes filled with zeros before use; one batch too large for any segment may go beyond
    running_crc: int  # of the log before this segment

    @property
    def name(self) -> str:
        return f"{self.sequence:010}-{self.first_index:020}.wal"


def damaged(path: Path, offset: int, expected: str) -> LogDamaged:
    """Name the file, the place and what should be there. The log is left as it is."""
    return LogDamaged(f"{path} at byte {offset}: expected {expected}")


def sequence_of(path: Path) -> int:
    """Return the sequence number in a segment's name.

    Raises:
      LogDamaged: no segment is called that.
    """
    sequence = sequence_in(path.name)
    if sequence is None:
        raise damaged(path, 0, NAME_EXPECTED)
    return sequence


def sequence_in(name: str) -> int | None:
    """Return the sequence number in a segment's name, None if no segment is called that."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1])


def first_index_of(name: str) -> LogIndex:
    """Return the log's next index when the segment of that name was begun."""
    match = _NAME.fullmatch(name)
    assert match is not None, f"{name} is no segment"
    return LogIndex(int(match[2]))


def encode_header(header: SegmentHeader, identity: Identity) -> bytes:
    node_id = identity.node_id.encode()
    fixed = _HEADER.pack(
        MAGIC,
        VERSION,
        identity.cluster_id,
        identity.incarnation,
        header.sequence,
        header.first_index,
        header.first_batch,
        header.nonce,
        header.capacity,
        header.running_crc,
        len(node_id),
    )
    covered = (fixed + node_id).ljust(SECTOR_BYTES - _CRC.size, b"\0")
    assert len(covered) == SECTOR_BYTES - _CRC.size, f"node id of {len(node_id)} bytes"
    return covered + _CRC.pack(google_crc32c.value(covered))


def header_crc(sector: bytes) -> int:
    """Return the CRC that ends a header's sector: the segment's batches continue it."""
    (crc,) = _CRC.unpack_from(sector, SECTOR_BYTES - _CRC.size)
    return int(crc)


def decode_header(data: bytes, path: Path, identity: Identity) -> SegmentHeader:
    """Return the header of the segment `path`, whose bytes begin with `data`.

    Raises:
      LogDamaged: it is broken, or is another segment's.
      DataDirForeign: another node or a newer program wrote it.
    """
    try:
        header, owner = parse_header(data, path)
    except HeaderDamaged as damage:
        raise damaged(path, 0, str(damage)) from damage
    if owner != Owner.of(identity):
        raise DataDirForeign(
            f"{path} belongs to {owner}, this is {identity.node_id} ({identity.incarnation:016x}) of "
            f"{identity.cluster_id:016x}: put back its own log"
        )
    if header.name != path.name:
        raise damaged(path, 0, misnamed(header, path))
    return header


def parse_header(data: bytes, path: Path) -> tuple[SegmentHeader, Owner]:
    """Return what the header in the first sector of `data` says, whoever's segment it is.

    Raises:
      HeaderDamaged: it is broken.
      DataDirForeign: a newer program wrote it.
    """
    sector = data[:SECTOR_BYTES]
    if len(sector) < SECTOR_BYTES:
        raise HeaderDamaged(f"a segment header of {SECTOR_BYTES} bytes, not {len(sector)}")
    crc = google_crc32c.value(sector[: -_CRC.size])
    if header_crc(sector) != crc:
        raise HeaderDamaged(f"a segment header with a right checksum, {crc:08x}, not {header_crc(sector):08x}")
    magic, version, cluster_id, incarnation, *fields, node_bytes = _HEADER.unpack_from(sector)
    if magic != MAGIC:
        raise HeaderDamaged(f"a segment of this program, not {magic!r}")
    if version != VERSION:
        raise DataDirForeign(f"{path} has format {version}, this program knows {VERSION}: start a matching bankd")
    node_id = NodeId(sector[_HEADER.size : _HEADER.size + node_bytes].decode())
    return SegmentHeader(*fields), Owner(ClusterId(cluster_id), node_id, Incarnation(incarnation))


def misnamed(header: SegmentHeader, path: Path) -> str:
    """Say what was expected where a segment stands under a name that its header does not give it."""
    return f"segment {path.name}, not {header.name} under another name"


def write_zeros(file: DiskFile, start: int, end: int) -> None:
    """Write zeros from byte `start` to byte `end`, durably."""
    file.pwrite(bytes(end - start), start)
    file.sync()


def begin(
    disk: Disk, prepared: Path, header: SegmentHeader, identity: Identity, hard_state: HardState | None = None
) -> tuple[DiskFile, int]:
    """Turn a prepared file of zeros into the segment that `header` describes, durably.

    `hard_state`: there together with the name, as the first batch; for the first segment of a log.
    Returns the open segment and the CRC that its first batch continues.
    """
    sector = encode_header(header, identity)
    batch = b""
    if hard_state is not None:
        place = Place(header.nonce, 1, header.first_batch, header_crc(sector))
        batch = bytes(encode_batch(place, [(hard_state, ())])[0])
    path = prepared.parent / header.name
    file = disk.open(prepared)
    try:
        file.pwrite(sector + batch, 0)
        file.sync()
    finally:
        file.close()
    disk.rename(prepared, path)
    disk.fsync_dir(path.parent)
    return disk.open(path), header_crc(sector)
