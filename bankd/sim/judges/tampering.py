"""Which disks the plan itself changes: what is missing there, no program has lost."""

from bankd.sim.judges.books import NodeBook
from bankd.sim.plan import OlderCopy, Plan, Rot, Wipe
from bankd.types import NodeId


def is_tampered(plan: Plan, node: NodeId, now_ns: int, *kinds: type[Rot | OlderCopy | Wipe], since_ns: int = 0) -> bool:
    """Whether a fault of these kinds has come over this node by now."""
    return any(
        isinstance(fault, kinds) and fault.node == node and since_ns <= fault.at_ns <= now_ns for fault in plan.faults
    )


def is_replaced(plan: Plan, book: NodeBook, now_ns: int) -> bool:
    """Whether another directory was put in the place of a node's since it started last."""
    return is_tampered(plan, book.node, now_ns, OlderCopy, Wipe, since_ns=book.booted_ns)
