"""Refuse a plan that cannot be carried out, or that would do something other than it says.

What a seed draws is in order; a text is written by people. Without this a misspelt operation would never fail, a fault
behind the end never begin, and a setting that the product refuses would look like a bug in it.

Rules
- Every value is one that the world can have: times that pass, odds between none and all, limits of one or more.
- Faults and calls come in the safety phase, to nodes and clients that are there.
- What runs at the end is a majority (V1).
"""

from collections.abc import Iterator
from typing import Final

import attrs

from bankd.sim.plan import DISK_OPERATIONS, ClockJump, Clog, FailingDisk, Move, OlderCopy, Open, Partition, Plan, Storm
from bankd.sim.plan_text import PlanInvalid, word_of
from bankd.sim.random import PPM
from bankd.types import BALANCE_MAX, BALANCE_MIN

NODES_MAX: Final = 9
CLIENTS_MAX: Final = 1_000
NAME_CHARACTERS_MAX: Final = 64
DAY_NS: Final = 86_400 * 10**9
SEGMENT_BYTES: Final = (4 << 10, 1 << 30)
HEARTBEAT_NS_MIN: Final = 1_000_000
DRIFT_PPM_MAX: Final = PPM // 2


def checked(plan: Plan) -> Plan:
    """The plan itself.

    Raises:
      PlanInvalid: it breaks a rule; the message says which.
    """
    for fault in _faults(plan):
        raise PlanInvalid(fault)
    return plan


def _faults(plan: Plan) -> Iterator[str]:
    yield from _cast(plan)
    yield from _product(plan)
    for kind in ("product", "limits", "network", "disk"):
        yield from _values(kind, getattr(plan, kind))
    for node, traits in zip(plan.nodes, plan.traits, strict=False):
        if abs(traits.drift_ppm) > DRIFT_PPM_MAX:
            yield f"traits {node}: a drift of {traits.drift_ppm} ppm, at most {DRIFT_PPM_MAX}"
        if not 0 <= traits.turn_ns <= DAY_NS:
            yield f"traits {node}: a turn of {traits.turn_ns} ns"
    yield from _struck(plan)
    yield from _called(plan)


def _cast(plan: Plan) -> Iterator[str]:
    if not 1 <= len(plan.nodes) <= NODES_MAX or len(set(plan.nodes)) < len(plan.nodes):
        yield f"nodes: 1 to {NODES_MAX} different ones, not {len(plan.nodes)}"
    for node in plan.nodes:
        if len(node) > NAME_CHARACTERS_MAX or not node.isprintable():
            yield f"nodes: a printable name of {NAME_CHARACTERS_MAX} characters at most, not {node[:NAME_CHARACTERS_MAX]!a}"
    if not 0 <= plan.clients <= CLIENTS_MAX:
        yield f"clients: 0 to {CLIENTS_MAX}, not {plan.clients}"
    if not 0 < plan.safety_ns <= DAY_NS:
        yield "safety: longer than 0s, and a day at most"
    if 2 * len(plan.stays_down) >= len(plan.nodes):
        yield f"stays-down: less than half of the {len(plan.nodes)} nodes, not {len(plan.stays_down)}"


def _product(plan: Plan) -> Iterator[str]:
    product = plan.product
    if not HEARTBEAT_NS_MIN <= product.heartbeat_ns <= product.election_timeout_ns <= DAY_NS:
        yield "product: a heartbeat of 1ms or more, and an election_timeout that is longer, a day at most"
    elif product.election_timeout_ns <= 2 * product.heartbeat_ns:
        yield "product: an election_timeout of more than two heartbeats"
    low, high = SEGMENT_BYTES
    if not low <= product.segment_bytes <= high:
        yield f"product: segment_bytes of {low} to {high}, not {product.segment_bytes}"


def _values(kind: str, settings: attrs.AttrsInstance) -> Iterator[str]:
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        if "ppm" in field.name.split("_") and not 0 <= value <= PPM:
            yield f"{kind}: {field.name} of 0 to {PPM}, not {value}"
        elif "ns" in field.name.split("_") and not 0 <= value <= DAY_NS:
            yield f"{kind}: {field.name} of 0 or more and a day at most, not {value}"
        elif field.name.endswith("_max") and kind in ("product", "limits") and not 1 <= value < 2**62:
            yield f"{kind}: {field.name} of 1 or more, not {value}"
    if kind == "network" and settings.delay_ns_min > settings.delay_ns_max:  # type: ignore[attr-defined]
        yield "network: delay_min is more than delay_max"


def _struck(plan: Plan) -> Iterator[str]:
    for fault in plan.faults:
        name = f"{word_of(type(fault))} at {fault.at_ns / 10**9:g}s"
        if not 0 <= fault.at_ns < plan.safety_ns:
            yield f"{name}: it never begins, the faults end at {plan.safety_ns / 10**9:g}s"
        if not isinstance(fault, ClockJump) and not 0 <= fault.for_ns <= DAY_NS:
            yield f"{name}: it lasts 0s or more, a day at most"
        match fault:
            case Partition() | Clog() | Storm():
                if any(sender == receiver for sender, receiver in fault.links):
                    yield f"{name}: a link from a node to itself"
            case FailingDisk(operation=operation):
                if operation not in DISK_OPERATIONS:
                    yield f"{name}: there is no operation {operation!r} (one of {', '.join(DISK_OPERATIONS)})"
            case OlderCopy(taken_ns=taken_ns):
                if not 0 <= taken_ns <= fault.at_ns:
                    yield f"{name}: the copy is taken before it is put back, and not before the start"
            case _:
                pass
        for field in attrs.fields(type(fault)):
            value = getattr(fault, field.name)
            if isinstance(value, int) and value < 0 and field.name not in ("at_ns", "for_ns", "taken_ns", "by_ns"):
                yield f"{name}: {field.name} of 0 or more, not {value}"


def _called(plan: Plan) -> Iterator[str]:
    for operation in plan.operations:
        name = f"client {operation.client} at {operation.at_ns / 10**9:g}s"
        if not 0 <= operation.client < plan.clients:
            yield f"{name}: there are {plan.clients}, counted from 0"
        if not 0 <= operation.at_ns < plan.safety_ns:
            yield f"{name}: it never calls, the calls end at {plan.safety_ns / 10**9:g}s"
        match operation.request:
            case Move(tx_ids=(), amounts=_):
                yield f"{name}: a move of no rows"
            case Move(amounts=amounts):
                if not all(BALANCE_MIN <= amount <= BALANCE_MAX for amount in amounts):
                    yield f"{name}: an amount that is no 64-bit number"
            case Open(balance=balance):
                if not BALANCE_MIN <= balance <= BALANCE_MAX:
                    yield f"{name}: a balance that is no 64-bit number"
            case _:
                pass
