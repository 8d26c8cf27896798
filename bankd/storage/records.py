"""Records and batches of the log, as bytes. Pure: no files.

A **record** holds one entry, one hard state, or the seal of a segment. A **batch** is what one write
put down: a header, records, zeros, and a trailer at the end of its last 512-byte sector. A batch
begins on a sector and owns its sectors alone, so a sector that is durable is never written again.
All numbers are little-endian.

    batch header   u32 data bytes · u32 sector in the file · u64 segment nonce · u64 batch number
                   · u32 running CRC so far · u32 CRC32C of these 28 bytes · u32 mark
    record         u32 body bytes · u32 CRC32C · u64 index · u64 term · u8 type · body
    trailer        u32 all-zero sectors in this batch · u32 CRC32C · u32 mark

The running CRC links everything in order: a batch header is stamped with it, the header's own CRC
continues it, and every record's CRC is seeded with the one before. A valid record at another place,
or in another order, does not verify. The trailer's CRC is seeded with the batch header's, so that
it can be judged when records before it are broken.

Invariant: a batch is all or nothing. Its hard state and entries were asked for together.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, unique
from typing import Final

import attrs
from google_crc32c import extend, value

from bankd.raft.messages import Entry, EntryType, HardState
from bankd.types import LogIndex, NodeId, Term

SECTOR_BYTES: Final = 512  # the unit that a disk writes whole or not at all
BATCH_BYTES_MAX: Final = 2**31  # keeps lengths inside u32 with room to spare

Write = tuple[HardState | None, Sequence[Entry]]  # what must become durable together, hard state first


@unique
class RecordType(IntEnum):
    """Types that are no entries. Below 64 the number is the entry's EntryType. Never reused."""

    HARD_STATE = 64  # term; body: the node voted for, empty for none
    SEAL = 65  # the last record of a segment; index: the log's next


@attrs.frozen
class Seal:
    """Nothing follows in this segment."""

    next_index: LogIndex


Record = Entry | HardState | Seal

MARK: Final = b"\xff\xff\xff\xff"  # the last bytes of header and trailer: damage.py says what for
_BATCH_HEADER: Final = struct.Struct("<IIQQI")
_RECORD_COVERED: Final = struct.Struct("<IQQB")  # body bytes, index, term, type: what the CRC covers beside the body
_RECORD_HEADER: Final = struct.Struct("<IIQQB")
_CRC: Final = struct.Struct("<I")
_TRAILER: Final = struct.Struct("<II")

BATCH_HEADER_BYTES: Final = _BATCH_HEADER.size + _CRC.size + len(MARK)
RECORD_HEADER_BYTES: Final = _RECORD_HEADER.size
TRAILER_BYTES: Final = _TRAILER.size + len(MARK)
_ZERO_SECTOR: Final = bytes(SECTOR_BYTES)
_ENTRY_TYPES: Final = {int(entry_type): entry_type for entry_type in EntryType}


class BatchDamaged(Exception):
    """Bytes that are not the batch that belongs here. Raised by `read_batch`, caught by recovery alone."""


@attrs.frozen
class Place:
    """Where in the log a batch stands: what it must continue."""

    nonce: int
    sector: int
    number: int  # batches count from 1 through all segments
    running_crc: int


@attrs.frozen
class BatchHeader:
    place: Place
    data_bytes: int  # header and records, without padding and trailer
    crc: int

    @property
    def size(self) -> int:
        return padded_size(self.data_bytes)


@attrs.frozen
class Batch:
    records: tuple[Record, ...]
    size: int  # whole sectors
    running_crc: int  # for whatever comes next


