"""End in order: hand leadership over, refuse new calls, finish those under way.

A leader that just went away would cost its cluster an election timeout, so it names its successor
first and goes on serving meanwhile. Both steps share `limits.drain_timeout`; the second is never left
out, and what is not finished by its end is answered by nobody: to its caller the connection is lost.
"""

from typing import Final

import trio

from bankd.config import Config
from bankd.node.door import Doors
from bankd.node.node import Node

HAND_OVER_SHARE: Final = 0.5  # of the drain timeout, at most
HAND_OVER_ELECTION_TIMEOUTS: Final = 1.0  # consensus itself gives a transfer no longer


async def drain(config: Config, node: Node, doors: Doors) -> None:
    """Return when every connection was told to end with its last answer, within the drain timeout.

    Cancellation: at once; calls under way are lost to their callers.
    """
    timeout_s = config.limits.drain_timeout_s
    deadline_s = trio.current_time() + timeout_s
    if node.replica.leads and node.links:
        election_s = HAND_OVER_ELECTION_TIMEOUTS * config.raft.election_timeout_s
        await node.hand_over(min(election_s, HAND_OVER_SHARE * timeout_s))
    node.draining = True
    doors.say_goaway()
    with trio.CancelScope(deadline=deadline_s):
        await node.drained.wait()
    doors.finish()
