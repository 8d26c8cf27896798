"""Write a simulated node's log: group commit in simulated time.

What waits is one `write` at the beginning, and the `sync` comes when its time is over: so a crash in between loses
any part of the group. The time is what the disk asked for: for the write as it was, for the sync as the last
one took, since this one's is not known before it is done. Completions come through `later`, which may hold them
back for as long as the disk hangs.

As in the product (storage/group_commit.py): one group at a time, groups in order, a write without content completes at
once when nothing is under way, and a segment's successor is filled with zeros in the background.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bankd.raft.messages import Message
from bankd.raft.ready import Persist
from bankd.sim.disk import SimDisk
from bankd.storage.wal import Wal, log_write

GROUP_WRITES_MAX: Final = 1024

Later = Callable[[int, Callable[[], None]], None]  # have an action happen in this process after so many nanoseconds


class Writer:
    """`durable(write_seq, messages)` is called in the order of the writes."""

    def __init__(self, wal: Wal, disk: SimDisk, later: Later, durable: Callable[[int, list[Message]], None]) -> None:
        self._wal = wal
        self._disk = disk
        self._later = later
        self._durable = durable
        self._waiting: deque[Persist] = deque()
        self._group: Sequence[Persist] = ()  # under way
        self._sync_ns = 0
        self._filling: Iterator[None] | None = None
        self._filled_for = 0  # the segment for which the filling was last begun

    def submit(self, persist: Persist) -> None:
        """Take in a write. Raises DiskFailed or PowerLost where the disk does."""
        self._waiting.append(persist)
        self._begin_groups()

    def _begin_groups(self) -> None:
        while self._waiting and not self._group:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_WRITES_MAX))]
            writes = [write for persist in group if (write := log_write(persist)) is not None]
            if not writes:
                self._report(group)
                continue
            self._group = group
            self._wal.write(writes)
            self._later(self._disk.take_elapsed() + self._sync_ns, self._finish_group)

    def _finish_group(self) -> None:
        self._wal.sync()
        self._sync_ns = self._disk.take_elapsed()
        group, self._group = self._group, ()
        self._report(group)
        self._begin_groups()
        if self._wal.sequence != self._filled_for:
            self._filled_for = self._wal.sequence
            self._begin_filling()

    def _report(self, group: Sequence[Persist]) -> None:
        self._durable(group[-1].write_seq, [message for write in group for message in write.then_send])

    def _begin_filling(self) -> None:
        if self._filling is None:  # one under way will do
            self._filling = self._wal.fill_spare()
            self._fill_on()

    def _fill_on(self) -> None:
        assert self._filling is not None, "nothing is being filled"
        for _ in self._filling:
            self._later(self._disk.take_elapsed(), self._fill_on)
            return
        self._filling = None
