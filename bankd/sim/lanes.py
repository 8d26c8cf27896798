"""Do a keeper's work in simulated time: each call that may block takes what the disk asks for, each slice a little.

A call is made when its turn comes, as one event, and what follows it happens when its time is over: a crash in between
finds it done. Calls of several lanes do not overlap: each is one event.
"""

from collections.abc import Callable
from typing import Final

from bankd.keeper.work import Lane, Work, go_on
from bankd.sim.disk import SimDisk

SLICE_NS: Final = 1_000_000  # what encoding or taking in one block takes, and the rest that follows it

Later = Callable[[int, Callable[[], None]], None]  # have an action happen in this process after so many nanoseconds


def drive(lane: Lane, disk: SimDisk, later: Later) -> None:
    """Do the lane's jobs, as they come, for as long as the process lives."""
    under_way: list[Work[None]] = []

    def begin() -> None:
        if not under_way and (work := lane.next_work()) is not None:
            under_way.append(work)
            later(0, go)

    def go(error: Exception | None = None) -> None:
        try:
            step = go_on(under_way[0], error)
        except StopIteration:
            under_way.clear()
            begin()
            return
        if step is None:
            later(SLICE_NS, go)
            return
        try:
            step()
        except Exception as failure:  # the work's own affair, which raises it again if it is not
            go(failure)
        else:
            later(disk.take_elapsed(), go)

    lane.on_job = begin
