"""Terms, votes, pre-votes and offices: paper 5.2 and 5.4.1, thesis 6.2 and 9.6."""

from itertools import pairwise

import pytest

from bankd.raft.core import RaftOptions
from bankd.raft.messages import (
    Configuration,
    HardState,
    HeartbeatResponse,
    Message,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.ready import MessageIgnored, Role, RoleChanged
from bankd.types import NodeId, Term
from tests.raft.cluster import Cluster, Draws, node_ids
from tests.raft.solo import (
    N1,
    N2,
    N3,
    N4,
    N5,
    THREE,
    append,
    finish_writes,
    heartbeat,
    heartbeat_answer,
    leader,
    node,
    propose,
    raft_votes,
    role,
    serving_leader,
    tick,
    vote,
)

NO_PRE_VOTE = RaftOptions(pre_vote=False)


# Paper 5.2


def test_follower_campaigns_after_an_election_timeout_without_a_leader() -> None:
    raft = node(options=NO_PRE_VOTE)
    tick(raft, 19)
    assert role(raft) is Role.FOLLOWER
    tick(raft)
    assert (raft.role, raft.term) == (Role.CANDIDATE, 1)


def test_heartbeats_hold_off_elections() -> None:
    raft = node(options=NO_PRE_VOTE)
    for _ in range(10):
        tick(raft, 19)
        raft.step(heartbeat(N2, 1))
    assert (raft.role, raft.leader_id, raft.term) == (Role.FOLLOWER, N2, 1)


def test_election_timeouts_are_drawn_between_one_and_two() -> None:
    class Highest:
        def below(self, bound: int) -> int:
            return bound - 1

    cluster = Cluster(node_ids(1), draws=lambda _: Highest())
    cluster.tick(N1, 38)
    assert cluster.raft("n1").role is Role.FOLLOWER
    cluster.tick(N1)
    assert cluster.raft("n1").role is not Role.FOLLOWER


def test_candidate_asks_for_votes_only_when_its_term_and_vote_are_durable() -> None:
    raft = node(options=NO_PRE_VOTE)
    tick(raft, 20)
    ready = raft.ready()
    assert ready.send_now == ()
    assert ready.persist is not None
    assert ready.persist.hard_state is not None
    assert (ready.persist.hard_state.term, ready.persist.hard_state.voted_for) == (1, N1)
    assert [type(held) for held in ready.persist.then_send] == [VoteRequest, VoteRequest]


def test_candidate_counts_its_own_vote_only_when_durable() -> None:
    raft = node(options=NO_PRE_VOTE)
    tick(raft, 20)
    ready = raft.ready()
    raft.step(VoteResponse(N1, N2, Term(1), granted=True))
    assert role(raft) is Role.CANDIDATE
    assert ready.persist is not None
    raft.persisted(ready.persist.write_seq)
    assert role(raft) is Role.LEADER


def test_completion_of_an_earlier_write_does_not_make_the_own_vote_count() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    earlier = raft.ready().persist
    raft.step(TimeoutNow(N1, N2, Term(1)))
    own_vote = raft.ready().persist
    assert earlier is not None
    assert own_vote is not None
    raft.step(VoteResponse(N1, N3, Term(2), granted=True))
    raft.persisted(earlier.write_seq)
    assert role(raft) is Role.CANDIDATE
    raft.persisted(own_vote.write_seq)
    assert role(raft) is Role.LEADER


def test_single_voter_elects_itself_once_its_vote_is_durable() -> None:
    raft = node(configuration=Configuration(frozenset({N1})))
    tick(raft, 20)
    assert role(raft) is Role.CANDIDATE
    finish_writes(raft)
    assert role(raft) is Role.LEADER
    finish_writes(raft)
    assert raft.commit_index == 1


def test_candidate_that_loses_waits_for_its_next_timeout() -> None:
    raft = node(options=NO_PRE_VOTE)
    tick(raft, 20)
    finish_writes(raft)
    for other in (N2, N3):
        raft.step(VoteResponse(N1, other, Term(1), granted=False))
    assert (raft.role, raft.term) == (Role.FOLLOWER, 1)


def test_repeated_vote_counts_once() -> None:
    raft = node(options=NO_PRE_VOTE, configuration=Configuration(frozenset({N1, N2, N3, N4, N5})))
    tick(raft, 20)
    finish_writes(raft)
    for _ in range(3):
        raft.step(VoteResponse(N1, N2, Term(1), granted=True))
    assert role(raft) is Role.CANDIDATE


def test_vote_of_an_earlier_campaign_does_not_count() -> None:
    raft = node(options=NO_PRE_VOTE)
    tick(raft, 20)
    finish_writes(raft)
    tick(raft, 20)
    finish_writes(raft)
    raft.step(VoteResponse(N1, N2, Term(1), granted=True))
    assert (raft.role, raft.term) == (Role.CANDIDATE, 2)


def test_vote_of_a_stranger_or_a_learner_does_not_count() -> None:
    raft = node(options=NO_PRE_VOTE, configuration=Configuration(frozenset({N1, N2, N3}), learners=frozenset({N4})))
    tick(raft, 20)
    finish_writes(raft)
    for other in (N4, N5):
        raft.step(VoteResponse(N1, other, Term(1), granted=True))
    assert role(raft) is Role.CANDIDATE


def test_joint_configuration_needs_both_halves_to_elect() -> None:
    joint = Configuration(frozenset({N1, N2, N3}), voters_outgoing=frozenset({N3, N4, N5}))
    raft = node(options=NO_PRE_VOTE, configuration=joint)
    tick(raft, 20)
    finish_writes(raft)
    for voter in (N2, N3):
        raft.step(VoteResponse(N1, voter, Term(1), granted=True))
    assert role(raft) is Role.CANDIDATE
    raft.step(VoteResponse(N1, N4, Term(1), granted=True))
    assert role(raft) is Role.LEADER


def test_learner_does_not_campaign() -> None:
    raft = node(configuration=Configuration(frozenset({N2, N3}), learners=frozenset({N1})))
    tick(raft, 100)
    assert role(raft) is Role.FOLLOWER


@pytest.mark.parametrize("message", [append(N2, 5, (0, 0)), heartbeat(N2, 5)], ids=["append", "heartbeat"])
def test_candidate_that_hears_a_leader_of_its_term_follows(message: Message) -> None:
    raft = node(term=4, options=NO_PRE_VOTE)
    tick(raft, 20)
    finish_writes(raft)
    assert (raft.role, raft.term) == (Role.CANDIDATE, 5)
    raft.step(message)
    assert (raft.role, raft.leader_id) == (Role.FOLLOWER, N2)


def test_second_leader_in_a_term_is_ignored_and_reported() -> None:
    raft = leader()
    raft.ready()
    raft.step(append(N2, raft.term, (0, 0)))
    assert role(raft) is Role.LEADER
    assert raft.ready().events == (MessageIgnored(N2, "second_leader_in_term"),)
    follower = node()
    follower.step(heartbeat(N2, 1))
    follower.ready()
    follower.step(heartbeat(N3, 1))
    assert follower.leader_id == N2
    assert follower.ready().events == (MessageIgnored(N3, "second_leader_in_term"),)


# Paper 5.2, 5.4.1: giving votes


@pytest.mark.parametrize(
    ("last", "granted"), [((3, 2), True), ((9, 2), True), ((1, 3), True), ((2, 2), False), ((9, 1), False)]
)
@pytest.mark.parametrize("pre_vote", [False, True])
def test_vote_refused_when_log_is_shorter(last: tuple[int, int], granted: bool, pre_vote: bool) -> None:
    raft = node(terms=[1, 1, 2])
    raft.step(vote(N2, 3, last, pre_vote=pre_vote))
    ready = raft.ready()
    sent = ready.send_now if pre_vote else (ready.persist.then_send if ready.persist else ())
    term = 3 if granted or not pre_vote else 2
    assert sent == (VoteResponse(N2, N1, Term(term), granted, pre_vote),)


def test_vote_is_given_once_a_term() -> None:
    raft = node()
    raft.step(vote(N2, 1, (0, 0)))
    raft.step(vote(N3, 1, (0, 0)))
    raft.step(vote(N2, 1, (0, 0)))
    persist = raft.ready().persist
    assert persist is not None
    assert persist.hard_state is not None
    assert persist.hard_state.voted_for == N2
    assert [(held.to, held.granted) for held in persist.then_send if isinstance(held, VoteResponse)] == [
        (N2, True),
        (N3, False),
        (N2, True),
    ]


def test_vote_leaves_with_the_write_that_makes_it_durable() -> None:
    # D19
    raft = node()
    raft.step(vote(N2, 1, (0, 0)))
    ready = raft.ready()
    assert ready.send_now == ()
    assert ready.persist is not None
    assert ready.persist.hard_state is not None
    assert [type(held) for held in ready.persist.then_send] == [VoteResponse]


def test_given_vote_holds_off_own_campaign_and_a_refused_one_does_not() -> None:
    giving, refusing = node(terms=[1]), node(terms=[1])
    for raft, last in ((giving, (1, 1)), (refusing, (0, 0))):
        tick(raft, 10)
        raft.step(vote(N2, 1, last))
        finish_writes(raft)
        tick(raft, 15)
    assert (giving.role, refusing.role) == (Role.FOLLOWER, Role.PRE_CANDIDATE)


def test_restarted_node_remembers_its_vote() -> None:
    cluster = Cluster(node_ids(3))
    cluster.nodes[N1].raft.step(vote(N2, 1, (0, 0)))
    cluster.drain(N1)
    cluster.persist(N1)
    cluster.crash(N1)
    cluster.start(N1)
    cluster.network.clear()
    cluster.nodes[N1].raft.step(vote(N3, 1, (0, 0)))
    cluster.drain(N1)
    cluster.persist(N1)
    assert cluster.network == [VoteResponse(N3, N1, Term(1), granted=False)]


# Thesis 9.6: pre-vote


def test_pre_vote_changes_neither_term_nor_vote() -> None:
    raft = node()
    raft.step(vote(N2, 7, (0, 0), pre_vote=True))
    ready = raft.ready()
    assert ready.persist is None
    assert ready.send_now == (VoteResponse(N2, N1, Term(7), granted=True, pre_vote=True),)
    assert raft.term == 0


def test_pre_candidate_keeps_its_term_until_a_quorum_says_yes() -> None:
    raft = node()
    for _ in range(5):
        tick(raft, 20)
    assert (raft.role, raft.term) == (Role.PRE_CANDIDATE, 0)
    raft.step(VoteResponse(N1, N2, Term(1), granted=True, pre_vote=True))
    assert (raft.role, raft.term) == (Role.CANDIDATE, 1)


def test_pre_candidate_learns_the_newer_term_from_a_refusal() -> None:
    raft = node(term=2)
    tick(raft, 20)
    raft.step(VoteResponse(N1, N2, Term(9), granted=False, pre_vote=True))
    assert (raft.role, raft.term) == (Role.FOLLOWER, 9)


def test_candidate_of_an_old_term_is_told_the_newer_one() -> None:
    raft = node(term=9)
    raft.step(vote(N2, 3, (0, 0)))
    persist = raft.ready().persist
    assert persist is not None
    assert persist.then_send == (VoteResponse(N2, N1, Term(9), granted=False),)


# Thesis 6.2, 4.2.3: check-quorum, and no vote while a leader is heard


@pytest.mark.parametrize("pre_vote", [False, True])
def test_voter_that_hears_a_leader_answers_no_candidate(pre_vote: bool) -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    finish_writes(raft)
    tick(raft, 19)
    raft.step(vote(N3, 9, (9, 9), pre_vote=pre_vote))
    assert raft.term == 1
    assert raft.ready().send_now == ()
    tick(raft, 1)
    raft.step(vote(N3, 9, (9, 9), pre_vote=pre_vote))
    ready = raft.ready()
    answers = [*ready.send_now, *(ready.persist.then_send if ready.persist else ())]
    assert VoteResponse(N3, N1, Term(9), granted=True, pre_vote=pre_vote) in answers


def test_voter_that_hears_a_leader_votes_on_that_leaders_word() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    raft.step(vote(N3, 2, (0, 0), transfer=True))
    persist = raft.ready().persist
    assert persist is not None
    assert VoteResponse(N3, N1, Term(2), granted=True) in persist.then_send


def test_leader_steps_down_one_election_timeout_after_it_last_heard_a_quorum() -> None:
    raft = serving_leader()
    tick(raft, 10)
    heartbeat_answer(raft, N2)
    tick(raft, 19)
    assert role(raft) is Role.LEADER
    tick(raft)
    assert (raft.role, raft.leader_id) == (Role.FOLLOWER, None)
    assert [event.reason for event in raft.ready().events if isinstance(event, RoleChanged)] == ["quorum_lost"]


def test_leader_counts_neither_learners_nor_strangers_as_heard() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), learners=frozenset({N4})))
    for _ in range(20):
        tick(raft)
        heartbeat_answer(raft, N4)
        heartbeat_answer(raft, N5)
    assert role(raft) is Role.FOLLOWER


