"""Decide who leads: terms, votes, pre-votes, and when a leader must give up its office.

A follower that hears no leader for an election timeout first asks whether it could win (pre-vote): it
asks in the next term without entering it, and only a quorum of yes lets it campaign. So a node that
is cut off does not drive the term up (N03), and on its return does not depose anyone. A voter
that hears a leader answers no request for votes at all (check-quorum's other half), except one made
on that leader's own word (transfer).

Rules that keep this safe:
- a vote is given once a term, only to a log at least as up to date as ours (5.4.1), and is said only
  when it is durable
- a candidate asks for votes, and counts its own, only once its new term and vote are durable. Had it
  asked before, crashed, lost the end of its log and campaigned in the same term again, late answers
  to the first campaign would elect it with the shorter log.
- a refilling node gives no vote of either kind and does not campaign (see `refilling`)
- a leader that has not heard a quorum for an election timeout steps down, and so does one whose disk
  has not finished a write for as long (D16); a node with such a disk does not campaign either

Rules that keep this live: pre-vote and check-quorum block each other when a node with a newer term
can neither win nor be told (R05). So whoever says something in an old term is answered with ours
(`answer_older_term`), and a leader that learns of a newer term from a member steps down.

Sources: paper 5.2, 5.4.1; thesis 3.10, 4.2.3, 6.2, 9.6. Faults by their ids: docs/reliability.md.
"""

from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.quorum import VoteResult, has_quorum, vote_result
from bankd.raft.reads import Reads
from bankd.raft.ready import Role
from bankd.raft.replication import Replication
from bankd.raft.state import State
from bankd.raft.transfer import Transfer
from bankd.types import NodeId, Term


