"""Read the log back: segments in order, batches in order, the last writer of an index wins.

Reading changes nothing on the disk; `wal.py` mends what this says may be mended. It answers with all of
the log up to an unfinished last write, or raises and names the place. It never shortens
the log anywhere else, and never skips.

What is checked beyond checksums: sequence numbers without gap or twin; each segment's first index, first
batch and CRC are those where the one before it ended; every segment but the last is sealed, and a sealed one
has a next (it is made before the seal is written, so a missing last segment shows); indexes without
gap, from 1 on or from where a snapshot takes over; terms that never fall.

Segments in front may have been deleted, the oldest first, once a snapshot covered all that they held. The first one that
is there says where the log went on; that a snapshot reaches it, the caller says (`covered_index`).

Limits: zeros that replace a synced last batch as a whole, header and all, look like a batch that was never
written; unless it held a term or a vote (state_file.py), only the peers can tell. A log restored from an older copy likewise.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

import attrs

from bankd.raft.messages import Entry, HardState
from bankd.storage.disk import Disk
from bankd.storage.identity import Identity
from bankd.storage.outline import Outline
from bankd.storage.records import SECTOR_BYTES, Base, Place, Record
from bankd.storage.scan import Rot, Sound, Unfinished, first_place, is_zero, scan
from bankd.storage.segment import SegmentHeader, damaged, decode_header, sequence_of
from bankd.types import NO_STARTS, LogIndex, Starts


@attrs.frozen
class TornTail:
    """An unfinished last write that was cut off: it was never acknowledged."""

    file: str
    offset: int
    reason: str


@attrs.frozen
class Recovered:
    """What the log remembers. `entries` are contiguous, from behind `base_index` on."""

    hard_state: HardState
    entries: tuple[Entry, ...]
    torn: TornTail | None = None
    base_index: LogIndex = LogIndex(0)
    starts: Starts = NO_STARTS

    @property
    def is_empty(self) -> bool:
        """Nothing was ever written: the node's first start, or one that ended before its first write."""
        return not self.entries and not self.base_index and self.hard_state == HardState()

    @property
    def last_index(self) -> LogIndex:
        return LogIndex(self.base_index + len(self.entries))

    def entry_at(self, index: LogIndex) -> Entry:
        return self.entries[index - self.base_index - 1]


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
    sizes: Mapping[str, int]  # bytes of each segment but that


@attrs.define
class Replay:
    """The state that the records amount to, so far."""

    outline: Outline = attrs.field(factory=Outline)
    entries: list[Entry] = attrs.field(factory=list)
    base_index: LogIndex = LogIndex(0)

    def apply(self, record: Record) -> str | None:
        """Take in one record; return what was expected instead if it cannot follow."""
        if (expected := self.outline.take(record)) is not None:
            return expected
        if isinstance(record, Entry):
            self._append(record)
        elif isinstance(record, Base):
            self.begin_behind(record.index)
        return None

    def _append(self, entry: Entry) -> None:
        if entry.index <= self.base_index:  # it replaced what was in a segment that is deleted
            self.begin_behind(LogIndex(entry.index - 1))
        del self.entries[entry.index - self.base_index - 1 :]
        self.entries.append(entry)

    def begin_behind(self, index: LogIndex) -> None:
        self.entries.clear()
        self.base_index = index


@attrs.frozen
class SegmentEnd:
    """How reading one segment ended: with its seal, or open, cleanly or in an unfinished write."""

    place: Place  # of the next batch
    sealed: bool
    torn: TornTail | None
    last_batch: LastBatch | None


