"""A node whose state is wrong finds itself, and says nothing more; whoever is right is never accused."""

from random import Random

import pytest

from bankd.errors import Code, Refusal
from bankd.ledger.commands import AccountCreated
from bankd.ledger.queries import BalanceFound
from bankd.raft.ready import Role, RoleChanged
from bankd.replica import core, costs, refusals
from bankd.replica.comparison import DigestNotice, DigestsDiffer
from bankd.replica.core import COMPARE_TICKS, SWEEP_TICKS
from bankd.replica.effects import Effects, ReadDone, Reply, Result, without_state
from bankd.replica.events import TICKED, DigestCall, HandOverCall, Received, SnapshotCall
from bankd.status import DigestReport, SnapshotTaken
from bankd.types import AccountId, AtLeast, LogIndex, NodeId, Stale, Term
from tests.replica.group import ELECTION_TICKS, NEVER_NS, Group, calls, create, transfer, write_call

N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))
THREE = (N1, N2, N3)
FIVE = (N1, N2, N3, N4, N5)
WRONG = bytes(16)
FAR = LogIndex(10_000)


def give_money_to(group: Group, name: NodeId, account: str) -> None:
    """What no entry says: a cent more, on one node."""
    accounts = group.replicas[name].ledger._accounts
    accounts.balances[accounts.numbers[AccountId(account)]] += 1


def funded(names: tuple[NodeId, ...] = THREE) -> Group:
    """A group that n1 leads, with money on `a`."""
    group = Group(names)
    group.elect(N1)
    group.write(N1, "a", create("a", 1_000_000))
    group.write(N1, "b", create("b"))
    group.settle()
    group.pass_ticks(N1, 2)
    return group


def leader_of(group: Group) -> NodeId:
    return next(name for name, replica in group.replicas.items() if replica.leads and name not in group.cut)


def compare(group: Group, mark: str) -> None:
    """Move money once, and let the leader's time pass until one comparison more is over."""
    leader = leader_of(group)
    group.write(leader, mark, transfer(mark, "a", "b", 1))
    group.settle()
    group.pass_ticks(leader, COMPARE_TICKS)


def compare_twice(group: Group) -> None:
    """Or until somebody has diverged."""
    for number in range(2):
        if not group.diverged:
            compare(group, f"comparison{number}")


def refusal(group: Group, mark: str) -> Refusal:
    result = group.answers[mark]
    assert isinstance(result, Refusal), result
    return result


def test_sound_nodes_compare_and_accuse_nobody() -> None:
    group = funded(FIVE)
    for number in range(3):
        compare(group, f"t{number}")
    indexes = sorted({notice.index for notice in group.notices})
    assert len(indexes) >= 3
    for index in indexes:
        assert len({notice.digest for notice in group.notices if notice.index == index}) == 1
        assert {notice.sender for notice in group.notices if notice.index == index} == set(FIVE)
    assert not group.diverged
    assert not [event for _, event in group.events if isinstance(event, DigestsDiffer)]


@pytest.mark.parametrize("wrong", [N2, N3])
def test_follower_whose_state_is_wrong_finds_itself_within_two_comparisons(wrong: NodeId) -> None:
    group = funded()
    give_money_to(group, wrong, "a")
    compare_twice(group)
    assert [*group.diverged] == [wrong]
    diverged, sound = group.diverged[wrong], group.replicas[N1]
    assert diverged.theirs == sound.digest_at(diverged.index)
    assert diverged.own == group.replicas[wrong].digest_at(diverged.index)
    assert group.replicas[wrong].is_quarantined


def test_leader_whose_state_is_wrong_finds_itself_and_the_others_go_on_without_it() -> None:
    group = funded()
    give_money_to(group, N1, "a")
    compare_twice(group)
    assert [*group.diverged] == [N1]
    group.elect(N2)
    group.write(N2, "after", transfer("after", "a", "b", 1))
    group.settle()
    assert "after" in group.answers
    assert [*group.diverged] == [N1]


def test_two_of_five_that_are_wrong_in_one_way_find_themselves() -> None:
    group = funded(FIVE)
    for wrong in (N1, N4):
        give_money_to(group, wrong, "a")
    compare(group, "t")
    assert {*group.diverged} == {N1, N4}


