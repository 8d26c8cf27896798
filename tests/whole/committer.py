"""Write a node's log in the event loop, in the time that its simulated disk takes.

What `GroupCommit` does with threads: writes that come while one is under way join in the next, a write
and its sync take time, a roll has the next segment filled. A power loss between the two loses any part of the
write (`SimDisk`). The steps are those of a thread: a process that stands still takes none, one whose loop is
busy does, and tells of them later.

`hang` holds a sync back; `inline` makes small writes in the loop's own task as the product does on a fast disk,
and a disk that hangs then holds up the loop.
"""

from collections.abc import Callable, Iterator
from typing import Final

import trio

from bankd.errors import DiskFailed
from bankd.node.disk import OnDurable, OnFailed
from bankd.raft.ready import Persist
from bankd.sim.disk import SimDisk
from bankd.storage.records import Write, data_size
from bankd.storage.wal import Wal, log_write
from tests.whole.scheduler import Process
from tests.whole.timers import Timers

NS_PER_S: Final = 1e9


class LoopCommitter:
    def __init__(
        self,
        wal: Wal,
        on_durable: OnDurable,
        on_failed: OnFailed,
        *,
        process: Process,
        disk: SimDisk,
        timers: Timers,
        inline: bool = False,
    ) -> None:
        self._wal = wal
        self._on_durable = on_durable
        self._on_failed = on_failed
        self.process = process
        self._disk = disk
        self._timers = timers
        self._inline = inline
        self._waiting: list[Persist] = []
        self._group: list[Persist] = []  # under way: written, and not yet synced
        self._group_began_s = 0.0
        self._sync_s = 0.0  # how long the next sync will take
        self._hangs = False
        self._stuck = False  # in a sync that would have returned, but for the disk that hangs
        self._ended = False  # closed or failed: no step is taken any more
        self.failed = False  # the disk did, under this very process
        self._filled_for = 0
        disk.take_elapsed()  # what start-up took is past

    def hang(self) -> None:
        """No sync returns any more."""
        self._hangs = True

    def release(self) -> None:
        """The disk goes on where it hung."""
        self._hangs = False
        if self._stuck:
            self._stuck = False
            self._then(self._sync)

    def abandon(self) -> None:
        """The process was killed: no further step is taken."""
        self._ended = True

    # The product's side

    def commit_now(self, persist: Persist) -> float | None:
        if not self._inline or self._group or self._ended or not self._wal.has_room(_size(persist)):
            return None
        if self._hangs:
            self.process.block()
            return None
        if writes := _writes([persist]):
            self._commit_inline(writes)
        return self._disk.take_elapsed() / NS_PER_S  # a moment that the world's clock does not notice

    def _commit_inline(self, writes: list[Write]) -> None:
        try:
            self._wal.write(writes)
            self._wal.sync()
        except DiskFailed:
            self.failed = True
            raise

    def submit(self, persist: Persist) -> None:
        self._waiting.append(persist)
        self._begin()

    def close(self) -> None:
        """Finish what was submitted and close the log; what a disk that hangs has not done stays undone."""
        if not self._hangs and not self._ended:
            self._wal.sync()
            if writes := _writes(self._waiting):
                self._wal.write(writes)
                self._wal.sync()
        self._ended = True
        self._wal.close()

    # The writer's side

    def _begin(self) -> None:
        if self._waiting and not self._group:
            self._group, self._waiting = self._waiting, []
            self._group_began_s = trio.current_time()
            self._take(self._write)

    def _write(self) -> None:
        if writes := _writes(self._group):
            self._wal.write(writes)
        self._then(self._sync, self._sync_s)

    def _sync(self) -> None:
        """The end of a sync: until here, the write may be lost. The disk says afterwards how long one took, so that
        is what the next one takes."""
        if self._hangs:
            self._stuck = True
            return
        self._wal.sync()
        self._sync_s = self._disk.take_elapsed() / NS_PER_S
        self._report()

    def _report(self) -> None:
        group, self._group = self._group, []
        duration_s = trio.current_time() - self._group_began_s
        self.process.in_loop(self._on_durable, group[-1].write_seq, duration_s)
        if self._wal.sequence != self._filled_for:
            self._filled_for = self._wal.sequence
            self._fill(self._wal.fill_spare())
        self._begin()

    def _fill(self, steps: Iterator[None]) -> None:
        """The second thread's work: zeros for the next segment, a step at a time."""
        if next(steps, self) is not self:
            self._then(lambda: self._fill(steps))

    def _then(self, step: Callable[[], None], more_s: float = 0.0) -> None:
        """Take a step once what the disk was asked to do is done, or so much later."""
        elapsed_s = self._disk.take_elapsed() / NS_PER_S + more_s
        self._timers.after(elapsed_s, lambda: self.process.in_thread(self._take, step))

    def _take(self, step: Callable[[], None]) -> None:
        if self._ended:
            return
        try:
            step()
        except DiskFailed as error:
            self._ended = self.failed = True
            self.process.in_loop(self._on_failed, error)


def _writes(group: list[Persist]) -> list[Write]:
    return [write for persist in group if (write := log_write(persist)) is not None]


def _size(persist: Persist) -> int:
    return data_size([log_write(persist) or (None, ())])
