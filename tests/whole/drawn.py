"""One run that is drawn from a seed: a cluster, clients that move money, faults of all kinds, and the judgement."""

import time
import traceback
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from bankd.client.options import IN_FLIGHT_MAX
from bankd.client.retry import RetryPolicy
from bankd.history.findings import Report
from bankd.history.records import Record
from bankd.sim.plan import DiskOdds
from bankd.sim.random import Stream
from bankd.types import NodeId
from tests.whole.client import RecordedClient
from tests.whole.faults import Faults
from tests.whole.misfortune import Misfortune
from tests.whole.verdict import judge
from tests.whole.workload import Workload
from tests.whole.world import NEVER, PATIENT, Settings, World, run

RUN_S: Final = 30.0
SAFETY_S: Final = 25.0  # of them faults; then all is mended
CLIENTS: Final = 4
DRIFT_PPM_MAX: Final = 100_000
WALLED_PPM: Final = 300_000
DISTURBED_MIN: Final = 50  # calls under way during a fault; the least seen was 199
ONCE: Final = RetryPolicy(tries_max=1)


@attrs.frozen
class Outcome:
    """`failure` is the whole story of what broke; "" when all went well. `took_s` is processor time."""

    seed: int
    digest: str
    simulated_s: float
    acknowledged: int
    calls: int
    history: Sequence[Record]
    disturbed: int  # of the calls: those that were under way during a fault
    operations: int  # in the history, as the witness counts them; 0 when something broke before its end
    unjudged: int  # of them
    took_s: float
    failure: str


def run_seed(seed: int) -> Outcome:
    """The run of a seed: the same in every process."""
    world = World(settings_of(seed))
    misfortunes = [Misfortune(world, Stream(seed, f"faults {n}")) for n in range(Stream(seed, "faults").between(1, 2))]
    began, simulated_s, failure = time.process_time(), 0.0, ""
    report = Report((), operations=0, unjudged=0)

    async def scenario(world: World) -> None:
        nonlocal simulated_s, report
        try:
            report = await _live(world, seed, misfortunes)
            disturbed = _disturbed(world, misfortunes)
            assert disturbed >= DISTURBED_MIN, f"only {disturbed} calls met a fault, so little was judged"
        finally:
            simulated_s = trio.current_time()

    try:
        run(world, scenario)
    except BaseException as error:
        if not isinstance(error, Exception | BaseExceptionGroup):
            raise
        failure = f"{world.trace.last_lines()}\n{''.join(traceback.format_exception(error))}"
    return Outcome(
        seed=seed,
        digest=world.trace.digest,
        simulated_s=simulated_s,
        acknowledged=world.history.acknowledged,
        calls=len(world.history.records),
        history=world.history.records,
        disturbed=_disturbed(world, misfortunes),
        operations=report.operations,
        unjudged=report.unjudged,
        took_s=time.process_time() - began,
        failure=failure,
    )


def _disturbed(world: World, misfortunes: Sequence[Misfortune]) -> int:
    """How many calls were under way during a fault."""
    spans_s = [span_s for misfortune in misfortunes for span_s in misfortune.spans_s]
    return sum(
        any(began_s <= ends_s and begins_s <= ended_s for begins_s, ends_s in spans_s)
        for began_s, ended_s in world.history.spans_s
    )


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
        snapshot_every=stream.pick((NEVER, 40, 5)),
    )


def _client(world: World, stream: Stream) -> RecordedClient:
    """Some do not try twice, some have few calls under way, some reach one node alone, which passes everything on."""
    client = world.make_client(retry=stream.pick((PATIENT, ONCE)), max_in_flight=stream.pick((2, IN_FLIGHT_MAX)))
    if stream.chance(WALLED_PPM):
        _, *others = stream.shuffled(world.node_ids)
        for node_id in others:
            world.network.wall_off(client.process.name, node_id)
    return client


async def _live(world: World, seed: int, misfortunes: Sequence[Misfortune]) -> Report:
    stream = Stream(seed, "life")
    for host in world.hosts.values():
        host.inline = stream.chance(500_000)
    ids: list[tuple[str, tuple[str, str, int]]] = []
    habits = Stream(seed, "habits")
    workloads = [Workload(_client(world, habits), Stream(seed, f"calls {n}"), ids) for n in range(CLIENTS)]
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
        report = await judge(world, Faults(world))
    await trio.sleep_until(RUN_S)
    return report
