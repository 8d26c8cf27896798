"""A clock of the time in which this process ran: it stands still while the process does.

A process that is stopped (SIGSTOP, Ctrl-Z, a laptop that sleeps) does not see it happen; it only finds that
more time has passed between two looks than it meant to wait. So whoever uses this clock looks at it every
`LOOK_S` or sooner, and what a gap is longer counts for nothing.

Limits: a process that gets no CPU for longer than `LOOK_S` looks stopped too; its clock is late, never early.
"""

import time
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 1.0  # one stop costs no more than this; short against any limit that is measured with it


class OwnTime:
    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._looked_s = monotonic_s()
        self._own_s = 0.0

    def look(self) -> float:
        """Seconds since the beginning in which this process ran."""
        now_s = self._monotonic_s()
        self._own_s += min(now_s - self._looked_s, LOOK_S)
        self._looked_s = now_s
        return self._own_s
