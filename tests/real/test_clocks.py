"""Wall clocks that are wrong, and jump, under real nodes."""

from itertools import pairwise
from pathlib import Path

import pytest

from bankd.local import LocalCluster
from tests.real.clocks import give_wall_clock
from tests.real.clusters import judged
from tests.real.load import Load

pytestmark = pytest.mark.real

HOUR_S = 3600
DAY_S = 24 * HOUR_S


def test_wall_clocks_that_are_wrong_and_jump_lose_nothing_and_stamps_follow_the_log(
    cluster: LocalCluster, tmp_path: Path
) -> None:  # P04, K15
    clocks = {name: give_wall_clock(node, tmp_path / f"clock-{name}") for name, node in cluster.nodes.items()}
    for number, clock in enumerate(clocks.values()):
        clock.set_off(by_s=number * -HOUR_S)
    with judged(cluster, seed=80) as load:
        for jump_s in (DAY_S, -DAY_S, 0):
            clocks[cluster.wait_leader()].set_off(jump_s)
            load.wait_answered(50)
        cluster.nodes[cluster.wait_leader()].kill()  # the next one is behind by a day
        load.wait_answered(50)
        check_stamps(load)


def check_stamps(load: Load) -> None:
    """Along the log the stamps increase, and a clock that jumps ahead takes them with it once (K15)."""
    stamps = {row.index: row.time_ns for _, row in list(load.book.acknowledged.values())}
    steps_ns = [stamps[after] - stamps[before] for before, after in pairwise(sorted(stamps))]
    assert min(steps_ns) > 0
    assert sum(step_ns > 20 * HOUR_S * 10**9 for step_ns in steps_ns) == 1, "did no clock jump?"
