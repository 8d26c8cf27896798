"""Raft and ledger composed: what becomes of calls, whatever becomes of leaders."""

import pytest

from bankd.errors import Code, Refusal, UnknownEntryVersion
from bankd.ledger.commands import AccountCreated, TransfersDone
from bankd.ledger.queries import BalanceFound, NotFound
from bankd.raft.messages import AppendRequest, Entry, EntryType
from bankd.raft.ready import RoleChanged
from bankd.replica.effects import AGE_UNKNOWN_MS, ReadDone
from bankd.replica.events import DigestCall, DiskSpace, HandOverCall, Received
from bankd.status import DigestReport, LeadershipMoved
from bankd.types import AtLeast, Lease, LogIndex, NodeId, Stale, Term
from tests.replica.group import (
    ELECTION_TICKS,
    NEVER_NS,
    Group,
    calls,
    create,
    transfer,
    write_call,
)

N1, N2, N3 = (NodeId(name) for name in ("n1", "n2", "n3"))
SWEEP = 8  # ticks within which a deadline is noticed


def refusal(group: Group, mark: str) -> Refusal:
    result = group.answers[mark]
    assert isinstance(result, Refusal), result
    return result


def test_call_is_answered_once_its_entry_is_committed_and_not_before() -> None:
    group = Group()
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    assert "w" not in group.answers
    group.settle()
    assert group.answers["w"] == AccountCreated(True, group.replicas[N1].ledger.applied_index)


def test_everything_that_waits_becomes_one_entry() -> None:  # docs/transfer.md, 3
    group = Group()
    leader = group.elect(N1)
    before = leader.raft.last_index
    group.step(N1, calls(*(write_call(f"w{number}", create(f"a{number}")) for number in range(20))))
    group.settle()
    assert leader.raft.last_index == before + 1
    assert len(group.answers) == 20


def test_every_node_applies_the_same_state_as_the_leader_that_decoded_nothing() -> None:  # S3
    group = Group()
    group.elect(N1)
    group.write(N1, "a", create("a", 100))
    group.write(N1, "b", create("b"))
    group.write(N1, "t", transfer("t", "a", "b", 30))
    group.write(N1, "u", transfer("u", "a", "b", 300))
    group.settle()
    group.tick(N1, 2)
    group.settle()
    assert {replica.ledger.digest for replica in group.replicas.values()} == {group.replicas[N1].ledger.digest}
    assert {replica.ledger.applied_index for replica in group.replicas.values()} == {LogIndex(5)}
    done = group.answers["u"]
    assert isinstance(done, TransfersDone)
    assert done.outcomes == b"\x02"


def test_stamps_increase_strictly_although_the_clock_stands_still_or_jumps_back() -> None:  # K15
    group = Group()
    leader = group.elect(N1)
    stamps = []
    for number, wall_ns in enumerate([5_000, 5_000, 100, 9_000]):
        group.wall_ns = wall_ns
        group.write(N1, f"w{number}", create(f"a{number}"))
        group.settle()
        stamps.append(leader.ledger.last_time_ns)
    assert stamps == [5_000, 5_001, 5_002, 9_000]


def test_new_leader_with_a_slow_clock_stamps_behind_what_it_inherited() -> None:  # K15
    group = Group()
    group.elect(N1)
    group.wall_ns = 1_000_000
    group.write(N1, "w", create("a"))
    group.settle()
    group.wall_ns = 10
    group.cut.add(N1)
    leader = group.elect(N2)
    group.write(N2, "v", create("b"))
    group.settle()
    assert leader.ledger.last_time_ns == 1_000_001


def test_follower_refuses_writes_and_names_the_leader() -> None:
    group = Group()
    group.elect(N1)
    group.write(N2, "w", create("a"))
    assert refusal(group, "w").reason == "NOT_LEADER"
    assert refusal(group, "w").leader_id == N1
    assert refusal(group, "w").code is Code.UNAVAILABLE


def test_deposed_leader_answers_what_it_logged_with_unknown_and_never_again() -> None:  # K11, N05
    group = Group()
    group.elect(N1)
    group.cut |= {N2, N3}
    group.write(N1, "w", create("a"))
    group.settle()
    group.tick(N1, 2 * ELECTION_TICKS)
    assert refusal(group, "w").reason == "OUTCOME_UNKNOWN"
    assert refusal(group, "w").code is Code.UNKNOWN
    group.cut = {N1}
    group.elect(N2)
    group.cut = set()
    group.tick(N2, 2)
    group.settle()
    assert group.replicas[N1].ledger.account_count == 0, "the entry was overwritten"
    assert group.replicas[N1].waiting_calls == 0


