"""The worlds themselves: a fault of theirs would pass for one of the product."""

from bankd.errors import DiskFailed
from tests.whole.faults import Faults
from tests.whole.world import Settings, World, run


def test_disk_that_fails_while_its_world_is_cleared_away_is_no_failure_of_the_run() -> None:
    world, failure = World(Settings()), DiskFailed("sync: Input/output error")
    host = world.hosts[world.node_ids[0]]
    host.may_fail = True

    async def scenario(world: World) -> None:
        await world.start()
        world.node(host.name).loop._fail(failure)  # and in the same pass everything is cancelled

    run(world, scenario)
    assert host.failure is failure


async def test_node_that_was_asked_to_end_is_started_by_the_mending(cluster: World, faults: Faults) -> None:
    leader = await cluster.wait_leader()
    cluster.hosts[leader].shutdown.set()
    await faults.mend()
    assert len(cluster.running()) == len(cluster.node_ids)
