"""One run that is drawn from a seed: a cluster, clients that move money, faults of all kinds, and the judgement."""

import time
import traceback
from typing import Final

import attrs
import trio

from bankd.sim.plan import DiskOdds
from bankd.sim.random import Stream
from bankd.types import NodeId
from tests.whole.faults import Faults
from tests.whole.misfortune import Misfortune
from tests.whole.verdict import judge
from tests.whole.workload import Workload
from tests.whole.world import Settings, World, run

RUN_S: Final = 30.0
SAFETY_S: Final = 25.0  # of them faults; then all is mended
CLIENTS: Final = 4
DRIFT_PPM_MAX: Final = 100_000


@attrs.frozen
class Outcome:
    """`failure` is the whole story of what broke; "" when all went well. `took_s` is processor time."""

    seed: int
    digest: str
    simulated_s: float
    acknowledged: int
    calls: int
    took_s: float
    failure: str


def run_seed(seed: int) -> Outcome:
    """The run of a seed: the same in every process."""
    world = World(settings_of(seed))
    began, simulated_s, failure = time.process_time(), 0.0, ""

    async def scenario(world: World) -> None:
        nonlocal simulated_s
        try:
            await _live(world, seed)
        finally:
            simulated_s = trio.current_time()

    try:
        run(world, scenario)
    except BaseException as error:
        if not isinstance(error, Exception | BaseExceptionGroup):
            raise
        failure = f"{world.trace.last_lines()}\n{''.join(traceback.format_exception(error))}"
    acknowledged, calls = world.history.acknowledged, len(world.history.records)
    return Outcome(seed, world.trace.digest, simulated_s, acknowledged, calls, time.process_time() - began, failure)


def settings_of(seed: int) -> Settings:
    stream = Stream(seed, "settings")
    nodes = stream.pick((3, 3, 3, 5))
    names = [NodeId(f"n{number}") for number in range(1, nodes + 1)]
    drifts = stream.chance(300_000)
    return Settings(
        seed=seed,
        nodes=nodes,
        latency_s_max=stream.pick((0.0005, 0.002, 0.02)),
        disk=DiskOdds(
            sync_ns_max=stream.pick((2_000_000, 10_000_000, 30_000_000)), slow_sync_ppm=stream.pick((0, 10_000))
        ),
        clock_rates={name: 1 + stream.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX) / 1e6 for name in names if drifts},
    )


async def _live(world: World, seed: int) -> None:
    stream = Stream(seed, "life")
    for host in world.hosts.values():
        host.inline = stream.chance(500_000)
    ids: list[tuple[str, tuple[str, str, int]]] = []
    workloads = [Workload(world.make_client(), Stream(seed, f"calls {n}"), ids) for n in range(CLIENTS)]
    misfortunes = [Misfortune(world, Stream(seed, f"faults {n}")) for n in range(stream.between(1, 2))]
    await world.start()
    async with world.clients_open():
        await workloads[0].open_accounts()
        with trio.CancelScope(deadline=SAFETY_S):
            async with trio.open_nursery() as nursery:
                for workload in workloads:
                    nursery.start_soon(workload.run)
                for misfortune in misfortunes:
                    nursery.start_soon(misfortune.run)
        for misfortune in misfortunes:
            await misfortune.mend()
        await judge(world, Faults(world))
    await trio.sleep_until(RUN_S)
