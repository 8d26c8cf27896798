"""The world end to end: elections, acknowledged transfers, faults, healing; and the same run again elsewhere."""

import os
import subprocess
import sys

import attrs
import pytest

from bankd.history.records import Moved
from bankd.sim.plan import Clog, Crash, Freeze, HandOver, NetworkOdds, NodeTraits, Partition, Plan
from bankd.sim.swarm import draw
from bankd.sim.trace import Trace
from bankd.sim.world import run
from bankd.types import NodeId
from tests.sim.worlds import MS, N1, N2, NODES, S, first_leader, judged, noted, plan


def acknowledged(outcome_of: Plan) -> int:
    return sum(isinstance(record.result, Moved) for record in judged(outcome_of).history)


def others(node: NodeId) -> list[NodeId]:
    return [other for other in NODES if other != node]


def both_ways(node: NodeId) -> tuple[tuple[NodeId, NodeId], ...]:
    return tuple(link for other in others(node) for link in ((node, other), (other, node)))


def test_idle_cluster_elects_once_and_keeps_its_leader() -> None:
    outcome = judged(plan(seconds=60, calls=0))
    assert (outcome.elections, outcome.acknowledged) == (1, 2)  # the world's own two calls, at the end


def test_every_transfer_of_a_sound_run_is_acknowledged() -> None:
    assert acknowledged(plan()) == 100


def test_a_trace_shows_the_faults_as_they_come() -> None:
    """Who reads it must see why a node heard nothing."""
    trace = Trace(NODES)
    faults = (Partition(2 * S, S, ((N1, N2),)), Crash(3 * S, 500 * MS, N1, power=True))
    run(attrs.evolve(plan(seconds=5, calls=0), faults=faults), trace=trace)
    shown = [line.split() for line in trace.lines()]
    assert ["2.000000", "for", "1s", "partition", "n1>n2"] in shown
    assert ["3.000000", "for", "500ms", "crash", "n1", "power"] in shown


def test_cut_off_leader_is_replaced_and_the_transfers_go_on() -> None:
    leader = first_leader(plan())
    outcome = judged(plan(Partition(5 * S, 10 * S, both_ways(leader))))
    assert outcome.elections >= 2
    assert sum(isinstance(record.result, Moved) for record in outcome.history) > 80


def test_no_acknowledged_transfer_is_lost_when_everybody_loses_power() -> None:
    outages = [Crash(at_s * S, 300 * MS, node, power=True) for at_s in range(4, 18, 2) for node in NODES]
    outcome = judged(plan(*outages))
    assert outcome.elections >= len(range(4, 18, 2))
    assert outcome.acknowledged > 20


def test_crash_in_the_midst_of_any_write_is_survived() -> None:
    crashes = [Crash((3 + n) * S, 200 * MS, NODES[n % 3], power=True, operations=1 + n) for n in range(15)]
    assert acknowledged(plan(*crashes)) > 50


def test_leader_hands_over_when_told() -> None:
    leader = first_leader(plan())
    target = others(leader)[0]
    _, notes = noted(plan(HandOver(5 * S, S, target)))
    assert notes.of(target, "elected") != []


def test_what_a_clog_held_back_comes_and_is_borne() -> None:
    leader = first_leader(plan())
    assert acknowledged(plan(Clog(5 * S, 8 * S, both_ways(leader)))) > 80


def test_frozen_leader_loses_its_office_and_finds_out() -> None:
    leader = first_leader(plan())
    assert judged(plan(Freeze(5 * S, 5 * S, leader))).elections >= 2


def test_minority_that_stays_down_is_done_without() -> None:
    down = attrs.evolve(plan(Crash(5 * S, 3_600 * S, N2, power=True)), stays_down=frozenset({N2}))
    _, notes = noted(down)
    assert len(notes.of(N2, "boot")) == 1
    assert judged(down).acknowledged > 90


def test_messages_that_cross_as_bytes_change_nothing() -> None:
    plain = plan()
    encoded = attrs.evolve(plain, network=attrs.evolve(plain.network, encoded=True))
    assert judged(encoded).history == judged(plain).history


def test_drifting_clocks_and_slow_loops_are_borne() -> None:
    traits = (NodeTraits(100_000, 3_600 * S, 0), NodeTraits(-100_000, -3_600 * S, 20 * MS), NodeTraits(0, 0, 2 * MS))
    assert acknowledged(attrs.evolve(plan(), traits=traits)) > 90


def test_exception_inside_a_run_is_a_violation_that_names_its_place_and_no_path() -> None:
    outcome = run(plan(Partition(S, S, ((N1, NodeId("n9")),))))
    assert outcome.violation is not None
    assert outcome.violation.invariant == "CRASH"
    assert "KeyError: 'n9' (bankd.sim.network.Network._named." in outcome.violation.text
    assert "/" not in outcome.violation.text


def test_loss_stops_with_the_healing() -> None:
    lossy = attrs.evolve(plan(seconds=10), network=NetworkOdds(loss_ppm_max=1_000_000))
    assert judged(lossy).violation is None


DIGESTS = """
from bankd.sim.swarm import draw
from bankd.sim.trace import Trace
from bankd.sim.world import run
for seed in {seeds}:
    plan = draw(seed, safety_ns=5_000_000_000)
    print(run(plan, trace=Trace(plan.nodes)).digest)
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_plan_gives_the_same_run_in_another_process(hash_seed: str) -> None:
    seeds = [0, 3, 5, 11, 15]
    here = []
    for seed in seeds:
        drawn = draw(seed, safety_ns=5 * S)
        here.append(run(drawn, trace=Trace(drawn.nodes)).digest)
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    there = subprocess.run(
        [sys.executable, "-c", DIGESTS.format(seeds=seeds)], env=environment, capture_output=True, text=True, check=True
    )
    assert list(map(int, there.stdout.split())) == here
    assert len(set(here)) == len(seeds)


def test_runs_of_two_seeds_differ() -> None:
    digests = [run(attrs.evolve(plan(), seed=seed), trace=Trace(NODES)).digest for seed in (1, 2)]
    assert digests[0] != digests[1]
