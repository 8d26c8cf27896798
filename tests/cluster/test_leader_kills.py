"""Three real processes under load while their leaders are killed: the promise that the project exists for."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from bankd.local import LocalCluster
from tests.cluster.load import CALL_S_MAX, Load, check, check_digests, open_accounts, settle

KILLS = 10
ACKNOWLEDGED_BETWEEN_KILLS = 150
FAILOVER_S_MAX = 30.0  # far beyond V1's ten election timeouts: only a cluster that is stuck takes longer
SETTINGS = {"raft": 'heartbeat = "50ms"\nelection_timeout = "400ms"', "storage": 'min_free = "0B"'}

pytestmark = pytest.mark.real


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path, settings=SETTINGS) as cluster:
        cluster.start()
        with cluster.client() as client:
            open_accounts(client)
        yield cluster


async def wait_acknowledged(load: Load, more: int) -> None:
    """Wait until so many further transfers are acknowledged: progress, not time."""
    wanted = len(load.acknowledged) + more
    with trio.fail_after(FAILOVER_S_MAX):
        while len(load.acknowledged) < wanted:
            await pause()


async def pause() -> None:
    await trio.sleep(0.01)


async def under_load(cluster: LocalCluster, load: Load, disturb: Callable[[], Awaitable[None]]) -> None:
    """Disturb a cluster while clients move money; at the end every node is up again."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: load.run(cluster.endpoints, cluster.name, clients=3, tasks=4))
        await disturb()
        load.stopping = True
        nursery.cancel_scope.deadline = trio.current_time() + 2 * CALL_S_MAX
    for node in cluster.nodes.values():
        cluster.wait_answers(node)


def test_ten_leaders_killed_in_a_row_lose_nothing_and_double_nothing(cluster: LocalCluster) -> None:  # P01, S1, M3
    load = Load(seed=1)

    async def kill_leaders() -> None:
        await wait_acknowledged(load, ACKNOWLEDGED_BETWEEN_KILLS)
        for _ in range(KILLS):
            leader = await trio.to_thread.run_sync(cluster.wait_leader)
            cluster.nodes[leader].kill()
            await wait_acknowledged(load, ACKNOWLEDGED_BETWEEN_KILLS)
            cluster.nodes[leader].start()

    trio.run(under_load, cluster, load, kill_leaders)
    with cluster.client(timeout_s=FAILOVER_S_MAX) as client:
        settle(client, load)
        check(client, load)
        check_digests(client, cluster.endpoints)
    assert len(load.acknowledged) > KILLS * ACKNOWLEDGED_BETWEEN_KILLS


def test_all_nodes_killed_at_once_under_load_come_back_with_every_acknowledged_transfer(
    cluster: LocalCluster,
) -> None:  # P01, D20
    load = Load(seed=2)

    async def kill_all() -> None:
        await wait_acknowledged(load, ACKNOWLEDGED_BETWEEN_KILLS)
        for node in cluster.nodes.values():
            node.kill()
        for node in cluster.nodes.values():
            node.start()
        await wait_acknowledged(load, ACKNOWLEDGED_BETWEEN_KILLS)

    trio.run(under_load, cluster, load, kill_all)
    with cluster.client(timeout_s=FAILOVER_S_MAX) as client:
        settle(client, load)
        check(client, load)
        check_digests(client, cluster.endpoints)


def test_leader_asked_to_end_under_load_answers_what_it_took_and_nothing_is_lost(cluster: LocalCluster) -> None:  # P03
    load = Load(seed=3)
    exits: list[int] = []

    async def end_leaders() -> None:
        await wait_acknowledged(load, ACKNOWLEDGED_BETWEEN_KILLS)
        for _ in range(3):
            leader = await trio.to_thread.run_sync(cluster.wait_leader)
            exits.append(await trio.to_thread.run_sync(cluster.nodes[leader].terminate))
            await wait_acknowledged(load, ACKNOWLEDGED_BETWEEN_KILLS)
            cluster.nodes[leader].start()

    trio.run(under_load, cluster, load, end_leaders)
    assert exits == [0, 0, 0]
    with cluster.client(timeout_s=FAILOVER_S_MAX) as client:
        settle(client, load)
        check(client, load)
        check_digests(client, cluster.endpoints)
