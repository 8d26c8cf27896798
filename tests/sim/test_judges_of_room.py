"""Logs that grow although snapshots are on, and followers that a snapshot does not bring back: B1 and V1."""

import attrs
import pytest

from bankd.raft.messages import HeartbeatResponse, SnapshotRequest
from bankd.replica.effects import Effects
from bankd.replica.events import Received, SnapshotSealed
from bankd.sim.found import Found
from bankd.sim.plan import Crash, Fault, Freeze, FullDisk, HungDisk, SlowDisk
from bankd.types import LogIndex, NodeId
from tests.sim.judged import MS, N1, N2, N3, SECOND, A, B, Judged, move, opening, plan_of, unblamed, violated

EVERY = 5


def begun(*faults: Fault, bytes_max: int = 64 << 20, every: int = EVERY) -> Judged:
    """n1 leads, and there are two accounts."""
    plan = attrs.evolve(plan_of(snapshot_every=every), faults=faults)
    group = Judged(attrs.evolve(plan, product=attrs.evolve(plan.product, snapshot_every_bytes=bytes_max)))
    group.elect(N1)
    group.ask(N1, opening(A, 1_000))
    group.ask(N1, opening(B))
    return group


def go_on(group: Judged, name: str = "t", moves: int = 20) -> None:
    for number in range(moves):
        group.ask(N1, move(f"{name}{number}", 1))
    group.beat(N1)


def refuse(node: NodeId, effects: Effects) -> Effects:
    return attrs.evolve(effects, snapshot_due=None)


# Taking


def test_a_snapshot_that_is_not_begun_when_it_is_due_is_named() -> None:
    group = begun()
    group.spoil = refuse
    with violated("B1", "has applied 5 entries of"):
        go_on(group)


def test_a_snapshot_that_is_not_begun_when_its_bytes_are_due_is_named() -> None:
    group = begun(bytes_max=300, every=100_000)
    group.spoil = refuse
    with violated("B1", "bytes and begins no snapshot"):
        go_on(group)


def test_a_second_snapshot_under_way_is_named() -> None:
    group = begun()
    dues = []

    def spoil(node: NodeId, effects: Effects) -> Effects:
        if node == N1 and effects.snapshot_due is not None:
            dues.append(effects.snapshot_due)
        return effects

    group.spoil = spoil
    group.idle_keepers.add(N1)
    go_on(group, moves=2)
    with violated("B1", "begins a snapshot, and one at 6 is under way"):
        group.forge(N1, Effects(snapshot_due=dues[0]))


def late(*faults: Fault) -> Judged:
    """n1 began a snapshot long ago, and its keeper has done nothing."""
    group = begun(*faults)
    group.idle_keepers.add(N1)
    go_on(group, moves=3)
    group.now_ns += 20 * SECOND
    return group


def test_a_snapshot_that_is_neither_durable_nor_given_up_is_named() -> None:
    for faults in ((), (FullDisk(0, SECOND, N1, noticed=False),), (SlowDisk(0, SECOND, N2, MS),)):
        group = late(*faults)
        with violated("B1", "began a snapshot at 6 20"):
            group.forge_tick(N1)


@pytest.mark.parametrize(
    "fault", [SlowDisk(0, 10 * SECOND, N1, MS), HungDisk(0, 10 * SECOND, N1), Freeze(0, 10 * SECOND, N1)]
)
def test_a_snapshot_may_take_long_while_the_node_is_ailing_and_no_longer(fault: Fault) -> None:
    group = late(fault)
    with unblamed():
        group.forge_tick(N1)
    group.now_ns += 20 * SECOND
    with violated("B1", "began a snapshot at 6 40"):
        group.forge_tick(N1)


# The log in memory


def hoard(group: Judged, name: NodeId) -> None:
    """This node does not cut its log."""
    snapshots = group.nodes[name].replica.snapshots
    cut = snapshots.became_durable
    snapshots.became_durable = lambda snapshot, covered_index: cut(snapshot, LogIndex(0))  # type: ignore[method-assign]


def test_a_log_that_is_not_cut_in_memory_is_named() -> None:
    group = begun()
    hoard(group, N2)
    with violated("B1", "keeps its log from 0 on, and two snapshots stand for 6 of it"):
        go_on(group)


def sending() -> Judged:
    """n1 is sending n3 its newest snapshot."""
    group = begun()
    group.crash(N3)
    go_on(group)
    group.restart(N3)
    while not any(type(message) is SnapshotRequest for message in group.messages):
        if not group.messages:
            group.tick(N1)
        while group.messages and type(group.messages[0]) is not SnapshotRequest:
            group.deliver(group.messages.popleft())
        for name in (N2, N3):
            if group.nodes[name].writes:
                group.complete(name)
    return group


