"""Confirm that a read may be served: ReadIndex rounds at the leader, requests to it elsewhere.

At the leader a read takes three steps, none of which writes anything:

1. It waits for the next round. Rounds are opened by `ready()`, so all reads that came in since the
   last one share it. None is opened before the leader's no-op is committed: until then the commit
   index may be behind what an earlier leader acknowledged (R02).
2. The round notes the commit index and asks every member with a heartbeat that carries its number.
3. An answer confirms the rounds up to the number that it echoes, never a newer one, so a late
   answer cannot speak for a read that was asked for after it was given (R03). Once a quorum has
   confirmed a round, no newer leader can have committed anything before it was opened.

Rounds belong to one term of office: they are refused when it ends, and answers of another term do
not get here. A lost heartbeat is made good by the next one, which carries the newest number.

Elsewhere the leader is asked by message. The number in that message is not the caller's: it counts
from a random start, so an answer meant for this node before it restarted fits no request of now. A
request not answered within an election timeout, or still open when the leader changes, is refused:
never dropped in silence.

Limits: at a leader whose followers answer heartbeats but cannot write, reads wait for the no-op
without a bound in time; their number is bounded (`reads_waiting_max`).

Source: thesis 6.4. Faults by their ids: docs/reliability.md.
"""

from collections import deque
from typing import Final

import attrs

from bankd.raft.messages import HeartbeatResponse, ReadIndexRequest, ReadIndexResponse
from bankd.raft.quorum import quorum_index
from bankd.raft.ready import ReadRefused, ReadState, Role
from bankd.raft.replication import Replication
from bankd.raft.state import State
from bankd.types import LogIndex, NodeId

READ_NUMBER_START_BOUND: Final = 1 << 62  # leaves as many again to count up to, inside a u64


@attrs.frozen
class Read:
    origin: NodeId
    read_id: int


@attrs.frozen
class Round:
    number: int
    index: LogIndex
    reads: list[Read]


@attrs.frozen
class Asked:
    read_id: int
    asked_tick: int


