"""V1 while faults go on: a leader that cannot do what it is for gives up its office, so that another may have it.

It cannot if it has not heard a majority, itself included, for an election timeout, or if its disk has not finished a
write for as long. Time is counted in the leader's own ticks: one that stood still could not notice. Twice the
time is granted, since what it heard last may have been under way.

Rule: whatever a member says in the leader's term is heard; more than the product needs, so it is never blamed wrongly.
"""

from collections import deque
from collections.abc import Sequence

import attrs

from bankd.boot import TICKS_PER_HEARTBEAT
from bankd.raft.ready import Persist
from bankd.replica.events import Event, Received, Ticked
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Plan
from bankd.types import NodeId, Term

ELECTION_TIMEOUTS_MAX = 2


@attrs.define(eq=False)
class Office:
    """One node's term of office, in ticks since it began."""

    term: Term
    heard: dict[NodeId, int]  # when each other member was heard last
    writes: deque[tuple[int, int]]  # number and beginning of each write that is under way
    ticks: int = 0


class Offices:
    def __init__(self, plan: Plan, books: Books) -> None:
        product = plan.product
        self._books = books
        self._ticks_max = (
            ELECTION_TIMEOUTS_MAX * TICKS_PER_HEARTBEAT * product.election_timeout_ns // product.heartbeat_ns
        )
        self._offices: dict[NodeId, Office] = {}

    def turned(self, now_ns: int, book: NodeBook, events: Sequence[Event], persists: Sequence[Persist]) -> None:
        """A node that leads took these events and asked for these writes."""
        office = self._offices.get(book.node)
        if office is None or office.term != book.leads:
            others = dict.fromkeys([node for node in self._books.of if node != book.node], 0)
            under_way = deque((write.write_seq, 0) for write in book.writes)
            self._offices[book.node] = Office(book.leads, others, under_way)
            return
        office.writes.extend((persist.write_seq, office.ticks) for persist in persists)
        ticks = office.ticks
        for event in events:
            if type(event) is Ticked:
                office.ticks += 1
            elif type(event) is Received and event.message.term == book.leads:
                office.heard[event.message.sender] = office.ticks
        if office.ticks != ticks:
            self._judge(now_ns, book, office)

    def _judge(self, now_ns: int, book: NodeBook, office: Office) -> None:
        since = office.ticks - self._ticks_max
        if since <= 0:
            return
        if 1 + sum(heard >= since for heard in office.heard.values()) < self._books.majority:
            raise Violation("V1", f"leads term {office.term} on without hearing a majority", now_ns, book.node)
        while office.writes and (not book.writes or office.writes[0][0] < book.writes[0].write_seq):
            office.writes.popleft()
        if office.writes and office.writes[0][1] < since:
            raise Violation("V1", f"leads term {office.term} on with a disk that hangs", now_ns, book.node)