def test_two_nodes_that_differ_report_it_and_go_on() -> None:
    group = funded()
    group.cut.add(N2)
    give_money_to(group, N3, "a")
    compare(group, "t")
    differences = [(name, event.nodes) for name, event in group.events if isinstance(event, DigestsDiffer)]
    assert sorted(differences) == [(N1, (N3,)), (N3, (N1,))]
    assert not group.diverged
    group.write(N1, "on", create("c"))
    group.settle()
    assert "on" in group.answers


def test_node_that_was_cut_off_is_judged_once_it_has_caught_up() -> None:
    group = funded()
    give_money_to(group, N3, "a")
    group.cut.add(N3)
    for number in range(3):
        compare(group, f"t{number}")
    assert not group.diverged
    group.cut.clear()
    compare(group, "u")
    assert [*group.diverged] == [N3]


def test_node_that_applies_the_index_later_is_judged_then_and_gives_no_answer_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It hears what the others say of an index that is committed here, and not applied for want of time."""
    group = funded()
    give_money_to(group, N3, "a")
    group.cut.add(N3)
    group.write(N1, "t", transfer("t", "a", "b", 1))
    ask_for_digests(group)
    group.cut.clear()
    monkeypatch.setattr(costs, "APPLY_NS_MAX", 0)
    group.pass_ticks(N1, 3)
    index = group.replicas[N1].ledger.applied_index
    assert {notice.sender for notice in group.notices if notice.index == index} == {N1, N2}
    assert group.replicas[N3].raft.commit_index == index
    group.step(N3, calls(DigestCall("digest", index, NEVER_NS)))
    group.read(N3, "at_least", "a", mode=AtLeast(index))
    assert not group.diverged
    assert not {"digest", "at_least"} & group.answers.keys()
    monkeypatch.undo()
    effects = group.carry_out(N3)
    assert [*group.diverged] == [N3]
    assert effects == Effects(replies=effects.replies, diverged=group.diverged[N3])
    assert refusal(group, "digest").reason == refusal(group, "at_least").reason == "QUARANTINED"


# What a node that has diverged still says


def ask_for_digests(group: Group) -> None:
    """Let n1's time pass until it names an index, of which nobody has heard yet."""
    told = len(group.notices)
    for _ in range(COMPARE_TICKS):
        group.settle()
        group.tick(N1)
        if len(group.notices) > told:
            return
    raise AssertionError("no comparison was begun")


def contradict(group: Group, name: NodeId) -> None:
    """Let both others tell a node that its state is wrong; it is not asked for effects."""
    ask_for_digests(group)
    group.drop_messages()
    replica = group.replicas[name]
    index, term = replica.ledger.applied_index, replica.raft.term
    for sender in sorted({*THREE} - {name}):
        replica.step(Received(DigestNotice(name, sender, term, index, WRONG)), group.now_ns)


def test_every_call_that_waits_is_answered_and_nothing_else_leaves() -> None:
    group = funded()
    ask_for_digests(group)
    group.drop_messages()
    group.cut |= {N2, N3}
    group.write(N1, "logged", create("c"))
    group.read(N1, "linearizable", "a")
    group.read(N1, "at_least", "a", mode=AtLeast(FAR))
    group.step(N1, calls(DigestCall("digest", FAR, NEVER_NS), HandOverCall("hand_over", N2, NEVER_NS)))
    group.step(N1, calls(SnapshotCall("snapshot", NEVER_NS)))
    leader = group.replicas[N1]
    leader.step(calls(write_call("gathered", create("d"))), group.now_ns)
    for sender in (N2, N3):
        notice = DigestNotice(N1, sender, leader.raft.term, leader.ledger.applied_index, WRONG)
        leader.step(Received(notice), group.now_ns)
    before = {*group.answers}
    effects = group.carry_out(N1)
    assert effects == Effects(replies=effects.replies, diverged=group.diverged[N1])
    reasons = {mark: refusal(group, mark).reason for mark in group.answers.keys() - before}
    assert reasons.pop("logged") == "OUTCOME_UNKNOWN"
    assert reasons == dict.fromkeys(
        ("gathered", "linearizable", "at_least", "digest", "hand_over", "snapshot"), "QUARANTINED"
    )
    assert leader.waiting_calls == 0


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (AccountCreated(True, LogIndex(7)), "OUTCOME_UNKNOWN"),
        (ReadDone(BalanceFound(7), LogIndex(7)), "QUARANTINED"),
        (DigestReport(LogIndex(7), WRONG, 0), "QUARANTINED"),
        (SnapshotTaken(LogIndex(7), Term(1), 7, WRONG), "QUARANTINED"),
        (refusals.overloaded(), "OVERLOADED"),
    ],
)
def test_answer_that_has_not_left_yet_is_replaced_if_it_rests_on_the_state(result: Result, reason: str) -> None:
    mark, instead = without_state(Reply("mark", result))
    assert mark == "mark"
    assert isinstance(instead, Refusal)
    assert instead.reason == reason