def test_leader_in_a_joint_configuration_must_hear_both_halves() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), voters_outgoing=frozenset({N1, N4, N5})))
    for _ in range(20):
        tick(raft)
        heartbeat_answer(raft, N2)
        heartbeat_answer(raft, N3)
    assert role(raft) is Role.FOLLOWER


def test_leader_without_check_quorum_stays() -> None:
    raft = serving_leader(options=RaftOptions(check_quorum=False))
    tick(raft, 200)
    assert role(raft) is Role.LEADER


def test_leader_that_learns_of_a_newer_term_steps_down() -> None:
    # R05: what brings a node that cannot win, and its cluster, to one term
    raft = serving_leader()
    raft.step(HeartbeatResponse(N1, N3, Term(9)))
    assert (raft.role, raft.term) == (Role.FOLLOWER, 9)


def test_answer_of_a_removed_node_deposes_nobody() -> None:
    # R06
    raft = serving_leader()
    raft.step(HeartbeatResponse(N1, N5, Term(9)))
    raft.step(vote(N5, 9, (9, 9)))
    raft.step(vote(N5, 9, (9, 9), pre_vote=True))
    raft.step(TimeoutNow(N1, N5, Term(9)))
    assert (raft.role, raft.term) == (Role.LEADER, 1)
    assert raft.ready().send_now == ()


