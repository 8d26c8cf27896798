"""Call things at their time: what travels on a wire, and what a disk works at.

One task for all of it, so that a message under way costs an entry in a heap and no task. Calls due at the same
moment come in the order in which they were asked for; moments are rounded up, so that one pass of the scheduler
serves what happens next to each other.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil, inf
from typing import Final

import trio

MOMENTS_PER_S: Final = 4096  # a power of two: the sums are exact


class Timers:
    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._sleep = trio.CancelScope()

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call after so many seconds, or up to a quarter of a millisecond more; with none, at once."""
        if delay_s <= 0:
            callback()
            return
        self._count += 1
        at = ceil((trio.current_time() + delay_s) * MOMENTS_PER_S) / MOMENTS_PER_S
        heappush(self._due, (at, self._count, callback))
        if at < self._sleep.deadline:
            self._sleep.deadline = at

    async def run(self) -> None:
        while True:
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                heappop(self._due)[2]()
            self._sleep = trio.CancelScope(deadline=self._due[0][0] if self._due else inf)
            with self._sleep:
                await trio.sleep_forever()
