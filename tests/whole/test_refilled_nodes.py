"""Nodes that lost what they acknowledged, or hold a wrong state: they say so, begin anew, and count again once refilled."""

from pathlib import Path

import pytest

from bankd.history.records import Moved
from bankd.types import NodeId
from tests.whole.client import RecordedClient
from tests.whole.faults import Faults
from tests.whole.world import World

TRANSFERS = 20


async def move_money(client: RecordedClient) -> None:
    for _ in range(TRANSFERS):
        assert isinstance(await client.move("a", "b", 1), Moved)


def flip_in_log(cluster: World, node_id: NodeId) -> None:
    """Flip a bit of a record in the log's first segment, behind which there are sound ones."""
    disk = cluster.hosts[node_id].disk
    files: dict[Path, bytes] = disk.copy()
    path = min(path for path in files if path.suffix == ".wal")
    content = bytearray(files[path])
    content[1_100] ^= 1
    disk.restore({**files, path: bytes(content)})


async def wait_trusted(cluster: World, node_id: NodeId) -> None:
    await cluster.wait_until(
        lambda: cluster.hosts[node_id].running and not cluster.node(node_id).replica.raft.is_refilling
    )


async def test_node_with_rot_in_its_log_is_refilled_and_counts_again(  # D04 D05
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await cluster.wait_leader()
    await client.open("a", 10_000)
    await client.open("b")
    await move_money(client)
    rotten, other = cluster.followers()
    await faults.kill(rotten)
    flip_in_log(cluster, rotten)
    await cluster.start(rotten)
    assert cluster.node(rotten).replica.raft.is_refilling
    await wait_trusted(cluster, rotten)
    await faults.kill(other)  # now the leader needs it for every commit
    await move_money(client)


@pytest.mark.parametrize("role", ["follower", "leader"])
async def test_node_whose_state_differs_from_the_others_fetches_it_anew(  # S3
    cluster: World, faults: Faults, client: RecordedClient, role: str
) -> None:
    leader_id = await cluster.wait_leader()
    await client.open("a", 10_000)
    await client.open("b")
    await move_money(client)
    wrong = leader_id if role == "leader" else cluster.followers()[0]
    before = cluster.node(wrong)
    ledger = before.replica.ledger
    ledger.digest = bytes(len(ledger.digest))  # as if an entry had been applied wrongly
    await move_money(client)
    await cluster.wait_until(lambda: cluster.hosts[wrong].node is not before)
    await wait_trusted(cluster, wrong)
    leader_id = await cluster.wait_leader()
    await faults.kill(next(node_id for node_id in cluster.followers() if node_id != wrong))
    await move_money(client)  # the leader needs it for every commit now
    mended, leader = cluster.node(wrong).replica, cluster.node(leader_id).replica
    await cluster.wait_until(lambda: mended.ledger.applied_index == leader.ledger.applied_index)
    assert mended.ledger.digest == leader.ledger.digest