@pytest.mark.parametrize("message", [append(N2, 3, (0, 0)), heartbeat(N2, 3)], ids=["append", "heartbeat"])
def test_deposed_leader_is_told_the_newer_term(message: Message) -> None:
    raft = node(term=9)
    raft.step(message)
    ready = raft.ready()
    answers = [*ready.send_now, *(ready.persist.then_send if ready.persist else ())]
    assert [(answer.to, answer.term) for answer in answers] == [(N2, 9)]
    assert raft.leader_id is None


# D16: a hanging disk


def test_leader_whose_write_hangs_steps_down_after_an_election_timeout() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    raft.ready()  # hands out the write, which never ends
    for _ in range(19):
        tick(raft)
        heartbeat_answer(raft, N2)
    assert role(raft) is Role.LEADER
    tick(raft)
    assert role(raft) is Role.FOLLOWER
    assert [event.reason for event in raft.ready().events if isinstance(event, RoleChanged)] == ["disk_stalled"]


def test_follower_whose_write_hangs_does_not_campaign_until_it_is_done() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    ready = raft.ready()
    tick(raft, 100)
    assert role(raft) is Role.FOLLOWER
    raft.step(TimeoutNow(N1, N2, Term(1)))
    assert role(raft) is Role.FOLLOWER
    assert ready.persist is not None
    raft.persisted(ready.persist.write_seq)
    tick(raft)
    assert role(raft) is Role.PRE_CANDIDATE


