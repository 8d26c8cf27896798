"""Tell an unfinished write from rot, where the log does not read on. Pure: bytes in, a verdict out.

What a crash can leave: segments are zero-filled before use, and a disk writes a sector in one direction, from its
front or from its back, though it may stop in its midst; of several sectors any may be missing. Hence the edges,
0xFF as first and last byte of every sector of a batch. So, of the one batch that was not yet synced:

- *Unfinished write*: some edge is 0x00, so that this sector was not written whole. A flipped bit makes no 0x00 of 0xFF.
- *Rot*: everything else; and any damage with a later batch behind it, because a batch is written only after the
  one before it was synced. A later batch proves itself without the chain: a right checksum, its own sector number, a
  higher batch number, and the segment's nonce, which no client ever learns, so that no body can pose as a header.

An unfinished write was never acknowledged and may be cut off. Rot may have been, and stays (Alagappan et al.,
"Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018).
"""

from bankd.storage.records import (
    SECTOR_BYTES,
    Place,
    edges,
    read_header,
)


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
        return "its first sector was not written whole" if _has_gap(data, offset, SECTOR_BYTES) else None
    if header.place == place and _has_gap(data, offset, header.size):
        return "some of its sectors were not written whole"
    return None


def _has_gap(data: bytes, offset: int, size: int) -> bool:
    return b"\0" in edges(data[offset : offset + size].ljust(size, b"\0"))