def test_verdict_is_handed_out_once_and_later_calls_are_refused() -> None:
    group = funded()
    contradict(group, N3)
    assert group.carry_out(N3).diverged is not None
    group.write(N3, "write", create("c"))
    group.read(N3, "stale", "a", mode=Stale())
    group.read(N3, "linearizable", "a")
    for mark in ("write", "stale", "linearizable"):
        assert refusal(group, mark).reason == "QUARANTINED"
        assert refusal(group, mark).code is Code.UNAVAILABLE
        assert refusal(group, mark).retryable


def test_node_that_has_diverged_neither_acknowledges_nor_campaigns() -> None:
    group = funded()
    contradict(group, N3)
    group.cut.add(N2)
    group.write(N1, "w", create("c"))
    group.settle()
    assert "w" not in group.answers, "n3 acknowledged it"
    for _ in range(4 * ELECTION_TICKS):
        group.replicas[N3].step(TICKED, group.now_ns)
        assert group.carry_out(N3) == Effects(diverged=None)


def test_notice_shows_nobody_alive_and_moves_no_term() -> None:
    """A follower that hears notices alone campaigns; a notice of a newer term deposes no leader."""
    group = funded()
    leader, follower = group.replicas[N1], group.replicas[N2]
    term = leader.raft.term
    for number in range(2 * ELECTION_TICKS):
        follower.step(Received(DigestNotice(N2, N1, term, LogIndex(number), WRONG)), group.now_ns)
        follower.step(TICKED, group.now_ns)
    assert follower.raft.role is Role.PRE_CANDIDATE
    leader.step(Received(DigestNotice(N1, N2, Term(term + 1), LogIndex(7), WRONG)), group.now_ns)
    assert (leader.raft.role, leader.raft.term) == (Role.LEADER, term)


# No false alarm


class Chaos:
    """A group under a random schedule: messages lost, doubled and overtaken, writes late, nodes cut off and restarted."""

    def __init__(self, names: tuple[NodeId, ...], seed: int) -> None:
        self.group = funded(names)
        self._names = names
        self._random = Random(seed)
        self._writes = 0

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._step(self._random.choice(self._names), self._random.random())

    def _step(self, name: NodeId, what: float) -> None:
        group = self.group
        if what < 0.70 and group.messages_under_way:
            place = min(self._random.randrange(4), group.messages_under_way - 1)
            group.deliver(place, again=self._random.random() < 0.02)
        elif what < 0.80:
            group.complete_write(name)
        elif what < 0.90:
            group.tick(name)
        elif what < 0.97:
            self._writes += 1
            group.write(name, f"w{self._writes}", transfer(f"w{self._writes}", "a", "b", 1))
        elif what < 0.98:
            group.cut ^= {name}
        elif what < 0.985:
            group.restart(name)
        elif what < 0.99:
            group.cut.clear()

    def calm_down(self) -> None:
        self.group.cut.clear()
        self.group.settle()
        for _ in range(3):
            for name in self._names:
                self.group.pass_ticks(name, 3 * ELECTION_TICKS)


@pytest.mark.parametrize("names", [THREE, FIVE], ids=["three", "five"])
@pytest.mark.parametrize("seed", range(5))
def test_random_schedules_accuse_nobody_but_the_wrong_node(
    names: tuple[NodeId, ...], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "COMPARE_TICKS", SWEEP_TICKS)
    chaos = Chaos(names, seed)
    group = chaos.group
    chaos.run(20_000)
    chaos.calm_down()
    assert not group.diverged
    assert not [event for _, event in group.events if isinstance(event, DigestsDiffer)]
    leaders = [event for _, event in group.events if isinstance(event, RoleChanged) and event.role is Role.LEADER]
    assert len(leaders) > 3
    assert len({notice.index for notice in group.notices}) > 20
    give_money_to(group, names[1], "a")
    compare_twice(group)
    assert [*group.diverged] == [names[1]]
