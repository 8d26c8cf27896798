"""Faults one after the other, drawn from a stream: what, to whom, and for how long."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from bankd.sim.random import Stream
from bankd.types import NodeId
from tests.whole.faults import Faults
from tests.whole.world import World

LASTS_MS_MAX: Final = 5_000
GAP_MS_MAX: Final = 1_500
BYTES_MAX: Final = 4_000
DELAY_MS_MAX: Final = 400
SLOW_MS_MAX: Final = 300
JUMP_MS_MAX: Final = 10_000
FLAPS: Final = 4
OPERATIONS: Final = ("sync", "pwrite")


class Misfortune:
    """One sequence of faults. Several may run at once, each with `Faults` of its own."""

    def __init__(self, world: World, stream: Stream) -> None:
        self._world = world
        self._stream = stream
        self._faults = Faults(world)
        self.spans_s: list[tuple[float, float]] = []  # when each fault began and ended
        every: tuple[Callable[[], Awaitable[None]], ...] = (
            self._split, self._isolate_leader, self._one_way, self._bridge, self._clog, self._delay, self._flap,
            self._harm_bytes, self._lose_client, self._kill, self._power_loss, self._blackout, self._freeze,
            self._busy, self._hang_disk, self._slow_disk, self._fail_disk, self._fill_disk, self._terminate,
            self._jump_clock,
        )  # fmt: skip
        # Each run has its own mix; the loss of all power is in each, for nothing else shows what was not durable.
        self._kinds = [*(kind for kind in every if stream.chance(400_000)), self._blackout]

    async def run(self) -> None:
        """Until cancelled; what is under way then is left for `Faults.mend`."""
        while True:
            await trio.sleep(self._stream.below(GAP_MS_MAX) / 1000)
            kind = self._stream.pick(self._kinds)
            self._world.trace.note("fault", kind.__name__)
            began_s = trio.current_time()
            try:
                await kind()
            finally:
                self.spans_s.append((began_s, trio.current_time()))

    async def mend(self) -> None:
        await self._faults.mend()

    # Links

    async def _split(self) -> None:
        group = self._stream.shuffled(self._world.node_ids)[: self._stream.between(1, len(self._world.node_ids) // 2)]
        self._faults.partition(group)
        await self._last()
        self._faults.heal()

    async def _isolate_leader(self) -> None:
        if leaders := self._world.leaders():
            self._faults.partition(leaders[0])
            await self._last()
            self._faults.heal()

    async def _one_way(self) -> None:
        if self._stream.chance(500_000):
            self._faults.partition_one_way(self._node())
        else:
            some = self._node()
            self._faults.partition_one_way([node for node in self._world.node_ids if node != some], some)
        await self._last()
        self._faults.heal()

    async def _bridge(self) -> None:
        """All but one node in two halves that only that one reaches."""
        _, *rest = self._stream.shuffled(self._world.node_ids)
        half = len(rest) // 2
        self._faults.partition(rest[:half], rest[half:])
        await self._last()
        self._faults.heal()

    async def _clog(self) -> None:
        self._faults.stall(self._node())
        await self._last()
        self._faults.unstall()

    async def _delay(self) -> None:
        self._faults.delay(self._node(), by_s=self._stream.below(DELAY_MS_MAX) / 1000)
        await self._last()
        self._faults.end_delays()

    async def _flap(self) -> None:
        one, other = self._stream.shuffled(self._world.node_ids)[:2]
        for _ in range(FLAPS):
            self._faults.drop(one, other)
            self._faults.partition(one, other)
            await trio.sleep(self._stream.below(1000) / 1000)
            self._faults.heal()
            await trio.sleep(self._stream.below(1000) / 1000)

    async def _harm_bytes(self) -> None:
        for _ in range(FLAPS):
            one, other = self._stream.shuffled([*self._world.node_ids, "c1", "c2"])[:2]
            harm = self._faults.cut if self._stream.chance(500_000) else self._faults.flip
            harm(one, other, after_bytes=self._stream.below(BYTES_MAX))
            await trio.sleep(self._stream.below(500) / 1000)

    async def _lose_client(self) -> None:
        self._faults.partition(self._stream.pick(("c1", "c2")), self._node())
        await self._last()
        self._faults.heal()

    # Processes

    async def _kill(self) -> None:
        victim = self._node()
        await self._faults.kill(victim)
        await self._last()
        await self._world.start(victim)

    async def _power_loss(self) -> None:
        victim = self._node()
        await self._faults.lose_power(victim)
        await self._last()
        await self._world.start(victim)

    async def _blackout(self) -> None:
        await self._faults.lose_power(*self._world.node_ids)
        await trio.sleep(self._stream.below(1000) / 1000)
        await self._world.start()

    async def _freeze(self) -> None:
        self._faults.freeze(self._node())
        await self._last()
        await self._faults.thaw()

    async def _busy(self) -> None:
        self._faults.keep_busy(self._node())
        await self._last()
        await self._faults.thaw()

    async def _terminate(self) -> None:
        host = self._world.hosts[self._node()]
        if host.running:
            with trio.move_on_after(LASTS_MS_MAX / 1000):
                await host.shut_down()
            await trio.sleep(self._stream.below(1000) / 1000)
            if host.down:
                await self._world.start(host.name)

    # Disks and clocks

    async def _hang_disk(self) -> None:
        if (node := self._node()) and self._world.hosts[node].running:
            self._faults.hang_disk(node)
            await self._last()
            await self._faults.release_disk()

    async def _slow_disk(self) -> None:
        node = self._node()
        self._faults.slow_disk(node, by_s=self._stream.below(SLOW_MS_MAX) / 1000)
        await self._last()
        self._faults.slow_disk(node, by_s=0.0)

    async def _fail_disk(self) -> None:
        node = self._node()
        self._faults.fail_disk(node, self._stream.pick(OPERATIONS))
        await self._last()
        await self._world.start(node)

    async def _fill_disk(self) -> None:
        node = self._node()
        self._faults.fill_disk(node, noticed=self._stream.chance(700_000))
        await self._last()
        self._faults.empty_disk(node)
        await self._world.start(node)

    async def _jump_clock(self) -> None:
        jump_ms = self._stream.between(-JUMP_MS_MAX, JUMP_MS_MAX)
        self._world.hosts[self._node()].wall_offset_ns += jump_ms * 1_000_000

    def _node(self) -> NodeId:
        return self._stream.pick(self._world.node_ids)

    async def _last(self) -> None:
        await trio.sleep(self._stream.below(LASTS_MS_MAX) / 1000)
