"""B1: the calls that wait at each node, how many and for how long.

Writes and reads have a limit each, so that neither takes the other's places (K13); of hand-overs there is one. A call
waits until its deadline, by its node's own clock, and then for the next tick at which deadlines are looked at. One that
was logged waits as well, until it is answered.

Which calls wait is booked from what the node took in and what it answered, and compared with the node's own count.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from bankd.errors import Code, Refusal
from bankd.replica.core import Replica
from bankd.replica.effects import Reply
from bankd.replica.events import Call, Calls, DigestCall, Event, HandOverCall, ReadCall, ReplyTo, Ticked, WriteCall
from bankd.sim.clocks import Clock
from bankd.sim.judges.books import NodeBook
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import NodeTraits, Plan
from bankd.types import LogIndex, NodeId, Term

LATE_TICKS_MAX: Final = 4  # deadlines are looked at every so many ticks
HAND_OVERS_MAX: Final = 1
NS_PER_MS: Final = 1_000_000

QUEUES: Final[dict[type[Call], str]] = {
    WriteCall: "writes",
    ReadCall: "reads",
    DigestCall: "reads",
    HandOverCall: "hand-overs",
}


@attrs.define(eq=False)
class Asked:
    """A call that waits for its answer; `index` 0: it is in no log that we know of."""

    call: Call
    floor: LogIndex  # the highest index that any client had been told of when it came in
    late_tick: int | None = None  # when its deadline was first seen to have passed
    index: LogIndex = LogIndex(0)
    term: Term = Term(0)
    place: int = 0  # among the commands of its entry


@attrs.define(eq=False)
class Desk:
    """The calls of one process."""

    asked: dict[ReplyTo, Asked] = attrs.field(factory=dict)
    unlogged: dict[ReplyTo, Asked] = attrs.field(factory=dict)  # those of them that are writes and in no log yet
    waiting: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(QUEUES.values(), 0))  # how many, by queue
    ticks: int = 0
    judged_tick: int = 0  # when deadlines were judged last

    def take(self, calls: Sequence[Call], floor: LogIndex) -> None:
        for call in calls:
            assert call.reply_to not in self.asked, f"{call.reply_to!r} is used twice"
            asked = self.asked[call.reply_to] = Asked(call, floor)
            self.waiting[QUEUES[type(call)]] += 1
            if isinstance(call, WriteCall):
                self.unlogged[call.reply_to] = asked

    def answer(self, reply_to: ReplyTo) -> Asked | None:
        """Take a call out that is answered; None: no such call waits."""
        asked = self.asked.pop(reply_to, None)
        if asked is not None:
            self.waiting[QUEUES[type(asked.call)]] -= 1
            self.unlogged.pop(reply_to, None)
        return asked


class Desks:
    def __init__(self, plan: Plan) -> None:
        waiting_max = plan.product.waiting_calls_max
        self._waiting_max = {"writes": waiting_max, "reads": waiting_max, "hand-overs": HAND_OVERS_MAX}
        traits = plan.traits or (NodeTraits(),) * len(plan.nodes)
        self._clocks = {node: Clock(its) for node, its in zip(plan.nodes, traits, strict=True)}
        self.of = {node: Desk() for node in plan.nodes}

    def booted(self, node: NodeId) -> None:
        """A new process knows nothing of its forerunner's callers."""
        self.of[node] = Desk()

    def taken(self, book: NodeBook, events: Sequence[Event], floor: LogIndex) -> bool:
        """A node took these events. Returns whether there were calls among them."""
        desk = self.of[book.node]
        any_calls = False
        for event in events:
            if type(event) is Ticked:
                desk.ticks += 1
            elif type(event) is Calls:
                any_calls = True
                desk.take(event.calls, floor)
        return any_calls

    def refused(self, book: NodeBook, replies: Sequence[Reply]) -> None:
        """Forget the writes that this turn refused before logging: they are not among the ones that it logged."""
        unlogged = self.of[book.node].unlogged
        for reply_to, result in replies:
            if isinstance(result, Refusal) and result.code is not Code.UNKNOWN:
                unlogged.pop(reply_to, None)

    def count(self, now_ns: int, book: NodeBook, replica: Replica) -> None:
        """A node must know how many wait, and bound them."""
        desk = self.of[book.node]
        if len(desk.asked) != replica.waiting_calls:
            text = f"counts {replica.waiting_calls} waiting calls, and {len(desk.asked)} wait"
            raise Violation("B1", text, now_ns, book.node)
        for queue, waiting in desk.waiting.items():
            if waiting > self._waiting_max[queue]:
                text = f"lets {waiting} {queue} wait, at most {self._waiting_max[queue]}"
                raise Violation("B1", text, now_ns, book.node)

    def waited(self, now_ns: int, book: NodeBook) -> None:
        """A turn is over: whoever still waits has time left, or is answered within the next few ticks."""
        desk = self.of[book.node]
        if desk.ticks == desk.judged_tick:
            return
        desk.judged_tick = desk.ticks
        node_ns = self._clocks[book.node].monotonic_ns(now_ns)
        for asked in desk.asked.values():
            if asked.call.deadline_ns > node_ns:
                continue
            if asked.late_tick is None:
                asked.late_tick = desk.ticks
            elif desk.ticks - asked.late_tick >= LATE_TICKS_MAX:
                late_ms = (node_ns - asked.call.deadline_ns) // NS_PER_MS
                text = f"lets {type(asked.call).__name__} wait, {late_ms} ms after its deadline"
                raise Violation("B1", text, now_ns, book.node)
