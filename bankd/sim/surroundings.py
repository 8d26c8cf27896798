"""What everything in one simulated world shares: the queue, the network, who watches, and what is counted."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from bankd.errors import NodeError
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, Result
from bankd.replica.events import Event
from bankd.sim.disk import Flip
from bankd.sim.found import Found
from bankd.sim.network import Network
from bankd.sim.plan import Fault, Request
from bankd.sim.queue import Queue
from bankd.types import NodeId


class Watcher(Protocol):
    """What is told of everything that happens, in its order: `judges.Judges` and `trace.Trace`."""

    def booted(self, now_ns: int, node: NodeId, replica: Replica, found: Found) -> None: ...
    def turned(
        self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects
    ) -> None: ...
    def durable(self, now_ns: int, node: NodeId, write_seq: int) -> None: ...
    def ended(self, now_ns: int, node: NodeId, why: str) -> None: ...
    def refused(self, now_ns: int, node: NodeId, error: NodeError) -> None: ...
    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None: ...
    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None: ...
    def struck(self, now_ns: int, fault: Fault) -> None: ...
    def rotted(self, now_ns: int, node: NodeId, flip: Flip) -> None: ...
    def healed(self, now_ns: int) -> None: ...


@attrs.define(eq=False)
class Surroundings:
    queue: Queue
    network: Network
    watchers: tuple[Watcher, ...] = ()
    elections: int = 0  # leaders that took office
    calls: int = 0  # that clients made
    acknowledged: int = 0  # of them answered, refusals not counted
