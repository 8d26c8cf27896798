"""Records and batches of the log, as bytes. Pure: no files.

A **record** holds one entry, one hard state, the seal of a segment, or a new base: the log goes on behind a snapshot,
and nothing before counts. A **batch** is what one write
put down: a header, records, and zeros up to the end of its last 512-byte sector. A batch
begins on a sector and owns its sectors alone, so a sector that is durable is never written again.
Its data, header and records, are laid down in one piece; bytes that come to stand on an edge of a sector
move behind the data, those on back edges first. All numbers are little-endian.

    sector of a batch   0xFF · 510 bytes · 0xFF
    batch header        u32 data bytes · u32 sector in the file · u64 segment nonce · u64 batch number
                        · u32 running CRC so far · u32 CRC32C of these 28 bytes
    record              u32 body bytes · u32 CRC32C · u64 index · u64 term · u8 type · body

The running CRC links everything in order: a batch header is stamped with it, the header's own CRC
continues it, and every record's CRC is seeded with the one before. A valid record at another place,
or in another order, does not verify. The edges of its sectors tell whether a batch was written whole (damage.py).

Invariant: a batch is all or nothing. Its hard state and entries were asked for together.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, unique
from typing import ClassVar, Final

import attrs
from google_crc32c import extend, value

from bankd.raft.messages import Entry, EntryType, HardState
from bankd.types import LogIndex, NodeId, Term

SECTOR_BYTES: Final = 512  # the unit in which disks write
BATCH_BYTES_MAX: Final = 2**31  # keeps lengths inside u32 with room to spare


@unique
class RecordType(IntEnum):
    """Types that are no entries. Below 64 the number is the entry's EntryType. Never reused."""

    HARD_STATE = 64  # term; body: the node voted for, empty for none
    SEAL = 65  # the last record of a segment; index: the log's next
    BASE = 66  # index and term of the last entry that an installed snapshot stands for


@attrs.frozen
class Seal:
    """Nothing follows in this segment."""

    next_index: LogIndex


@attrs.frozen
class Base:
    """The log begins anew behind this entry, which a durable snapshot stands for. Written like an entry without body."""

    index: LogIndex
    term: Term
    type: ClassVar[RecordType] = RecordType.BASE
    body: ClassVar[bytes] = b""


Record = Entry | HardState | Base | Seal
Write = tuple[HardState | None, Sequence[Entry | Base]]  # what must become durable together, hard state first

EDGE: Final = b"\xff"  # the first and the last byte of each sector of a batch
ZERO: Final = b"\0"
_SHOWN_BYTES: Final = 8  # of what was found in place of what was expected
_BATCH_HEADER: Final = struct.Struct("<IIQQI")
_RECORD_COVERED: Final = struct.Struct("<IQQB")  # body bytes, index, term, type: what the CRC covers beside the body
_RECORD_HEADER: Final = struct.Struct("<IIQQB")
_CRC: Final = struct.Struct("<I")

BATCH_HEADER_BYTES: Final = _BATCH_HEADER.size + _CRC.size
RECORD_HEADER_BYTES: Final = _RECORD_HEADER.size
_CONTENT_BYTES: Final = SECTOR_BYTES - 2 * len(EDGE)  # of a batch in each of its sectors
DATA_AT: Final = len(EDGE)  # where the header of a batch begins in it
_BACK: Final = SECTOR_BYTES - len(EDGE)  # where a sector's back edge stands in it
_ENTRY_TYPES: Final = {int(entry_type): entry_type for entry_type in EntryType}


@attrs.frozen
class Place:
    """Where in the log a batch stands: what it must continue."""

    nonce: int
    sector: int
    number: int  # batches count from 1 through all segments
    running_crc: int

    @property
    def offset(self) -> int:
        return self.sector * SECTOR_BYTES


@attrs.frozen
class BatchHeader:
    place: Place
    data_bytes: int  # header and records, without edges and padding
    crc: int

    @property
    def size(self) -> int:
        return padded_size(self.data_bytes)


