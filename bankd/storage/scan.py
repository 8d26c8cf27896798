"""Walk through the bytes of one segment, batch by batch, and say what each place holds. Pure: no files.

The walk goes on where it can: behind rot the next batch that proves itself (damage.py) says by its own header
where the log stood. A starting node stops at the first rot all the same; going on is for those who look at a log without
running it. Nothing is skipped in silence: what a walk does not yield is zeros, or stands behind a seal.

Invariant: the places it yields follow each other, and only the last may be an unfinished write.
"""

from collections.abc import Iterator
from typing import Final

import attrs

from bankd.storage.damage import later_batch, unfinished
from bankd.storage.records import SECTOR_BYTES, Batch, BatchDamaged, Place, Record, Seal, read_batch, read_header
from bankd.storage.segment import SegmentHeader, header_crc

_ZEROS: Final = bytes(1 << 20)  # compared with so many at a time


@attrs.frozen
class Sound:
    """A batch as it was written."""

    place: Place
    batch: Batch

    @property
    def is_seal(self) -> bool:
        return isinstance(self.batch.records[-1], Seal)

    @property
    def after(self) -> Place:
        """Where the next batch of this segment stands."""
        sector = self.place.sector + self.batch.size // SECTOR_BYTES
        return Place(self.place.nonce, sector, self.place.number + 1, self.batch.running_crc)


@attrs.frozen
class Unfinished:
    """The remains of a last write that never became durable: cut off by the next start."""

    place: Place
    reason: str
    records: tuple[Record, ...]


@attrs.frozen
class Rot:
    """Damage that no unfinished write explains. `later`: the batch that goes on behind it, if one does."""

    place: Place
    expected: str
    records: tuple[Record, ...]  # in front of the damage, with right checksums
    later: Place | None

    def __str__(self) -> str:
        if self.later is None:
            return self.expected
        return f"{self.expected}; the batch at byte {self.later.offset} proves that it was durable"


Found = Sound | Unfinished | Rot


def first_place(data: bytes, header: SegmentHeader) -> Place:
    """Where the first batch stands in the segment that begins with `header`."""
    return Place(header.nonce, 1, header.first_batch, header_crc(data))


def first_place_without_header(data: bytes) -> Place | None:
    """Where to begin when the segment's own header cannot be read: the first batch header in its own sector."""
    for sector in range(1, len(data) // SECTOR_BYTES):
        header = read_header(data, sector * SECTOR_BYTES)
        if header is not None and header.place.sector == sector:
            return header.place
    return None


def scan(data: bytes, place: Place) -> Iterator[Found]:
    """Give what stands in a segment from `place` on: to its seal, to the zeros behind the last batch, or to where
    nothing can be told any more."""
    while not _is_unwritten(data, place.offset):
        try:
            found = Sound(place, read_batch(data, place))
        except BatchDamaged as damage:
            judged = _judge(data, place, damage)
            yield judged
            if not isinstance(judged, Rot) or judged.later is None:
                return
            place = judged.later
        else:
            yield found
            if found.is_seal:
                return
            place = found.after


def is_zero(data: bytes, start: int) -> bool:
    """Tell whether nothing but zeros stands from `start` on."""
    step = len(_ZEROS)
    return all(_ZEROS.startswith(data[offset : offset + step]) for offset in range(start, len(data), step))


def _is_unwritten(data: bytes, offset: int) -> bool:
    return not any(data[offset : offset + SECTOR_BYTES]) and is_zero(data, offset)


def _judge(data: bytes, place: Place, damage: BatchDamaged) -> Unfinished | Rot:
    if (later := later_batch(data, place)) is not None:
        return Rot(place, str(damage), damage.records, _place_at(data, later))
    reason = unfinished(data, place)
    if reason is None:
        return Rot(place, str(damage), damage.records, None)
    return Unfinished(place, reason, damage.records)


def _place_at(data: bytes, offset: int) -> Place:
    header = read_header(data, offset)
    assert header is not None, f"byte {offset} was taken for a batch header"
    return header.place
