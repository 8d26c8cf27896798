"""Small plans, and a watcher that writes down what happens to nodes."""

from collections.abc import Sequence

import attrs

from bankd.errors import NodeError
from bankd.raft.ready import Refilled, Role, RoleChanged
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, Result
from bankd.replica.events import Event
from bankd.sim.disk import Flip
from bankd.sim.found import Found
from bankd.sim.judges import Judges
from bankd.sim.plan import Fault, Move, Open, Operation, Plan, Request
from bankd.sim.trace import Trace
from bankd.sim.world import Outcome, World, run
from bankd.types import AccountId, NodeId, TxId

S = 1_000_000_000
MS = 1_000_000
N1, N2, N3 = NODES = tuple(NodeId(name) for name in ("n1", "n2", "n3"))
A, B = AccountId("a"), AccountId("b")


def plan(*faults: Fault, seconds: int = 20, calls: int = 100) -> Plan:
    """Three nodes, and one client that opens two accounts and moves money all the time."""
    opens = [Operation(number, 0, Open(account, 1_000, TxId(account))) for number, account in enumerate((A, B))]
    moves = [
        Operation(2 * S + number * (seconds - 2) * S // calls, 0, Move((TxId(f"t{number}"),), (A,), (B,), (1,)))
        for number in range(calls)
    ]
    return Plan(
        seed=7,
        nodes=NODES,
        clients=1,
        safety_ns=seconds * S,
        faults=faults,
        operations=(*opens, *moves) if calls else (),
    )


def judged(plan: Plan) -> Outcome:
    """Run a plan before all judges; nothing may be violated."""
    trace = Trace(plan.nodes)
    outcome = run(plan, judges=Judges(plan), trace=trace)
    assert outcome.violation is None, trace.report(outcome.violation, outcome.events)
    return outcome


@attrs.define(eq=False)
class Notes:
    """What happened to nodes: (time in ns, node, what)."""

    lines: list[tuple[int, NodeId, str]] = attrs.field(factory=list)
    turns: list[tuple[int, NodeId, Sequence[Event]]] = attrs.field(factory=list)
    found: dict[NodeId, list[Found]] = attrs.field(factory=dict)  # by each start

    def of(self, node: NodeId, what: str) -> list[int]:
        """When this happened to a node."""
        return [at_ns for at_ns, other, noted in self.lines if (other, noted) == (node, what)]

    def booted(self, now_ns: int, node: NodeId, replica: Replica, found: Found) -> None:
        self.lines.append((now_ns, node, "boot"))
        if replica.raft.is_refilling:
            self.lines.append((now_ns, node, "refilling"))
        self.found.setdefault(node, []).append(found)

    def turned(self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects) -> None:
        self.turns.append((now_ns, node, events))
        for event in effects.events:
            if isinstance(event, RoleChanged) and event.role is Role.LEADER:
                self.lines.append((now_ns, node, "elected"))
            elif isinstance(event, Refilled):
                self.lines.append((now_ns, node, "refilled"))

    def durable(self, now_ns: int, node: NodeId, write_seq: int) -> None:
        self.lines.append((now_ns, node, "durable"))

    def ended(self, now_ns: int, node: NodeId, why: str) -> None:
        self.lines.append((now_ns, node, "end"))

    def refused(self, now_ns: int, node: NodeId, error: NodeError) -> None:
        self.lines.append((now_ns, node, error.reason))

    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None: ...
    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None: ...
    def struck(self, now_ns: int, fault: Fault) -> None: ...
    def rotted(self, now_ns: int, node: NodeId, flip: Flip) -> None: ...
    def healed(self, now_ns: int) -> None: ...


def noted(plan: Plan) -> tuple[World, Notes]:
    """Run a plan and return its world as it ended, and what happened in it."""
    world, notes = World(plan, None, None), Notes()
    world.around.watchers = (notes,)
    world.run()
    return world, notes


def first_leader(plan: Plan) -> NodeId:
    _, notes = noted(plan)
    return next(node for _, node, what in notes.lines if what == "elected")
