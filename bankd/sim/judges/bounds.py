"""B1: what a leader may have on its way, and what may wait for it, is bounded (raft/options.py).

- One append holds `append_bytes_max` at most, unless it is a single entry.
- To one follower go `inflight_messages_max` appends before the first is answered, and none behind `inflight_bytes_max`.
- What waits for a quorum is `uncommitted_bytes_max` at most, unless it is a single entry: a leader proposes no more.
- `reads_waiting_max` questions for a read index at most are left unanswered.

All of it is counted from the messages, the answers and the writes themselves. An append that does not follow the one
before it begins a new window: what was under way was taken for lost, and costs nothing any more. So does an answer under
another nonce than before: the follower has lost something, or has been refilled, and what was sent to it is void.

Limits: an append without entries asks where a follower stands, and is not counted. A leader's own reads ask nobody,
so they are not seen here (how many calls wait behind them is judged in `desks`).
"""

from collections import deque
from collections.abc import Sequence

import attrs

from bankd.raft.log import ENTRY_OVERHEAD_BYTES
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotResponse,
)
from bankd.raft.ready import Persist
from bankd.replica.effects import Effects
from bankd.replica.events import Event, PeerMessage, Received
from bankd.sim.judges.books import NodeBook
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Plan
from bankd.types import LogIndex, NodeId, Term


@attrs.frozen
class Sent:
    last_index: LogIndex
    size_bytes: int


@attrs.define(eq=False)
class Office:
    """What one node has open in the term that it leads.

    Invariant: the appends of a window follow each other without gaps; none of them is answered.
    """

    term: Term
    windows: dict[NodeId, deque[Sent]] = attrs.field(factory=dict)  # by follower
    nonces: dict[NodeId, int] = attrs.field(factory=dict)  # of followers that are refilling
    questions: list[tuple[NodeId, int]] = attrs.field(factory=list)  # who asks for a read index, and its number for it


class Bounds:
    def __init__(self, plan: Plan) -> None:
        self._limits = plan.limits
        self._offices = {node: Office(Term(0)) for node in plan.nodes}

    def turned(self, now_ns: int, book: NodeBook, events: Sequence[Event], effects: Effects) -> None:
        """A node that leads took these events. Its log and its commit index are booked as of the end of the turn."""
        office = self._offices[book.node]
        if office.term != book.leads:
            office = self._offices[book.node] = Office(book.leads)
        for event in events:
            if type(event) is not Received:
                continue
            message = event.message
            if type(message) is not HeartbeatResponse:  # which nearly all are
                _take(office, message)
            elif message.refilling != office.nonces.get(message.sender, 0):
                _begin_anew(office, message)
        fault = self._judge_sends(office, effects.send_now) if effects.send_now else None
        if effects.persists:
            fault = fault or self._judge_proposals(book, effects.persists)
        if fault is not None:
            raise Violation("B1", fault, now_ns, book.node)

    def _judge_sends(self, office: Office, messages: Sequence[PeerMessage]) -> str | None:
        """What is wrong with what a leader sends, if anything."""
        for message in messages:
            if type(message) is AppendRequest and message.entries:
                fault = self._judge_append(office, message)
                if fault is not None:
                    return fault
            elif type(message) is ReadIndexResponse:
                _take_out(office.questions, (message.to, message.read_id))
        if len(office.questions) > self._limits.reads_waiting_max:
            return f"lets {len(office.questions)} reads of others wait, at most {self._limits.reads_waiting_max}"
        return None

    def _judge_append(self, office: Office, append: AppendRequest) -> str | None:
        limits, size_bytes = self._limits, _bytes_of(append.entries)
        if size_bytes > limits.append_bytes_max and len(append.entries) > 1:
            return f"sends {append.to} {size_bytes} bytes in one append, at most {limits.append_bytes_max}"
        window = office.windows.setdefault(append.to, deque())
        if window and window[-1].last_index != append.prev_index:
            window.clear()
        before_bytes = sum([sent.size_bytes for sent in window])
        window.append(Sent(append.entries[-1].index, size_bytes))
        if len(window) > limits.inflight_messages_max:
            return f"has {len(window)} appends under way to {append.to}, at most {limits.inflight_messages_max}"
        if before_bytes >= limits.inflight_bytes_max:
            return f"sends {append.to} an append behind {before_bytes} bytes, at most {limits.inflight_bytes_max}"
        return None

    def _judge_proposals(self, book: NodeBook, persists: Sequence[Persist]) -> str | None:
        """The first entry of a term is no proposal: it must be there whatever its forerunners left."""
        proposed = [
            entry
            for persist in persists
            for entry in persist.entries
            if entry.term == book.leads and entry.type is EntryType.COMMANDS
        ]
        if not proposed or proposed[-1].index == book.commit_index + 1:
            return None
        waiting_bytes = _bytes_of(book.log.between(book.commit_index, proposed[-1].index))
        if waiting_bytes > self._limits.uncommitted_bytes_max:
            return f"lets {waiting_bytes} bytes wait for a quorum, at most {self._limits.uncommitted_bytes_max}"
        return None


def _take(office: Office, message: PeerMessage) -> None:
    if message.term != office.term:
        return
    if isinstance(message, AppendResponse | SnapshotResponse):
        _begin_anew(office, message)
    if type(message) is AppendResponse and message.accepted:
        window = office.windows.setdefault(message.sender, deque())
        while window and window[0].last_index <= message.match_index:
            window.popleft()
    elif type(message) is ReadIndexRequest:
        office.questions.append((message.sender, message.read_id))


def _begin_anew(office: Office, message: AppendResponse | HeartbeatResponse | SnapshotResponse) -> None:
    """Void a window if its follower answers under another nonce than before."""
    if message.term == office.term and message.refilling != office.nonces.get(message.sender, 0):
        office.nonces[message.sender] = message.refilling
        office.windows.pop(message.sender, None)


def _take_out(questions: list[tuple[NodeId, int]], answered: tuple[NodeId, int]) -> None:
    """One that came in an older term is refused, and was never there."""
    if answered in questions:
        questions.remove(answered)


def _bytes_of(entries: Sequence[Entry]) -> int:
    return sum([len(entry.body) for entry in entries]) + ENTRY_OVERHEAD_BYTES * len(entries)
