"""The one queue that moves a simulated world: what is to happen, and when.

What is due at the same time happens in the order in which it was asked for, so a run has one order only.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")


class Queue:
    """Owns the world's time, `now_ns`, which begins at 0."""

    __slots__ = ("_asked", "_heap", "events", "now_ns")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._asked = 0
        self.now_ns = 0
        self.events = 0  # that have happened

    def at(self, at_ns: int, action: Callable[[*Ts], None], *arguments: *Ts) -> None:
        """Have `action` happen at `at_ns`, which must not have passed."""
        assert at_ns >= self.now_ns, f"{at_ns} has passed, it is {self.now_ns}"
        self._asked = order = self._asked + 1
        heappush(self._heap, (at_ns, order, action, arguments))

    def after(self, delay_ns: int, action: Callable[[*Ts], None], *arguments: *Ts) -> None:
        assert delay_ns >= 0, f"{-delay_ns} ns ago has passed"
        self._asked = order = self._asked + 1
        heappush(self._heap, (self.now_ns + delay_ns, order, action, arguments))

    def run_until(self, until_ns: int) -> None:
        """Let everything happen that is due up to `until_ns`, what comes up meanwhile included."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            self.now_ns, _, action, arguments = heappop(heap)
            self.events += 1
            action(*arguments)
        self.now_ns = until_ns
