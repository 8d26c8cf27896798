"""Group commit: a thread that turns everything that waits into one write and one fdatasync.

While one sync runs, the next writes gather; under load the groups grow by themselves, and an idle
log costs one sync per write. A second thread fills the next segment with zeros, so that a roll
waits for nothing.

On a fast disk the way to the thread and back takes longer than the sync itself. So a caller may ask
to commit a small write at once, in its own thread (`commit_now`). That is granted only while nothing
else is under way, the syncs of the recent past were short, and the write fits into the present
segment. So a disk that slows down, or hangs, is met by the thread alone, except for the one sync
during which it began to; and the many syncs of a roll are the thread's as well.

Invariants:
- writes become durable in the order of `submit` and `commit_now`, and `on_durable(n)` says that all up to n are;
- `on_durable` is called only after a sync that covers it returned;
- one thread at a time writes: the caller only while the writer has nothing under way;
- `on_failed` is called once, for the first failure; no write is begun after it.

Both callbacks run on these threads: they hand over and return.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter
from typing import Final

from bankd.raft.ready import Persist
from bankd.storage.records import data_size
from bankd.storage.wal import Wal, log_write

GROUP_WRITES_MAX: Final = 1024  # one batch's upper bounds: what waits longer goes into the next sync
GROUP_BYTES_MAX: Final = 8 << 20  # of entry bodies; reached at hundreds of MB/s, below that the disk sets the pace
NOW_BYTES_MAX: Final = 64 << 10  # of a write in the caller's thread: more takes long enough to be worth a hand-over
NOW_MEAN_S_MAX: Final = (
    0.001  # the way to the thread and back costs 0.1 ms, or 0.5 on a machine with more to do than cores
)
MEAN_OVER: Final = 32  # writes; a single sync of 20 ms sends the next hundred or so to the thread


class GroupCommit:
    """Owns an open Wal from here on, until `close` has returned."""

    def __init__(
        self,
        wal: Wal,
        *,
        on_durable: Callable[[int, float], None],
        on_failed: Callable[[Exception], None],
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Start the threads.

        `on_durable(write_seq, duration_s)`: all writes up to that number are durable; the duration is that of the
        group's write and sync in seconds, 0.0 when there was nothing to write.
        `on_failed(error)`: the log failed (DiskFailed, DiskFull) or we have a bug; the process must end.
        `clock()`: seconds, from a clock that never steps back.
        """
        self._wal = wal
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._clock = clock
        self._queue: SimpleQueue[Persist | None] = SimpleQueue()
        self._rolled: SimpleQueue[bool] = SimpleQueue()  # true: fill a spare; false: end
        self._failed = threading.Lock()  # taken for ever by the first failure
        self._submitted = 0  # writes handed to the writer: counted by the caller
        self._finished = 0  # and those it is done with: counted by the writer
        self._mean_s = 10 * NOW_MEAN_S_MAX  # running mean of a write and its sync; slow until proven fast
        self._filled_for = 0  # the segment for which the filler was last woken
        self._closing = False
        self._writer = threading.Thread(target=self._write_groups, name="wal-writer", daemon=True)
        self._filler = threading.Thread(target=self._fill_spares, name="wal-filler", daemon=True)
        self._writer.start()
        self._filler.start()

    def submit(self, persist: Persist) -> None:
        """Take in a write; never blocks. The caller bounds how much it has under way."""
        self._submitted += 1
        self._queue.put(persist)

    def commit_now(self, persist: Persist) -> float | None:
        """Make a write durable before returning, if that promises to be quick; otherwise do nothing.

        Returns how long the write and its sync took in seconds (0.0 when there was nothing to write), or
        None: submit it. `on_durable` is not called for it. For the thread that calls `submit`.

        Raises:
          DiskFailed: as reported to `on_failed`; what is on the disk is unknown.
        """
        if self._submitted != self._finished or self._mean_s > NOW_MEAN_S_MAX or self._failed.locked():
            return None
        size = data_size([log_write(persist) or (None, ())])
        if size > NOW_BYTES_MAX or not self._wal.has_room(size):
            return None
        try:
            return self._write([persist])
        except Exception as error:
            self._fail(error)
            raise

    def close(self) -> None:
        """Finish what was submitted, end both threads, close the log. Blocks; a hung disk hangs it.

        Nothing may be submitted any more. Both callbacks may still come while this runs, none after.
        """
        self._closing = True
        self._queue.put(None)
        self._writer.join()
        self._filler.join()
        self._wal.close()

    def _write_groups(self) -> None:
        try:
            while (group := self._next_group()) and not self._failed.locked():
                duration_s = self._write(group)
                self._on_durable(group[-1].write_seq, duration_s)
                self._finished += len(group)
        except Exception as error:  # the thread's edge: whatever ended it must end the process
            self._fail(error)
        finally:
            self._rolled.put(False)

    def _next_group(self) -> list[Persist]:
        """Wait for a write and return it with all that wait behind it; nothing when closing."""
        queue = self._queue
        group: list[Persist] = []
        size = 0
        while not group or (not queue.empty() and len(group) < GROUP_WRITES_MAX and size < GROUP_BYTES_MAX):
            persist = queue.get()
            if persist is None:
                queue.put(None)  # found again after this group
                break
            group.append(persist)
            for entry in persist.entries:
                size += len(entry.body)
        return group

    def _write(self, group: list[Persist]) -> float:
        """Make a group durable; returns how long that took in seconds."""
        writes = [write for persist in group if (write := log_write(persist)) is not None]
        if not writes:
            return 0.0
        started = self._clock()
        self._wal.write(writes)
        self._wal.sync()
        duration_s = self._clock() - started
        self._mean_s += (duration_s - self._mean_s) / MEAN_OVER
        if self._wal.sequence != self._filled_for:
            self._filled_for = self._wal.sequence
            self._rolled.put(True)
        return duration_s

    def _fill_spares(self) -> None:
        try:
            while self._rolled.get():
                for _ in self._wal.fill_spare():
                    if self._closing:
                        return
        except Exception as error:  # as above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._failed.acquire(blocking=False):
            self._on_failed(error)
