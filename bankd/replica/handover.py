"""Follow one hand-over of leadership from the call to the answer.

Consensus moves the leadership; this only remembers who asked. The call is answered once: when a leader
of a later term is known, when the transfer was given up, or at its deadline. A transfer outlives
the deadline of its call, and until consensus has ended it nobody else can ask for another: that one
would be answered for a target that it did not name.
"""

from collections.abc import Callable

from bankd.errors import Refusal
from bankd.raft.core import InvalidTransferTarget, NotLeader, Raft
from bankd.raft.ready import LeadershipTransferAborted, Role
from bankd.replica import refusals
from bankd.replica.events import HandOverCall, ReplyTo
from bankd.status import LeadershipMoved
from bankd.types import NodeId, Term

Answer = Callable[[ReplyTo, LeadershipMoved | Refusal], None]


class HandOver:
    def __init__(self) -> None:
        self._call: HandOverCall | None = None  # until it is answered
        self._term: Term | None = None  # in which consensus hands leadership over; None when it does not

    @property
    def count(self) -> int:
        """Calls taken in and not yet answered: 0 or 1."""
        return int(self._call is not None)

    def begin(self, call: HandOverCall, raft: Raft, answer: Answer) -> None:
        if self._call is not None or self._term is not None:
            answer(call.reply_to, refusals.hand_over_refused("leadership is being handed over already", raft.leader_id))
            return
        if call.target == raft.node_id and raft.role is Role.LEADER:
            answer(call.reply_to, LeadershipMoved(raft.node_id, raft.term))
            return
        try:
            raft.transfer_leadership(call.target)
        except NotLeader:
            answer(call.reply_to, refusals.not_leader(raft.leader_id))
        except InvalidTransferTarget as invalid:
            answer(call.reply_to, refusals.hand_over_refused(str(invalid), raft.leader_id))
        else:
            self._call, self._term = call, raft.term

    def follow(self, raft: Raft, answer: Answer) -> None:
        """See whether this node still leads; if not, leadership has moved as soon as a leader is known."""
        if self._term is not None and (raft.role, raft.term) != (Role.LEADER, self._term):
            self._term = None
        if self._term is None and self._call is not None and raft.leader_id is not None:
            self._finish(LeadershipMoved(raft.leader_id, raft.term), answer)

    def aborted(self, event: LeadershipTransferAborted, node_id: NodeId, answer: Answer) -> None:
        self._term = None
        if self._call is not None:
            message = f"{event.target} did not take over within an election timeout; {node_id} leads on"
            self._finish(refusals.hand_over_refused(message, node_id), answer)

    def expire(self, now_ns: int, answer: Answer) -> None:
        if self._call is not None and self._call.deadline_ns <= now_ns:
            self._finish(refusals.hand_over_refused("no new leader was seen before the deadline", None), answer)

    def abandon(self, refusal: Refusal, answer: Answer) -> None:
        if self._call is not None:
            self._finish(refusal, answer)

    def _finish(self, result: LeadershipMoved | Refusal, answer: Answer) -> None:
        assert self._call is not None, "no hand-over is under way"
        answer(self._call.reply_to, result)
        self._call = None
