"""Disks that hang, crawl, fail and forget, under whole clusters with clients."""

import pytest
import trio

from bankd.history.records import Moved
from bankd.sim.plan import DiskOdds
from tests.whole.client import RecordedClient
from tests.whole.faults import Faults
from tests.whole.world import ELECTION_TIMEOUT_S, World

OK = b"\x01"
TRANSFERS = 100
UNHARMED_S = 0.2


async def open_two(client: RecordedClient) -> None:
    await client.open("a", 10_000)
    await client.open("b")


async def slowest_transfer_s(client: RecordedClient) -> float:
    """Of many, one after the other."""
    slowest_s = 0.0
    for _ in range(TRANSFERS):
        began_s = trio.current_time()
        done = await client.move("a", "b", 1)
        assert isinstance(done, Moved)
        slowest_s = max(slowest_s, trio.current_time() - began_s)
    return slowest_s


async def test_leader_whose_disk_hangs_is_replaced_and_its_clients_go_on(  # D16
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    old = await cluster.wait_leader()
    faults.hang_disk(old)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.move, "a", "b", 1)
        await cluster.wait_until(lambda: old not in cluster.leaders(), within_s=2 * ELECTION_TIMEOUT_S)
        await cluster.wait_leader(other_than=old)
    assert isinstance(await client.move("a", "b", 1), Moved)
    await faults.release_disk()
    await trio.sleep(ELECTION_TIMEOUT_S)
    assert old not in cluster.leaders()


async def test_loop_that_hangs_in_its_own_sync_stands_still_and_wakes_as_a_follower(  # D16
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    for host in cluster.hosts.values():
        await faults.kill(host.name)
        host.inline = True
        await cluster.start(host.name)
    old = await cluster.wait_leader()
    await open_two(client)
    faults.hang_disk(old)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.move, "a", "b", 1)
        await cluster.wait_until(lambda: not cluster.hosts[old].process.loop_runs, within_s=ELECTION_TIMEOUT_S)
        new = await cluster.wait_leader(other_than=old)
    await faults.release_disk()
    await trio.sleep(ELECTION_TIMEOUT_S)
    assert cluster.leaders() == [new]


@pytest.mark.parametrize("slow", ["follower", "leader"])
async def test_one_slow_disk_does_not_slow_the_rest(  # D17
    cluster: World, faults: Faults, client: RecordedClient, slow: str
) -> None:
    leader = await cluster.wait_leader()
    await open_two(client)
    healthy_s = await slowest_transfer_s(client)
    faults.slow_disk(leader if slow == "leader" else cluster.followers()[0], by_s=0.3)
    assert await slowest_transfer_s(client) < max(3 * healthy_s, UNHARMED_S / 4)
    assert cluster.leaders() == [leader]


@pytest.mark.world(latency_s_max=0.0005, disk=DiskOdds(sync_ns_max=20_000_000))
async def test_every_acknowledged_transfer_survives_the_loss_of_all_power_at_any_moment(  # D20
    cluster: World, faults: Faults, client: RecordedClient, another_client: RecordedClient
) -> None:
    await open_two(client)
    for round_ in range(10):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(another_client.move, "a", "b", number + 1)
            done = await client.move("a", "b", 1)
            assert isinstance(done, Moved), f"round {round_}"
            await faults.lose_power(*cluster.node_ids)
            await cluster.start()
            await cluster.wait_leader()


async def test_disk_that_fails_under_load_ends_its_node_and_costs_no_answer(  # D14, D2
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    for operation in ("sync", "pwrite"):
        leader = await cluster.wait_leader()
        host = cluster.hosts[leader]
        faults.fail_disk(leader, operation)
        done = await client.move("a", "b", 1, timeout_s=10.0)
        assert isinstance(done, Moved)
        assert done.statuses == OK
        await host.stopped.wait()
        assert host.failure is not None
        await cluster.start(leader)


async def test_voter_with_an_empty_disk_is_no_voter_any_more(  # D09
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    leader = await cluster.wait_leader()
    wiped, other = cluster.followers()
    await faults.kill(wiped)
    cluster.hosts[wiped].disk.wipe()
    await cluster.start(wiped)
    assert isinstance(await client.move("a", "b", 1), Moved)
    assert cluster.node(wiped).replica.ledger.account_count == 0, "nobody speaks to it"
    await faults.kill(leader)
    await trio.sleep(5 * ELECTION_TIMEOUT_S)
    assert cluster.leaders() == [], f"{other} alone is no majority, and the empty one must not make it one"
    cluster.lost.add(wiped)
    await faults.kill(wiped)


async def test_voter_with_an_empty_disk_stays_outside_after_the_others_restarted(  # D09
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    wiped, other = cluster.followers()
    leader = await cluster.wait_leader()
    await faults.kill(wiped)
    cluster.hosts[wiped].disk.wipe()
    await faults.lose_power(leader, other)
    await cluster.start()
    assert isinstance(await client.move("a", "b", 1), Moved)
    assert cluster.node(wiped).replica.ledger.account_count == 0, "nobody speaks to it"
    cluster.lost.add(wiped)
    await faults.kill(wiped)


async def test_directory_put_back_from_an_older_copy_is_refilled_under_another_leader(  # D10
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    """What it acknowledged since, it acknowledged to a leader that is gone."""
    await open_two(client)
    old, other = cluster.followers()
    leader = await cluster.wait_leader()
    host = cluster.hosts[old]
    await faults.kill(old)
    copy = host.disk.copy()
    await cluster.start(old)
    await trio.sleep(ELECTION_TIMEOUT_S)  # until the others have met it, and noted that
    await faults.kill(other)
    for _ in range(20):
        assert isinstance(await client.move("a", "b", 1), Moved)
    await faults.kill(old, leader)
    host.disk.restore(copy)
    await cluster.start(leader, other)
    new = await cluster.wait_leader()
    await faults.kill(new)
    await cluster.start(old)
    await trio.sleep(5 * ELECTION_TIMEOUT_S)
    assert cluster.leaders() == [], "it gives no vote that a leader could be made of"
    assert cluster.node(old).replica.raft.is_refilling
    await cluster.start(new)
    await cluster.wait_until(lambda: not cluster.node(old).replica.raft.is_refilling)
    await faults.kill(new)
    assert isinstance(await client.move("a", "b", 1, timeout_s=10.0), Moved)


async def test_directory_put_back_from_a_copy_of_its_last_start_is_refilled_by_who_remembers(  # D10
    cluster: World, faults: Faults, client: RecordedClient
) -> None:
    await open_two(client)
    old = cluster.followers()[0]
    host = cluster.hosts[old]
    copy = host.disk.copy()
    for _ in range(20):
        assert isinstance(await client.move("a", "b", 1), Moved)
    await faults.kill(old)
    host.disk.restore(copy)
    await cluster.start(old)
    await cluster.wait_until(lambda: cluster.hosts[old].running and cluster.node(old).view.starts.boots == 3)
    await cluster.wait_until(lambda: not cluster.node(old).replica.raft.is_refilling)