def test_retry_on_the_new_leader_takes_effect_once() -> None:  # C01, M3
    group = Group()
    group.elect(N1)
    group.write(N1, "a", create("a", 100))
    group.write(N1, "b", create("b"))
    group.settle()
    group.write(N1, "first", transfer("t", "a", "b", 10))
    group.settle()
    group.cut.add(N1)
    group.elect(N2)
    group.write(N2, "again", transfer("t", "a", "b", 10))
    group.settle()
    first, again = group.answers["first"], group.answers["again"]
    assert isinstance(first, TransfersDone)
    assert isinstance(again, TransfersDone)
    assert again.outcomes == first.outcomes
    assert again.details[0].index == first.index
    group.read(N2, "r", "b")
    group.settle()
    read = group.answers["r"]
    assert isinstance(read, ReadDone)
    assert read.answer == BalanceFound(10)


def test_write_taken_before_the_no_op_is_committed_waits_and_is_then_answered() -> None:  # R02 for writes
    group = Group()
    group.stalled = {N2, N3}
    group.tick(N1, 2 * ELECTION_TICKS)
    group.stalled = set()
    # The votes come in, and the no-op is on its way but not committed.
    while not group.replicas[N1].leads:
        assert group._deliver() or group._complete_writes()
    group.stalled = {N2, N3}
    group.write(N1, "w", create("a"))
    group.settle()
    assert "w" not in group.answers
    assert group.replicas[N1].waiting_calls == 1
    group.stalled = set()
    group.settle()
    assert isinstance(group.answers["w"], AccountCreated)


def test_write_that_waits_for_a_new_leader_is_surely_not_done_when_its_deadline_passes() -> None:  # K11
    group = Group()
    group.stalled = {N2, N3}
    group.tick(N1, 2 * ELECTION_TICKS)
    group.stalled = set()
    while not group.replicas[N1].leads:
        assert group._deliver() or group._complete_writes()
    group.stalled = {N2, N3}
    group.write(N1, "w", create("a"), deadline_ns=10)
    group.settle()
    group.now_ns = 10
    group.tick(N1, SWEEP)
    assert refusal(group, "w").code is Code.UNAVAILABLE
    group.stalled = set()
    group.settle()
    assert group.replicas[N1].ledger.account_count == 0


def test_logged_write_whose_deadline_passes_is_unknown_and_still_takes_effect() -> None:  # K11
    group = Group()
    group.elect(N1)
    group.stalled = {N1, N2, N3}
    group.write(N1, "w", create("a"), deadline_ns=10)
    group.now_ns = 10
    group.tick(N1, SWEEP)
    assert refusal(group, "w").reason == "OUTCOME_UNKNOWN"
    group.stalled = set()
    group.settle()
    assert group.replicas[N1].ledger.account_count == 1
    assert group.replicas[N1].waiting_calls == 0


def test_calls_beyond_the_bound_are_refused_before_the_log() -> None:  # K13, X05
    group = Group(waiting_calls_max=2)
    group.elect(N1)
    group.stalled = {N1, N2, N3}
    for number in range(4):
        group.write(N1, f"w{number}", create(f"a{number}"))
    assert [refusal(group, f"w{number}").reason for number in (2, 3)] == ["OVERLOADED"] * 2
    group.stalled = set()
    group.settle()
    assert group.replicas[N1].ledger.account_count == 2
    group.write(N1, "later", create("z"))
    group.settle()
    assert isinstance(group.answers["later"], AccountCreated), "it recovers by itself"


def test_disk_without_room_refuses_writes_and_serves_reads() -> None:  # K13
    group = Group()
    group.elect(N1)
    group.step(N1, DiskSpace(enough=False))
    group.write(N1, "w", create("a"))
    group.read(N1, "r", "a")
    group.settle()
    assert refusal(group, "w").reason == "DISK_FULL"
    assert isinstance(group.answers["r"], ReadDone)
    group.step(N1, DiskSpace(enough=True))
    group.write(N1, "v", create("a"))
    group.settle()
    assert isinstance(group.answers["v"], AccountCreated)


@pytest.mark.parametrize("node", [N1, N2])
def test_linearizable_read_is_served_by_any_node(node: NodeId) -> None:  # thesis 6.4
    group = Group()
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    group.settle()
    group.read(node, "r", "a")
    assert "r" not in group.answers, "not before a quorum has confirmed the leader"
    group.settle()
    group.tick(N1, 2)
    group.settle()
    read = group.answers["r"]
    assert isinstance(read, ReadDone)
    assert read.answer == BalanceFound(5)
    assert read.age_ms == 0


def test_deposed_leader_serves_no_linearizable_read() -> None:  # R1, N05
    group = Group()
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    group.settle()
    group.cut.add(N1)
    group.read(N1, "r", "a")
    group.settle()
    assert "r" not in group.answers
    group.tick(N1, 3 * ELECTION_TICKS)
    assert refusal(group, "r").code is Code.UNAVAILABLE


def test_reads_without_a_leader_are_refused_at_once_and_stale_ones_served() -> None:
    group = Group()
    group.read(N1, "linear", "a")
    group.read(N1, "stale", "a", mode=Stale())
    assert refusal(group, "linear").reason == "NO_LEADER"
    assert group.answers["stale"] == ReadDone(NotFound(), LogIndex(0), AGE_UNKNOWN_MS)


