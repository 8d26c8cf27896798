"""Hand what happens in a run to every judge that it concerns."""

from collections.abc import Sequence

from bankd.errors import NodeError
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, Result
from bankd.replica.events import Event
from bankd.sim.plan import Plan, Request
from bankd.storage.recovery import Recovered
from bankd.types import NodeId


class Judges:
    """Watches one run. Every method raises `Violation` at the first thing that must not be.

    The caller tells everything in the order in which it happened. A `reply_to` must be hashable, and equal to no other
    one of its process.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def booted(self, now_ns: int, node: NodeId, replica: Replica, recovered: Recovered) -> None:
        """A process started from its disk and is about to take its first event."""

    def turned(self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects) -> None:
        """A node took `events`, in that order, and was asked once for `effects`; nothing of them was carried out yet."""

    def durable(self, now_ns: int, node: NodeId, write_seq: int) -> None:
        """The disk said that every write up to this number is durable; the replica has not heard of it yet."""

    def ended(self, now_ns: int, node: NodeId, why: str) -> None:
        """A process is gone: crashed, or ended by itself (a failed disk)."""

    def refused(self, now_ns: int, node: NodeId, error: NodeError) -> None:
        """A process would not start."""

    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None:
        """A client begins a call; whatever it retries inside is part of it."""

    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None:
        """A client's call ends. None: the client gave up, outcome unknown."""

    def healed(self, now_ns: int) -> None:
        """The safety phase is over and everything is mended but for `Plan.stays_down`."""

    def finish(self, now_ns: int) -> None:
        """The run is over. The caller has let the cluster rest for a few heartbeats, with no call under way."""