@attrs.frozen
class Batch:
    records: tuple[Record, ...]
    size: int  # whole sectors
    running_crc: int  # for whatever comes next


class BatchDamaged(Exception):
    """Bytes that are not the batch that belongs here. Raised by `read_batch`, caught by `scan` alone.

    `records` are those in front of the damage that have a right checksum.
    """

    def __init__(self, expected: str, records: Sequence[Record] = ()) -> None:
        super().__init__(expected)
        self.records = tuple(records)


def padded_size(data_bytes: int) -> int:
    """Return the bytes on disk of a batch with that much header and records: whole sectors."""
    return -(-data_bytes // _CONTENT_BYTES) * SECTOR_BYTES


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
    """Return the batch header in the sector at `offset` if there is a sound one, wherever it may belong."""
    start = offset + DATA_AT
    if data[offset:start] != EDGE or start + BATCH_HEADER_BYTES > len(data):
        return None
    covered = data[start : start + _BATCH_HEADER.size]
    (crc,) = _CRC.unpack_from(data, start + _BATCH_HEADER.size)
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
    header = read_header(data, place.offset)
    if header is None:
        raise BatchDamaged(f"the header of batch {place.number}, not {shown(data, place.offset)}")
    if header.place != place:
        raise BatchDamaged(f"{_described(place, place)}, not {_described(header.place, place)}")
    if place.offset + header.size > len(data):
        raise BatchDamaged(f"{header.size} bytes of batch {place.number}, not the end of the file")
    batch = data[place.offset : place.offset + header.size]
    data_end = DATA_AT + header.data_bytes
    content, behind = _undo_edges(batch, data_end)
    records, running_crc = _read_records(content, DATA_AT + BATCH_HEADER_BYTES, data_end, header.crc)
    if edges(batch).strip(EDGE):
        raise BatchDamaged(
            f"an edge of ff around every sector of batch {place.number}, not {_wrong_edge(batch)}", records
        )
    if any(behind):
        raise BatchDamaged(
            f"zeros behind the records of batch {place.number}, not {shown(behind.lstrip(ZERO), 0)}", records
        )
    return Batch(records, header.size, running_crc)


def shown(data: bytes, offset: int) -> str:
    """Say what stands at `offset`, in place of what was expected."""
    found = data[offset : offset + _SHOWN_BYTES]
    if not found:
        return "the end of the file"
    return f"{found.hex()}..." if any(found) else "zeros"


def _described(place: Place, expected: Place) -> str:
    """Name a place, but not its nonce, which stays between the log and its readers."""
    whose = "" if place.nonce == expected.nonce else " of another segment"
    return f"batch {place.number}{whose} in sector {place.sector} after checksum {place.running_crc:08x}"


def _wrong_edge(batch: bytes) -> str:
    sides = ("front", 0), ("back", _BACK)
    wrong = [
        (at, side) for side, first in sides for at in range(first, len(batch), SECTOR_BYTES) if batch[at] != EDGE[0]
    ]
    at, side = min(wrong)
    return f"a {side} edge of {batch[at]:02x} on sector {at // SECTOR_BYTES} of it"


def edges(batch: bytes) -> bytes:
    """Return the first bytes of all sectors, then the last ones."""
    return batch[::SECTOR_BYTES] + batch[SECTOR_BYTES - 1 :: SECTOR_BYTES]


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
    crc = value(covered)
    at = DATA_AT + BATCH_HEADER_BYTES
    batch[DATA_AT:at] = covered + _CRC.pack(crc)
    view = memoryview(batch)  # assigning through it copies a body once, a slice of the bytearray would twice
    for index, term, record_type, body in rows:
        crc = _record_crc(crc, len(body), index, term, record_type, body)
        _RECORD_HEADER.pack_into(batch, at, len(body), crc, index, term, record_type)
        at += RECORD_HEADER_BYTES
        view[at : at + len(body)] = body
        at += len(body)
    end = DATA_AT + data_bytes
    assert DATA_AT + BATCH_HEADER_BYTES < at == end, f"records end at {at}, {end} planned"
    _make_edges(batch, end)
    return batch, crc


def _make_edges(batch: bytearray, end: int) -> None:
    """Make room for the edges: the data bytes that stand there, up to `end`, move behind the data."""
    moved = batch[_BACK:end:SECTOR_BYTES] + batch[SECTOR_BYTES:end:SECTOR_BYTES]
    at = 0
    for free in _free_after(end, len(moved)):
        batch[free] = moved[at : (at := at + free.stop - free.start)]
    batch[::SECTOR_BYTES] = batch[_BACK::SECTOR_BYTES] = EDGE * (len(batch) // SECTOR_BYTES)


def _undo_edges(batch: bytes, end: int) -> tuple[bytes, bytes]:
    """Return the data, from byte `DATA_AT` to `end`, as it was before it had edges; and what stands behind all of it."""
    if len(batch) == SECTOR_BYTES:  # nearly always, on a log that is not written fast
        return batch[:end], batch[end : -len(EDGE)]
    backs, fronts = len(range(_BACK, end, SECTOR_BYTES)), len(range(SECTOR_BYTES, end, SECTOR_BYTES))
    spaces = list(_free_after(end, backs + fronts))
    moved = b"".join([batch[free] for free in spaces])
    data = bytearray(batch[:end])
    data[_BACK::SECTOR_BYTES] = moved[:backs]
    data[SECTOR_BYTES::SECTOR_BYTES] = moved[backs:]
    return bytes(data), batch[spaces[-1].stop if spaces else end : -len(EDGE)]


def _free_after(start: int, size: int) -> Iterator[slice]:
    """Give where the next `size` bytes from `start` on are that are no edges."""
    while size > 0:
        in_sector = start % SECTOR_BYTES
        if in_sector in (0, _BACK):
            start += 1
        else:
            end = start + min(size, _BACK - in_sector)
            yield slice(start, end)
            size -= end - start
            start = end


def _read_records(data: bytes, at: int, end: int, crc: int) -> tuple[tuple[Record, ...], int]:
    records: list[Record] = []
    while at < end:
        body_at = at + RECORD_HEADER_BYTES
        if body_at > end:
            raise BatchDamaged(f"a record header inside its batch, not only {end - at} bytes of one", records)
        length, stored_crc, index, term, record_type = _RECORD_HEADER.unpack_from(data, at)
        if length > end - body_at:
            raise BatchDamaged(
                f"a record inside its batch, not one of {length} bytes with {end - body_at} left", records
            )
        body = data[body_at : body_at + length]
        crc = _record_crc(crc, length, index, term, record_type, body)
        if crc != stored_crc:
            raise BatchDamaged(f"a record with checksum {crc:08x}, not {stored_crc:08x}", records)
        record = _record(index, term, record_type, body)
        if record is None:
            raise BatchDamaged(f"a record type that this program knows, not {record_type}", records)
        records.append(record)
        at = body_at + length
    if not records:
        raise BatchDamaged("a batch with at least one record, not an empty one")
    return tuple(records), crc


def _record(index: int, term: int, record_type: int, body: bytes) -> Record | None:
    entry_type = _ENTRY_TYPES.get(record_type)
    if entry_type is not None:
        return Entry(LogIndex(index), Term(term), entry_type, body)
    if record_type == RecordType.HARD_STATE:
        return HardState(Term(term), NodeId(body.decode()) if body else None)
    if record_type == RecordType.SEAL:
        return Seal(LogIndex(index))
    if record_type == RecordType.BASE:
        return Base(LogIndex(index), Term(term))
    return None


def _record_crc(seed: int, length: int, index: int, term: int, record_type: int, body: bytes) -> int:
    crc: int = extend(extend(seed, _RECORD_COVERED.pack(length, index, term, record_type)), body)
    return crc
