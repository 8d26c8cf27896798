"""What becomes of one node under each fault of its own, seen from outside."""

from collections.abc import Iterator
from itertools import permutations

import attrs
import pytest

from bankd.replica.events import DiskSpace, Ticked
from bankd.sim.node import SUPERVISOR_NS
from bankd.sim.plan import (
    ClockJump,
    Crash,
    FailingDisk,
    Fault,
    Freeze,
    FullDisk,
    HungDisk,
    OlderCopy,
    Partition,
    Plan,
    Rot,
    SlowDisk,
    Wipe,
)
from bankd.sim.world import World
from bankd.types import NodeId
from tests.sim.worlds import MS, N1, N2, N3, NODES, Notes, S, first_leader, judged, noted, plan


def test_killed_process_starts_again_after_its_time() -> None:
    _, notes = noted(plan(Crash(5 * S, 3 * S, N2, power=False)))
    assert notes.of(N2, "end") == [5 * S]
    assert notes.of(N2, "boot") == [0, 8 * S]


@pytest.mark.parametrize(("first_s", "second_s"), [(3, 9), (10, 1)])
def test_two_crashes_that_overlap_keep_it_down_until_the_later_end(first_s: int, second_s: int) -> None:
    _, notes = noted(plan(Crash(5 * S, first_s * S, N2, power=False), Crash(6 * S, second_s * S, N2, power=True)))
    assert notes.of(N2, "end") == [5 * S]
    assert notes.of(N2, "boot") == [0, 15 * S]


def test_crash_in_the_midst_of_an_operation_waits_for_that_operation() -> None:
    _, notes = noted(plan(Crash(5 * S, 2 * S, N2, power=True, operations=3)))
    [end_ns] = notes.of(N2, "end")
    assert end_ns > 5 * S
    assert notes.of(N2, "boot") == [0, end_ns + 2 * S]


def test_no_fault_outlasts_the_safety_phase() -> None:
    _, notes = noted(plan(Crash(5 * S, 3_600 * S, N2, power=False), Freeze(5 * S, 3_600 * S, N1), seconds=20))
    assert notes.of(N2, "boot") == [0, 20 * S]
    assert max(at_ns for at_ns, node, _ in notes.turns if node == N1) > 20 * S


@pytest.mark.parametrize("operation", ["pwrite", "sync"])
def test_failing_disk_ends_the_process_once(operation: str) -> None:
    _, notes = noted(plan(FailingDisk(5 * S, 2 * S, N2, operation)))
    [end_ns] = notes.of(N2, "end")
    assert notes.of(N2, "boot") == [0, end_ns + 2 * S]


def test_full_disk_ends_the_process_over_and_over_until_there_is_room() -> None:
    roomless = plan(FullDisk(5 * S, 10 * S, N2, noticed=False))
    _, notes = noted(attrs.evolve(roomless, product=attrs.evolve(roomless.product, segment_bytes=4096)))
    ends = [*notes.of(N2, "end"), *notes.of(N2, "DISK_FULL"), *notes.of(N2, "DATA_DIR_UNUSABLE")]
    assert ends != []
    assert max(notes.of(N2, "boot")) <= 15 * S + SUPERVISOR_NS
    assert judged(roomless).acknowledged > 90


