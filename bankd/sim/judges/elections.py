"""S2: at most one leader a term, elected by a majority of votes that are durable; one vote a term and node, for ever.

Votes count here once a disk has them: what was said before that is judged in `promises`. A vote that was asked to be
written and lost in a crash was never given.

S4 as far as votes keep it: none goes to a candidate whose log is behind the voter's (paper 5.4.1).
"""

from collections.abc import Iterable

from bankd.raft.messages import HardState, VoteRequest, VoteResponse
from bankd.raft.ready import Persist, Role, RoleChanged
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.violation import Violation
from bankd.types import LogIndex, NodeId, Term


class Elections:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.leaders: dict[Term, NodeId] = {}
        self._votes: dict[Term, dict[NodeId, NodeId]] = {}  # by voter: for whom
        self._campaigns: dict[tuple[Term, NodeId], tuple[Term, LogIndex]] = {}  # how each candidate's log ends

    def voted(self, now_ns: int, voter: NodeId, state: HardState) -> None:
        """A hard state is durable."""
        if state.voted_for is None:
            return
        first = self._votes.setdefault(state.term, {}).setdefault(voter, state.voted_for)
        if first != state.voted_for:
            text = f"voted for {first} in term {state.term}, and now for {state.voted_for}"
            raise Violation("S2", text, now_ns, voter)

    def changed(self, now_ns: int, book: NodeBook, event: RoleChanged) -> None:
        if event.role is not Role.LEADER:
            book.leads = Term(0)
            return
        term = event.term
        if term in self.leaders:
            raise Violation("S2", f"leads term {term}, which {self.leaders[term]} led before", now_ns, book.node)
        voters = [voter for voter, choice in self._votes.get(term, {}).items() if choice == book.node]
        if len(voters) < self._books.majority:
            text = f"leads term {term} by the durable votes of {voters or 'nobody'} alone"
            raise Violation("S2", text, now_ns, book.node)
        self.leaders[term] = book.node
        book.leads = book.led = term

    def campaigned(self, request: VoteRequest) -> None:
        """A candidate's request for votes has left it."""
        self._campaigns[request.term, request.sender] = (request.last_term, request.last_index)

    def promised(self, now_ns: int, book: NodeBook, persists: Iterable[Persist]) -> None:
        """Judge the votes given in a turn by the log that they were given with.

        A turn that also wrote entries or a base is passed over: whether the log grew before or after the vote cannot be
        seen.
        """
        if any(persist.entries or persist.base is not None for persist in persists):
            return
        mine = (book.log.last_term, book.log.last_index)
        for persist in persists:
            for message in persist.then_send:
                if type(message) is VoteResponse and message.granted:
                    theirs = self._campaigns.get((message.term, message.to), mine)
                    if theirs < mine:
                        text = f"votes for {message.to}, whose log ends at {_end(theirs)}, with {_end(mine)} here"
                        raise Violation("S4", text, now_ns, book.node)


def _end(end: tuple[Term, LogIndex]) -> str:
    return f"{end[1]}@{end[0]}"
