"""What clients may rely on, whatever becomes of their calls on the way; and what they cannot do to a cluster."""

import pytest
import trio

from bankd.config.settings import LimitsSection
from bankd.history.records import BalanceFound, Moved, NotFound, Opened, OutcomeFound, Refused
from bankd.types import TransferStatus
from tests.whole.client import RecordedClient
from tests.whole.faults import Fault, Faults
from tests.whole.world import ELECTION_TIMEOUT_S, World

BURST = 400
TIGHT = LimitsSection(max_in_flight=20, drain_timeout_s=5.0)


async def open_two(client: RecordedClient, balance: int = 10_000) -> None:
    assert isinstance(await client.open("a", balance), Opened)
    assert isinstance(await client.open("b"), Opened)


async def test_answer_that_is_lost_is_had_from_another_node_and_the_money_moves_once(  # C01
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    for _ in range(5):
        leader = await cluster.wait_leader()
        faults.partition_one_way(leader, "c1")  # the call arrives, its answer does not
        done = await client.move("a", "b", 1, timeout_s=15.0)
        assert isinstance(done, Moved)
        faults.heal()
    assert await client.balance("b") == BalanceFound(5)


async def test_call_that_timed_out_is_asked_about_and_sent_again_with_the_same_id(  # C01
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    faults.partition_one_way(cluster.node_ids, "c1")
    tx_id = client.bank.make_tx_id()
    assert await client.move("a", "b", 5, tx_id=tx_id, timeout_s=0.5) is None, "its outcome is unknown"
    faults.heal()
    found = await client.outcome(tx_id, timeout_s=10.0)
    assert isinstance(found, OutcomeFound | NotFound)
    again = await client.move("a", "b", 5, tx_id=tx_id)
    assert isinstance(again, Moved)
    if isinstance(found, OutcomeFound):
        assert again.decided[0] == found.decided
    assert await client.balance("b") == BalanceFound(5)


async def test_one_intent_has_one_id_through_drops_and_new_leaders(  # C02
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    intents = 60
    async with trio.open_nursery() as nursery:
        for amount in range(1, intents + 1):
            nursery.start_soon(client.move, "a", "b", amount)
        for _ in range(3):
            await trio.sleep(0.01)
            faults.drop("c1", cluster.node_ids)
            await faults.kill(leader := await cluster.wait_leader())
            await cluster.start(leader)
    ledger = cluster.node(await cluster.wait_leader()).replica.ledger
    assert ledger.transfer_count <= intents, "the verdict counts the ids, too; this is what a user would see"


async def test_hot_account_is_never_overdrawn_by_all_who_draw_on_it_at_once(  # C08
    cluster: World, faults: Faults, client: RecordedClient, another_client: RecordedClient
) -> None:
    await open_two(client, balance=100)
    for _ in range(10):
        async with trio.open_nursery() as nursery:
            for one in (client, another_client):
                for _ in range(4):
                    nursery.start_soon(one.move, "a", "b", 30)
                    nursery.start_soon(one.move_many, [("a", "b", 20), ("a", "b", 20)])
            await faults.kill(leader := await cluster.wait_leader())
            await cluster.start(leader)
        left = await client.balance("a", timeout_s=10.0)
        assert isinstance(left, BalanceFound)
        assert 0 <= left.balance <= 100
        if left.balance < 100:
            await client.move("b", "a", 100 - left.balance)


async def test_late_answer_goes_to_nobody_else(  # C09
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    await client.open("c", 3)
    leader = await cluster.wait_leader()
    for _ in range(10):
        faults.delay(leader, "c1", by_s=0.4)
        await client.balance("a", timeout_s=0.2)
        faults.drop("c1", leader)
        faults.end_delays()
        assert await client.balance("c") == BalanceFound(3)


@pytest.mark.world(limits=TIGHT)
async def test_overload_is_refused_or_answered_and_passes(  # X05
    cluster: World, faults: Faults, client: RecordedClient, another_client: RecordedClient
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    faults.slow_disk(leader, by_s=0.02)
    for node_id in cluster.followers():
        faults.slow_disk(node_id, by_s=0.02)
    async with trio.open_nursery() as nursery:
        for number in range(BURST):
            nursery.start_soon(client.open, f"x{number}")
            nursery.start_soon(another_client.balance, "a")
        for _ in range(20):
            await trio.sleep(0.05)
            assert cluster.node(leader).replica.waiting_calls <= 2 * TIGHT.max_in_flight, "reads and writes, each"
    assert isinstance(await client.move("a", "b", 1), Moved)
    assert cluster.leaders() == [leader]


async def test_log_without_a_quorum_stays_bounded(  # X06
    cluster: World, partition: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    partition(leader)
    partition(cluster.followers()[0])
    before = cluster.node(leader).replica.raft.last_index
    async with trio.open_nursery() as nursery:
        for _ in range(BURST):
            nursery.start_soon(client.move, "a", "b", 1)
        await trio.sleep(5 * ELECTION_TIMEOUT_S)
        assert cluster.leaders() == []
        assert max(node.replica.raft.last_index for node in cluster.running()) <= before + BURST
        length = cluster.node(leader).replica.raft.last_index
        await trio.sleep(5 * ELECTION_TIMEOUT_S)
        assert cluster.node(leader).replica.raft.last_index == length


async def test_client_that_cannot_reach_the_leader_is_served_by_another_node_and_not_sent_in_circles(  # X07
    cluster: World, partition: Fault, client: RecordedClient
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    partition("c1", leader)
    before = cluster.network.dials_by("c1")
    for _ in range(20):
        done = await client.move("a", "b", 1, timeout_s=10.0)
        assert isinstance(done, Moved)
        assert done.statuses == bytes([TransferStatus.COMMITTED_OK])
    assert cluster.network.dials_by("c1") - before <= 12, "the circles of a client are bounded"
    assert not isinstance(await client.balance("b"), Refused)
