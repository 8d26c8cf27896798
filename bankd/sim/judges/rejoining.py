"""V1: once everything is mended, who is sent a snapshot comes up with its leader, in a time that grows with its size.

The time counts from the first part of a leader's office that was sent after the healing. Come up with it a node has
once it has applied what its leader has, at any one moment.
"""

from typing import Final

from bankd.raft.messages import SnapshotRequest
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Plan
from bankd.types import NodeId

NEVER_NS: Final = 2**63
ELECTION_TIMEOUTS_MAX: Final = 10
HEARTBEATS_PER_CHUNK: Final = 4  # a lost one is asked for with the next heartbeat


class Rejoining:
    def __init__(self, plan: Plan, books: Books) -> None:
        self._books = books
        self._product = plan.product
        self._chunk_bytes = plan.limits.snapshot_chunk_bytes
        self._healed = False
        self._awaited: dict[NodeId, tuple[NodeId, int]] = {}  # by follower: its leader, and when it must be there
        self.due_ns = NEVER_NS  # `judge` is due then

    def healed(self) -> None:
        self._healed = True

    def sent(self, now_ns: int, book: NodeBook, message: SnapshotRequest) -> None:
        """A leader sends a part of a snapshot, or asks how much of it is there."""
        leader, _ = self._awaited.get(message.to, (None, 0))
        if self._healed and leader != book.node:
            chunks = message.snapshot.size_bytes // self._chunk_bytes + 1
            limit_ns = ELECTION_TIMEOUTS_MAX * self._product.election_timeout_ns
            limit_ns += chunks * HEARTBEATS_PER_CHUNK * self._product.heartbeat_ns
            self._awaited[message.to] = (book.node, now_ns + limit_ns)
            self._next()

    def applied(self, book: NodeBook) -> None:
        """A node's applied index changed."""
        leader, _ = self._awaited.get(book.node, (None, 0))
        if leader is not None and book.applied_index >= self._books.of[leader].applied_index:
            del self._awaited[book.node]
            self._next()

    def judge(self, now_ns: int) -> None:
        """The time of somebody is up."""
        for node, (leader, due_ns) in self._awaited.items():
            if due_ns <= now_ns and self._books.of[leader].leads and self._books.of[node].running:
                raise Violation("V1", f"was sent a snapshot by {leader} and has not come up with it", now_ns, node)
        self._next(now_ns)

    def _next(self, after_ns: int = 0) -> None:
        self.due_ns = min([due_ns for _, due_ns in self._awaited.values() if due_ns > after_ns], default=NEVER_NS)