class Election:
    """Every change of role, term and leader is made here.

    Invariant: `_votes` holds answers to the present campaign only, this node's own included once it counts.
    """

    __slots__ = ("_reads", "_replication", "_state", "_transfer", "_votes")

    def __init__(self, state: State, replication: Replication, reads: Reads, transfer: Transfer) -> None:
        self._state = state
        self._replication = replication
        self._reads = reads
        self._transfer = transfer
        self._votes: dict[NodeId, bool] = {}

    # Time

    def tick_follower(self) -> None:
        """Campaign when no leader was heard for the drawn timeout. For candidates too: a campaign may fail."""
        state = self._state
        state.quiet_ticks += 1
        if state.quiet_ticks < state.election_timeout_ticks or not self._may_campaign():
            return
        if state.options.pre_vote:
            self._ask_before_campaign()
        else:
            self._campaign("election_timeout")

    @property
    def ticks_until_due(self) -> int:
        """Ticks until a follower or candidate would campaign, were it not for the rest."""
        return self._state.election_timeout_ticks - self._state.quiet_ticks

    def tick_leader(self) -> None:
        """Step down if this node can no longer do what a leader is for."""
        state = self._state
        if state.is_disk_stalled:
            self._become(Role.FOLLOWER, state.term, None, "disk_stalled")
        elif state.options.check_quorum and not has_quorum(state.configuration, self._replication.counted_members):
            self._become(Role.FOLLOWER, state.term, None, "quorum_lost")

    # Terms

    def meet_newer_term(self, message: Message) -> bool:
        """Enter the term of a message from a newer one; return whether the message is to be handled at all."""
        match message:
            case VoteRequest():
                if self._hears_leader() and not message.leadership_transfer:
                    return False
                if not message.pre_vote:
                    self._become(Role.FOLLOWER, message.term, None, "newer_term")
            case VoteResponse(granted=True, pre_vote=True):
                pass  # a yes to a pre-vote echoes the term asked for; nobody is in it yet
            case AppendRequest() | HeartbeatRequest() | SnapshotRequest():
                self._become(Role.FOLLOWER, message.term, message.sender, "newer_leader")
            case _:
                # Answers come from members only: a removed node must not depose anyone (R06).
                if message.sender not in self._state.other_members:
                    return False
                self._become(Role.FOLLOWER, message.term, None, "newer_term")
        return True

    def answer_older_term(self, message: Message) -> None:
        """Let the sender of a message from an older term learn ours, if it waits for an answer."""
        state = self._state
        to, node_id, term, refilling = message.sender, state.node_id, state.term, state.refilling
        match message:
            case VoteRequest():
                self._answer_vote(message, granted=False)
            case AppendRequest():
                state.send_durable(AppendResponse(to, node_id, term, False, message.prev_index, refilling=refilling))
            case HeartbeatRequest():
                state.send(HeartbeatResponse(to, node_id, term, refilling=refilling))
            case SnapshotRequest():
                state.send(SnapshotResponse(to, node_id, term, message.snapshot.content_id, 0, refilling))
            case ReadIndexRequest():
                state.send(ReadIndexResponse(to, node_id, term, message.read_id, refused=True))
            case _:
                pass  # a late answer, or a late order to campaign

    def follow(self, leader_id: NodeId) -> bool:
        """Hear from the leader of this term; return whether its message is to be handled."""
        state = self._state
        if state.leader_id is None:
            self._become(Role.FOLLOWER, state.term, leader_id, "leader_heard")
        elif state.leader_id != leader_id or state.role is Role.LEADER:
            state.ignore(leader_id, "second_leader_in_term")
            return False
        state.quiet_ticks = 0
        return True

    # Votes

    def on_vote_request(self, message: VoteRequest) -> None:
        """Give the vote of this term, or say whether it would be given (pre-vote)."""
        state = self._state
        is_free = state.refill is None and (
            state.voted_for == message.sender
            or (state.voted_for is None and state.leader_id is None)
            or (message.pre_vote and message.term > state.term)
        )
        granted = is_free and state.log.is_up_to_date(message.last_index, message.last_term)
        if granted and not message.pre_vote:
            state.voted_for = message.sender
            state.quiet_ticks = 0
        self._answer_vote(message, granted=granted)

    def on_vote_response(self, message: VoteResponse) -> None:
        """Count an answer to the present campaign."""
        state = self._state
        if message.pre_vote:
            counts = state.role is Role.PRE_CANDIDATE and (not message.granted or message.term == state.term + 1)
        else:
            counts = state.role is Role.CANDIDATE
        if counts:
            self._votes.setdefault(message.sender, message.granted)
            self._count_votes()

    def own_vote_stable(self) -> None:
        """Count this candidate's own vote if it is durable by now."""
        state = self._state
        stable = state.stable_hard_state
        if state.role is Role.CANDIDATE and stable.term == state.term and stable.voted_for == state.node_id:
            self._votes[state.node_id] = True
            self._count_votes()

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """Campaign at once, on the leader's word."""
        if self._state.role is not Role.LEADER and self._may_campaign():
            self._campaign("leadership_transfer")

    # Parts

    def _hears_leader(self) -> bool:
        state = self._state
        return (
            state.options.check_quorum
            and state.leader_id is not None
            and (state.role is Role.LEADER or state.quiet_ticks < state.options.election_ticks)
        )

    def _may_campaign(self) -> bool:
        state = self._state
        return state.is_voter and state.refill is None and not state.is_disk_stalled

    def _ask_before_campaign(self) -> None:
        state = self._state
        self._become(Role.PRE_CANDIDATE, state.term, None, "election_timeout")
        self._votes[state.node_id] = True
        term = Term(state.term + 1)
        for peer in state.other_voters:
            state.send(self._vote_request(peer, term, pre_vote=True))
        self._count_votes()

    def _campaign(self, reason: str) -> None:
        state = self._state
        self._become(Role.CANDIDATE, Term(state.term + 1), None, reason)
        state.voted_for = state.node_id
        for peer in state.other_voters:
            state.send_durable(self._vote_request(peer, state.term, transfer=reason == "leadership_transfer"))

    def _vote_request(self, peer: NodeId, term: Term, *, pre_vote: bool = False, transfer: bool = False) -> VoteRequest:
        log = self._state.log
        return VoteRequest(peer, self._state.node_id, term, log.last_index, log.last_term, pre_vote, transfer)

    def _answer_vote(self, message: VoteRequest, *, granted: bool) -> None:
        state = self._state
        term = message.term if granted else state.term
        answer = VoteResponse(message.sender, state.node_id, term, granted, message.pre_vote)
        if message.pre_vote:
            state.send(answer)
        else:
            state.send_durable(answer)

    def _count_votes(self) -> None:
        state = self._state
        result = vote_result(state.configuration, self._votes)
        if result is VoteResult.PENDING:
            return
        if state.role is Role.PRE_CANDIDATE:
            if result is VoteResult.WON:
                self._campaign("pre_vote_won")
            else:
                self._become(Role.FOLLOWER, state.term, None, "pre_vote_lost")
        elif result is VoteResult.WON:
            self._become(Role.LEADER, state.term, state.node_id, "elected")
            self._replication.start()
        else:
            self._become(Role.FOLLOWER, state.term, None, "election_lost")

    def _become(self, role: Role, term: Term, leader_id: NodeId | None, reason: str) -> None:
        self._votes = {}
        self._replication.stop()
        self._transfer.stop()
        self._state.become(role, term, leader_id, reason)
        self._reads.refuse_all()  # with the new term, so that whoever asked learns it