def padded_size(data_bytes: int) -> int:
    """Return the bytes on disk of a batch with that much header and records: whole sectors."""
    return -(-(data_bytes + TRAILER_BYTES) // SECTOR_BYTES) * SECTOR_BYTES


def data_size(writes: Sequence[Write]) -> int:
    """Return the bytes that the header and records of `writes` take."""
    size = BATCH_HEADER_BYTES
    for hard_state, entries in writes:
        if hard_state is not None:
            size += RECORD_HEADER_BYTES + len(_ballot(hard_state))
        for entry in entries:
            size += RECORD_HEADER_BYTES + len(entry.body)
    return size


def encode_batch(place: Place, writes: Sequence[Write]) -> tuple[bytearray, int]:
    """Return the batch's bytes and the running CRC after it. Bodies are copied once."""
    return _encode(place, data_size(writes), _rows(writes))


def encode_seal(place: Place, next_index: LogIndex) -> tuple[bytearray, int]:
    """Return the batch that ends a segment, one sector, and the running CRC after it."""
    return _encode(place, BATCH_HEADER_BYTES + RECORD_HEADER_BYTES, [(next_index, 0, RecordType.SEAL, b"")])


def read_header(data: bytes, offset: int) -> BatchHeader | None:
    """Return the batch header at `offset` if there is a sound one, wherever it may belong."""
    end = offset + BATCH_HEADER_BYTES
    if data[end - len(MARK) : end] != MARK:
        return None
    covered = data[offset : offset + _BATCH_HEADER.size]
    (crc,) = _CRC.unpack_from(data, offset + _BATCH_HEADER.size)
    if value(covered) != crc:
        return None
    data_bytes, sector, nonce, number, running_crc = _BATCH_HEADER.unpack(covered)
    return BatchHeader(Place(nonce, sector, number, running_crc), data_bytes, crc)


def read_batch(data: bytes, place: Place) -> Batch:
    """Return the batch that belongs at `place` of the segment whose bytes are `data`.

    Lengths are checked against the batch, and the batch against the file, before anything is cut out.

    Raises:
      BatchDamaged: other bytes are there; the message says what was expected.
    """
    offset = place.sector * SECTOR_BYTES
    header = read_header(data, offset)
    if header is None:
        raise BatchDamaged(f"the header of batch {place.number}")
    if header.place != place:
        raise BatchDamaged(f"batch {place.number} following checksum {place.running_crc:08x}, not {header.place}")
    if offset + header.size > len(data):
        raise BatchDamaged(f"{header.size} bytes of batch {place.number}, not the end of the file")
    data_end = offset + header.data_bytes
    records, running_crc = _read_records(data, offset + BATCH_HEADER_BYTES, data_end, header.crc)
    batch = data[offset : offset + header.size]
    padding = bytes(header.size - header.data_bytes - TRAILER_BYTES)
    if batch[header.data_bytes :] != padding + _trailer(batch, header.crc):
        raise BatchDamaged(f"the end of batch {place.number}")
    return Batch(records, header.size, running_crc)


def zero_sectors_promised(batch: bytes, header: BatchHeader) -> int | None:
    """Return how many all-zero sectors the trailer of a batch counted when it was written; None if it is broken."""
    zero_sectors, crc = _TRAILER.unpack_from(batch, len(batch) - TRAILER_BYTES)
    return int(zero_sectors) if crc == _trailer_crc(zero_sectors, header.crc) else None


def count_zero_sectors(batch: bytes | bytearray) -> int:
    """Return how many whole sectors of a batch hold nothing but zeros."""
    if batch.find(_ZERO_SECTOR) < 0:
        return 0
    return sum(batch.startswith(_ZERO_SECTOR, offset) for offset in range(0, len(batch), SECTOR_BYTES))


_Row = tuple[int, int, int, bytes]  # index, term, type, body


def _rows(writes: Sequence[Write]) -> Iterator[_Row]:
    for hard_state, entries in writes:
        if hard_state is not None:
            yield 0, hard_state.term, RecordType.HARD_STATE, _ballot(hard_state)
        for entry in entries:
            yield entry.index, entry.term, entry.type, entry.body


def _ballot(hard_state: HardState) -> bytes:
    return (hard_state.voted_for or "").encode()


def _encode(place: Place, data_bytes: int, rows: Iterable[_Row]) -> tuple[bytearray, int]:
    assert data_bytes < BATCH_BYTES_MAX, f"batch of {data_bytes} bytes"
    batch = bytearray(padded_size(data_bytes))
    covered = _BATCH_HEADER.pack(data_bytes, place.sector, place.nonce, place.number, place.running_crc)
    header_crc = crc = value(covered)
    batch[:BATCH_HEADER_BYTES] = covered + _CRC.pack(crc) + MARK
    at = BATCH_HEADER_BYTES
    view = memoryview(batch)  # assigning through it copies a body once, a slice of the bytearray would twice
    for index, term, record_type, body in rows:
        crc = _record_crc(crc, len(body), index, term, record_type, body)
        _RECORD_HEADER.pack_into(batch, at, len(body), crc, index, term, record_type)
        at += RECORD_HEADER_BYTES
        view[at : at + len(body)] = body
        at += len(body)
    assert BATCH_HEADER_BYTES < at == data_bytes, f"records end at {at}, {data_bytes} planned"
    # The mark first: the trailer's own sector must not be counted among the zero ones.
    batch[-len(MARK) :] = MARK
    batch[-TRAILER_BYTES:] = _trailer(batch, header_crc)
    return batch, crc


def _read_records(data: bytes, at: int, end: int, crc: int) -> tuple[tuple[Record, ...], int]:
    records: list[Record] = []
    while at < end:
        body_at = at + RECORD_HEADER_BYTES
        if body_at > end:
            raise BatchDamaged("a record header inside its batch")
        length, stored_crc, index, term, record_type = _RECORD_HEADER.unpack_from(data, at)
        if length > end - body_at:
            raise BatchDamaged("a record inside its batch")
        body = data[body_at : body_at + length]
        crc = _record_crc(crc, length, index, term, record_type, body)
        if crc != stored_crc:
            raise BatchDamaged(f"a record with checksum {crc:08x}, not {stored_crc:08x}")
        records.append(_record(index, term, record_type, body))
        at = body_at + length
    if not records:
        raise BatchDamaged("a batch with at least one record")
    return tuple(records), crc


def _record(index: int, term: int, record_type: int, body: bytes) -> Record:
    entry_type = _ENTRY_TYPES.get(record_type)
    if entry_type is not None:
        return Entry(LogIndex(index), Term(term), entry_type, body)
    if record_type == RecordType.HARD_STATE:
        return HardState(Term(term), NodeId(body.decode()) if body else None)
    if record_type == RecordType.SEAL:
        return Seal(LogIndex(index))
    raise BatchDamaged(f"a record type that this program knows, not {record_type}")


def _record_crc(seed: int, length: int, index: int, term: int, record_type: int, body: bytes) -> int:
    crc: int = extend(extend(seed, _RECORD_COVERED.pack(length, index, term, record_type)), body)
    return crc


def _trailer(batch: bytes | bytearray, header_crc: int) -> bytes:
    zero_sectors = count_zero_sectors(batch)
    return _TRAILER.pack(zero_sectors, _trailer_crc(zero_sectors, header_crc)) + MARK


def _trailer_crc(zero_sectors: int, header_crc: int) -> int:
    crc: int = extend(header_crc, _CRC.pack(zero_sectors))
    return crc
