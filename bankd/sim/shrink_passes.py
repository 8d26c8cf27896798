"""The steps by which a plan is made smaller, each a pass over one of its parts.

A pass proposes candidates to a `Search`, which runs them and keeps the best. What removes most comes first: the end
of the run, faults, calls, nodes. What only tidies comes last, when little is left to run: lengths, odds, traits, round
numbers. A node, client or fault keeps its name and number when others go, since its random stream is
named after it.

Invariant: a candidate is never larger than the best plan that it was made from, so the passes come to an end.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

import attrs

from bankd.sim.plan import (
    ClockJump,
    Clog,
    Crash,
    Fault,
    Move,
    NodeTraits,
    Operation,
    Partition,
    Plan,
    ProductOptions,
    Storm,
)
from bankd.types import NodeId

T = TypeVar("T")
A = TypeVar("A", bound=attrs.AttrsInstance)
Breaks = Callable[[Plan], str | None]
Report = Callable[[int, Plan], None]

OnLinks = Partition | Clog | Storm  # the other faults are each a node's
SHORTEST_NS: Final = 1_000_000  # what lasts no longer is left as it is
TENTH_NS: Final = 10**8  # a run ends at a multiple of this
ROUND_NS: Final = (10**9, 10**8, 10**7, 10**6)  # times are tried at these multiples, the roundest first


class RunsSpent(Exception):
    """No run is left. Raised by a search, caught in `shrink`."""


class Search:
    """The best plan so far, and the runs that it took."""

    def __init__(self, plan: Plan, invariant: str, breaks: Breaks, report: Report, runs_max: int) -> None:
        self.best = plan
        self.runs = 1
        self._invariant = invariant
        self._breaks = breaks
        self._report = report
        self._runs_max = runs_max
        self._refuted: set[Plan] = set()

    def keeps(self, candidate: Plan) -> bool:
        """Whether the same invariant breaks in the candidate, which then is the best plan."""
        if candidate == self.best or candidate in self._refuted:
            return False
        if self.runs >= self._runs_max:
            raise RunsSpent
        self.runs += 1
        broke = self._breaks(candidate) == self._invariant
        if broke:
            self.best = candidate
        else:
            self._refuted.add(candidate)
        self._report(self.runs, self.best)
        return broke

    def keeps_any(self, variants: Callable[[Plan], Iterator[Plan]]) -> None:
        """Go on with the first variant of the best plan in which it breaks, as long as there is one."""
        while any(self.keeps(variant) for variant in variants(self.best)):
            pass


Pass = Callable[[Search], None]


def thinned(items: Sequence[T], keeps: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """What is left of the items when no part of them can go: ddmin, by complements.

    All of them are tried first, then halves, quarters, down to single ones, which are gone through until a
    whole round of them finds nothing. `keeps` is asked what would be left.
    """
    size = len(items)
    while items and size:
        before = len(items)
        start = 0
        while start < len(items):
            rest = [*items[:start], *items[start + size :]]
            if keeps(rest):
                items = rest
            else:
                start += size
        if size > 1 or len(items) == before:
            size = min(size, len(items)) // 2
    return items


# What removes most


def end_sooner(search: Search) -> None:
    """End the faults' phase early; what was to come later falls away."""
    search.keeps_any(lambda plan: (cut_off(plan, plan.safety_ns * eighths // 8) for eighths in (0, 4, 6, 7)))


def cut_off(plan: Plan, at_ns: int) -> Plan:
    at_ns -= at_ns % TENTH_NS
    return attrs.evolve(
        plan,
        safety_ns=at_ns,
        faults=tuple(fault for fault in plan.faults if fault.at_ns < at_ns),
        operations=tuple(operation for operation in plan.operations if operation.at_ns < at_ns),
    )


def fewer_faults(search: Search) -> None:
    thinned(search.best.faults, lambda rest: search.keeps(attrs.evolve(search.best, faults=tuple(rest))))


def fewer_operations(search: Search) -> None:
    thinned(search.best.operations, lambda rest: search.keeps(attrs.evolve(search.best, operations=tuple(rest))))


def fewer_nodes(search: Search) -> None:
    for node in reversed(search.best.nodes):
        if len(search.best.nodes) > 1:
            search.keeps(without_node(search.best, node))


def without_node(plan: Plan, gone: NodeId) -> Plan:
    traits = [one for node, one in zip(plan.nodes, plan.traits, strict=False) if node != gone]
    return attrs.evolve(
        plan,
        nodes=tuple(node for node in plan.nodes if node != gone),
        traits=tuple(traits),
        faults=tuple(spared for fault in plan.faults for spared in sparing(fault, gone)),
        stays_down=plan.stays_down - {gone},
    )


def sparing(fault: Fault, gone: NodeId) -> Iterator[Fault]:
    """The fault as it is without a node: itself, its other links, or nothing."""
    if isinstance(fault, OnLinks):
        left = tuple(link for link in fault.links if gone not in link)
        yield from [attrs.evolve(fault, links=left)] if left else []
    elif fault.node != gone:
        yield fault


# What tidies


def fewer_clients(search: Search) -> None:
    """No more clients than there are calls of."""
    callers = {operation.client for operation in search.best.operations}
    search.keeps(attrs.evolve(search.best, clients=min(search.best.clients, max(callers, default=0) + 1)))


def fewer_stay_down(search: Search) -> None:
    best = search.best
    thinned(sorted(best.stays_down), lambda rest: search.keeps(attrs.evolve(search.best, stays_down=frozenset(rest))))


def calmer(search: Search) -> None:
    """Odds, traits and settings as they are when nothing is said: everything at once, then part by part."""
    search.keeps_any(calmer_parts)


def calmer_parts(plan: Plan) -> Iterator[Plan]:
    """No number grows, so that a plan within the product's promises stays there.

    These measure delays and syncs by the election timeout: it changes only once those are calm.
    """
    calm = attrs.evolve(plan, network=calmed(plan.network), disk=calmed(plan.disk))
    yield attrs.evolve(calm, product=ProductOptions(), traits=())
    yield from (attrs.evolve(plan, network=network) for network in each_calmed(plan.network))
    yield from (attrs.evolve(plan, disk=disk) for disk in each_calmed(plan.disk))
    if plan == calm:
        yield attrs.evolve(plan, product=ProductOptions())
    yield attrs.evolve(plan, traits=())
    for place, traits in enumerate(plan.traits):
        yield from (with_traits(plan, place, calmer) for calmer in each_calmed(traits))


def each_calmed(settings: A) -> Iterator[A]:
    """The settings with all numbers calmed, then with one of them."""
    calm = calmed(settings)
    yield calm
    make: Callable[..., A] = type(settings)
    given = attrs.asdict(settings)
    yield from (make(**given | {name: number}) for name, number in attrs.asdict(calm).items())


def calmed(settings: A) -> A:
    """Every number at its default, where that is not further from 0."""
    make: Callable[..., A] = type(settings)
    defaults = attrs.asdict(make())
    return make(**{name: min(number, defaults[name], key=abs) for name, number in attrs.asdict(settings).items()})


def with_traits(plan: Plan, place: int, traits: NodeTraits) -> Plan:
    return attrs.evolve(plan, traits=(*plan.traits[:place], traits, *plan.traits[place + 1 :]))


def plainer_faults(search: Search) -> None:
    for place in range(len(search.best.faults)):
        search.keeps_any(partial(with_plainer_fault, place))


def with_plainer_fault(place: int, plan: Plan) -> Iterator[Plan]:
    for fault in plainer(plan.faults[place]):
        yield attrs.evolve(plan, faults=(*plan.faults[:place], fault, *plan.faults[place + 1 :]))


def plainer(fault: Fault) -> Iterator[Fault]:
    if isinstance(fault, OnLinks):
        yield from (attrs.evolve(fault, links=links) for links in parts(fault.links))
    if isinstance(fault, Crash):
        yield attrs.evolve(fault, power=False)
        yield attrs.evolve(fault, operations=0)
    yield from (attrs.evolve(fault, at_ns=at_ns) for at_ns in rounder(fault.at_ns))
    if not isinstance(fault, ClockJump):
        yield from (attrs.evolve(fault, for_ns=for_ns) for for_ns in (*shorter(fault.for_ns), *rounder(fault.for_ns)))


def plainer_operations(search: Search) -> None:
    for place in range(len(search.best.operations)):
        search.keeps_any(partial(with_plainer_operation, place))


def with_plainer_operation(place: int, plan: Plan) -> Iterator[Plan]:
    for operation in simpler(plan.operations[place]):
        yield attrs.evolve(plan, operations=(*plan.operations[:place], operation, *plan.operations[place + 1 :]))


def simpler(operation: Operation) -> Iterator[Operation]:
    if isinstance(operation.request, Move):
        yield from (attrs.evolve(operation, request=move) for move in fewer_rows(operation.request))
    yield from (attrs.evolve(operation, at_ns=at_ns) for at_ns in rounder(operation.at_ns))


def fewer_rows(move: Move) -> Iterator[Move]:
    rows = list(zip(move.tx_ids, move.sources, move.targets, move.amounts, strict=True))
    for part in parts(rows):
        tx_ids, sources, targets, amounts = zip(*part, strict=True)
        yield Move(tx_ids, sources, targets, amounts)


def parts(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """Each half of the items, then all but one of them; never none."""
    half = len(items) // 2
    if half:
        yield from (tuple(items[:half]), tuple(items[half:]))
        yield from ((*items[:place], *items[place + 1 :]) for place in range(len(items)))


def shorter(ns: int) -> Iterator[int]:
    if ns > SHORTEST_NS:
        yield max(ns // 2, SHORTEST_NS)


def rounder(ns: int) -> Iterator[int]:
    """The time with fewer digits, the fewest first, and not later."""
    yield from (ns // unit * unit for unit in ROUND_NS if ns % unit and ns >= unit)


PASSES: Final[tuple[Pass, ...]] = (
    end_sooner,
    fewer_faults,
    fewer_operations,
    fewer_nodes,
    fewer_clients,
    fewer_stay_down,
    calmer,
    plainer_faults,
    plainer_operations,
)
