"""Bring the log's thread and the event loop together.

A write goes to the thread with its number; its completion comes back through trio's token, and only
then do the messages that waited for it leave. Writes complete in order, so number n vouches for every
write up to n. While the disk is fast and has nothing else to do, a small write is made durable on the
spot instead (`Committer.commit_now`).

What fails, on the thread or on the way back from it, is handed to the loop, which ends the node.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, TypeVarTuple

import trio

from bankd.raft.messages import Message
from bankd.raft.ready import Persist

Ts = TypeVarTuple("Ts")

DURATIONS_KEPT: Final = 1024


class Committer(Protocol):
    """What writes the log: a thread over real files, or a fake in the loop."""

    def submit(self, persist: Persist) -> None: ...
    def commit_now(self, persist: Persist) -> float | None: ...
    def close(self) -> None: ...


OnDurable = Callable[[int, float], None]
OnFailed = Callable[[Exception], None]


class DiskWriter:
    """`durable(write_seq, messages)` is called in the event loop, in the order of the writes, and `failed(error)`
    for what went wrong there or on the way; what is called after that is for them to ignore."""

    def __init__(self, *, durable: Callable[[int, list[Message]], None], failed: Callable[[Exception], None]) -> None:
        self._durable = durable
        self._failed = failed
        self._held: deque[tuple[int, tuple[Message, ...]]] = deque()
        self._token = trio.lowlevel.current_trio_token()
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

    def stop(self) -> Committer:
        """Take no more writes; hand out what must be closed, which may block for an fsync."""
        assert self._committer is not None, "stopped before started, or twice"
        committer, self._committer = self._committer, None
        return committer

    def _on_durable_in_thread(self, write_seq: int, duration_s: float) -> None:
        self._soon(self._on_durable_soon, write_seq, duration_s)

    def _on_failed_in_thread(self, error: Exception) -> None:
        self._soon(self._failed, error)

    def _soon(self, callback: Callable[[*Ts], None], *arguments: *Ts) -> None:
        try:
            self._token.run_sync_soon(callback, *arguments)
        except trio.RunFinishedError:
            pass  # the loop ended while the last write was on its way; nobody waits for it any more

    def _on_durable_soon(self, write_seq: int, duration_s: float) -> None:
        try:
            self._on_durable(write_seq, duration_s)
        except Exception as error:  # raised from here it would be a bug of trio's; the loop's task raises it
            self._failed(error)

    def _on_durable(self, write_seq: int, duration_s: float) -> None:
        self._durations_s.append(duration_s)
        messages: list[Message] = []
        while self._held and self._held[0][0] <= write_seq:
            messages += self._held.popleft()[1]
        self._durable(write_seq, messages)
