"""A node that has lost what it acknowledged: the rules that one message shows. The stories are in golden/raft."""

import attrs
import pytest

from bankd.raft.core import InvalidTransferTarget, Raft
from bankd.raft.messages import (
    AppendResponse,
    Configuration,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    SnapshotRef,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
)
from bankd.raft.ready import Ready, Refilled, Role
from bankd.raft.refilling import Refill
from bankd.types import LogIndex, Term
from tests.raft.solo import (
    N1,
    N2,
    N3,
    accept,
    append,
    entries,
    finish_writes,
    heartbeat,
    node,
    propose,
    role,
    serving_leader,
    tick,
    vote,
)

NONCE = 7


def barrier(index: int, *, term: int = 2, commit: int = 0, nonce: int = NONCE) -> HeartbeatRequest:
    return HeartbeatRequest(N1, N2, Term(term), LogIndex(commit), 0, nonce, LogIndex(index))


def refilled(raft: Raft) -> list[LogIndex]:
    """Finish the node's writes, and return what it says about its refill before and after."""
    events = (*finish_writes(raft).events, *raft.ready().events)
    return [event.index for event in events if isinstance(event, Refilled)]


def answers(ready: Ready) -> list[Message]:
    return [*ready.send_now, *(ready.persist.then_send if ready.persist is not None else ())]


# The node


@pytest.mark.parametrize(
    ("told", "matched", "now", "expected"),
    [
        ((3, 2, NONCE), (3, 2), (2, 3), 3),
        ((3, 2, NONCE), (4, 2), (2, 4), 3),  # it may hold more
        ((3, 2, NONCE), (2, 2), (2, 3), None),  # what stands at 3 may be another leader's
        ((3, 2, NONCE), (3, 2), (2, 2), None),  # not durable yet
        ((3, 2, NONCE + 1), (3, 2), (2, 3), None),  # for another start
        ((3, 2, NONCE), (3, 2), (3, 3), None),  # another leader by now
        ((3, 1, NONCE), (3, 2), (2, 3), None),  # an earlier leader's barrier
        ((3, 2, NONCE), (3, 1), (2, 3), None),  # an earlier leader's log
        ((0, 2, NONCE), (3, 2), (2, 3), None),  # no barrier at all
    ],
)
def test_refill_ends_where_the_log_is_durably_that_of_the_leader_who_told_the_barrier(
    told: tuple[int, int, int], matched: tuple[int, int], now: tuple[int, int], expected: int | None
) -> None:
    refill = Refill(NONCE)
    for term in sorted({told[1], matched[1]}):
        if term == told[1]:
            refill.heard(barrier(told[0], term=term, nonce=told[2]))
        if term == matched[1]:
            refill.matched(Term(term), LogIndex(matched[0]))
    assert refill.finish(Term(now[0]), LogIndex(now[1])) == expected


def test_refilled_is_said_once_and_trust_comes_after_it() -> None:
    raft = node(terms=[1, 1, 1], refilling=NONCE)
    raft.step(append(N2, 2, (3, 1), entries((4, 2))))
    raft.step(barrier(4))
    with pytest.raises(AssertionError):
        raft.trust()
    assert refilled(raft) == [4]
    raft.step(barrier(4))
    assert refilled(raft) == []
    assert raft.is_refilling
    raft.trust()
    assert not raft.is_refilling


def test_refilling_node_votes_for_nobody_and_does_not_campaign() -> None:
    raft = node(terms=[1], refilling=NONCE)
    raft.step(vote(N2, 5, (9, 4), pre_vote=True))
    raft.step(vote(N2, 5, (9, 4)))
    assert [getattr(answer, "granted", None) for answer in answers(finish_writes(raft))] == [False, False]
    assert raft.term == 5
    tick(raft, 100)
    raft.step(TimeoutNow(N1, N2, Term(5)))
    assert (role(raft), raft.term) == (Role.FOLLOWER, 5)


def test_single_voter_that_is_refilling_never_leads() -> None:
    raft = node(terms=[1], configuration=Configuration(frozenset({N1})), refilling=NONCE)
    tick(raft, 100)
    assert (role(raft), raft.is_refilling) == (Role.FOLLOWER, True)


def test_every_answer_to_a_leader_carries_the_nonce() -> None:
    raft = node(terms=[1, 1], term=2, refilling=NONCE)
    snapshot = SnapshotRef(LogIndex(9), Term(2), 10, b"a")
    for term in (1, 2):
        raft.step(append(N2, term, (2, 1)))
        raft.step(append(N2, term, (8, 2)))
        raft.step(heartbeat(N2, term))
        raft.step(SnapshotRequest(N1, N2, Term(term), snapshot))
    raft.chunk_kept(snapshot, 0)
    raft.install(snapshot, raft.configuration)
    said = answers(raft.ready())
    kinds = (AppendResponse, HeartbeatResponse, SnapshotResponse)
    assert [answer.refilling for answer in said if isinstance(answer, kinds)] == [NONCE] * 9


