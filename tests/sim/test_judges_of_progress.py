"""V1: what must happen once everything is mended, and R1: what the history shows at the end."""

import attrs
import pytest

from bankd.history import records
from bankd.sim.plan import Fault, Plan, Rot, Wipe
from bankd.types import LINEARIZABLE, LogIndex
from tests.sim.judged import N1, N2, N3, SECOND, A, Judged, balance, opening, plan_of, unblamed, violated

TIMEOUTS_NS = 10 * SECOND


def healed(plan: Plan | None = None) -> Judged:
    group = Judged(plan)
    group.elect(N1)
    group.judges.healed(group.now_ns)
    return group


def test_no_write_acknowledged_in_time_is_named() -> None:
    group = healed()
    group.call(N1, opening(A))
    group.now_ns += TIMEOUTS_NS - 1
    with unblamed():
        group.tick(N2)
    group.now_ns += 1
    with violated("V1", "no write was acknowledged within 10 election timeouts"):
        group.tick(N2)


def test_a_write_under_way_at_the_healing_counts_from_there() -> None:
    group = Judged()
    group.elect(N1)
    group.call(N1, opening(A))
    group.judges.healed(group.now_ns)
    with violated("V1", "no write was acknowledged"):
        group.judges.finish(group.now_ns + TIMEOUTS_NS)


def test_an_acknowledged_write_is_progress() -> None:
    group = healed()
    group.ask(N1, opening(A))
    group.call(N1, opening(A))
    group.now_ns += 2 * TIMEOUTS_NS
    with unblamed():
        group.tick(N2)


def test_without_writes_or_a_majority_nothing_is_demanded() -> None:
    quiet = healed()
    quiet.ask(N1, balance(A))
    with unblamed():
        quiet.judges.finish(quiet.now_ns + 2 * TIMEOUTS_NS)
    lonely = healed(attrs.evolve(plan_of(), stays_down=frozenset({N2, N3})))
    lonely.call(N1, opening(A))
    for node in (N2, N3):
        lonely.crash(node)
    with unblamed():
        lonely.judges.finish(lonely.now_ns + 2 * TIMEOUTS_NS)


def test_a_mended_node_that_does_not_run_is_named() -> None:
    """Were it let pass, a program that refuses to start on a majority of the nodes would be asked for nothing."""
    group = healed()
    group.crash(N2)
    group.crash(N3)
    with violated("V1", "is down at the end, and was mended"):
        group.judges.finish(group.now_ns)


@pytest.mark.parametrize("fault", [Rot(0, 1, N2), Wipe(0, 1, N2)], ids=["rot", "wipe"])
def test_a_node_whose_directory_the_plan_spoilt_may_be_down(fault: Fault) -> None:
    group = healed(attrs.evolve(plan_of(), faults=(fault,)))
    group.crash(N2)
    group.beat(N1)
    with unblamed():
        group.judges.finish(group.now_ns)


def test_a_node_that_stays_behind_is_named() -> None:
    group = healed()
    group.ask(N1, opening(A))
    with violated("V1", "has committed 2 and applied 2 of 3 at the end"):
        group.judges.finish(group.now_ns)
    group.beat(N1)
    with unblamed():
        group.judges.finish(group.now_ns)


def test_a_history_that_no_bank_makes_is_named() -> None:
    group = healed()
    asked = records.Balance(A, LINEARIZABLE)
    history = [
        records.Record(1, asked, 0, 10, records.BalanceFound(1), LogIndex(4)),
        records.Record(2, asked, 20, 30, records.NotFound(), LogIndex(3)),
    ]
    with violated("R1", "the history shows it"):
        group.judges.finish(group.now_ns, history)


def test_reads_that_are_never_answered_are_named() -> None:
    group = healed()
    group.ask(N1, opening(A))
    group.beat(N1)
    group.call(N1, balance(A))
    with violated("V1", "no linearizable read was answered"):
        group.judges.finish(group.now_ns)
