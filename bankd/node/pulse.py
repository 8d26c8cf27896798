"""Judge whether the other side of a link lives, by the pings that it leaves unanswered.

Time is counted in ticks of this node's own running: a node that was stopped for a minute comes back
to one tick, not to a minute of silence, and asks before it judges (docs/reliability.md, P02, N06).
No I/O and no clock.
"""

from enum import Enum, auto
from typing import Final

UNANSWERED_PINGS_MAX: Final = 4


class Beat(Enum):
    """What a tick asks for."""

    NOTHING = auto()
    PING = auto()
    GIVE_UP = auto()


class Pulse:
    def __init__(self, *, ping_every_ticks: int) -> None:
        assert ping_every_ticks > 0, "a ping needs time to be answered"
        self._ping_every_ticks = ping_every_ticks
        self._ticks = 0  # since the last ping
        self._unanswered = 0  # pings in a row, each with a whole interval for its answer

    def heard(self) -> None:
        """A whole frame, of whatever kind, came from the other side."""
        self._unanswered = 0

    def tick(self) -> Beat:
        self._ticks += 1
        if self._ticks < self._ping_every_ticks:
            return Beat.NOTHING
        if self._unanswered == UNANSWERED_PINGS_MAX:
            return Beat.GIVE_UP
        self._ticks = 0
        self._unanswered += 1
        return Beat.PING
