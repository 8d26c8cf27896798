"""Number the writes and know which are still under way.

A write is durable when a completion with its number, or a higher one, comes back; numbers rise by
one, so a late or repeated completion finds nothing left to finish. Each write remembers up to which
index the log is durable once it is.

The ABA race. (5, term 1) is being written; a leader of term 2 replaces it; then the leader of
term 1 is elected again and the same entry comes back, under way in a third write. The completion of
the first must not speak for the third. So a truncation clamps every write under way to what it
still proves: nothing from the truncated index on.

Disk liveness. A completion that stays away is a disk that hangs, and a node whose disk hangs must
neither lead nor campaign: it would hold an office that it cannot fill. Age is counted in ticks.

Sources: thesis 10.2.1; etcd's raft, scenario "async storage writes append ABA race".
"""

from collections import deque

import attrs

from bankd.raft.messages import HardState
from bankd.types import LogIndex


@attrs.define(eq=False)
class Write:
    write_seq: int
    hard_state: HardState | None
    stable_index: LogIndex  # the log is durable up to here once this write is
    begun_tick: int


class Writes:
    """The writes under way, oldest first.

    Invariant: numbers rise by one along `_under_way`; stable indexes never fall along it.
    """

    __slots__ = ("_last_seq", "_under_way")

    def __init__(self) -> None:
        self._last_seq = 0
        self._under_way: deque[Write] = deque()

    def begin(self, hard_state: HardState | None, stable_index: LogIndex, now_tick: int) -> int:
        """Note a write that is handed out now, and return its number."""
        self._last_seq += 1
        self._under_way.append(Write(self._last_seq, hard_state, stable_index, now_tick))
        return self._last_seq

    def pop_finished(self, write_seq: int) -> Write | None:
        """Take out the oldest write if `write_seq` says that it is durable."""
        assert write_seq <= self._last_seq, f"write {write_seq} was never handed out"
        if self._under_way and self._under_way[0].write_seq <= write_seq:
            return self._under_way.popleft()
        return None

    def clamp(self, index: LogIndex) -> None:
        """The log was truncated behind `index`: no write under way proves more."""
        for write in self._under_way:
            write.stable_index = min(write.stable_index, index)

    def is_stalled(self, now_tick: int, ticks: int) -> bool:
        """Return whether the oldest write under way has taken at least `ticks`."""
        return bool(self._under_way) and now_tick - self._under_way[0].begun_tick >= ticks
