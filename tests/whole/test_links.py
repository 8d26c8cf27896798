"""Links that break, hang, crawl, flap and lie, under whole clusters with clients."""

import pytest
import trio

from bankd.client.link import SILENCE_S_MAX
from bankd.errors import Code
from bankd.history.records import BalanceFound, Moved, Opened
from bankd.node.links import OUTBOX_BYTES_MAX
from bankd.types import LINEARIZABLE, NodeId
from bankd.wire import client_codec as codec
from bankd.wire.frames import FrameKind
from bankd.wire.methods import Method
from bankd.wire.refusals import decode_refusal
from tests.whole.client import RecordedClient
from tests.whole.faults import Fault, Faults
from tests.whole.world import ELECTION_TIMEOUT_S, World


async def open_two(client: RecordedClient) -> None:
    assert isinstance(await client.open("a", 10_000), Opened)
    assert isinstance(await client.open("b"), Opened)


def term_of(cluster: World, node_id: NodeId) -> int:
    return cluster.node(node_id).replica.raft.term


async def test_connections_that_break_all_the_time_lose_and_double_nothing(  # N01
    cluster: World, drop: Fault, delay: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    delay(cluster.node_ids[0], by_s=0.05)
    for _ in range(40):
        async with trio.open_nursery() as nursery:
            for amount in range(1, 6):
                nursery.start_soon(client.move, "a", "b", amount)
            await trio.sleep(0.005)
            drop(cluster.node_ids, cluster.node_ids)
            drop("c1", cluster.node_ids)
    assert await client.balance("b") == BalanceFound(40 * 15)


async def test_follower_alone_changes_nothing_and_catches_up(  # N02
    cluster: World, partition: Fault, heal: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    leader, alone = await cluster.wait_leader(), cluster.followers()[0]
    term = term_of(cluster, leader)
    partition(alone)
    for _ in range(10):
        assert isinstance(await client.move("a", "b", 1), Moved)
        await trio.sleep(ELECTION_TIMEOUT_S)
    heal()
    await trio.sleep(2 * ELECTION_TIMEOUT_S)
    assert (cluster.leaders(), term_of(cluster, leader)) == ([leader], term)


async def test_leader_alone_is_replaced_within_two_timeouts_and_its_clients_follow(  # N02, N05
    cluster: World, partition: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    old = await cluster.wait_leader()
    partition(old)
    began_s = trio.current_time()
    assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
    assert trio.current_time() - began_s < 5 * ELECTION_TIMEOUT_S
    assert old not in cluster.leaders()


@pytest.mark.world(nodes=5)
async def test_smaller_half_answers_nobody_and_the_larger_one_goes_on(  # N02
    cluster: World, partition: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    smaller = [leader, cluster.followers()[0]]
    partition(smaller)
    callers = [await cluster.dial(node_id) for node_id in smaller]
    new = await cluster.wait_leader(other_than=leader)
    await trio.sleep(ELECTION_TIMEOUT_S)
    assert new not in smaller
    assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
    for caller in callers:
        frame = await caller.call(Method.CREATE_ACCOUNT, codec.encode_create_account("c", 0, None), deadline_ms=1000)
        assert frame.kind is FrameKind.ERROR


@pytest.mark.parametrize("deaf", [True, False], ids=["hears nobody", "is heard by nobody"])
async def test_one_way_partition_of_a_follower_costs_no_terms(  # N03
    cluster: World, faults: Faults, client: RecordedClient, deaf: bool
) -> None:
    await open_two(client)
    leader, odd = await cluster.wait_leader(), cluster.followers()[0]
    others = [node_id for node_id in cluster.node_ids if node_id != odd]
    term = term_of(cluster, leader)
    faults.partition_one_way(others, odd) if deaf else faults.partition_one_way(odd, others)
    for _ in range(10):
        assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
        await trio.sleep(ELECTION_TIMEOUT_S)
    assert term_of(cluster, await cluster.wait_leader()) <= term + 1


@pytest.mark.parametrize("deaf", [True, False], ids=["hears nobody", "is heard by nobody"])
async def test_one_way_partition_of_the_leader_costs_one_election(  # N03
    cluster: World, faults: Faults, client: RecordedClient, deaf: bool
) -> None:
    await open_two(client)
    leader, others = await cluster.wait_leader(), cluster.followers()
    term = term_of(cluster, leader)
    faults.partition_one_way(others, leader) if deaf else faults.partition_one_way(leader, others)
    assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
    await trio.sleep(5 * ELECTION_TIMEOUT_S)
    assert term_of(cluster, await cluster.wait_leader()) <= term + 2


@pytest.mark.world(nodes=5)
async def test_leader_that_reaches_only_the_bridge_is_replaced_for_good(  # N04
    cluster: World, partition: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    old, (bridge, *rest) = await cluster.wait_leader(), cluster.followers()
    partition(old, rest)
    assert isinstance(await client.move("a", "b", 1, timeout_s=15.0), Moved)
    new = await cluster.wait_leader(other_than=old)
    term = term_of(cluster, new)
    for _ in range(10):
        assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
        await trio.sleep(ELECTION_TIMEOUT_S)
    assert term_of(cluster, await cluster.wait_leader()) == term, f"{bridge} carries on"


async def test_deposed_leader_answers_no_stale_read_and_takes_no_write(  # N05, R1
    cluster: World, partition: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    old = await cluster.wait_leader()
    loyal = await cluster.dial(old)
    partition(old)
    await cluster.wait_leader(other_than=old)
    assert isinstance(await client.move("a", "b", 7, timeout_s=10.0), Moved)
    for method, body in (
        (Method.GET_BALANCE, codec.encode_get_balance("b", LINEARIZABLE)),
        (Method.CREATE_ACCOUNT, codec.encode_create_account("c", 0, None)),
    ):
        frame = await loyal.call(method, body, deadline_ms=500)
        assert frame.kind is FrameKind.ERROR
        assert decode_refusal(frame.body).code is Code.UNAVAILABLE
    assert cluster.leaders() != [old]


async def test_leader_without_a_quorum_steps_down_after_one_timeout(cluster: World, partition: Fault) -> None:  # N05
    old = await cluster.wait_leader()
    partition(old)
    await cluster.wait_until(lambda: old not in cluster.leaders(), within_s=1.5 * ELECTION_TIMEOUT_S)


@pytest.mark.parametrize("who", ["follower", "leader"])
async def test_peer_that_vanished_without_a_word_is_noticed_and_its_clients_turn_elsewhere(  # N06
    cluster: World, faults: Faults, client: RecordedClient, who: str
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    gone = leader if who == "leader" else cluster.followers()[0]
    await faults.lose_power(gone)
    began_s = trio.current_time()
    assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
    assert trio.current_time() - began_s < 5 * ELECTION_TIMEOUT_S
    left = [node_id for node_id in cluster.node_ids if node_id != gone]
    await cluster.wait_until(
        lambda: not any(cluster.node(node_id).links[gone].connected for node_id in left),
        within_s=4 * ELECTION_TIMEOUT_S,
    )


async def test_peer_that_takes_nothing_costs_nobody_else_and_a_bounded_outbox(  # N07
    cluster: World, stall: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    leader, deaf = await cluster.wait_leader(), cluster.followers()[0]
    stall(leader, deaf)
    link = cluster.node(leader).links[deaf]
    for _ in range(50):
        began_s = trio.current_time()
        assert isinstance(await client.move_many([("a", "b", 1)] * 100), Moved)
        assert trio.current_time() - began_s < ELECTION_TIMEOUT_S / 10
        assert link._sender is None or link._sender.pending_bytes <= OUTBOX_BYTES_MAX
    assert cluster.leaders() == [leader]


async def test_clogged_path_that_opens_brings_everything_at_once_and_nothing_twice(  # N11
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    leader, clogged = await cluster.wait_leader(), cluster.followers()[0]
    for _ in range(5):
        faults.stall(leader, clogged)
        faults.stall(clogged, [leader])
        for _ in range(20):
            assert isinstance(await client.move("a", "b", 1), Moved)
        await trio.sleep(ELECTION_TIMEOUT_S)
        faults.unstall()
        await trio.sleep(ELECTION_TIMEOUT_S / 2)
    await trio.sleep(ELECTION_TIMEOUT_S)
    applied = {cluster.node(node_id).replica.ledger.applied_index for node_id in cluster.node_ids}
    assert len(applied) == 1
    assert cluster.leaders() == [leader]


@pytest.mark.parametrize("timeouts", [1, 2, 3])
async def test_flapping_link_costs_at_most_a_leader_a_flap_and_work_goes_on(  # N12
    cluster: World, faults: Faults, client: RecordedClient, timeouts: int
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    for _ in range(8):
        term, other = term_of(cluster, leader), cluster.followers()[0]
        faults.partition(leader, other)
        await trio.sleep(timeouts * ELECTION_TIMEOUT_S)
        assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)
        faults.heal()
        await trio.sleep(timeouts * ELECTION_TIMEOUT_S)
        leader = await cluster.wait_leader()
        assert term_of(cluster, leader) <= term + 1


async def test_flipped_byte_on_the_way_to_a_peer_costs_a_connection_and_is_never_believed(  # N08
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    leader, follower = await cluster.wait_leader(), cluster.followers()[0]
    for after_bytes in range(0, 120, 11):
        faults.flip(leader, follower, after_bytes=after_bytes)
        assert isinstance(await client.move("a", "b", 1), Moved)
        await trio.sleep(ELECTION_TIMEOUT_S)
    assert cluster.network.dials[f"{leader}>{follower}"] > 5
    assert cluster.leaders() == [leader]


async def test_flipped_byte_on_the_way_to_a_client_costs_a_connection_and_is_never_believed(  # N08
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    for after_bytes in range(0, 80, 3):
        for node_id in cluster.node_ids:
            faults.flip(node_id, "c1", after_bytes=after_bytes)
        assert isinstance(await client.move("a", "b", 1), Moved)
    assert cluster.network.dials_by("c1") > 20


@pytest.mark.parametrize("damaged", ["calls", "answers"])
@pytest.mark.parametrize("byte", [0, 1, 2, 3])
async def test_damaged_length_costs_a_silence_and_not_the_connection_for_good(  # N08
    cluster: World, faults: Faults, client: RecordedClient, damaged: str, byte: int
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    way = ("c1", leader) if damaged == "calls" else (leader, "c1")
    faults.flip(*way, after_bytes=byte)
    assert isinstance(await client.move("a", "b", 1, timeout_s=2 * SILENCE_S_MAX), Moved)
