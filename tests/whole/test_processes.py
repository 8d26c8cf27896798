"""Nodes that are killed, stopped, held up, or whose clocks are wrong."""

import pytest
import trio

from bankd.history.records import BalanceFound, Moved, Opened
from bankd.types import LINEARIZABLE, NodeId
from bankd.wire import client_codec as codec
from bankd.wire.frames import FrameKind
from bankd.wire.methods import Method
from tests.whole.client import RecordedClient
from tests.whole.faults import AsyncFault, Fault, Faults
from tests.whole.world import ELECTION_TIMEOUT_S, World


async def open_two(client: RecordedClient) -> None:
    assert isinstance(await client.open("a", 10_000), Opened)
    assert isinstance(await client.open("b"), Opened)


async def move_for_ever(client: RecordedClient, *, pause_s: float = 0.01) -> None:
    while True:
        await client.move("a", "b", 1)
        await trio.sleep(pause_s)


@pytest.mark.world(nodes=5)
async def test_any_nodes_killed_again_and_again_lose_nothing(  # P01
    cluster: World, kill: AsyncFault, client: RecordedClient, another_client: RecordedClient
) -> None:
    await open_two(client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(move_for_ever, another_client)
        for victims in (1, 2, 3, 5, 2, 4, 1):
            leader = await cluster.wait_leader()
            dead = [leader, *cluster.followers()][:victims]
            await kill(*dead)
            await trio.sleep(ELECTION_TIMEOUT_S / 2)
            await cluster.start(*dead)
            assert isinstance(await client.move("a", "b", 1, timeout_s=15.0), Moved)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("election_timeouts", [0.0, 1.0, 8.0])
async def test_frozen_leader_answers_nothing_stale_when_it_wakes(  # P02
    cluster: World, freeze: Fault, thaw: AsyncFault, client: RecordedClient, election_timeouts: float
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    loyal = await cluster.dial(leader)
    freeze(leader)
    assert isinstance(await client.move("a", "b", 7, timeout_s=10.0), Moved), "another one leads"
    await trio.sleep(election_timeouts * ELECTION_TIMEOUT_S)
    read = codec.encode_get_balance("b", LINEARIZABLE)
    await loyal.send(Method.GET_BALANCE, read, deadline_ms=500)
    await trio.sleep(0.1)
    await thaw()
    frame = await loyal.receive()
    assert frame.kind is FrameKind.ERROR or codec.decode_get_balance(frame.body)[0] == 7
    assert await client.balance("b") == BalanceFound(7)


@pytest.mark.parametrize("election_timeouts", [0.1, 0.5])
async def test_leader_frozen_for_less_than_a_timeout_goes_on_leading(  # P02
    cluster: World, freeze: Fault, thaw: AsyncFault, client: RecordedClient, election_timeouts: float
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.move, "a", "b", 7)
        freeze(leader)
        await trio.sleep(election_timeouts * ELECTION_TIMEOUT_S)
        await thaw()
    assert await client.balance("b") == BalanceFound(7)
    assert cluster.leaders() == [leader]


async def test_frozen_follower_changes_no_leader_and_catches_up(  # P02
    cluster: World, freeze: Fault, thaw: AsyncFault, client: RecordedClient
) -> None:
    await open_two(client)
    leader, follower = await cluster.wait_leader(), cluster.followers()[0]
    freeze(follower)
    for _ in range(20):
        await client.move("a", "b", 1)
    await trio.sleep(5 * ELECTION_TIMEOUT_S)
    await thaw()
    await trio.sleep(2 * ELECTION_TIMEOUT_S)
    assert cluster.leaders() == [leader]
    assert cluster.node(follower).replica.ledger.applied_index == cluster.node(leader).replica.ledger.applied_index


@pytest.mark.parametrize(("held_up_s", "stays"), [(0.4, True), (3.0, False)])
async def test_busy_loop_costs_leadership_only_when_it_lasts(  # P05
    cluster: World, faults: Faults, client: RecordedClient, held_up_s: float, stays: bool
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.move, "a", "b", 1)
        faults.keep_busy(leader)
        await trio.sleep(held_up_s)
        await faults.thaw()
    await trio.sleep(ELECTION_TIMEOUT_S)
    assert (cluster.leaders() == [leader]) is stays
    assert await client.balance("b") == BalanceFound(1)


async def test_wall_clocks_that_jump_change_neither_order_nor_leader(  # P04
    cluster: World, client: RecordedClient
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    times_ns = []
    for jump_s in (0, 3600, -7200, 86_400, -86_400, 0):
        cluster.hosts[leader].wall_offset_ns = jump_s * 1_000_000_000
        tx_id = client.bank.make_tx_id()
        await client.move("a", "b", 1, tx_id=tx_id)
        done = await client.bank.get_transfer_status(tx_id)
        assert done is not None
        times_ns.append(done.time_ns)
        await trio.sleep(ELECTION_TIMEOUT_S / 2)
    assert times_ns == sorted(set(times_ns))
    assert cluster.leaders() == [leader]


@pytest.mark.parametrize(
    "_rates",
    [
        pytest.param("tenths", marks=pytest.mark.world(clock_rates={NodeId("n1"): 1.1, NodeId("n2"): 0.9})),
        pytest.param("doubled and halved", marks=pytest.mark.world(clock_rates={NodeId("n1"): 2.0, NodeId("n2"): 0.5})),
    ],
)
async def test_clocks_of_different_rates_cost_neither_leadership_nor_truth(  # P04
    cluster: World, faults: Faults, client: RecordedClient, another_client: RecordedClient, _rates: str
) -> None:
    await open_two(client)
    for node_id in cluster.node_ids:  # each leads for a while, as far as it can
        await cluster.node(await cluster.wait_leader()).hand_over(ELECTION_TIMEOUT_S)
        leader = await cluster.wait_leader()
        term = cluster.node(leader).replica.raft.term
        for _ in range(20):
            await client.move("a", "b", 1)
            await another_client.balance("b")
        assert cluster.node(leader).replica.raft.term == term, f"{leader} was deposed without a fault"
        faults.partition(node_id)
        await trio.sleep(2 * ELECTION_TIMEOUT_S)
        faults.heal()


async def test_node_killed_at_any_step_of_a_transfer_leaves_all_or_nothing(  # P01, P06
    cluster: World, kill: AsyncFault, client: RecordedClient
) -> None:
    await open_two(client)
    for steps in range(40):
        leader = await cluster.wait_leader()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.move, "a", "b", 1)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
                await trio.sleep(0.0001)
            await kill(leader)
        await cluster.start(leader)


async def test_call_cancelled_at_any_step_spoils_nothing_for_the_next(  # P06
    cluster: World, client: RecordedClient
) -> None:
    await open_two(client)
    for steps in range(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.move, "a", "b", 1)
            for _ in range(steps):
                await trio.sleep(0.0001)
            nursery.cancel_scope.cancel()
        assert isinstance(await client.balance("b"), BalanceFound)
    assert cluster.network.dials_by("c1") <= 4


async def test_link_cut_behind_any_byte_is_made_anew_and_no_half_frame_is_taken(  # P06, N08
    cluster: World, cut: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    leader, follower = await cluster.wait_leader(), cluster.followers()[0]
    for after_bytes in range(0, 300, 7):
        cut(leader, follower, after_bytes=after_bytes)
        assert isinstance(await client.move("a", "b", 1), Moved)
    await trio.sleep(ELECTION_TIMEOUT_S)
    assert cluster.leaders() == [leader]
    assert cluster.network.dials[f"{leader}>{follower}"] > 5