class Reads:
    """Every read that this node has not answered yet.

    Invariant: round numbers rise along `_rounds`, and none is above `newest_round`.
    Invariant: `_waiting` and `_rounds` are empty unless this node leads, `_asked` unless it follows.
    Invariant: at most `reads_waiting_max` reads are held in all.
    """

    __slots__ = (
        "_asked",
        "_confirmed",
        "_held",
        "_next_number",
        "_replication",
        "_rounds",
        "_state",
        "_waiting",
        "newest_round",
    )

    def __init__(self, state: State, replication: Replication) -> None:
        self._state = state
        self._replication = replication
        self._waiting: list[Read] = []
        self._rounds: deque[Round] = deque()
        self._confirmed: dict[NodeId, int] = {}
        self._held = 0  # reads in _waiting and _rounds
        self._asked: dict[int, Asked] = {}  # by number in the request, oldest first
        self._next_number = state.random.below(READ_NUMBER_START_BOUND)
        self.newest_round = 0

    def request(self, read_id: int) -> None:
        """Take a read of this node's own callers."""
        if self._state.role is Role.LEADER:
            self._admit(Read(self._state.node_id, read_id))
        else:
            self._ask_leader(read_id)

    def on_request(self, message: ReadIndexRequest) -> None:
        """Take a follower's read; refuse it unless this node leads."""
        read = Read(message.sender, message.read_id)
        if self._state.role is Role.LEADER:
            self._admit(read)
        else:
            self._refuse(read)

    def on_response(self, message: ReadIndexResponse) -> None:
        """Pass the leader's answer on to the caller that waits for it, if one still does."""
        asked = self._asked.pop(message.read_id, None)
        if asked is None:
            return
        if message.refused:
            self._state.outbox.reads_refused.append(ReadRefused(asked.read_id))
        else:
            self._state.outbox.read_states.append(ReadState(asked.read_id, message.index))

    def on_heartbeat_response(self, message: HeartbeatResponse) -> None:
        """Count a member's confirmation, unless it is refilling; serve every round that a quorum has confirmed."""
        confirmed = min(message.read_round, self.newest_round)
        self._replication.confirmed(message.sender, confirmed)
        if message.refilling:
            return
        if confirmed > self._confirmed.get(message.sender, 0):
            self._confirmed[message.sender] = confirmed
            self._serve_confirmed()

    def open_round(self) -> None:
        """Put all waiting reads into one round and ask for its confirmation, once the no-op is committed; or open one for
        the sake of a barrier alone."""
        serves = bool(self._waiting) and self._replication.can_serve
        if not serves and not self._replication.round_wanted:
            return
        self.newest_round += 1
        if serves:
            self._rounds.append(Round(self.newest_round, self._state.log.commit_index, self._waiting))
            self._waiting = []
        self._confirmed[self._state.node_id] = self.newest_round
        self._replication.round_opened(self.newest_round)
        self._replication.send_heartbeats(self.newest_round)
        self._serve_confirmed()  # a single voter needs nobody else

    @property
    def is_asking(self) -> bool:
        """Whether the leader owes this node an answer."""
        return bool(self._asked)

    @property
    def ticks_until_due(self) -> int:
        """Ticks until the oldest question to the leader is given up; there must be one."""
        oldest = next(iter(self._asked.values()))
        return oldest.asked_tick + self._state.options.election_ticks - self._state.now_tick

    def tick(self) -> None:
        """Refuse what the leader has left unanswered for an election timeout."""
        asked_before = self._state.now_tick - self._state.options.election_ticks
        while self._asked:
            number, asked = next(iter(self._asked.items()))
            if asked.asked_tick > asked_before:
                break
            del self._asked[number]
            self._state.outbox.reads_refused.append(ReadRefused(asked.read_id))

    def refuse_all(self) -> None:
        """The role, term or leader changed: nothing that is under way can be confirmed any more."""
        for asked in self._asked.values():
            self._state.outbox.reads_refused.append(ReadRefused(asked.read_id))
        self._asked.clear()
        for waiting in (*(round_.reads for round_ in self._rounds), self._waiting):
            for read in waiting:
                self._refuse(read)
        self._rounds.clear()
        self._waiting = []
        self._confirmed = {}
        self._held = 0
        self.newest_round = 0

    def _admit(self, read: Read) -> None:
        if self._held >= self._state.options.reads_waiting_max:
            self._refuse(read)
            return
        self._held += 1
        self._waiting.append(read)

    def _ask_leader(self, read_id: int) -> None:
        state = self._state
        if state.leader_id is None or len(self._asked) >= state.options.reads_waiting_max:
            state.outbox.reads_refused.append(ReadRefused(read_id))
            return
        number = self._next_number
        self._next_number += 1
        self._asked[number] = Asked(read_id, state.now_tick)
        state.send(ReadIndexRequest(state.leader_id, state.node_id, state.term, number))

    def _serve_confirmed(self) -> None:
        reached = quorum_index(self._state.configuration, self._confirmed)
        while self._rounds and self._rounds[0].number <= reached:
            round_ = self._rounds.popleft()
            self._held -= len(round_.reads)
            for read in round_.reads:
                self._serve(read, round_.index)

    def _serve(self, read: Read, index: LogIndex) -> None:
        state = self._state
        if read.origin == state.node_id:
            state.outbox.read_states.append(ReadState(read.read_id, index))
        else:
            state.send(ReadIndexResponse(read.origin, state.node_id, state.term, read.read_id, index))

    def _refuse(self, read: Read) -> None:
        state = self._state
        if read.origin == state.node_id:
            state.outbox.reads_refused.append(ReadRefused(read.read_id))
        else:
            state.send(ReadIndexResponse(read.origin, state.node_id, state.term, read.read_id, refused=True))
