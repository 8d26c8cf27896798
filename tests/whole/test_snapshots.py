"""Followers that come back by snapshot, over connections that break and from leaders that die."""

from base64 import b64encode

import pytest

from bankd.history.records import BalanceFound, Moved, Opened
from bankd.keeper.keeper import SENT_BYTES
from bankd.raft.messages import SnapshotRef
from bankd.sim.random import Stream
from bankd.types import LogIndex, NodeId
from tests.whole.client import RecordedClient
from tests.whole.faults import AsyncFault, Fault
from tests.whole.world import ELECTION_TIMEOUT_S, World

SNAPSHOT_EVERY = 4
ENTRIES = 4 * SNAPSHOT_EVERY
ROWS = 1000
NAME_BYTES = 96  # as text that zstd finds nothing in: 128, the most that an id may have

pytestmark = pytest.mark.world(snapshot_every=SNAPSHOT_EVERY)


async def grow(cluster: World, client: RecordedClient) -> int:
    """Make the state so large that a snapshot of it takes several messages; the size of the leader's newest, in bytes.

    The names of accounts that nobody opened are kept for ever, with the transfers that named them.
    """
    assert isinstance(await client.open("a", 10_000), Opened)
    assert isinstance(await client.open("b"), Opened)
    stream = Stream(cluster.settings.seed, "names")
    for _ in range(ENTRIES):
        names = [
            b64encode(b"".join(stream.u64().to_bytes(8, "little") for _ in range(NAME_BYTES // 8))).decode()
            for _ in range(ROWS)
        ]
        assert isinstance(await client.move_many([("a", name, 1) for name in names]), Moved)
    assert isinstance(await client.move("a", "b", 7), Moved)
    await cluster.wait_until(lambda: not any(node.replica.snapshots.under_way for node in cluster.running()))
    newest = cluster.node(await cluster.wait_leader()).replica.snapshots.newest
    assert newest is not None
    assert newest.size_bytes > 2 * SENT_BYTES
    return newest.size_bytes


def received_bytes(cluster: World, node_id: NodeId) -> int:
    """How much of a snapshot a node has; 0 while it receives none."""
    node = cluster.hosts[node_id].node
    incoming = None if node is None else node.keeper._store._receiving
    return incoming.received_bytes if incoming is not None and incoming.is_open else 0


def being_sent(cluster: World, leader: NodeId, node_id: NodeId) -> SnapshotRef | None:
    """The snapshot that the leader sends to a follower."""
    return cluster.node(leader).replica.raft._replication.progress[node_id].snapshot


def applied_index(cluster: World, node_id: NodeId) -> LogIndex:
    return cluster.node(node_id).replica.ledger.applied_index


async def watch_rejoin(cluster: World, node_id: NodeId) -> list[int]:
    """Until it has what all others have: every amount of bytes received that was seen, in order."""
    seen = [0]
    others = [other for other in cluster.running() if other.identity.node_id != node_id]
    wanted = max(other.replica.raft.commit_index for other in others)

    def has_rejoined() -> bool:
        if (received := received_bytes(cluster, node_id)) != seen[-1]:
            seen.append(received)
        return applied_index(cluster, node_id) >= wanted

    await cluster.wait_until(has_rejoined)
    return seen[:-1] if seen[-1] == 0 else seen


async def test_snapshot_goes_on_where_it_stopped_when_its_connection_is_cut(  # R16
    cluster: World, kill: AsyncFault, cut: Fault, client: RecordedClient
) -> None:
    leader, away = await cluster.wait_leader(), cluster.followers()[0]
    await kill(away)
    size = await grow(cluster, client)
    cut(leader, away, after_bytes=SENT_BYTES + SENT_BYTES // 2)
    dials = cluster.network.dials[f"{leader}>{away}"]
    await cluster.start(away)
    seen = await watch_rejoin(cluster, away)
    assert cluster.network.dials[f"{leader}>{away}"] > dials + 1, "nothing was cut"
    assert seen == sorted(seen), f"of {size} bytes it had {seen}, one after the other"
    assert SENT_BYTES in seen
    assert await client.balance("b") == BalanceFound(7)


async def test_next_leader_goes_on_where_a_killed_one_stopped_sending_a_snapshot(  # R16
    cluster: World, kill: AsyncFault, client: RecordedClient
) -> None:
    leader, away = await cluster.wait_leader(), cluster.followers()[0]
    await kill(away)
    size = await grow(cluster, client)
    await cluster.start(away)
    await cluster.wait_until(lambda: received_bytes(cluster, away) >= SENT_BYTES)
    had = received_bytes(cluster, away)
    assert had < size
    await kill(leader)
    seen = await watch_rejoin(cluster, away)
    assert len(seen) > 2, "nothing was left to send"
    assert min(seen[1:]) >= had, f"it had {had} of {size} bytes, and then {seen}"
    assert await client.balance("b") == BalanceFound(7)


async def test_snapshot_that_is_deleted_before_its_first_byte_was_sent_gives_way_to_a_newer_one(  # R16
    cluster: World, kill: AsyncFault, delay: Fault, client: RecordedClient
) -> None:
    leader, away = await cluster.wait_leader(), cluster.followers()[0]
    await kill(away)
    await grow(cluster, client)
    delay(away, [leader], by_s=ELECTION_TIMEOUT_S / 2)
    await cluster.start(away)
    await cluster.wait_until(lambda: being_sent(cluster, leader, away) is not None)
    for _ in range(3 * SNAPSHOT_EVERY):
        assert isinstance(await client.move("a", "b", 1), Moved)
    await watch_rejoin(cluster, away)
    assert cluster.leaders() == [leader]
