"""Remember the last events of a run, and sum up all of them in one number."""

from collections.abc import Sequence

from bankd.errors import NodeError
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, Result
from bankd.replica.events import Event
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Request
from bankd.storage.recovery import Recovered
from bankd.types import NodeId

WORLD = NodeId("world")  # the column of what happens to no single node

Value = int | str | bytes | None


class Trace:
    """Told the same things as `Judges`, under the same names; and, with `note`, what only the world knows.

    Notes are tuples of plain values until somebody prints them.
    """

    def __init__(self, nodes: Sequence[NodeId], events_kept: int = 64) -> None:
        """`events_kept`: how many of the last events of each column."""

    def note(self, now_ns: int, column: NodeId, kind: str, *values: Value) -> None:
        """Anything else worth a line: `kind`, then the values, with spaces between."""

    def booted(self, now_ns: int, node: NodeId, replica: Replica, recovered: Recovered) -> None: ...

    def turned(
        self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects
    ) -> None: ...

    def durable(self, now_ns: int, node: NodeId, write_seq: int) -> None: ...

    def ended(self, now_ns: int, node: NodeId, why: str) -> None: ...

    def refused(self, now_ns: int, node: NodeId, error: NodeError) -> None: ...

    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None: ...

    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None: ...

    def healed(self, now_ns: int) -> None: ...

    def digest(self) -> str:
        """32 hex digits over everything noted so far: equal for equal runs, in every process."""
        return ""

    def lines(self) -> list[str]:
        """The last events, oldest first, in columns: time in seconds, one column a node, one for the clients."""
        return []

    def report(self, violation: Violation, step: int) -> str:
        """Everything that a person needs first: what was violated, where and when, and the last events."""
        return ""