def test_a_log_may_wait_for_a_snapshot_on_its_way_to_a_follower_that_answers() -> None:
    group = sending()
    with unblamed():
        seal_two(group)
    assert group.nodes[N1].replica.raft.base_index == 21


def test_a_log_that_waits_for_a_follower_that_has_fallen_silent_is_named() -> None:
    group = sending()
    hoard(group, N1)
    group.now_ns += 10 * SECOND
    with violated("B1", "keeps its log from"):
        seal_two(group)


def test_a_log_that_waits_for_a_follower_that_has_the_snapshot_is_named() -> None:
    group = sending()
    group.settle()
    hoard(group, N1)
    with violated("B1", "keeps its log from"):
        go_on(group, "v")


def test_a_log_may_wait_for_a_follower_that_is_heard_again_in_that_very_turn() -> None:
    group = sending()
    seal(group, "v")
    group.now_ns += 10 * SECOND
    group.idle_keepers.add(N1)
    seal(group, "w")
    node = group.nodes[N1]
    while node.work():
        pass
    heard = HeartbeatResponse(N1, N3, node.hard_state.term)
    assert [type(event) for event in node.posted] == [SnapshotSealed]
    with unblamed():
        group.step(N1, Received(heard), *node.posted)
    assert node.replica.raft.base_index == 21


def seal_two(group: Judged) -> None:
    seal(group, "v")
    seal(group, "w")


def seal(group: Judged, name: str) -> None:
    """n1 seals one more snapshot; what it says to n3 waits."""
    for number in range(EVERY):
        group.call(N1, move(f"{name}{number}", 1))
        for _ in range(4):
            for message in [message for message in group.messages if N3 not in (message.to, message.sender)]:
                group.messages.remove(message)
                group.deliver(message)
            for name in (N1, N2):
                if group.nodes[name].writes:
                    group.complete(name)
        group.keep(N1)


# The log on the disk


def restart_with_files(group: Judged, *first_indexes: int) -> None:
    def find(name: NodeId, found: Found) -> Found:
        return attrs.evolve(found, segments=tuple(map(LogIndex, first_indexes))) if name == N2 else found

    group.find = find
    group.crash(N2)
    group.restart(N2)


def test_files_of_the_log_that_were_to_be_deleted_are_named() -> None:
    group = begun()
    go_on(group)
    with violated("B1", "finds 3 files of its log that hold nothing behind 16"):
        restart_with_files(group, 1, 5, 9, 12, 18)


def test_the_last_files_of_the_log_may_stay() -> None:
    group = begun()
    go_on(group)
    with unblamed():
        restart_with_files(group, 5, 9, 12, 18)


def test_deleted_files_may_come_back_when_power_is_lost() -> None:
    group = begun()
    go_on(group)
    group.judges.struck(group.now_ns, Crash(0, 1, N2, power=True))
    with unblamed():
        restart_with_files(group, 1, 5, 9, 12, 18)
    with unblamed():
        restart_with_files(group, 1, 5, 9, 12, 18)  # this process deleted nothing


# Coming back


def test_a_follower_that_a_snapshot_does_not_bring_back_is_named() -> None:
    group = sending()
    group.judges.healed(group.now_ns)
    group.judges.turned(group.now_ns, N1, group.nodes[N1].replica, (), Effects(send_now=tuple(group.messages)))
    group.now_ns += 9 * SECOND
    with unblamed():
        group.forge_tick(N2)
    group.now_ns += 10 * SECOND
    with violated("V1", "was sent a snapshot by n1 and has not come up with it"):
        group.forge_tick(N2)


def test_a_follower_that_comes_up_with_its_leader_in_time_passes() -> None:
    group = sending()
    group.judges.healed(group.now_ns)
    group.judges.turned(group.now_ns, N1, group.nodes[N1].replica, (), Effects(send_now=tuple(group.messages)))
    group.settle()
    group.beat(N1)
    group.now_ns += 20 * SECOND
    with unblamed():
        group.forge_tick(N2)


def test_nobody_waits_for_a_follower_that_is_down() -> None:
    group = sending()
    group.judges.healed(group.now_ns)
    group.judges.turned(group.now_ns, N1, group.nodes[N1].replica, (), Effects(send_now=tuple(group.messages)))
    group.crash(N3)
    group.now_ns += 20 * SECOND
    with unblamed():
        group.forge_tick(N2)
