"""Hand leadership over to a chosen voter: the leader's side.

1. The leader takes no more proposals, so the target can catch up with a log that stands still.
2. Once the target's log is durable up to the leader's last entry, it is told to campaign at once.
   Voters grant that campaign although they still hear a leader: it is on the leader's word.
3. The target's request for votes carries a newer term and ends this leader's office. Should nothing
   come of it within an election timeout, the leader goes on as before.

Source: thesis 3.10.
"""

from bankd.raft.messages import TimeoutNow
from bankd.raft.ready import LeadershipTransferAborted
from bankd.raft.refusals import InvalidTransferTarget
from bankd.raft.replication import Replication
from bankd.raft.state import State
from bankd.types import NodeId


class Transfer:
    """The hand-over under way at a leader, if any: `target` is None otherwise."""

    __slots__ = ("_begun_tick", "_replication", "_state", "_told", "target")

    def __init__(self, state: State, replication: Replication) -> None:
        self._state = state
        self._replication = replication
        self._begun_tick = 0
        self._told = False
        self.target: NodeId | None = None

    def begin(self, target: NodeId | None) -> None:
        """Start handing over to `target`; None chooses the voter whose log is longest.

        A hand-over to another target is given up for it; one to the same target goes on.

        Raises:
            InvalidTransferTarget: there is no such other voter, or it is refilling.
        """
        target = target if target is not None else self._most_up_to_date()
        if target is None or target not in self._state.other_voters:
            raise InvalidTransferTarget(target)
        if self._replication.progress[target].refilling:
            raise InvalidTransferTarget(target, is_refilling=True)
        if target != self.target:
            self.target = target
            self._begun_tick = self._state.now_tick
            self._told = False

    def hand_over(self) -> None:
        """Tell the target to campaign, once, when it holds the whole log."""
        if self.target is None or self._told:
            return
        state = self._state
        if self._replication.progress[self.target].match_index == state.log.last_index:
            state.send(TimeoutNow(self.target, state.node_id, state.term))
            self._told = True

    def tick(self) -> None:
        """Give up after an election timeout."""
        if self.target is not None and self._state.now_tick - self._begun_tick >= self._state.options.election_ticks:
            self._state.outbox.events.append(LeadershipTransferAborted(self.target))
            self.target = None

    def stop(self) -> None:
        """This node no longer leads."""
        self.target = None

    def _most_up_to_date(self) -> NodeId | None:
        active = self._replication.active_members
        progress = self._replication.progress
        return max(
            [peer for peer in self._state.other_voters if not progress[peer].refilling],
            key=lambda peer: (peer in active, progress[peer].match_index),
            default=None,
        )