def read_log(disk: Disk, directory: Path, identity: Identity, covered_index: LogIndex = LogIndex(0)) -> LogRead:
    """Read the whole log in `directory`. Holds one segment's bytes and all entries in memory.

    `covered_index`: a snapshot stands for the entries up to there, so that the log need not hold them.

    Raises:
      LogDamaged: the log is not what was written, and no unfinished write explains it.
      DataDirForeign: a segment is another node's, or a newer program's.
      DiskFailed: reading failed.
    """
    replay = Replay()
    outline = replay.outline
    last_batch: LastBatch | None = None
    number, running_crc = 1, 0
    paths = _segment_paths(disk, directory)
    sizes: dict[str, int] = {}
    for position, path in enumerate(paths):
        data = read_file(disk, path)
        sizes[path.name] = len(data)
        header = decode_header(data, path, identity)
        if not position and header.sequence > 1:
            replay.begin_behind(LogIndex(header.first_index - 1))
            outline.next_index, number, running_crc = header.first_index, header.first_batch, header.running_crc
        if (expected := misplaced(header, outline.next_index, number, running_crc)) is not None:
            raise damaged(path, 0, expected)
        end = _read_segment(path, data, header, replay)
        last_batch = end.last_batch or last_batch
        number, running_crc = end.place.number, end.place.running_crc
        if not end.sealed:
            unused = _unused_after(disk, path, end, paths[position + 1 :], identity)
            tail = Tail(path, header.capacity, end.place, header.sequence, outline.next_index)
            if replay.base_index > covered_index:
                raise damaged(
                    paths[0], 0, f"a log that goes on behind index {covered_index}, not behind {replay.base_index}"
                )
            recovered = Recovered(outline.hard_state, tuple(replay.entries), end.torn, replay.base_index)
            return LogRead(recovered, tail, last_batch, unused, sizes)
    raise damaged(directory, 0, f"a segment after {paths[-1].name}, which is sealed")


def read_file(disk: Disk, path: Path) -> bytes:
    """Return a file's whole content."""
    file = disk.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def segment_names(disk: Disk, directory: Path) -> list[str]:
    """Return the names of all segments, in order of sequence."""
    return [name for name in disk.listdir(directory) if name.endswith(".wal")]


def _segment_paths(disk: Disk, directory: Path) -> list[Path]:
    paths = [directory / name for name in segment_names(disk, directory)]
    if not paths:
        raise damaged(directory, 0, "at least one segment: a log was begun here")
    for expected, path in enumerate(paths, start=sequence_of(paths[0])):
        if sequence_of(path) != expected:
            raise damaged(path, 0, f"segment {expected}, not {sequence_of(path)}")
    return paths


def misplaced(header: SegmentHeader, next_index: int, number: int, running_crc: int) -> str | None:
    """Return what was expected where a segment does not go on where the one before it ended, None if it does."""
    found = (header.first_index, header.first_batch, header.running_crc)
    if found == (next_index, number, running_crc):
        return None
    return (
        f"a segment that goes on at index {next_index}, batch {number}, checksum {running_crc:08x}, "
        f"not at {found[0]}, {found[1]}, {found[2]:08x}"
    )


def cut_short(header: SegmentHeader, size: int) -> str | None:
    """Return what was expected where a segment has become smaller than its zeros were, None if it has not."""
    if size >= header.capacity:
        return None
    return f"{header.capacity} bytes in this file, not {size}: it was cut after it was written"


def _read_segment(path: Path, data: bytes, header: SegmentHeader, replay: Replay) -> SegmentEnd:
    if (expected := cut_short(header, len(data))) is not None:
        raise damaged(path, len(data), expected)
    place, last_at = first_place(data, header), 0
    sealed, torn = False, None
    for found in scan(data, place):
        match found:
            case Sound():
                _replay_batch(path, found, replay)
                place, last_at, sealed = found.after, found.place.offset, found.is_seal
            case Unfinished():
                torn = TornTail(path.name, found.place.offset, found.reason)
            case Rot():
                raise damaged(path, found.place.offset, str(found))
            case _:
                assert_never(found)
    last_batch = LastBatch(path, last_at, data[last_at : place.offset]) if last_at else None
    return SegmentEnd(place, sealed, torn, last_batch)


def _replay_batch(path: Path, found: Sound, replay: Replay) -> None:
    for record in found.batch.records:
        if (expected := replay.apply(record)) is not None:
            raise damaged(path, found.place.offset, expected)


def _unused_after(
    disk: Disk, path: Path, end: SegmentEnd, following: Sequence[Path], identity: Identity
) -> Path | None:
    """Return the untouched segment behind an unsealed one: a roll makes it first and seals second."""
    if not following:
        return None
    data = read_file(disk, following[0])
    decode_header(data, following[0], identity)
    if len(following) > 1 or not is_zero(data, SECTOR_BYTES):
        raise damaged(path, end.place.offset, f"a sealed segment: {following[0].name} goes on after it")
    return following[0]
