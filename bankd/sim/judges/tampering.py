"""Which disks the plan itself changes: what is missing there, no program has lost."""

from bankd.sim.plan import OlderCopy, Plan, Rot, Wipe
from bankd.types import NodeId


def is_tampered(plan: Plan, node: NodeId, now_ns: int, *kinds: type[Rot | OlderCopy | Wipe]) -> bool:
    """Whether a fault of these kinds has come over this node by now."""
    return any(isinstance(fault, kinds) and fault.node == node and fault.at_ns <= now_ns for fault in plan.faults)
