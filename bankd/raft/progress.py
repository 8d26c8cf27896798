"""What a leader knows about one follower, and how much it may send it.

    PROBE      where the logs agree is not known: one append at a time, then wait for its answer
    REPLICATE  it is known: appends follow each other without waiting, up to a window
    SNAPSHOT   what it misses is no longer in the log: it is sent a snapshot, one chunk at a time

A follower is never forgotten: an answer, or an answer to a heartbeat while an append has gone
unanswered for too long (`is_overdue`), moves it on. The window bounds what a stuck follower can pin
in memory; other followers have their own.

Source: thesis 10.2.1 (pipelining), paper section 7 (snapshots); the states follow etcd's raft.
"""

from collections import deque
from enum import IntEnum, unique

import attrs

from bankd.raft.messages import SnapshotRef
from bankd.types import LogIndex


@unique
class ProgressState(IntEnum):
    PROBE = 1
    REPLICATE = 2
    SNAPSHOT = 3


class Window:
    """The appends sent to one follower and not answered yet, oldest first.

    Invariant: `_bytes` is the sum over `_sent`; last indexes rise along `_sent`.
    """

    __slots__ = ("_bytes", "_bytes_max", "_messages_max", "_sent")

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._sent: deque[tuple[LogIndex, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def is_full(self) -> bool:
        return len(self._sent) >= self._messages_max or self._bytes >= self._bytes_max

    def add(self, last_index: LogIndex, size_bytes: int) -> None:
        self._sent.append((last_index, size_bytes))
        self._bytes += size_bytes

    def free_to(self, index: LogIndex) -> None:
        """Drop every append that ends at or before `index`."""
        sent = self._sent
        while sent and sent[0][0] <= index:
            self._bytes -= sent.popleft()[1]

    def clear(self) -> None:
        self._sent.clear()
        self._bytes = 0


@attrs.define(eq=False, kw_only=True)
class Progress:
    """One follower, seen from the leader.

    Invariant: match_index < next_index.
    Invariant: match_index never falls within a term: what a follower acknowledged is durable there.
    Invariant: all that is known of it was said under the one nonce `refilling`; under another it is another follower.
    Invariant: the window is empty but in REPLICATE; `snapshot` is set in SNAPSHOT alone.
    """

    next_index: LogIndex  # first entry of the next append
    window: Window
    heard_tick: int  # when an answer last came
    match_index: LogIndex = LogIndex(0)  # durable there and equal to our log up to here
    state: ProgressState = ProgressState.PROBE
    probe_sent: bool = False  # in PROBE the append, in SNAPSHOT the chunk or the question, waits for its answer
    waiting_since_tick: int = 0  # last sign that what is under way gets somewhere
    snapshot: SnapshotRef | None = None
    snapshot_moved_tick: int = 0  # when more of the snapshot than ever before was known to be there
    snapshot_reached_bytes: int = 0  # the most of it that ever was
    chunk_offset: int | None = None  # of the chunk that is being read, or waits for its answer
    refilling: int = 0  # its nonce, if it has lost what it acknowledged (see `refilling`); 0: it counts
    barrier_index: LogIndex = LogIndex(0)  # what it must hold to be trusted again
    barrier_round: int = 0  # the heartbeat round that was opened for that; 0: none yet
    confirmed_round: int = 0  # the newest heartbeat round that it answered, refilling or not

    @property
    def can_send(self) -> bool:
        """Whether an append may leave."""
        if self.state is ProgressState.REPLICATE:
            return not self.window.is_full
        return self.state is ProgressState.PROBE and not self.probe_sent

    def is_overdue(self, now_tick: int, ticks: int) -> bool:
        """Return whether what was sent has waited for an answer for at least `ticks`: it may be lost."""
        waits = len(self.window) > 0 if self.state is ProgressState.REPLICATE else self.probe_sent
        return waits and now_tick - self.waiting_since_tick >= ticks

    def sent(self, last_index: LogIndex, size_bytes: int, now_tick: int) -> None:
        """Note an append with entries up to `last_index`."""
        if self.state is ProgressState.PROBE:
            self.probe_sent = True
            self.waiting_since_tick = now_tick
            return
        if not len(self.window):
            self.waiting_since_tick = now_tick
        self.window.add(last_index, size_bytes)
        self.next_index = LogIndex(last_index + 1)

    def accepted(self, match_index: LogIndex, base_index: LogIndex, now_tick: int) -> bool:
        """Take an acknowledgement; return whether the follower's match index rose.

        `base_index`: the leader's log has what is behind it, so from there on it needs no snapshot.
        """
        rose = match_index > self.match_index
        if rose:
            self.match_index = match_index
            self.next_index = max(self.next_index, LogIndex(match_index + 1))
        match self.state:
            case ProgressState.REPLICATE:
                self.window.free_to(match_index)
            case ProgressState.PROBE if match_index == self.match_index:
                self._become_replicate()
            case ProgressState.SNAPSHOT if match_index >= base_index:
                self._become_replicate()
            case ProgressState.SNAPSHOT if self.snapshot is not None and match_index >= self.snapshot.index:
                self.become_probe()  # it came too late: what follows it was dropped, and a newer one is due
            case _:
                pass
        self.waiting_since_tick = now_tick
        return rose

    def refused(self, prev_index: LogIndex, agree_index: LogIndex) -> None:
        """Take a refusal of the append behind `prev_index`; the logs agree at `agree_index` at the latest.

        A late refusal says nothing new and is left aside: the follower acknowledged more since, or it
        answers a probe other than the last one. So is one of what it did acknowledge: its disk has lost
        what it promised, and asking again at once would go on for ever; the next heartbeat asks again.
        """
        if prev_index <= self.match_index:
            return
        if self.state is ProgressState.REPLICATE:
            self.become_probe()
        elif self.state is ProgressState.PROBE and prev_index == self.next_index - 1:
            self.next_index = LogIndex(max(min(prev_index, agree_index + 1), self.match_index + 1))
            self.probe_sent = False

    def become_probe(self) -> None:
        """Forget what is under way and start again behind the last acknowledged entry."""
        self.state = ProgressState.PROBE
        self.next_index = LogIndex(self.match_index + 1)
        self.probe_sent = False
        self.window.clear()
        self._drop_snapshot()

    def become_snapshot(self, snapshot: SnapshotRef, now_tick: int) -> None:
        """Send this snapshot, whatever was under way. What follows it in the log comes next."""
        self.state = ProgressState.SNAPSHOT
        self.window.clear()
        self.snapshot = snapshot
        self.snapshot_moved_tick, self.snapshot_reached_bytes = now_tick, 0
        self.next_index = LogIndex(snapshot.index + 1)

    def asked_for_receipt(self, now_tick: int) -> None:
        """Note that the follower was asked how much of the snapshot it has: nothing sent before counts."""
        self.chunk_offset = None
        self.probe_sent = True
        self.waiting_since_tick = now_tick

    def chunk_due(self, received_bytes: int, now_tick: int) -> bool:
        """Take word of how much the follower has; return whether a chunk must be read. A repeated word says nothing."""
        self.waiting_since_tick = now_tick
        if self.snapshot is None or received_bytes >= self.snapshot.size_bytes or received_bytes == self.chunk_offset:
            return False
        self.chunk_offset = received_bytes
        if received_bytes > self.snapshot_reached_bytes:
            self.snapshot_reached_bytes = received_bytes
            self.snapshot_moved_tick = now_tick
        self.probe_sent = False  # the next wait is for this node's own disk
        return True

    def chunk_sent(self, now_tick: int) -> None:
        self.probe_sent = True
        self.waiting_since_tick = now_tick

    def _become_replicate(self) -> None:
        self.state = ProgressState.REPLICATE
        self.next_index = LogIndex(self.match_index + 1)
        self.probe_sent = False
        self._drop_snapshot()

    def _drop_snapshot(self) -> None:
        self.snapshot = self.chunk_offset = None


@attrs.frozen
class ProgressView:
    """A follower's standing as a value, for status pages."""

    match_index: LogIndex
    next_index: LogIndex
    state: ProgressState
    recent_active: bool  # heard within an election timeout
    refilling: bool  # it has lost what it acknowledged, and counts in no quorum
