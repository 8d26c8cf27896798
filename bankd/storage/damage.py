"""Tell an unfinished write from rot, where the log does not read on. Pure: bytes in, a verdict out.

What a crash can leave: segments are zero-filled before use, a disk writes a sector whole or not at all, and a
write that stops short leaves zeros from some byte on. So, of the one batch that was not yet synced:

- *Unfinished write*: a sector is zero beyond those that the trailer counts as zero by content; or a mark,
  the last bytes of header and trailer, is cut: 0xFF up to some byte and 0x00 from there. A flipped bit
  makes neither.
- *Rot*: everything else; and any damage with a later batch behind it, because a batch is written only after the
  one before it was synced. A later batch proves itself without the chain: a right checksum, its own sector number, a
  higher batch number, and the segment's nonce, which no client ever learns, so that no body can pose as a header.

An unfinished write was never acknowledged and may be cut off. Rot may have been, and stays (Alagappan et al.,
"Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018).
"""

from typing import Final

from bankd.storage.records import (
    BATCH_HEADER_BYTES,
    MARK,
    SECTOR_BYTES,
    Place,
    count_zero_sectors,
    read_header,
    zero_sectors_promised,
)

_MARKS_CUT: Final = tuple(MARK[:kept].ljust(len(MARK), b"\0") for kept in range(len(MARK)))


def later_batch(data: bytes, place: Place) -> int | None:
    """Return the offset of a sound batch behind the one at `place` and written after it, or None."""
    for sector in range(place.sector + 1, len(data) // SECTOR_BYTES):
        header = read_header(data, sector * SECTOR_BYTES)
        if header is None:
            continue
        found = header.place
        if found.sector == sector and found.nonce == place.nonce and found.number > place.number:
            return sector * SECTOR_BYTES
    return None


def unfinished(data: bytes, place: Place) -> str | None:
    """Say how the damaged batch at `place` is the work of an unfinished write, or return None: it is rot.

    The caller has made sure that no later batch stands behind it.
    """
    offset = place.sector * SECTOR_BYTES
    header = read_header(data, offset)
    if header is None:
        return "its header was never written" if _is_header_cut(data, offset) else None
    if header.place != place:
        return None
    batch = data[offset : offset + header.size].ljust(header.size, b"\0")
    if batch.endswith(_MARKS_CUT):
        return "its end was never written"
    promised = zero_sectors_promised(batch, header)
    if promised is not None and count_zero_sectors(batch) > promised:
        return "some of its sectors were never written"
    return None


def _is_header_cut(data: bytes, offset: int) -> bool:
    sector = data[offset : offset + SECTOR_BYTES].ljust(SECTOR_BYTES, b"\0")
    return sector[:BATCH_HEADER_BYTES].endswith(_MARKS_CUT) and not any(sector[BATCH_HEADER_BYTES:])
