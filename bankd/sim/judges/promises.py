"""What leaves a node must be true of its disk: votes, requests for votes, acknowledgements of entries (S1, S2).

A message that may leave at once is held against the disk as it is; one that waits for a write, against the disk with
that write and all before it. A disk whose term is beyond the message's has moved on: what the message promises about
its own term can no longer be broken there.

Beside it, S2: only whom a majority elected speaks as a leader. S4: a follower acknowledges what its leader has, and a
leader names as committed only what is, and sends no snapshot that is not durable.
"""

from collections.abc import Iterable

from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    SnapshotRequest,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.ready import Persist
from bankd.replica.events import Event, PeerMessage, Received
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.elections import Elections
from bankd.sim.judges.refills import Refills
from bankd.sim.judges.violation import Violation
from bankd.types import LogIndex, NodeId, Term


class Promises:
    def __init__(self, books: Books, elections: Elections, refills: Refills) -> None:
        self._books = books
        self._elections = elections
        self._refills = refills

    def leaves(self, now_ns: int, book: NodeBook, message: PeerMessage) -> None:
        """A message leaves with the disk being as `book` says. The most frequent kinds come first."""
        if book.lost:
            self._refills.leaves(now_ns, book, message)
        kind = type(message)
        if kind is HeartbeatResponse:
            return
        if isinstance(message, (HeartbeatRequest, AppendRequest)):
            self._judge_leader(now_ns, book, message.term, message.commit_index)
        elif isinstance(message, SnapshotRequest):
            self._judge_leader(now_ns, book, message.term, message.snapshot.index)
            self._judge_snapshot(now_ns, book, message)
        elif isinstance(message, AppendResponse):
            if message.accepted:
                self._judge_acknowledgement(now_ns, book, message)
        elif isinstance(message, VoteResponse):
            if message.granted and not message.pre_vote:
                self._judge_vote(now_ns, book, message.term, message.to, "votes for")
                self._count_overtaken_vote(now_ns, book, message)
        elif isinstance(message, VoteRequest) and not message.pre_vote:
            self._judge_vote(now_ns, book, message.term, book.node, "asks for votes as")
            self._elections.campaigned(message)

    def acknowledged(self, now_ns: int, book: NodeBook, events: Iterable[Event], persists: Iterable[Persist]) -> None:
        """Judge the acknowledgements of a turn by the appends that it took: nothing behind them is known to agree."""
        reach = book.commit_index
        for event in events:
            if type(event) is Received and isinstance(append := event.message, AppendRequest):
                reach = max(reach, LogIndex(append.prev_index + len(append.entries)))
        for persist in persists:
            for message in persist.then_send:
                if isinstance(message, AppendResponse) and message.accepted and message.match_index > reach:
                    text = f"acknowledges entry {message.match_index}, and no append went beyond {reach}"
                    raise Violation("S1", text, now_ns, book.node)

    def believes(self, now_ns: int, book: NodeBook, stable_index: LogIndex) -> None:
        """A node takes its own log for durable up to here: that is what it counts, and says, as a leader."""
        log = book.log
        if stable_index > log.last_index or not self._books.is_durable(book, stable_index, log.term_at(stable_index)):
            text = f"takes entry {stable_index} of its log for durable, and that is still under way"
            raise Violation("S1", text, now_ns, book.node)
        book.stable_index = stable_index

    def _judge_leader(self, now_ns: int, book: NodeBook, term: Term, commit_index: LogIndex) -> None:
        if term != book.led:
            raise Violation("S2", f"speaks as leader of term {term} without being elected", now_ns, book.node)
        if commit_index > book.commit_index:
            text = f"calls entry {commit_index} committed, and only {book.commit_index} is"
            raise Violation("S4", text, now_ns, book.node)

    def _judge_vote(self, now_ns: int, book: NodeBook, term: Term, choice: NodeId, does: str) -> None:
        if book.stable.term <= term and book.stable != HardState(term, choice):
            text = f"{does} {choice} in term {term}, and its disk says {_vote(book.stable)}"
            raise Violation("S2", text, now_ns, book.node)

    def _count_overtaken_vote(self, now_ns: int, book: NodeBook, message: VoteResponse) -> None:
        """Count a vote that was given in the turn in which its voter campaigned in the next term: that one term is written,
        and after it no other vote can be given in this one."""
        if book.stable.term > message.term:
            self._elections.voted(now_ns, book.node, HardState(message.term, message.to))

    def _judge_acknowledgement(self, now_ns: int, book: NodeBook, message: AppendResponse) -> None:
        term, match = message.term, message.match_index
        if book.stable.term > term:
            return
        if book.stable.term < term:
            text = f"acknowledges in term {term}, and its disk says {_vote(book.stable)}"
            raise Violation("S1", text, now_ns, book.node)
        if match > book.durable.last_index:
            text = f"acknowledges entry {match}, and its disk ends at {book.durable.last_index}"
            raise Violation("S1", text, now_ns, book.node)
        leader, match_term = self._books.of[message.to], book.durable.term_at(match)
        if leader.leads == term and not leader.log.holds(match, match_term):
            text = f"acknowledges entry {match} of term {match_term}, which {message.to} has not"
            raise Violation("S4", text, now_ns, book.node)

    def _judge_snapshot(self, now_ns: int, book: NodeBook, message: SnapshotRequest) -> None:
        if message.snapshot not in book.sendable:
            text = f"sends {message.to} snapshot {message.snapshot.index}, which is not durable here"
            raise Violation("S1", text, now_ns, book.node)


def _vote(state: HardState) -> str:
    return f"term {state.term}, vote {state.voted_for or 'none'}"
