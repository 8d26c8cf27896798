"""Raft and ledger composed: what becomes of calls, whatever becomes of leaders."""

from collections.abc import Sequence

import pytest

from bankd.errors import Code, Refusal, UnknownEntryVersion
from bankd.ledger.commands import AccountCreated, Command, TransfersDone
from bankd.ledger.queries import BalanceFound, GetBalance, ListAccounts, NotFound
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HeartbeatRequest,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
)
from bankd.raft.ready import RoleChanged
from bankd.replica import costs
from bankd.replica.core import Replica
from bankd.replica.effects import AGE_UNKNOWN_MS, ReadDone
from bankd.replica.events import DigestCall, DiskSpace, HandOverCall, Persisted, ReadCall, Received
from bankd.status import DigestReport, LeadershipMoved
from bankd.types import AccountId, AtLeast, Bounded, Lease, LogIndex, NodeId, Stale, Term, TimeNs
from bankd.wire.entries import encode_batch_head
from tests.replica.group import (
    ELECTION_TICKS,
    NEVER_NS,
    Group,
    calls,
    create,
    raw_of,
    transfer,
    write_call,
)

N1, N2, N3 = (NodeId(name) for name in ("n1", "n2", "n3"))
MS = 1_000_000
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


def commit_and_depose(group: Group, *, by: Message) -> None:
    """N1 learns in one turn that its last entry is durable at a quorum, and then of a newer leader."""
    leader = group.replicas[N1]
    term, last = leader.raft.term, leader.raft.last_index
    for follower in (N2, N3):
        leader.step(Received(AppendResponse(N1, follower, term, True, last)), group.now_ns)
    leader.step(Received(by), group.now_ns)
    group.carry_out(N1)


def test_deposed_leader_answers_what_is_committed_with_its_outcome() -> None:  # K11
    group = Group()
    leader = group.elect(N1)
    group.write(N1, "w", create("a"))
    newer = Term(leader.raft.term + 1)
    commit_and_depose(group, by=HeartbeatRequest(N1, N3, newer, LogIndex(0)))
    group.carry_out(N1)  # its new term was written first
    assert not leader.leads
    assert group.answers["w"] == AccountCreated(True, leader.raft.last_index)


def test_deposed_leader_answers_what_is_committed_even_if_it_is_not_applied_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # K11
    group = Group()
    leader = group.elect(N1)
    for number in range(3):
        group.write(N1, f"w{number}", create(f"a{number}"))
    monkeypatch.setattr(costs, "APPLY_NS_MAX", 1)  # one entry a turn
    commit_and_depose(group, by=HeartbeatRequest(N1, N3, Term(leader.raft.term + 1), LogIndex(0)))
    group.carry_out(N1)
    assert [*group.answers] == ["w0"]
    while group.carry_out(N1).more:
        pass
    assert [type(group.answers[f"w{number}"]) for number in range(3)] == [AccountCreated] * 3


def test_entry_that_a_newer_leader_put_in_the_place_of_ours_answers_no_call_of_ours() -> None:  # K11
    group = Group()
    leader = group.elect(N1)
    group.write(N1, "w", create("mine"))
    last, term = leader.raft.last_index, leader.raft.term
    [theirs] = entries_of([create("theirs")], last, Term(term + 1))
    leader.step(
        Received(AppendRequest(N1, N3, Term(term + 1), LogIndex(last - 1), term, last, (theirs,))), group.now_ns
    )
    while group.carry_out(N1).more:
        pass
    assert leader.ledger.applied_index == last
    assert refusal(group, "w").reason == "OUTCOME_UNKNOWN"


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


def test_writes_that_wait_take_no_place_from_reads() -> None:  # K13
    group = Group(waiting_calls_max=2)
    group.elect(N1)
    group.stalled = {N1, N2, N3}
    for number in range(3):
        group.write(N1, f"w{number}", create(f"a{number}"))
    assert refusal(group, "w2").reason == "OVERLOADED"
    group.read(N1, "s", "a", mode=Stale())
    assert isinstance(group.answers["s"], ReadDone)
    for number in range(3):
        group.read(N1, f"r{number}", "a", mode=AtLeast(LogIndex(99)))
    assert refusal(group, "r2").reason == "OVERLOADED"
    assert group.replicas[N1].waiting_calls == 4


def test_leadership_can_be_handed_over_by_a_node_that_is_full() -> None:
    group = Group(waiting_calls_max=1)
    group.elect(N1)
    group.read(N1, "r", "a", mode=AtLeast(LogIndex(99)))
    group.step(N1, calls(HandOverCall("h", N3, NEVER_NS)))
    assert group.replicas[N1].waiting_calls == 2
    group.settle()
    assert isinstance(group.answers["h"], LeadershipMoved)


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


