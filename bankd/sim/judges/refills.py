"""S1, S2: a node that has lost something counts for nothing until a leader has refilled it, and then has all it ever held.

What such a node may have acknowledged may be committed by it, now or later: so it is trusted again only with all of it
that is committed by then. That its later word is not counted is judged where a leader commits (`commits`), and that the
entries are there at the start where disks are read (`disks`).

A node whose directory was replaced may not know that it has lost something. Then the others must: it is let in by nobody,
until it knows.

D1: it knows what befell its disk. It begins to be refilled for damage alone, and ends no refill by itself. It may refuse to
start only if its identity may be wrong, or if its term and vote may be: they are in the log and once more beside it, so
that the copy must have been hit, and with it what says that the log is whole; or if it is one of one or two voters, for
then nobody can refill it.

Limits: a flipped bit is remembered by its file, until a start has read that: a log is then set aside, the copy made anew.
A directory that the plan ever replaced may be refused.
"""

from collections.abc import Sequence
from typing import Final

from bankd.errors import DiskFailed, NodeError
from bankd.raft.messages import AppendResponse, VoteRequest, VoteResponse
from bankd.raft.ready import Refilled
from bankd.replica.core import Replica
from bankd.replica.effects import ReplicaEvent
from bankd.replica.events import PeerMessage
from bankd.sim.disk import Flip
from bankd.sim.found import Found
from bankd.sim.judges.books import Books, Held, NodeBook
from bankd.sim.judges.logs import name
from bankd.sim.judges.tampering import is_replaced, is_tampered
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import OlderCopy, Plan, Rot, Wipe
from bankd.storage.data_dir import META
from bankd.storage.peers import NAME as PEERS
from bankd.storage.state_file import NAME as STATE
from bankd.types import NodeId

HARMLESS: Final = frozenset({STATE, PEERS})  # beside a sound log


class Refills:
    def __init__(self, plan: Plan, books: Books) -> None:
        self._plan = plan
        self._books = books
        self._flipped: dict[NodeId, set[str]] = {node: set() for node in plan.nodes}  # names of files

    # Starts

    def rotted(self, node: NodeId, flip: Flip) -> None:
        self._flipped[node].add(flip.path.name)

    def booted(self, now_ns: int, book: NodeBook, found: Found, before: Held, *, is_whole: bool) -> None:
        """A process started. `before`: what its disk held; `is_whole`: it still does."""
        if found.refilling and not (book.refilling and is_whole):
            self._judge_reason(now_ns, book)
        if book.refilling and not found.refilling and not is_replaced(self._plan, book, now_ns):
            self._trust(now_ns, book)
        elif not book.refilling and (found.refilling or not is_whole):
            book.lost += (before,)
        book.refilling, book.refilled, book.copied = found.refilling, False, found.copied
        self._flipped[book.node] &= {META}

    def refused(self, now_ns: int, book: NodeBook, error: NodeError) -> None:
        """A process would not start. It may while its disk fails, or if nobody can know what it was, or how it voted."""
        fails = isinstance(error, DiskFailed) or isinstance(error.__cause__, DiskFailed)
        if fails or is_tampered(self._plan, book.node, now_ns, OlderCopy, Wipe):
            return
        flipped = self._flipped[book.node]
        is_in_doubt = STATE in flipped and (book.refilling or bool(flipped - HARMLESS))
        if META not in flipped and not is_in_doubt and (not flipped or len(self._plan.nodes) > 2):
            files = f"of which {', '.join(sorted(flipped))} rotted" if flipped else "that only crashed"
            raise Violation("D1", f"refuses a disk {files}: {error}", now_ns, book.node)

    def _judge_reason(self, now_ns: int, book: NodeBook) -> None:
        if not is_tampered(self._plan, book.node, now_ns, Rot, OlderCopy, Wipe):
            raise Violation("D1", "says that its disk lost something, and that only crashed", now_ns, book.node)

    # Turns

    def turned(self, now_ns: int, book: NodeBook, replica: Replica, events: Sequence[ReplicaEvent]) -> None:
        """A node that is refilling took a turn."""
        book.refilled |= any(type(event) is Refilled for event in events)
        if not replica.raft.is_refilling:
            self._trust(now_ns, book)
            book.refilling = book.refilled = False

    def leaves(self, now_ns: int, book: NodeBook, message: PeerMessage) -> None:
        """A message leaves a node that has lost something, whether it knows of that or not."""
        if not book.refilling:
            self._judge_unaware(now_ns, book, message)
            return
        if isinstance(message, VoteResponse) and message.granted:
            raise Violation("S2", f"votes for {message.to}, and is not refilled", now_ns, book.node)
        if isinstance(message, VoteRequest):
            raise Violation("S2", f"asks {message.to} for its vote, and is not refilled", now_ns, book.node)

    def _judge_unaware(self, now_ns: int, book: NodeBook, message: PeerMessage) -> None:
        """Somebody let it in who should have known it."""
        if isinstance(message, AppendResponse) and message.accepted:
            text = f"acknowledges entry {message.match_index}, and has forgotten what it acknowledged before"
            raise Violation("S1", text, now_ns, book.node)
        if isinstance(message, VoteResponse) and message.granted and not message.pre_vote:
            text = f"votes for {message.to}, and has forgotten what it acknowledged before"
            raise Violation("S2", text, now_ns, book.node)

    def _trust(self, now_ns: int, book: NodeBook) -> None:
        """A node counts again."""
        if not book.refilled:
            raise Violation("D1", "counts itself in again, and no leader has refilled it", now_ns, book.node)
        kept, held = self._books.reach(book.held), max(map(self._books.reach, book.lost))
        if kept < held:
            text = (
                f"counts itself in again without {name(self._books.chain[kept])}, which it held and which is committed"
            )
            raise Violation("S1", text, now_ns, book.node)
        book.lost = ()

    # The end

    def finish(self, now_ns: int) -> None:
        """Everything was mended, and a majority runs that may be counted: whoever is let in is refilled (V1); what may be an
        older copy only if all others run."""
        running = list(self._books.running)
        all_run = len(running) == len(self._plan.nodes)
        for book in running:
            is_due = book.refilling and (all_run or not book.copied)
            if is_due and not is_tampered(self._plan, book.node, now_ns, Wipe):
                raise Violation("V1", "is not refilled at the end", now_ns, book.node)
