"""Read the log back: segments in order, batches in order, the last writer of an index wins.

Reading changes nothing on the disk; `wal.py` mends what this says may be mended. It answers with all of
the log up to an unfinished last write, or raises and names the place. It never shortens
the log anywhere else, and never skips.

What is checked beyond checksums: sequence numbers without gap or twin; each segment's first index, first
batch and CRC are those where the one before it ended; every segment but the last is sealed, and a sealed one
has a next (it is made before the seal is written, so a missing last segment shows); indexes without
gap, from 1 on; terms that never fall.

Limits: zeros that replace a synced last batch as a whole, header and all, look like a batch that was never
written; only the peers can tell. A log restored from an older copy likewise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, assert_never

import attrs

from bankd.raft.messages import Entry, HardState
from bankd.storage.damage import later_batch, unfinished
from bankd.storage.disk import Disk
from bankd.storage.identity import Identity
from bankd.storage.records import (
    SECTOR_BYTES,
    Batch,
    BatchDamaged,
    Place,
    Record,
    Seal,
    read_batch,
)
from bankd.storage.segment import SegmentHeader, damaged, decode_header, header_crc, sequence_of
from bankd.types import LogIndex

_COMPARED_BYTES: Final = 1 << 20  # at a time, looking for zeros


@attrs.frozen
class TornTail:
    """An unfinished last write that was cut off: it was never acknowledged."""

    file: str
    offset: int
    reason: str


@attrs.frozen
class Recovered:
    """What the log remembers. `entries` are contiguous from index 1 on."""

    hard_state: HardState
    entries: tuple[Entry, ...]
    torn: TornTail | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing was ever written: the node's first start, or one that ended before its first write."""
        return not self.entries and self.hard_state == HardState()


@attrs.frozen
class Tail:
    """Where the log ends and goes on."""

    path: Path
    capacity: int
    place: Place  # of the next batch
    sequence: int
    next_index: LogIndex


@attrs.frozen
class LastBatch:
    """The only batch that may not be durable yet, though it reads well."""

    path: Path
    offset: int
    data: bytes


@attrs.frozen
class LogRead:
    recovered: Recovered
    tail: Tail
    last_batch: LastBatch | None
    unused: Path | None  # a segment begun by a roll that did not come to its seal


@attrs.define
class Replay:
    """The state that the records amount to, so far."""

    hard_state: HardState = attrs.field(factory=HardState)
    entries: list[Entry] = attrs.field(factory=list)

    @property
    def next_index(self) -> LogIndex:
        return LogIndex(len(self.entries) + 1)

    def apply(self, record: Record) -> str | None:
        """Take in one record; return what was expected instead if it cannot follow."""
        match record:
            case Entry():
                return self._append(record)
            case HardState():
                if record.term < self.hard_state.term:
                    return f"a term of {self.hard_state.term} or more, not {record.term}"
                self.hard_state = record
                return None
            case Seal():
                return None if record.next_index == self.next_index else f"a seal at index {self.next_index}"
            case _:
                assert_never(record)

    def _append(self, entry: Entry) -> str | None:
        if not 1 <= entry.index <= self.next_index:
            return f"an entry at index {self.next_index} or before, not at {entry.index}"
        del self.entries[entry.index - 1 :]
        if self.entries and entry.term < self.entries[-1].term:
            return f"an entry of term {self.entries[-1].term} or later, not of {entry.term}"
        self.entries.append(entry)
        return None


@attrs.frozen
class SegmentEnd:
    """How reading one segment ended: with its seal, or open, cleanly or in an unfinished write."""

    place: Place  # of the next batch
    sealed: bool
    torn: TornTail | None
    last_batch: LastBatch | None

    @property
    def offset(self) -> int:
        return self.place.sector * SECTOR_BYTES


def read_log(disk: Disk, directory: Path, identity: Identity) -> LogRead:
    """Read the whole log in `directory`. Holds one segment's bytes and all entries in memory.

    Raises:
      LogDamaged: the log is not what was written, and no unfinished write explains it.
      DataDirForeign: a segment is another node's, or a newer program's.
      DiskFailed: reading failed.
    """
    replay = Replay()
    last_batch: LastBatch | None = None
    number, running_crc = 1, 0
    paths = _segment_paths(disk, directory)
    for position, path in enumerate(paths):
        data = read_file(disk, path)
        header = decode_header(data, path, identity)
        _check_continues(path, header, replay.next_index, number, running_crc)
        end = _read_segment(path, data, header, replay)
        last_batch = end.last_batch or last_batch
        number, running_crc = end.place.number, end.place.running_crc
        if not end.sealed:
            unused = _unused_after(disk, path, end, paths[position + 1 :], identity)
            tail = Tail(path, header.capacity, end.place, header.sequence, replay.next_index)
            recovered = Recovered(replay.hard_state, tuple(replay.entries), end.torn)
            return LogRead(recovered, tail, last_batch, unused)
    raise damaged(directory, 0, f"a segment after {paths[-1].name}, which is sealed")


