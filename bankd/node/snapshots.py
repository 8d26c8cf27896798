"""Do the keeper's work in tasks: one a lane, what blocks in a thread, slices with a rest between them.

A slice keeps the event loop for a millisecond or so, and the rest behind it is some times as long: so a snapshot of
a million transfers takes a few seconds, and commits go on beside it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from bankd.keeper.work import Lane, Work, go_on
from bankd.node.wake import Wake

REST_S: Final = 0.004  # behind each slice

Block = Callable[[Callable[[], None]], Awaitable[None]]


async def do_jobs(lane: Lane, block: Block) -> None:
    """Do a lane's jobs as they come, until cancelled. `block` makes a call that may block, and waits for it.

    Cancellation: a call under way is left to its thread, and the job is abandoned.

    Raises:
      DiskFailed: the disk failed under it; the node must end.
    """
    wake = Wake()
    lane.on_job = wake.set
    while True:
        while (work := lane.next_work()) is not None:
            await _do(work, block)
        await wake.wait()


async def _do(work: Work[None], block: Block) -> None:
    error: Exception | None = None
    while True:
        try:
            step = go_on(work, error)
        except StopIteration:
            return
        error = None
        if step is None:
            await trio.sleep(REST_S)
            continue
        try:
            await block(step)
        except Exception as failure:  # the work's own affair, which raises it again if it is not
            error = failure