def test_heartbeat_of_before_the_loss_commits_nothing_that_is_not_known_to_match() -> None:
    # D10: 3@1 on an older copy of the directory was replaced long ago
    raft = node(terms=[1, 1, 1], term=2, refilling=NONCE)
    raft.step(append(N2, 2, (2, 1)))
    raft.step(heartbeat(N2, 2, commit=3))
    assert raft.commit_index == 2
    raft.step(heartbeat(N2, 2, commit=9))
    assert raft.ready().events[1:] == ()


# The leader


def leader_with_a_refilling_follower() -> Raft:
    """n1 leads; n2 and n3 held all of its log, and n2 has lost it."""
    raft = serving_leader(terms=[1])
    propose(raft, b"x")
    finish_writes(raft)
    raft.step(HeartbeatResponse(N1, N2, raft.term, 0, NONCE))
    return raft


def refilling_accept(raft: Raft, match_index: int, nonce: int = NONCE) -> None:
    raft.step(AppendResponse(N1, N2, raft.term, True, LogIndex(match_index), refilling=nonce))


def barriers(raft: Raft, *, confirmed: bool = True) -> list[tuple[int, LogIndex]]:
    """What n2 and n3 are told next; n3 has answered the newest round or not."""
    rounds = [message.read_round for message in raft.ready().send_now if isinstance(message, HeartbeatRequest)]
    if confirmed and rounds:
        raft.step(HeartbeatResponse(N1, N3, raft.term, max(rounds)))
    tick(raft, 2)
    return [
        (message.refilling, message.barrier_index)
        for message in raft.ready().send_now
        if isinstance(message, HeartbeatRequest)
    ]


def test_barrier_is_the_last_index_when_the_nonce_is_first_heard() -> None:
    raft = leader_with_a_refilling_follower()
    assert (raft.commit_index, raft.last_index) == (2, 3)
    propose(raft, b"later")
    assert barriers(raft) == [(NONCE, 3), (0, 0)]
    refilling_accept(raft, 1, nonce=NONCE + 1)
    assert barriers(raft) == [(NONCE + 1, 4), (0, 0)]


def test_barrier_is_told_once_a_quorum_of_others_has_confirmed_the_office_since() -> None:
    """A leader that was deposed, and does not know it, must refill nobody."""
    raft = leader_with_a_refilling_follower()
    assert barriers(raft, confirmed=False) == [(0, 0), (0, 0)]
    raft.step(HeartbeatResponse(N1, N3, raft.term, 0))  # the answer to what was asked before the nonce was heard
    raft.step(HeartbeatResponse(N1, N2, raft.term, 1, NONCE))  # its own word does not count
    assert barriers(raft, confirmed=False) == [(0, 0), (0, 0)]
    raft.step(HeartbeatResponse(N1, N3, raft.term, 1))
    assert barriers(raft) == [(NONCE, 3), (0, 0)]


@pytest.mark.parametrize(("copied", "unanimous", "expected"), [(False, False, 3), (True, False, None), (True, True, 3)])
def test_older_copy_wants_the_word_of_every_other_voter(copied: bool, unanimous: bool, expected: int | None) -> None:
    refill = Refill(NONCE, copied)
    refill.heard(attrs.evolve(barrier(3), unanimous=unanimous))
    refill.matched(Term(2), LogIndex(3))
    assert refill.finish(Term(2), LogIndex(3)) == expected


def test_what_a_refilling_follower_acknowledged_before_is_forgotten_and_commits_stay() -> None:
    raft = leader_with_a_refilling_follower()
    view = raft.progress[N2]
    assert (view.match_index, view.next_index, view.refilling) == (0, 3, True)
    assert raft.commit_index == 2


def test_acknowledgement_counts_from_the_first_without_a_nonce_on() -> None:
    raft = leader_with_a_refilling_follower()
    refilling_accept(raft, 3)
    assert (raft.progress[N2].match_index, raft.commit_index) == (3, 2)
    refilling_accept(raft, 2, nonce=0)  # what it said under the nonce is void, too
    assert (raft.progress[N2].match_index, raft.commit_index) == (2, 2)
    refilling_accept(raft, 3, nonce=0)
    assert raft.commit_index == 3


def test_leadership_goes_to_no_refilling_voter() -> None:
    raft = leader_with_a_refilling_follower()
    refilling_accept(raft, 3)
    with pytest.raises(InvalidTransferTarget, match="n2 is refilling"):
        raft.transfer_leadership(N2)
    raft.transfer_leadership(None)
    accept(raft, N3, 3)
    assert [message.to for message in raft.ready().send_now if isinstance(message, TimeoutNow)] == [N3]