# N03, N04: partial partitions


@pytest.mark.parametrize("deaf", [True, False], ids=["hears-nobody", "heard-by-nobody"])
@pytest.mark.parametrize("name", [N1, N2, N3])
def test_one_way_partition_costs_at_most_one_election(name: NodeId, deaf: bool) -> None:
    cluster = Cluster(node_ids(3), draws=Draws)
    cluster.elect("n1")
    for other in {N1, N2, N3} - {name}:
        cluster.cuts.add((other, name) if deaf else (name, other))
    cluster.pass_time(60)
    settled = max(cluster.terms())
    cluster.pass_time(400)
    assert max(cluster.terms()) == settled <= 2
    connected = [node.raft for other, node in cluster.nodes.items() if other != name]
    assert len({raft.leader_id for raft in connected} - {None}) == 1


def test_bridge_between_two_halves_keeps_one_leader() -> None:
    # n1 and n2 | n3 | n4 and n5: only n3 reaches everybody
    cluster = Cluster(node_ids(5), draws=Draws)
    cluster.elect("n1")
    for one, other in ((N1, N4), (N1, N5), (N2, N4), (N2, N5)):
        cluster.cut(one, other)
    cluster.pass_time(400)
    assert cluster.leader() == N1
    assert max(cluster.terms()) == 1


def test_leader_that_reaches_only_the_bridge_is_replaced_for_good() -> None:
    cluster = Cluster(node_ids(5), draws=Draws)
    cluster.elect("n1")
    for other in (N2, N4, N5):
        cluster.cut(N1, other)
    cluster.pass_time(200)
    term = max(cluster.terms())
    chosen = cluster.leader()
    assert chosen not in (None, N1)
    cluster.pass_time(400)
    assert (cluster.leader(), max(cluster.terms())) == (chosen, term)


def test_healed_cluster_with_pre_vote_and_check_quorum_always_elects() -> None:
    # R05: every pair of terms and log lengths must end with a leader
    for terms in [(1, 1, 9), (1, 9, 1), (9, 1, 1), (3, 5, 9), (9, 5, 3)]:
        cluster = Cluster(node_ids(3))
        cluster.elect("n1")
        cluster.propose(N1, b"x")
        cluster.settle()
        for name, term in zip(node_ids(3), terms, strict=True):
            cluster.disks[name].hard_state = HardState(Term(term))
            cluster.start(name)
        for _ in range(3):
            cluster.pass_time(20)
        assert cluster.leader() is not None, f"no leader from terms {terms}"


def test_terms_never_fall_and_events_tell_every_change() -> None:
    raft = node()
    raft_votes(raft, THREE)
    raft.step(heartbeat(N2, 5))
    raft.step(vote(N3, 7, (9, 9), transfer=True))
    changes = [event for event in raft.ready().events if isinstance(event, RoleChanged)]
    assert all(one.term <= other.term for one, other in pairwise(changes))
    assert [(change.role, change.term, change.leader_id) for change in changes] == [
        (Role.LEADER, 1, N1),
        (Role.FOLLOWER, 5, N2),
        (Role.FOLLOWER, 7, None),
    ]
