"""What seeds draw: everything that the product promises to survive, nothing that it does not, and never twice the same."""

from bisect import bisect
from collections import Counter
from typing import get_args

import pytest

from bankd.sim.plan import (
    ClockJump,
    Crash,
    Fault,
    Move,
    OlderCopy,
    Open,
    Partition,
    Plan,
    Rot,
    Wipe,
)
from bankd.sim.swarm import draw
from bankd.types import NodeId
from tests.sim.worlds import MS, S, judged

SEEDS = range(200)
PLANS = [draw(seed, safety_ns=20 * S) for seed in SEEDS]


def test_every_kind_of_fault_is_drawn() -> None:
    assert {type(fault) for plan in PLANS for fault in plan.faults} == set(get_args(Fault))


def test_every_kind_is_missing_in_most_runs() -> None:
    runs = Counter(kind for plan in PLANS for kind in {type(fault) for fault in plan.faults})
    assert all(5 <= count <= 180 for count in runs.values()), runs


def test_runs_have_three_to_seven_nodes_and_one_to_a_hundred_clients() -> None:
    assert {len(plan.nodes) for plan in PLANS} == {3, 4, 5, 6, 7}
    assert {plan.clients for plan in PLANS} == {1, 2, 4, 8, 30, 100}


def test_crowds_call_at_once_in_many_runs() -> None:
    """So that an entry holds many commands."""
    assert sum(crowd(plan) >= 20 for plan in PLANS) >= 50


def crowd(plan: Plan) -> int:
    """The most calls within 20 ms."""
    times = [operation.at_ns for operation in plan.operations if operation.at_ns > 1 * S]
    return max((bisect(times, at_ns + 20 * MS) - place for place, at_ns in enumerate(times)), default=0)


def test_most_calls_are_made_while_something_goes_wrong() -> None:
    met = sorted(calls_at_faults(plan) for plan in PLANS if plan.faults)
    assert met[len(met) // 2] >= 100
    assert sum(count < 10 for count in met) < len(met) // 10


def calls_at_faults(plan: Plan) -> int:
    lasting = [(fault.at_ns, fault.at_ns + fault.for_ns) for fault in plan.faults if not isinstance(fault, ClockJump)]
    return sum(any(begin <= one.at_ns <= end for begin, end in lasting) for one in plan.operations)


def test_follower_is_sent_an_entry_at_a_time_only_where_there_is_little_to_send() -> None:
    slow = [plan for plan in PLANS if plan.limits.append_bytes_max < 1_000 or plan.limits.inflight_messages_max < 8]
    assert 10 <= len(slow) <= 60
    for plan in slow:
        assert len(plan.operations) <= 150 + 20  # which open the accounts
        assert plan.network.loss_ppm_max <= 20_000
        assert 100 * 2 * plan.network.delay_ns_max <= plan.product.election_timeout_ns


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"seed-{plan.seed}")
def test_plan_is_one_that_the_product_promises_to_survive(plan: Plan) -> None:
    assert 2 * len(plan.stays_down | lying(plan)) < len(plan.nodes)
    assert 3 * plan.product.heartbeat_ns <= plan.product.election_timeout_ns
    assert 10 * 2 * plan.network.delay_ns_max <= plan.product.election_timeout_ns
    assert all(10 * traits.turn_ns <= plan.product.election_timeout_ns for traits in plan.traits)
    assert all(fault.at_ns < plan.safety_ns for fault in plan.faults)


def lying(plan: Plan) -> set[NodeId]:
    """Whose disk is changed by the plan."""
    return {fault.node for fault in plan.faults if isinstance(fault, Rot | OlderCopy | Wipe)}


def test_disks_lie_in_a_third_of_the_runs_and_mostly_on_nodes_that_come_back() -> None:
    plans = [plan for plan in PLANS if lying(plan)]
    assert 50 <= len(plans) <= 90
    assert sum(not plan.stays_down for plan in plans) >= 30
    kinds = Counter(type(fault) for plan in plans for fault in plan.faults if isinstance(fault, Rot | OlderCopy | Wipe))
    assert all(kinds[kind] >= 10 for kind in (Rot, OlderCopy, Wipe)), kinds


def test_directory_is_replaced_only_after_all_have_met_all_and_its_node_again() -> None:
    replaced = [plan for plan in PLANS if any(isinstance(fault, OlderCopy | Wipe) for fault in plan.faults)]
    assert replaced != []
    for plan in replaced:
        early = [fault for fault in plan.faults if fault.at_ns < plan.safety_ns // 4 and not isinstance(fault, Rot)]
        crashes = [fault for fault in early if isinstance(fault, Crash)]
        restarted_ns = {fault.node: fault.at_ns + fault.for_ns for fault in crashes}
        assert len(crashes) == len(early)
        assert set(restarted_ns) <= lying(plan)
        for fault in plan.faults:
            if isinstance(fault, OlderCopy):
                assert fault.taken_ns < restarted_ns[fault.node] < fault.at_ns


def test_two_thirds_of_the_runs_take_snapshots() -> None:
    every = Counter(plan.product.snapshot_every for plan in PLANS)
    assert set(every) == {3, 10, 30, 100, 300, 100_000}
    assert 40 <= every[100_000] <= 90
    assert {plan.limits.snapshot_chunk_bytes for plan in PLANS} == {500, 4_000, 512 << 10}


def test_in_many_runs_with_snapshots_somebody_is_away_for_long() -> None:
    away = [plan for plan in PLANS if any(is_absence(fault) for fault in plan.faults)]
    assert len(away) >= 80
    assert sum(plan.product.snapshot_every <= 30 for plan in away) >= 70


def is_absence(fault: Fault) -> bool:
    return isinstance(fault, Crash | Partition) and 20 * S // 6 <= fault.for_ns <= 10 * S


def test_ids_are_used_again_with_the_same_and_with_other_fields() -> None:
    same = other = 0
    for plan in PLANS[:60]:
        first: dict[str, object] = {}
        for operation in plan.operations:
            if isinstance(operation.request, Move):
                request = operation.request
                for tx_id, *fields in zip(
                    request.tx_ids, request.sources, request.targets, request.amounts, strict=True
                ):
                    if tx_id in first:
                        same += first[tx_id] == fields
                        other += first[tx_id] != fields
                    first.setdefault(tx_id, fields)
    assert min(same, other) > 100


def test_accounts_are_opened_with_and_without_an_id() -> None:
    opens = [
        operation.request for plan in PLANS for operation in plan.operations if isinstance(operation.request, Open)
    ]
    assert {request.request_id is None for request in opens} == {True, False}


def test_seed_draws_the_same_plan_again_and_no_other_seed_does() -> None:
    assert draw(5, safety_ns=20 * S) == PLANS[5]
    assert len({str(plan) for plan in PLANS}) == len(PLANS)


@pytest.mark.parametrize("seed", range(6))
def test_no_seed_breaks_an_invariant(seed: int) -> None:
    judged(draw(seed, safety_ns=20 * S))
