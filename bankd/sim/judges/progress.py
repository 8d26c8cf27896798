"""V1: once everything is mended, writes are acknowledged within 10 election timeouts, and all nodes come to one state.

The time counts from the healing, or from the first write that was called after it or is still under way then: where
nobody writes, nothing can be acknowledged. A cluster that has no majority running promises nothing.

Whoever has asked for a linearizable read since the healing must have had one answered by the end. Every node must run
then, but for those that the plan keeps down, or whose directory it tampers with: else a cluster that refuses to start
would have no majority, and be asked for nothing.
"""

from typing import Final

from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.clients import Clients
from bankd.sim.judges.commits import Commits
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Balance, Move, OlderCopy, Open, OutcomeOf, Plan, ReadKind, Request, Rot, Wipe

NEVER_NS: Final = 2**63
ELECTION_TIMEOUTS_MAX: Final = 10


class Progress:
    def __init__(self, plan: Plan, books: Books, commits: Commits, clients: Clients) -> None:
        self._books = books
        self._commits = commits
        self._clients = clients
        tampered = {fault.node for fault in plan.faults if isinstance(fault, Rot | OlderCopy | Wipe)}
        self._may_be_down = tampered | plan.stays_down
        self._limit_ns = ELECTION_TIMEOUTS_MAX * plan.product.election_timeout_ns
        self._healed = False
        self._acknowledged = 0  # writes, when it was healed
        self._confirmed = 0  # linearizable reads, likewise
        self._reads_wanted = False
        self.due_ns = NEVER_NS  # when a write must have been acknowledged; `judge` is due then

    def healed(self, now_ns: int) -> None:
        self._healed = True
        self._acknowledged = self._clients.acknowledged
        self._confirmed = self._clients.confirmed
        if any(isinstance(call.request, Open | Move) for call in self._clients.under_way.values()):
            self.due_ns = now_ns + self._limit_ns

    def called(self, now_ns: int, request: Request) -> None:
        if self._healed and isinstance(request, Balance | OutcomeOf) and request.kind is ReadKind.LINEARIZABLE:
            self._reads_wanted = True
        if self._healed and self.due_ns == NEVER_NS and isinstance(request, Open | Move) and not self._has_progressed:
            self.due_ns = now_ns + self._limit_ns

    def judge(self, now_ns: int) -> None:
        """The time is up."""
        self.due_ns = NEVER_NS
        if not self._has_progressed and len(self._books.counting) >= self._books.majority:
            timeouts = f"{ELECTION_TIMEOUTS_MAX} election timeouts"
            raise Violation("V1", f"no write was acknowledged within {timeouts} after everything was mended", now_ns)

    def judge_running(self, now_ns: int) -> None:
        """The run is over: whoever was mended runs."""
        down = [
            book.node for book in self._books.of.values() if not book.running and book.node not in self._may_be_down
        ]
        if self._healed and down:
            raise Violation("V1", "is down at the end, and was mended", now_ns, down[0])

    def finish(self, now_ns: int, books: list[NodeBook]) -> None:
        """Reads must be served, and all these nodes must have applied the whole chain.

        That they hold the same state there is judged by `states`.
        """
        if self._reads_wanted and self._clients.confirmed == self._confirmed:
            raise Violation("V1", "no linearizable read was answered after everything was mended", now_ns)
        length = len(self._commits.chain)
        for book in books:
            if not book.commit_index == book.applied_index == length:
                text = f"has committed {book.commit_index} and applied {book.applied_index} of {length} at the end"
                raise Violation("V1", text, now_ns, book.node)

    @property
    def _has_progressed(self) -> bool:
        return self._clients.acknowledged > self._acknowledged
