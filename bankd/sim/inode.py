"""One file of a simulated disk: its bytes as programs see them, and as a power loss would leave them.

`current` is the page cache, `durable` the platter. What was written since the last sync is known as ranges of
whole sectors of 512 bytes. A power loss keeps any subset of those sectors, and may leave one half written, from
its front or from its back: a head passes over a sector in one direction. The new size of a file is one more
thing that is kept or not: a file may have grown without its content, and then reads as zeros. Who loses the power
decides, sector by sector.
"""

from collections.abc import Callable, Iterator
from typing import Final

import attrs

SECTOR: Final = 512  # bytes

Survives = Callable[[], bool | slice]
"""Asked for each sector that is not on the platter as it reads, then for each changed size and name, in order; a slice:
that part of the sector survives (a size or a name does as a whole)."""


@attrs.define(eq=False)
class Inode:
    current: bytearray = attrs.field(factory=bytearray)
    durable: bytearray = attrs.field(factory=bytearray)
    filled: int = 0  # bytes from the start that have been written at some time, so that they have room on the disk
    dirty: list[tuple[int, int]] = attrs.field(factory=list)  # from byte, to byte; whole sectors
    resized: bool = False  # of another size than at the last sync
    forgotten: bool = False  # a sync failed: bytes that are not durable are not marked dirty

    @classmethod
    def of(cls, content: bytes) -> "Inode":
        return cls(bytearray(content), bytearray(content), len(content))

    def copy(self) -> "Inode":
        return Inode(
            bytearray(self.current), bytearray(self.durable), self.filled, self.dirty[:], self.resized, self.forgotten
        )

    def write(self, data: bytes | bytearray, offset: int) -> None:
        end = offset + len(data)
        self.resized |= end > len(self.current)
        if offset > len(self.current):
            self.current.extend(bytes(offset - len(self.current)))
        self.current[offset:end] = data
        self.filled = max(self.filled, end)
        self.dirty.append((offset // SECTOR * SECTOR, -(-end // SECTOR) * SECTOR))

    def truncate(self, size: int) -> None:
        self.resized |= size != len(self.current)
        self.filled = min(self.filled, size)
        _resize(self.current, size)

    def sync(self) -> None:
        """Bring what is marked dirty to the platter: no more than that, as a kernel does."""
        for start, end in self.dirty:
            self._keep(start, end)
        _resize(self.durable, len(self.current))
        self._mark_clean()

    def fail_sync(self, survives: Survives) -> None:
        """Bring a part of it to the platter and mark all of it clean: no later sync will care for the rest
        (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020)."""
        self._keep_survivors(survives)
        self._mark_clean()
        self.forgotten = True

    def lose_power(self, survives: Survives) -> None:
        if not (self.dirty or self.resized or self.forgotten):
            return
        self._keep_survivors(survives)
        self.current = bytearray(self.durable)
        self.filled = len(self.current)
        self.forgotten = False
        self._mark_clean()

    def flip(self, bit: int) -> None:
        for content in (self.durable, self.current):
            if bit // 8 < len(content):
                content[bit // 8] ^= 1 << bit % 8

    def _mark_clean(self) -> None:
        self.dirty.clear()
        self.resized = False

    def _keep_survivors(self, survives: Survives) -> None:
        for sector in self._dirty_sectors():
            kept = survives()
            if isinstance(kept, slice):
                self._keep_part(sector, kept)
            elif kept:
                self._keep(sector, sector + SECTOR)
        if self.resized and survives():
            _resize(self.durable, len(self.current))

    def _dirty_sectors(self) -> Iterator[int]:
        size = len(self.current)
        sectors = {sector for start, end in self.dirty for sector in range(start, min(end, size), SECTOR)}
        return (sector for sector in sorted(sectors) if self._differs(sector))

    def _differs(self, sector: int) -> bool:
        return self.current[sector : sector + SECTOR] != self.durable[sector : sector + SECTOR]

    def _keep(self, start: int, end: int) -> None:
        if start > len(self.durable):
            self.durable.extend(bytes(start - len(self.durable)))
        written = self.current[start:end]
        self.durable[start : start + len(written)] = written

    def _keep_part(self, sector: int, part: slice) -> None:
        after = self.current[sector : sector + SECTOR]
        torn = self.durable[sector : sector + len(after)].ljust(len(after), b"\0")
        torn[part] = after[part]
        _resize(self.durable, max(len(self.durable), sector + len(torn)))
        self.durable[sector : sector + len(torn)] = torn


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))
