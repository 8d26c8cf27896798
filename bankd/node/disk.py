"""Bring the log's thread and the event loop together.

A write goes to the thread with its number; its completion comes back through trio's token, and only
then do the messages that waited for it leave. Writes complete in order, so number n vouches for every
write up to n. While the disk is fast and has nothing else to do, a small write is made durable on the
spot instead (`Committer.commit_now`).
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio

from bankd.node.wake import Wake
from bankd.raft.messages import Message
from bankd.raft.ready import Persist

DURATIONS_KEPT: Final = 1024


class Committer(Protocol):
    """What writes the log: a thread over real files, or a fake in the loop."""

    def submit(self, persist: Persist) -> None: ...
    def commit_now(self, persist: Persist) -> float | None: ...
    def close(self) -> None: ...


OnDurable = Callable[[int, float], None]
OnFailed = Callable[[Exception], None]


class DiskWriter:
    """`durable(write_seq, messages)` is called in the event loop, in the order of the writes."""

    def __init__(self, durable: Callable[[int, list[Message]], None]) -> None:
        self._durable = durable
        self._held: deque[tuple[int, tuple[Message, ...]]] = deque()
        self._token = trio.lowlevel.current_trio_token()
        self._failure: Exception | None = None
        self._failed = Wake()
        self._durations_s: deque[float] = deque(maxlen=DURATIONS_KEPT)
        self._committer: Committer | None = None

    def start(self, make: Callable[[OnDurable, OnFailed], Committer]) -> None:
        self._committer = make(self._on_durable_in_thread, self._on_failed_in_thread)

    def submit(self, persist: Persist) -> None:
        """Have a write made durable; `durable` is called for it later, or before this returns.

        Raises:
          DiskFailed: the write was tried on the spot and failed; the node must end.
        """
        assert self._committer is not None, "submit before start"
        self._held.append((persist.write_seq, persist.then_send))
        duration_s = self._committer.commit_now(persist)
        if duration_s is None:
            self._committer.submit(persist)
        else:
            self._on_durable(persist.write_seq, duration_s)

    def fsync_p99_us(self) -> int:
        """Over the last 1,024 writes, in microseconds; 0 when there was none."""
        if not self._durations_s:
            return 0
        ordered = sorted(self._durations_s)
        return int(ordered[len(ordered) * 99 // 100] * 1e6)

    async def run(self) -> None:
        """Raise what made the disk fail, when it does (D2).

        Raises:
          DiskFailed: a write or fsync failed; the node must end.
        """
        await self._failed.wait()
        assert self._failure is not None, "woken without a failure"
        raise self._failure

    def stop(self) -> Committer | None:
        """Take no more writes; hand out whatever must be closed, which may block for an fsync."""
        committer, self._committer = self._committer, None
        return committer

    def _on_durable_in_thread(self, write_seq: int, duration_s: float) -> None:
        try:
            self._token.run_sync_soon(self._on_durable, write_seq, duration_s)
        except trio.RunFinishedError:
            pass  # the loop ended while the last write was on its way; nobody waits for it any more

    def _on_failed_in_thread(self, error: Exception) -> None:
        try:
            self._token.run_sync_soon(self._on_failed, error)
        except trio.RunFinishedError:
            pass

    def _on_durable(self, write_seq: int, duration_s: float) -> None:
        if self._failure is not None:
            return
        self._durations_s.append(duration_s)
        messages: list[Message] = []
        while self._held and self._held[0][0] <= write_seq:
            messages += self._held.popleft()[1]
        self._durable(write_seq, messages)

    def _on_failed(self, error: Exception) -> None:
        self._failure = error
        self._failed.set()
