"""The clocks of one simulated machine: a monotonic one that drifts, a wall clock that can be set, and ticks.

World time is the queue's; a machine's own time runs faster or slower by its drift and never stops, be a
process up or not.
"""

from typing import Final

from bankd.sim.plan import NodeTraits
from bankd.sim.random import PPM

EPOCH_NS: Final = 1_700_000_000_000_000_000  # what an exact wall clock shows at the world's beginning


class Clock:
    def __init__(self, traits: NodeTraits) -> None:
        self._drift_ppm = traits.drift_ppm
        self._wall_offset_ns = EPOCH_NS + traits.wall_offset_ns

    def monotonic_ns(self, now_ns: int) -> int:
        return now_ns + now_ns * self._drift_ppm // PPM

    def wall_ns(self, now_ns: int) -> int:
        return self.monotonic_ns(now_ns) + self._wall_offset_ns

    def jump(self, by_ns: int) -> None:
        """Set the wall clock forward, or back."""
        self._wall_offset_ns += by_ns

    def in_world_ns(self, duration_ns: int) -> int:
        """How long the world takes for what takes this machine `duration_ns`."""
        return max(1, duration_ns * PPM // (PPM + self._drift_ppm))


class Ticks:
    """A process's ticks, counted when somebody asks, not when they fall.

    Most ticks change nothing but a count, and five idle nodes make a hundred of them a second: so they are handed
    over in bulk, before whatever happens next.
    """

    __slots__ = ("_period_ns", "_taken_until_ns")

    def __init__(self, began_ns: int, period_ns: int) -> None:
        self._taken_until_ns = began_ns
        self._period_ns = period_ns

    def take(self, now_ns: int) -> int:
        """How many have fallen since the last time this was asked."""
        fallen = (now_ns - self._taken_until_ns) // self._period_ns
        if fallen:
            self._taken_until_ns += fallen * self._period_ns
        return fallen

    def falls_at(self, number: int) -> int:
        """When the `number`-th falls of those that were not taken yet (from 1)."""
        return self._taken_until_ns + number * self._period_ns

    def restart(self, now_ns: int) -> None:
        """The process slept through some: one falls now, the next a period later, as for anyone who overslept."""
        self._taken_until_ns = now_ns - self._period_ns