def test_reads_that_need_no_round_are_served_without_a_leader() -> None:
    group = Group()
    group.elect(N1)
    group.write(N1, "w", create("a", 5))
    group.read(N1, "r", "a")
    group.settle()
    group.cut |= {N2, N3}
    group.tick(N1, 2 * ELECTION_TICKS)
    assert group.replicas[N1].raft.leader_id is None
    group.now_ns = 40 * MS
    group.read(N1, "young", "a", mode=Bounded(40))
    group.read(N1, "old", "a", mode=Bounded(39))
    group.read(N1, "applied", "a", mode=AtLeast(LogIndex(2)))
    group.read(N1, "later", "a", mode=AtLeast(LogIndex(3)))
    assert group.answers["young"] == ReadDone(BalanceFound(5), LogIndex(2), 40)
    assert isinstance(group.answers["applied"], ReadDone)
    assert refusal(group, "old").reason == "NO_LEADER"
    assert "later" not in group.answers, "a new leader may bring it"


def test_no_bound_on_age_is_met_by_a_node_that_has_heard_no_leader() -> None:
    group = Group()
    group.read(N1, "r", "a", mode=Bounded(2**64 - 1))
    assert refusal(group, "r").reason == "NO_LEADER"


def test_bounded_read_whose_round_takes_too_long_to_be_applied_is_refused() -> None:
    group = Group()
    group.elect(N1)
    balance = GetBalance(AccountId("a"))
    both = [ReadCall(f"within_{bound}", balance, Bounded(bound), NEVER_NS) for bound in (29, 30)]
    group.step(N1, calls(*both))
    group.now_ns = 30 * MS
    group.settle()
    assert group.answers["within_30"] == ReadDone(NotFound(), LogIndex(1), 30)
    assert (refusal(group, "within_29").reason, refusal(group, "within_29").retryable) == ("TOO_OLD", True)
    assert refusal(group, "within_29").code is Code.UNAVAILABLE


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


def test_hand_over_whose_deadline_has_passed_still_keeps_others_from_asking() -> None:
    """Consensus goes on with it: a second call would be answered for a target that it did not name."""
    group = Group()
    group.elect(N1)
    group.cut.add(N3)
    group.step(N1, calls(HandOverCall("h", N3, 10)))
    group.now_ns = 10
    group.pass_ticks(N1, SWEEP - 1)
    assert "deadline" in refusal(group, "h").message
    group.step(N1, calls(HandOverCall("again", N3, NEVER_NS)))
    assert "already" in refusal(group, "again").message
    group.pass_ticks(N1, ELECTION_TICKS)
    group.step(N1, calls(HandOverCall("other", N2, NEVER_NS)))
    group.settle()
    assert isinstance(group.answers["other"], LeadershipMoved)


def test_hand_over_asked_for_in_the_turn_that_made_the_leader_waits_for_its_own_end() -> None:
    group = Group()
    leader = group.replicas[N1]
    group.tick(N1, 2 * ELECTION_TICKS)
    while not leader.leads:
        group._complete_writes()
        message = group._messages.popleft()
        group.replicas[message.to].step(Received(message), 0)
        if message.to != N1 or not leader.leads:
            group.carry_out(message.to)
    leader.step(calls(HandOverCall("h", N3, NEVER_NS)), 0)
    group.carry_out(N1)
    assert "h" not in group.answers, "that it became leader itself is no answer"
    group.settle()
    assert group.answers["h"] == LeadershipMoved(N3, group.replicas[N3].raft.term)


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
    follower.ready(0)  # which writes it
    for _ in range(2):  # whoever asks again gets the same error
        with pytest.raises(UnknownEntryVersion):
            follower.ready(0)
    assert follower.ledger.applied_index < 2


def entries_of(commands: Sequence[Command], first: int, term: Term) -> tuple[Entry, ...]:
    """One entry for each command."""
    return tuple(
        Entry(LogIndex(index), term, EntryType.COMMANDS, encode_batch_head(TimeNs(2_000_000 + index)) + raw_of(command))
        for index, command in enumerate(commands, first)
    )


def follower_with_backlog(group: Group, commands: Sequence[Command]) -> Replica:
    """N2, that N1 has just told of all these entries, and that they are committed."""
    leader, follower = group.replicas[N1], group.replicas[N2]
    last = leader.raft.last_index
    entries = entries_of(commands, last + 1, leader.raft.term)
    told = AppendRequest(N2, N1, leader.raft.term, last, leader.raft.term, entries[-1].index, entries)
    follower.step(Received(told), group.now_ns)
    return follower


def test_follower_hands_out_what_it_must_write_before_it_applies_and_puts_applying_off_once() -> None:
    group = Group()
    group.elect(N1)
    group.pass_ticks(N1, 2)
    follower = follower_with_backlog(group, [create("a")])
    before = follower.ledger.applied_index
    effects = group.carry_out(N2)
    assert [len(persist.entries) for persist in effects.persists] == [1]
    assert effects.more
    assert follower.ledger.applied_index == before
    follower_with_backlog(group, [create("b")])  # another write, with what is committed still to apply
    assert group.carry_out(N2).persists
    assert follower.ledger.applied_index > before, "a stream of writes must not put it off for ever"


