"""Leadership transfer: thesis 3.10. The golden transcripts tell the whole story; here are its rules."""

import pytest

from bankd.raft.core import InvalidTransferTarget, NotLeader, ProposalRefused, Raft
from bankd.raft.messages import Configuration, TimeoutNow, VoteRequest
from bankd.raft.ready import LeadershipTransferAborted, Role
from bankd.types import NodeId, Term
from tests.raft.solo import (
    N1,
    N2,
    N3,
    N4,
    accept,
    finish_writes,
    heartbeat,
    heartbeat_answer,
    node,
    propose,
    serving_leader,
    tick,
)


def told(raft: Raft) -> list[NodeId]:
    """Return who is told now to campaign."""
    return [message.to for message in raft.ready().send_now if isinstance(message, TimeoutNow)]


def test_caught_up_target_is_told_at_once_and_once() -> None:
    raft = serving_leader()
    raft.transfer_leadership(N3)
    assert told(raft) == [N3]
    heartbeat_answer(raft, N3)
    assert told(raft) == []


def test_target_is_told_only_when_it_holds_the_whole_log() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    raft.transfer_leadership(N3)
    assert told(raft) == []
    accept(raft, N3, 2)
    assert told(raft) == [N3]


def test_proposals_are_refused_meanwhile() -> None:
    raft = serving_leader()
    raft.transfer_leadership(N3)
    with pytest.raises(ProposalRefused, match="leadership_transfer"):
        propose(raft, b"x")


def test_transfer_to_nobody_in_particular_goes_to_the_longest_log() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    accept(raft, N3, 2)
    raft.transfer_leadership(None)
    assert told(raft) == [N3]


def test_another_target_replaces_the_first() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    raft.transfer_leadership(N2)
    raft.transfer_leadership(N3)
    accept(raft, N2, 2)
    accept(raft, N3, 2)
    assert told(raft) == [N3]


def test_transfer_is_given_up_after_an_election_timeout() -> None:
    raft = serving_leader()
    raft.transfer_leadership(N3)
    for _ in range(20):
        assert LeadershipTransferAborted(N3) not in raft.ready().events
        tick(raft)
        heartbeat_answer(raft, N2)
    assert LeadershipTransferAborted(N3) in raft.ready().events
    assert propose(raft, b"x") == 2


@pytest.mark.parametrize("target", [N1, N4, NodeId("n9")], ids=["itself", "a-learner", "a-stranger"])
def test_leadership_goes_to_another_voter_only(target: NodeId) -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), learners=frozenset({N4})))
    with pytest.raises(InvalidTransferTarget):
        raft.transfer_leadership(target)
    assert propose(raft, b"x") == 2


def test_single_voter_has_nobody_to_hand_over_to() -> None:
    raft = node(configuration=Configuration(frozenset({N1})))
    tick(raft, 20)
    finish_writes(raft)
    with pytest.raises(InvalidTransferTarget):
        raft.transfer_leadership(None)


def test_only_a_leader_hands_over() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    with pytest.raises(NotLeader) as refusal:
        raft.transfer_leadership(N3)
    assert refusal.value.leader_id == N2


def test_target_campaigns_without_pre_vote_on_the_leaders_word() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    finish_writes(raft)
    raft.step(TimeoutNow(N1, N2, Term(1)))
    assert (raft.role, raft.term) == (Role.CANDIDATE, 2)
    persist = raft.ready().persist
    assert persist is not None
    assert [
        (held.leadership_transfer, held.pre_vote) for held in persist.then_send if isinstance(held, VoteRequest)
    ] == [(True, False), (True, False)]


def test_order_to_campaign_from_an_old_term_is_ignored() -> None:
    raft = node()
    raft.step(heartbeat(N2, 5))
    raft.step(TimeoutNow(N1, N3, Term(4)))
    assert (raft.role, raft.term) == (Role.FOLLOWER, 5)