def read_file(disk: Disk, path: Path) -> bytes:
    """Return a file's whole content."""
    file = disk.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def is_zero(data: bytes, start: int) -> bool:
    """Tell whether nothing but zeros stands from `start` on."""
    zeros = bytes(_COMPARED_BYTES)
    return all(
        zeros.startswith(data[offset : offset + _COMPARED_BYTES]) for offset in range(start, len(data), _COMPARED_BYTES)
    )


def segment_names(disk: Disk, directory: Path) -> list[str]:
    """Return the names of all segments, in order of sequence."""
    return [name for name in disk.listdir(directory) if name.endswith(".wal")]


def _segment_paths(disk: Disk, directory: Path) -> list[Path]:
    paths = [directory / name for name in segment_names(disk, directory)]
    if not paths:
        raise damaged(directory, 0, "at least one segment: a log was begun here")
    for expected, path in enumerate(paths, start=1):
        if sequence_of(path) != expected:
            raise damaged(path, 0, f"segment {expected}, not {sequence_of(path)}")
    return paths


def _check_continues(path: Path, header: SegmentHeader, next_index: int, number: int, running_crc: int) -> None:
    found = (header.first_index, header.first_batch, header.running_crc)
    if found != (next_index, number, running_crc):
        raise damaged(
            path,
            0,
            f"a segment that goes on at index {next_index}, batch {number}, checksum {running_crc:08x}, "
            f"not at {found[0]}, {found[1]}, {found[2]:08x}",
        )


def _read_segment(path: Path, data: bytes, header: SegmentHeader, replay: Replay) -> SegmentEnd:
    if len(data) < header.capacity:
        raise damaged(path, len(data), f"{header.capacity} bytes in this file: it was cut after it was written")
    place = Place(header.nonce, 1, header.first_batch, header_crc(data))
    sealed, torn, last_at = False, None, 0
    while not sealed and not _is_unwritten(data, at := place.sector * SECTOR_BYTES):
        try:
            batch = read_batch(data, place)
        except BatchDamaged as damage:
            torn = _torn(path, data, place, damage)
            break
        _replay_batch(path, at, batch, replay)
        sealed, last_at = isinstance(batch.records[-1], Seal), at
        place = Place(place.nonce, place.sector + batch.size // SECTOR_BYTES, place.number + 1, batch.running_crc)
    last_batch = LastBatch(path, last_at, data[last_at : place.sector * SECTOR_BYTES]) if last_at else None
    return SegmentEnd(place, sealed, torn, last_batch)


def _is_unwritten(data: bytes, offset: int) -> bool:
    return not any(data[offset : offset + SECTOR_BYTES]) and is_zero(data, offset)


def _torn(path: Path, data: bytes, place: Place, damage: BatchDamaged) -> TornTail:
    offset = place.sector * SECTOR_BYTES
    if (later := later_batch(data, place)) is not None:
        raise damaged(path, offset, f"{damage}; the batch at byte {later} proves that it was durable") from damage
    reason = unfinished(data, place)
    if reason is None:
        raise damaged(path, offset, str(damage)) from damage
    return TornTail(path.name, offset, reason)


def _replay_batch(path: Path, offset: int, batch: Batch, replay: Replay) -> None:
    for record in batch.records:
        if (expected := replay.apply(record)) is not None:
            raise damaged(path, offset, expected)


def _unused_after(
    disk: Disk, path: Path, end: SegmentEnd, following: Sequence[Path], identity: Identity
) -> Path | None:
    """Return the untouched segment behind an unsealed one: a roll makes it first and seals second."""
    if not following:
        return None
    data = read_file(disk, following[0])
    decode_header(data, following[0], identity)
    if len(following) > 1 or not is_zero(data, SECTOR_BYTES):
        raise damaged(path, end.offset, f"a sealed segment: {following[0].name} goes on after it")
    return following[0]
