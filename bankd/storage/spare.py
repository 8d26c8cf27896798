"""A file of zeros, ready to become the next segment.

Filling 64 MiB takes a tenth of a second and more, too long for a commit to wait. So it is done ahead,
in steps, by whoever drives `fill`; one thread may fill while another one uses. A file left over by an earlier
run is used again and never trusted: every byte is written again, so no stale batch can ever be read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from bankd.storage.disk import Disk
from bankd.storage.segment import write_zeros


class Spare:
    """At most one prepared file, always at the same path.

    Invariant: `ready` turns true only after all zeros are durable, and false only after the file has got another
    name. `fill` touches nothing while it is true, so it can never write into a file that is becoming a segment.
    """

    def __init__(self, disk: Disk, path: Path, capacity: int) -> None:
        self._disk = disk
        self.path = path
        self.capacity = capacity  # bytes
        self.ready = False
        self.size_bytes = 0  # that the file takes; what an earlier run left counts once it is filled again

    def fill(self, step_bytes: Callable[[], int]) -> Iterator[None]:
        """Prepare the file, `step_bytes()` of zeros at a time; abandoning the iteration leaves it unprepared. Does
        nothing while one is ready.

        Raises DiskFailed, DiskFull.
        """
        if self.ready:
            return
        file = self._disk.create(self.path)
        try:
            file.truncate(self.capacity)
            self.size_bytes = self.capacity
            start = 0
            while start < self.capacity:
                end = min(start + step_bytes(), self.capacity)
                write_zeros(file, start, end)
                start = end
                yield
        finally:
            file.close()
        self.ready = True

    def renamed(self) -> None:
        """Take note that the prepared file is a segment now, under its own name: the next `fill` makes a new one."""
        assert self.ready, "used a spare that was not prepared"
        self.ready = False
        self.size_bytes = 0
