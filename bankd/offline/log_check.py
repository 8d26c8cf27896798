"""Check the files of a log without running it: every checksum, every order, to the last byte and behind every damage.

The rules are those of a starting node (recovery.py). Two things are different:

- the check goes on behind damage, as far as the next batch that proves itself. What depends on all that came before
  (indexes, terms, where the next segment must begin) is checked up to the first damage only;
- zeros behind a seal are looked at as well. No node reads them, but they were zeros when they were written.

Where the first segments were deleted, the log goes on where the first one that is there says. Whether a snapshot reaches
that far is not judged here, but told by `base_index`.

Bits that mean nothing are those of files which nobody reads back: `spare.tmp` and `short.tmp` (written anew before use),
`META.tmp`, the pid in `LOCK`. A bit flipped in the zeros behind the last batch is found, and looks like what is left
of an unfinished write: nothing is lost by cutting it off.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import attrs

from bankd.offline.files import Unreadable, read_file
from bankd.offline.findings import DAMAGED, UNREADABLE, FileLine, Finding
from bankd.offline.progress import Progress
from bankd.offline.survivors import Survivors
from bankd.raft.messages import Entry, EntryType
from bankd.storage.data_dir import WAL
from bankd.storage.outline import Outline
from bankd.storage.records import SECTOR_BYTES, Base, Place, Record, shown
from bankd.storage.recovery import cut_short, misplaced
from bankd.storage.scan import Rot, Sound, Unfinished, first_place, first_place_without_header, is_zero, scan
from bankd.storage.segment import (
    NAME_EXPECTED,
    HeaderDamaged,
    Owner,
    SegmentHeader,
    first_index_of,
    misnamed,
    parse_header,
    sequence_in,
)
from bankd.types import LogIndex


@attrs.define
class _End:
    """Where the segments so far have brought the log. `open_at`: the last one ended there, and without a seal."""

    place: Place | None = None
    path: Path | None = None
    open_at: int | None = None


@attrs.define(eq=False)
class LogCheck:
    """The state of a check, fed segment by segment. `owner` None: whoever the first segment belongs to."""

    owner: Owner | None
    outline: Outline = attrs.field(factory=Outline)
    survivors: Survivors = attrs.field(factory=Survivors)
    base_index: LogIndex = LogIndex(0)  # the log goes on behind this entry
    first_batch: int = 1  # its number
    whole_batches: int = 0  # before the first damage
    batches: int = 0
    is_readable: bool = True  # a starting node finds nothing wrong
    stops: str | None = None  # why a starting node ends here, where this comes before any damage
    first_configuration: bytes = b""  # body of the first that is whole
    files: list[FileLine] = attrs.field(factory=list)
    notes: list[Finding] = attrs.field(factory=list)
    damages: list[Finding] = attrs.field(factory=list)
    last_sequence: int = 0  # of the segments, by their names
    _end: _End = attrs.field(factory=_End)
    _indexes: tuple[LogIndex, LogIndex] | None = None  # of the segment at hand

    def run(self, paths: Sequence[Path], progress: Progress) -> None:
        """Check the segments at `paths`, which are in the order of their names.

        Raises:
          FileUnusable: one cannot be read for want of permission.
          DataDirForeign: a newer program wrote one.
        """
        for path in paths:
            found = len(self.damages)
            self._check_name(path)
            try:
                data = read_file(path)
            except Unreadable as unreadable:
                self._stop(f"the disk does not give back {WAL}/{path.name}")
                self._damage(path, unreadable.offset, unreadable.expected)
                self.files.append(FileLine(path.name, path.stat().st_size, UNREADABLE))
                self._end = _End()
            else:
                self._segment(path, data, is_last=path == paths[-1], damages_before=found)
                progress.advance("checked", len(data))
        if not paths:
            self.is_readable = False
            self.damages.append(Finding(f"{WAL}/", None, "expected at least one segment: a log was begun here"))
        elif self._end.path is not None and self._end.open_at is None:
            self._damage(paths[-1], None, "a segment after this one, which is sealed")

    def _segment(self, path: Path, data: bytes, *, is_last: bool, damages_before: int) -> None:
        batches, self._indexes = self.batches, None
        header = self._header(path, data)
        state = self._content(path, data, header, is_last)
        state = state if len(self.damages) == damages_before else DAMAGED
        self.files.append(FileLine(path.name, len(data), state, self.batches - batches, self._indexes))

    def _check_name(self, path: Path) -> None:
        sequence = sequence_in(path.name)
        if sequence is None:
            self._damage(path, 0, NAME_EXPECTED)
            return
        if not self.last_sequence:
            self.outline.next_index = first_index_of(path.name)
            self.base_index = LogIndex(self.outline.next_index - 1)
        elif sequence != self.last_sequence + 1:
            self._damage(path, 0, f"segment {self.last_sequence + 1}, not {sequence}")
        self.last_sequence = sequence

    def _header(self, path: Path, data: bytes) -> SegmentHeader | None:
        try:
            header, owner = parse_header(data, path)
        except HeaderDamaged as damage:
            self._damage(path, 0, str(damage))
            return None
        self.owner = self.owner or owner
        if owner != self.owner:
            self._stop(f"{WAL}/{path.name} belongs to {owner}")
            self._damage(path, 0, f"a segment of {self.owner}, not of {owner}")
        if header.name != path.name:
            self._damage(path, 0, misnamed(header, path))
        if (expected := cut_short(header, len(data))) is not None:
            self._damage(path, len(data), expected)
        return header

    def _content(self, path: Path, data: bytes, header: SegmentHeader | None, is_last: bool) -> str:
        """Check what stands behind the header; returns the segment's state in a word, as long as nothing is wrong."""
        if self._end.path is not None and self._end.open_at is not None:
            if is_last and header is not None and is_zero(data, SECTOR_BYTES):
                self._note(path, None, "a roll made this segment and was interrupted; the next start removes it")
                return "unused"
            self._damage(self._end.path, self._end.open_at, f"a seal: {path.name} goes on after it")
        if header is not None and not self.damages:
            self._check_continues(path, header)
        place = first_place_without_header(data) if header is None else first_place(data, header)
        self._end = _End() if place is None else _End(place, path, place.offset)
        return DAMAGED if place is None else self._batches(path, data, place)

    def _check_continues(self, path: Path, header: SegmentHeader) -> None:
        number, running_crc = 1, 0
        if self._end.place is not None:
            number, running_crc = self._end.place.number, self._end.place.running_crc
        elif header.sequence > 1:  # those before were deleted
            self.first_batch = number = header.first_batch
            running_crc = header.running_crc
        if (expected := misplaced(header, self.outline.next_index, number, running_crc)) is not None:
            self._damage(path, 0, expected)

    def _batches(self, path: Path, data: bytes, place: Place) -> str:
        state = "open"
        for found in scan(data, place):
            match found:
                case Sound():
                    self._sound(path, found)
                    if found.is_seal:
                        state = "sealed"
                        self._check_behind_seal(path, data, found.after.offset)
                case Unfinished():
                    self._note(
                        path, found.place.offset, f"an unfinished write ({found.reason}); the next start cuts it off"
                    )
                case Rot():
                    self._damage(path, found.place.offset, str(found))
                    self._end = _End()  # what comes next is not known
                case _:
                    assert_never(found)
        return state

    def _sound(self, path: Path, found: Sound) -> None:
        self.batches += 1
        for record in found.batch.records:
            self._record(path, found.place.offset, record)
        if not self.damages:
            self.whole_batches = self.batches
        self._end = _End(found.after, path, None if found.is_seal else found.after.offset)

    def _record(self, path: Path, offset: int, record: Record) -> None:
        if isinstance(record, Entry):
            low, high = self._indexes or (record.index, record.index)
            self._indexes = (min(low, record.index), max(high, record.index))
        if self.damages:
            return
        next_index = self.outline.next_index
        if (expected := self.outline.take(record)) is not None:
            self._damage(path, offset, expected)
        elif isinstance(record, Base):
            self.survivors.begin_anew()
            self.base_index = record.index
        elif isinstance(record, Entry):
            if record.type is EntryType.CONFIG:
                self.first_configuration = self.first_configuration or record.body
            self.survivors.note(record.index, next_index)
            self.base_index = min(self.base_index, LogIndex(record.index - 1))

    def _check_behind_seal(self, path: Path, data: bytes, offset: int) -> None:
        if not is_zero(data, offset):
            at = len(data) - len(data[offset:].lstrip(b"\0"))
            expected = f"zeros behind the seal, not {shown(data, at)}"
            self.damages.append(Finding(f"{WAL}/{path.name}", at, f"expected {expected}"))

    def _stop(self, why: str) -> None:
        if self.is_readable:
            self.stops = why

    def _note(self, path: Path, offset: int | None, message: str) -> None:
        self.notes.append(Finding(f"{WAL}/{path.name}", offset, message))

    def _damage(self, path: Path, offset: int | None, expected: str) -> None:
        self.is_readable = False
        self.damages.append(Finding(f"{WAL}/{path.name}", offset, f"expected {expected}"))
