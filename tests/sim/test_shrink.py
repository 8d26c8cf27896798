"""Shrinking: what stays is what the violation needs, and it is asked for with few runs."""

from collections.abc import Callable, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd.sim.plan import (
    Balance,
    ClockJump,
    Crash,
    DiskOdds,
    Fault,
    Freeze,
    Move,
    NetworkOdds,
    NodeTraits,
    Operation,
    Partition,
    Plan,
    ProductOptions,
    ReadKind,
)
from bankd.sim.shrink import Shrunk, shrink
from bankd.sim.shrink_passes import thinned
from bankd.types import AccountId, NodeId, TxId

N = tuple(NodeId(f"n{number}") for number in range(1, 6))
A, B = AccountId("a"), AccountId("b")
S = 10**9
RUNS_MAX = 2000


def crash(number: int) -> Crash:
    return Crash(number * S + 123, 3 * S + 7, N[number % 5], power=True, operations=number % 3)


def cut(number: int) -> Partition:
    return Partition(number * S + 456, 2 * S, tuple((a, b) for a in N for b in N if a != b))


def move(number: int, rows: int = 4) -> Operation:
    ids = tuple(TxId(f"tx-{number}-{row}") for row in range(rows))
    return Operation(number * S // 4 + 789, number % 6, Move(ids, (A,) * rows, (B,) * rows, (1,) * rows))


LARGE = Plan(
    seed=9,
    nodes=N,
    clients=6,
    safety_ns=60 * S,
    network=NetworkOdds(loss_ppm_max=50_000, reorder_ppm_max=7),
    disk=DiskOdds(slow_sync_ppm=100),
    traits=tuple(NodeTraits(drift_ppm=50, wall_offset_ns=-S, turn_ns=1_000) for _ in N),
    faults=tuple(fault for number in range(1, 25) for fault in (crash(number), cut(number), Freeze(number * S, S, N[0]))),
    operations=tuple(move(number) for number in range(200)),
    stays_down=frozenset(N[3:]),
)  # fmt: skip
SMALL = Plan(seed=9, nodes=N[:1], clients=1, safety_ns=0)


def shrunk(holds: Callable[[Plan], bool], *, runs_max: int = RUNS_MAX) -> Shrunk:
    found = shrink(LARGE, lambda plan: "S1" if holds(plan) else None, runs_max=runs_max)
    assert found is not None
    assert holds(found.plan), "what was found breaks nothing"
    assert (found.invariant, found.runs <= runs_max) == ("S1", True)
    return found


def crashes(plan: Plan, node: NodeId) -> bool:
    return any(isinstance(fault, Crash) and fault.node == node for fault in plan.faults)


def moves(plan: Plan, tx_id: str) -> bool:
    requests = [operation.request for operation in plan.operations]
    return any(tx_id in request.tx_ids for request in requests if isinstance(request, Move))


def cuts(plan: Plan, *link: NodeId) -> bool:
    return any(isinstance(fault, Partition) and link in fault.links for fault in plan.faults)


NEEDS: list[tuple[str, Callable[[Plan], bool], Callable[[Plan], object], object]] = [
    ("nothing", lambda plan: True, lambda plan: plan, SMALL),
    ("one fault", lambda plan: crashes(plan, N[2]), lambda plan: [type(fault) for fault in plan.faults], [Crash]),
    (
        "a fault's node, and no other",
        lambda plan: crashes(plan, N[2]),
        lambda plan: (plan.nodes, plan.stays_down),
        (N[2:3], frozenset()),
    ),
    (
        "a fault and a call",
        lambda plan: crashes(plan, N[2]) and moves(plan, "tx-101-2"),
        lambda plan: (len(plan.faults), [operation.request for operation in plan.operations]),
        (1, [Move((TxId("tx-101-2"),), (A,), (B,), (1,))]),
    ),
    ("three nodes", lambda plan: len(plan.nodes) >= 3, lambda plan: plan.nodes, N[:3]),
    (
        "one direction of one link",
        lambda plan: cuts(plan, N[1], N[4]),
        lambda plan: (plan.nodes, *plan.faults),
        ((N[1], N[4]), Partition(S, 1_000_000, ((N[1], N[4]),))),
    ),
    (
        "two faults of eighty, far apart",
        lambda plan: crash(3) in plan.faults and crash(23) in plan.faults,
        lambda plan: plan.faults,
        (crash(3), crash(23)),
    ),
    (
        "a long fault",
        lambda plan: any(isinstance(fault, Freeze) and fault.for_ns >= S // 2 for fault in plan.faults),
        lambda plan: plan.faults,
        (Freeze(S, S // 2, N[0]),),
    ),
    (
        "a lossy network and nothing else of it",
        lambda plan: plan.network.loss_ppm_max > 0,
        lambda plan: (plan.network, plan.disk, plan.traits),
        (NetworkOdds(loss_ppm_max=50_000), DiskOdds(), ()),
    ),
    (
        "one node's clock",
        lambda plan: NodeTraits(drift_ppm=50) in [attrs.evolve(one, wall_offset_ns=0, turn_ns=0) for one in plan.traits],
        lambda plan: [one for one in plan.traits if one != NodeTraits()],
        [NodeTraits(drift_ppm=50)],
    ),
    ("a machine that loses power", lambda plan: any(isinstance(fault, Crash) and fault.power for fault in plan.faults),
     lambda plan: plan.faults, (Crash(S, 1_000_000, N[1], power=True),)),
    (
        "nodes that stay down",
        lambda plan: len(plan.nodes) == 5 and N[3] in plan.stays_down,
        lambda plan: plan.stays_down,
        {N[3]},
    ),
    (
        "a fault only as long as messages are lost",
        lambda plan: crashes(plan, N[2]) or plan.network == NetworkOdds(),
        lambda plan: (plan.faults, plan.network),
        ((), NetworkOdds()),
    ),
    ("a late end", lambda plan: plan.safety_ns > 10 * S, lambda plan: plan.safety_ns < 13 * S, True),
]  # fmt: skip


@pytest.mark.parametrize(("holds", "part", "left"), [pytest.param(*row, id=what) for what, *row in NEEDS])
def test_only_what_is_needed_stays(holds: Callable[[Plan], bool], part: Callable[[Plan], object], left: object) -> None:
    found = shrunk(holds)
    assert part(found.plan) == left
    assert found.minimal


def test_a_plan_that_breaks_nothing_is_told_apart() -> None:
    assert shrink(LARGE, lambda plan: None, runs_max=10) is None


def test_another_invariant_is_another_bug() -> None:
    """Without the crash something else breaks: that must not lead away."""
    found = shrink(LARGE, lambda plan: "S1" if crashes(plan, N[2]) else "V1", runs_max=RUNS_MAX)
    assert found is not None
    assert [type(fault) for fault in found.plan.faults] == [Crash]


@pytest.mark.parametrize("runs_max", [1, 2, 7, 40])
def test_no_more_runs_than_allowed_and_the_best_of_them_is_kept(runs_max: int) -> None:
    asked: list[Plan] = []

    def breaks(plan: Plan) -> str | None:
        asked.append(plan)
        return "S1" if crashes(plan, N[2]) and moves(plan, "tx-101-2") else None

    found = shrink(LARGE, breaks, runs_max=runs_max)
    assert found is not None
    assert (len(asked), found.runs, found.minimal) == (runs_max, runs_max, False)
    assert breaks(found.plan) == "S1"


def test_no_plan_is_run_twice() -> None:
    asked: list[Plan] = []

    def breaks(plan: Plan) -> str | None:
        asked.append(plan)
        return "S1" if crashes(plan, N[2]) else None

    shrink(LARGE, breaks, runs_max=RUNS_MAX)
    assert len(set(asked)) == len(asked) < 150


def test_every_run_is_reported_with_the_best_plan_so_far() -> None:
    told: list[tuple[int, Plan]] = []
    found = shrink(
        LARGE,
        lambda plan: "S1" if crashes(plan, N[2]) else None,
        runs_max=RUNS_MAX,
        report=lambda runs, best: told.append((runs, best)),
    )
    assert found is not None
    assert [runs for runs, _ in told] == list(range(2, found.runs + 1))
    assert told[-1] == (found.runs, found.plan)
    sizes = [len(best.faults) + len(best.operations) for _, best in told]
    assert sizes == sorted(sizes, reverse=True)


def test_no_candidate_leaves_what_the_product_promises() -> None:
    """Delays and syncs are drawn by the election timeout: a V1 that only breaks since they grew against it is no bug."""
    strained = attrs.evolve(
        LARGE,
        network=NetworkOdds(delay_ns_min=1_000, delay_ns_max=400_000),
        disk=DiskOdds(sync_ns_max=20_000_000, slow_sync_ppm=50_000),
        product=ProductOptions(heartbeat_ns=300_000_000, election_timeout_ns=6 * S),
    )
    asked: list[Plan] = []

    def breaks(plan: Plan) -> str | None:
        asked.append(plan)
        return "V1" if plan.disk.slow_sync_ppm else None

    found = shrink(strained, breaks, runs_max=RUNS_MAX)
    assert found is not None
    assert found.plan.disk == DiskOdds(slow_sync_ppm=50_000)
    assert found.plan.product == strained.product
    assert all(plan.network.delay_ns_max <= 400_000 for plan in asked)
    assert all(plan.product == strained.product or plan.disk.slow_sync_ppm == 0 for plan in asked), (
        "the timeout shrank beneath the disk"
    )


def test_names_and_numbers_stay_when_others_go() -> None:
    """A stream is named after its node or client: a new name would be a new run."""
    found = shrunk(lambda plan: len(plan.nodes) >= 2 and crashes(plan, N[4]) and moves(plan, "tx-101-2"))
    assert N[4] in found.plan.nodes
    assert [operation.client for operation in found.plan.operations] == [101 % 6]
    assert found.plan.clients == 6


FAULTS: list[Fault] = [ClockJump(S, N[0], 5), Freeze(S, S, N[0]), cut(1), crash(1)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_plan_without_calls_and_odds_shrinks_too(fault: Fault) -> None:
    plan = Plan(1, N, 1, 2 * S, faults=(fault,), operations=(Operation(S, 0, Balance(A, ReadKind.STALE)),))
    found = shrink(plan, lambda plan: "CRASH" if plan.faults else None, runs_max=RUNS_MAX)
    assert found is not None
    assert ([type(one) for one in found.plan.faults], found.plan.operations) == ([type(fault)], ())


@given(st.sets(st.integers(0, 63)), st.integers(0, 64))
def test_thinning_leaves_exactly_what_is_needed(needed: set[int], count: int) -> None:
    needed = {item for item in needed if item < count}

    def keeps(items: Sequence[int]) -> bool:
        return needed <= set(items)

    assert set(thinned(range(count), keeps)) == needed


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_thinning_leaves_nothing_that_could_go_alone(items: list[int], least: int) -> None:
    """The need is not for certain items, but for a sum: what is left depends on the way, and is minimal all the same."""
    left = thinned(items, lambda rest: sum(rest) >= least)
    if sum(items) >= least:
        assert sum(left) >= least
        assert all(sum(left) - item < least for item in left)
