"""Do the keeper's work in tasks: one a lane, what blocks in a thread, slices with a rest between them.

Short slices with short rests: a commit passes the loops of leader and follower several times, and meets a slice at some of
them. Taking a snapshot of a million transfers is 2,400 slices of 0.2 ms, so it keeps the loop for a tenth of the time, and
lasts some seconds. With slices and rests some times as long it took as much of the loop, and p99 of a turn beside it
was twice as late (`python -m bench.held`). A follower that restores a snapshot is in nobody's way, but for its answers to
heartbeats, and somebody waits for it: it rests less.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from bankd.keeper.work import Lane, Work, go_on
from bankd.node.wake import Wake

REST_S: Final = 0.002  # behind each slice
URGENT_REST_S: Final = 0.0005

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
            await _do(work, block, URGENT_REST_S if lane.urgent else REST_S)
        await wake.wait()


async def _do(work: Work[None], block: Block, rest_s: float) -> None:
    error: Exception | None = None
    while True:
        try:
            step = go_on(work, error)
        except StopIteration:
            return
        error = None
        if step is None:
            await trio.sleep(rest_s)
            continue
        try:
            await block(step)
        except Exception as failure:  # the work's own affair, which raises it again if it is not
            error = failure