def test_node_whose_disk_is_seen_to_fill_up_is_told_before_and_after() -> None:
    _, notes = noted(plan(FullDisk(5 * S, 4 * S, N2, noticed=True)))
    told = [
        (at_ns // S, event.enough)
        for at_ns, node, events in notes.turns
        for event in events
        if node == N2 and isinstance(event, DiskSpace)
    ]
    assert told == [(0, True), (5, False), (9, True)]


def test_frozen_process_takes_no_turn_and_then_one_with_all_that_waited() -> None:
    _, notes = noted(plan(Freeze(5 * S, 5 * S, N2)))
    turns = [(at_ns, events) for at_ns, node, events in notes.turns if node == N2 and 5 * S < at_ns <= 10 * S]
    assert [at_ns for at_ns, _ in turns] == [10 * S]
    assert len(turns[0][1]) > 50
    assert sum(isinstance(event, Ticked) for event in turns[0][1]) <= 1  # not one for each that it slept through


def test_hung_disk_completes_nothing_until_it_is_over() -> None:
    _, notes = noted(plan(HungDisk(5 * S, 5 * S, N2)))
    durable = [at_ns for at_ns in notes.of(N2, "durable") if 5 * S < at_ns < 10 * S + MS]
    assert min(durable) >= 10 * S


def test_leader_whose_disk_hangs_is_replaced() -> None:
    leader = first_leader(plan())
    assert judged(plan(HungDisk(5 * S, 8 * S, leader))).elections >= 2


def test_slow_disks_that_overlap_add_up_and_end() -> None:
    world, _ = noted(plan(SlowDisk(5 * S, 5 * S, N2, 10 * MS), SlowDisk(7 * S, 5 * S, N2, 20 * MS)))
    assert world._nodes[N2].disk.added_ns == 0
    assert judged(plan(SlowDisk(5 * S, 10 * S, N2, 300 * MS))).acknowledged > 90


def test_node_with_a_rotten_log_is_refilled_and_votes_again() -> None:  # D04, D05
    """Of the others the leader is killed then: who is left cannot be elected without it."""
    rotten = next(seeded for seeded in seeds(Rot(5 * S, S, N2)) if noted(seeded)[1].of(N2, "refilling"))
    leader = last_leader(rotten, until_ns=12 * S)
    world, notes = noted(attrs.evolve(rotten, faults=(*rotten.faults, Crash(12 * S, 8 * S, leader, power=False))))
    assert notes.of(N2, "refilling") == notes.of(N2, "boot")[1:2] == [6 * S]
    assert_refilled(world, notes, N2, between_s=(6, 12))
    assert [at_ns for node in NODES for at_ns in notes.of(node, "elected") if 12 * S < at_ns < 20 * S]


def seeds(*faults: Fault) -> Iterator[Plan]:
    return (attrs.evolve(plan(*faults), seed=seed) for seed in range(20))


def last_leader(plan: Plan, *, until_ns: int) -> NodeId:
    _, notes = noted(plan)
    return [node for at_ns, node, what in notes.lines if what == "elected" and at_ns < until_ns][-1]


def assert_refilled(world: World, notes: Notes, node: NodeId, *, between_s: tuple[int, int]) -> None:
    """Once, and it is a voter like any other in the end, with what all others hold."""
    [refilled_ns] = notes.of(node, "refilled")
    first_s, last_s = between_s
    assert first_s * S < refilled_ns < last_s * S
    replicas = [machine.process.replica for machine in world._nodes.values() if machine.process is not None]
    assert [replica.raft.is_refilling for replica in replicas] == [False] * len(NODES)
    assert len({(replica.ledger.applied_index, replica.ledger.digest) for replica in replicas}) == 1


def test_node_with_an_empty_disk_under_an_old_name_is_turned_away_by_all() -> None:
    wiped = attrs.evolve(plan(Wipe(5 * S, S, N2)), stays_down=frozenset({N2}))
    world, notes = noted(wiped)
    assert notes.of(N2, "boot") == [0, 6 * S]
    empty = world._nodes[N2].process
    assert empty is not None
    assert empty.replica.raft.last_index == 1
    assert judged(wiped).acknowledged > 90


def test_wiped_node_stays_outside_when_those_who_knew_it_have_started_again() -> None:  # D09
    others = (Crash(8 * S, S, N1, power=True), Crash(11 * S, S, N3, power=True))
    world, notes = noted(attrs.evolve(plan(Wipe(5 * S, S, N2), *others), stays_down=frozenset({N2})))
    assert (notes.of(N1, "boot"), notes.of(N3, "boot")) == ([0, 9 * S], [0, 12 * S])
    reached = {
        node: machine.process.replica.raft.commit_index for node, machine in world._nodes.items() if machine.process
    }
    assert reached[N2] == 1
    assert reached[N1] == reached[N3] > 50


def test_older_copy_of_the_last_start_is_noticed_by_a_leader_and_refilled() -> None:  # D10
    put_back = plan(OlderCopy(10 * S, S, N2, taken_ns=5 * S))
    world, notes = noted(put_back)
    _, as_taken = noted(plan(Crash(5 * S, S, N2, power=False)))
    _, as_left = noted(plan(Crash(10 * S, S, N2, power=False)))
    assert notes.found[N2][1].recovered.entries == as_taken.found[N2][1].recovered.entries
    assert len(notes.found[N2][1].recovered.entries) < len(as_left.found[N2][1].recovered.entries)
    [restarted_ns, noticed_ns] = notes.of(N2, "end")
    assert 10 * S == restarted_ns < 11 * S < noticed_ns
    assert notes.of(N2, "refilling") == notes.of(N2, "boot")[2:] == [noticed_ns + SUPERVISOR_NS]
    assert_refilled(world, notes, N2, between_s=(12, 14))


@pytest.mark.parametrize("copied_starts", [1, 2])
def test_older_copy_of_an_earlier_start_is_noticed_by_all_and_refilled(copied_starts: int) -> None:  # D10
    """The third start runs on; a copy of the second then says three, and of the first two."""
    restarts = [Crash(at_s * S, S, N2, power=False) for at_s in (3, 6)]
    others = [Crash(8 * S, S, N1, power=True), Crash(10 * S, S, N3, power=True)]
    put_back = OlderCopy(13 * S, S, N2, taken_ns=(3 * copied_starts - 1) * S)
    world, notes = noted(plan(*restarts, *others, put_back))
    assert notes.of(N2, "boot") == [0, 4 * S, 7 * S, 14 * S, 15 * S]
    assert [found.recovered.starts.boots for found in notes.found[N2]] == [1, 2, 3, copied_starts + 1, 4]
    assert notes.of(N2, "refilling") == [15 * S]
    assert_refilled(world, notes, N2, between_s=(15, 17))


def test_older_copy_that_starts_once_more_before_anybody_meets_it_is_noticed_all_the_same() -> None:  # D10
    """By then it counts as many starts as the node whose place it took."""
    cut_off = Partition(13 * S, 4 * S, tuple(link for link in permutations(NODES, 2) if N2 in link))
    restarts = [Crash(at_s * S, S, N2, power=False) for at_s in (3, 15)]
    world, notes = noted(plan(*restarts, cut_off, OlderCopy(13 * S, S, N2, taken_ns=2 * S)))
    [_, _, _, _, noticed_ns] = notes.of(N2, "boot")
    assert [found.recovered.starts.boots for found in notes.found[N2]] == [1, 2, 2, 3, 4]
    assert notes.of(N2, "refilling") == [noticed_ns]
    assert noticed_ns == 17 * S
    assert_refilled(world, notes, N2, between_s=(17, 21))


def test_clock_jumps_show_in_no_tick() -> None:
    _, straight = noted(plan(calls=0))
    _, jumped = noted(plan(*(ClockJump(5 * S, node, -3_600 * S) for node in NODES), calls=0))
    assert [turn[:2] for turn in jumped.turns] == [turn[:2] for turn in straight.turns]


def test_ticks_of_a_leader_come_at_their_period() -> None:
    leader = first_leader(plan(calls=0))
    _, notes = noted(plan(calls=0))
    ticks = [
        at_ns for at_ns, node, events in notes.turns if node == leader and any(isinstance(e, Ticked) for e in events)
    ]
    assert {later - earlier for earlier, later in zip(ticks[-20:-1], ticks[-19:], strict=True)} == {50 * MS}


def test_nothing_is_left_of_a_process_that_ended() -> None:
    """A node that is killed right after each of its own writes begins anew every time."""
    kills = [Crash(at_ns, 1, N3, power=False) for at_ns in range(5 * S, 6 * S, 10 * MS)]
    assert judged(plan(*kills)).acknowledged > 90
