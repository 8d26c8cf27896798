"""Remember the state digest after each of the last log indexes, so that nodes can be compared at equal ones.

A flat ring of 16-byte cells: no object per entry, about 1 MiB in all.

Invariant: the cell of index i holds its digest for every i in (newest - DIGESTS_KEPT, newest], i >= oldest.
"""

from typing import Final

from bankd.types import LogIndex

DIGEST_BYTES: Final = 16
DIGESTS_KEPT: Final = 65_536  # some ten seconds at the highest rate of entries; an audit needs about one


class DigestRing:
    def __init__(self, index: LogIndex, digest: bytes) -> None:
        """Begin with the digest of the state at `index` (0: the empty state)."""
        self._cells = bytearray(DIGEST_BYTES * DIGESTS_KEPT)
        self._first = index
        self.newest = LogIndex(index - 1)
        self.record(index, digest)

    @property
    def oldest(self) -> LogIndex:
        return LogIndex(max(self._first, self.newest - DIGESTS_KEPT + 1))

    def record(self, index: LogIndex, digest: bytes) -> None:
        """Remember the digest after `index`, which follows the last one recorded."""
        assert index == self.newest + 1, f"digest of {index} recorded after {self.newest}"
        at = index % DIGESTS_KEPT * DIGEST_BYTES
        self._cells[at : at + DIGEST_BYTES] = digest
        self.newest = index

    def at(self, index: LogIndex) -> bytes | None:
        """The digest after `index`, or None when it is no longer, or not yet, kept."""
        if not self.oldest <= index <= self.newest:
            return None
        at = index % DIGESTS_KEPT * DIGEST_BYTES
        return bytes(self._cells[at : at + DIGEST_BYTES])
