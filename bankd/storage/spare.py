"""A file of zeros, ready to become the next segment.

Filling 64 MiB takes a tenth of a second and more, too long for a commit to wait. So it is done ahead,
in steps, by whoever drives `fill`; one thread may fill while another one takes. A file left over by an earlier
run is taken over and never trusted: every byte is written again, so no stale batch can ever be read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from bankd.storage.disk import Disk
from bankd.storage.segment import write_zeros


class Spare:
    """At most one prepared file, always at the same path.

    Invariant: `ready` turns true only after all zeros are durable, and false only in `take`.
    """

    def __init__(self, disk: Disk, path: Path, capacity: int) -> None:
        self._disk = disk
        self._path = path
        self._capacity = capacity
        self.ready = False

    def fill(self, step_bytes: Callable[[], int]) -> Iterator[None]:
        """Prepare the file, `step_bytes()` of zeros at a time; abandoning the iteration leaves it unprepared.

        Does nothing while one is ready: the taker may already be making it a segment, and zeros
        written behind its back would wipe out the log.

        Raises DiskFailed, DiskFull.
        """
        if self.ready:
            return
        file = self._disk.create(self._path)
        try:
            file.truncate(self._capacity)
            start = 0
            while start < self._capacity:
                end = min(start + step_bytes(), self._capacity)
                write_zeros(file, start, end)
                start = end
                yield
        finally:
            file.close()
        self.ready = True

    def take(self) -> tuple[Path, int]:
        """Give the prepared file's path and capacity away. The taker renames it before the next `fill`."""
        assert self.ready, "took a spare that is not prepared"
        self.ready = False
        return self._path, self._capacity