def test_long_replay_is_applied_in_slices_that_leave_room_for_other_work() -> None:  # P05
    group = Group()
    group.elect(N1)
    group.pass_ticks(N1, 2)
    follower = follower_with_backlog(group, [create(f"a{number}") for number in range(3000)])
    group.carry_out(N2)  # which writes them
    slices = []
    more = True
    while more:
        before = follower.ledger.applied_index
        more = group.carry_out(N2).more
        slices.append(follower.ledger.applied_index - before)
    assert sum(slices) == 3000
    assert max(slices) <= costs.APPLY_NS_MAX // (costs.ENTRY_NS + costs.COMMAND_NS) + 1
    assert min(slices[:-1]) > 1000, "and not in too many"


def test_one_turn_has_one_budget_for_applying_however_many_passes_it_takes() -> None:  # P05
    group = Group()
    group.elect(N1)
    group.read(N2, "first", "a")
    asked = next(message for message in group._messages if isinstance(message, ReadIndexRequest))
    group.read(N2, "second", "a")
    follower = follower_with_backlog(group, [create(f"a{number}") for number in range(3000)])
    follower.step(Received(ReadIndexResponse(N2, N1, asked.term, asked.read_id, LogIndex(1))), 0)
    before = follower.ledger.applied_index
    effects = group.carry_out(N2)
    assert any(isinstance(message, ReadIndexRequest) for message in effects.send_now), "a second pass was taken"
    assert follower.ledger.applied_index - before <= costs.APPLY_NS_MAX // costs.ENTRY_NS + 1


def test_many_pages_are_answered_in_slices() -> None:  # P05
    group = Group((N1,))
    group.elect(N1)
    group.step(N1, calls(*(write_call(f"w{number}", create(f"a{number}")) for number in range(90))))
    group.settle()
    pages = [ReadCall(f"p{number}", ListAccounts("", 90, False), Stale(), NEVER_NS) for number in range(100)]
    group.replicas[N1].step(calls(*pages), group.now_ns)
    answered = [len(group.carry_out(N1).replies)]
    while group.replicas[N1].waiting_calls:
        effects = group.carry_out(N1)
        answered.append(len(effects.replies))
        assert effects.more == bool(group.replicas[N1].waiting_calls)
    assert sum(answered) == 100
    assert max(answered) <= costs.ANSWER_NS_MAX // (90 * costs.PAGE_ACCOUNT_NS) + 1


def test_role_changes_are_told_to_the_driver() -> None:
    group = Group()
    group.elect(N1)
    roles = [(name, event.role.name) for name, event in group.events if isinstance(event, RoleChanged)]
    assert (N1, "LEADER") in roles
    assert (N2, "FOLLOWER") in roles


@pytest.mark.parametrize("lost", [False, True])
def test_round_that_no_call_waits_for_ends_all_the_same(lost: bool) -> None:
    """A stale read is answered at once, and its round is for those who come later: they must get one, too."""
    group = Group()
    group.elect(N1)
    group.read(N2, "s", "a", mode=Stale())
    assert "s" in group.answers
    assert group.replicas[N2].waiting_calls == 0
    if lost:
        group.drop_messages()
        for _ in range(ELECTION_TICKS):  # the leader is heard all the while: nothing else happens at the follower
            group.pass_ticks(N1, 1)
            group.tick(N2)
    group.settle()
    group.read(N2, "r", "a")
    group.settle()
    assert isinstance(group.answers["r"], ReadDone)


def test_no_pass_of_a_turn_loses_what_an_earlier_one_has_to_persist() -> None:
    group = Group((N1,))
    leader = group.replicas[N1]
    group.tick(N1, 2 * ELECTION_TICKS)
    ballot = group.take_writes(N1)
    group.step(N1, Persisted(ballot[-1].write_seq))
    noop = group.take_writes(N1)
    # One turn: an answer that must wait for the disk, the no-op committed, and a call that may be proposed by that.
    leader.step(Received(AppendRequest(N1, N2, Term(0), LogIndex(0), Term(0), LogIndex(0))), 0)
    leader.step(calls(write_call("w", create("a", 5))), 0)
    leader.step(Persisted(noop[-1].write_seq), 0)
    group.carry_out(N1)
    answer, write = group.take_writes(N1)
    assert [type(message) for message in answer.then_send] == [AppendResponse]
    assert [entry.index for entry in write.entries] == [2]


def test_ticks_that_only_count_may_pass_in_bulk_while_nobody_waits() -> None:
    group = Group()
    group.elect(N1)
    follower = group.replicas[N2]
    assert follower.ticks_until_due > SWEEP
    group.read(N2, "r", "a", deadline_ns=0)
    assert follower.ticks_until_due <= SWEEP
    follower.let_pass(follower.ticks_until_due - 1)
    assert "r" not in group.answers
    group.tick(N2)
    assert isinstance(group.answers["r"], Refusal)