def test_read_at_least_sees_the_write_whose_index_it_names() -> None:
    group = Group()
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    group.settle()
    created = group.answers["w"]
    assert isinstance(created, AccountCreated)
    group.read(N3, "r", "a", mode=AtLeast(created.index))
    group.tick(N1, 2)  # the next heartbeat tells the follower what is committed
    group.settle()
    read = group.answers["r"]
    assert isinstance(read, ReadDone)
    assert read.answer == BalanceFound(5)
    assert read.index >= created.index


def test_lease_reads_are_refused_while_nobody_configured_them() -> None:
    group = Group()
    group.elect(N1)
    group.read(N1, "r", "a", mode=Lease())
    assert refusal(group, "r").reason == "LEASE_NOT_CONFIGURED"


def test_digests_of_all_nodes_can_be_compared_at_one_index() -> None:  # S3
    group = Group()
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    group.write(N1, "v", create("b", 5))
    group.settle()
    group.tick(N1, 2)
    group.settle()
    for name in group.replicas:
        group.step(name, calls(DigestCall(f"d-{name}", LogIndex(2), NEVER_NS)))
    reports = [group.answers[f"d-{name}"] for name in group.replicas]
    assert all(isinstance(report, DigestReport) for report in reports)
    assert reports[0] == reports[1] == reports[2]


def test_leadership_moves_to_the_node_that_was_named() -> None:  # thesis 3.10
    group = Group()
    group.elect(N1)
    group.step(N1, calls(HandOverCall("h", N3, NEVER_NS)))
    group.settle()
    assert group.answers["h"] == LeadershipMoved(N3, group.replicas[N3].raft.term)
    assert group.replicas[N3].leads


def test_leadership_cannot_move_to_a_stranger_or_from_a_follower() -> None:
    group = Group()
    group.elect(N1)
    group.step(N1, calls(HandOverCall("stranger", NodeId("n9"), NEVER_NS)))
    group.step(N2, calls(HandOverCall("follower", N3, NEVER_NS)))
    assert refusal(group, "stranger").reason == "LEADERSHIP_NOT_MOVED"
    assert refusal(group, "follower").reason == "NOT_LEADER"


def test_leadership_transfer_that_fails_is_reported_and_the_leader_serves_on() -> None:
    group = Group()
    group.elect(N1)
    group.cut.add(N3)
    group.step(N1, calls(HandOverCall("h", N3, NEVER_NS)))
    group.pass_ticks(N1, ELECTION_TICKS + 1)
    assert refusal(group, "h").reason == "LEADERSHIP_NOT_MOVED"
    group.write(N1, "w", create("a"))
    group.settle()
    assert isinstance(group.answers["w"], AccountCreated)


def test_single_node_serves_alone() -> None:
    group = Group((N1,))
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    group.read(N1, "r", "a")
    group.settle()
    assert isinstance(group.answers["w"], AccountCreated)
    assert isinstance(group.answers["r"], ReadDone)


def test_entry_of_an_unknown_version_stops_the_node_before_it_is_applied() -> None:  # K14
    group = Group()
    group.elect(N1)
    follower = group.replicas[N2]
    future = Entry(LogIndex(2), Term(1), EntryType.COMMANDS, b"\x08\x63")
    message = AppendRequest(N2, N1, group.replicas[N1].raft.term, LogIndex(1), Term(1), LogIndex(2), (future,))
    follower.step(Received(message), 0)
    with pytest.raises(UnknownEntryVersion):
        follower.ready(0)
    assert follower.ledger.applied_index < 2


def test_long_replay_is_applied_in_slices_that_leave_room_for_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # P05
    monkeypatch.setattr("bankd.replica.core.APPLY_BYTES_MAX", 100)
    group = Group()
    group.cut.add(N3)
    leader = group.elect(N1)
    for number in range(50):
        group.write(N1, f"w{number}", create(f"account-with-a-long-name-{number}"))
        group.settle()
        while group.carry_out(N1).more:
            pass
        group.settle()
    group.cut.clear()
    for _ in range(5):
        group.tick(N1, 2)
        group.settle()
    follower = group.replicas[N3]
    assert follower.ledger.applied_index < leader.raft.commit_index, "one slice at a time"
    slices = 0
    while group.carry_out(N3).more:
        slices += 1
    assert slices > 1
    assert follower.ledger.applied_index == leader.raft.commit_index
    assert follower.ledger.digest == leader.ledger.digest


def test_role_changes_are_told_to_the_driver() -> None:
    group = Group()
    group.elect(N1)
    roles = [(name, event.role.name) for name, event in group.events if isinstance(event, RoleChanged)]
    assert (N1, "LEADER") in roles
    assert (N2, "FOLLOWER") in roles
