"""A text that is a plan and yet makes no sense is refused, and says why."""

import pytest

from bankd.sim.plan_check import checked
from bankd.sim.plan_text import PlanInvalid, dumps, loads
from bankd.sim.swarm import draw
from tests.sim.test_plan_text import STORY

LONG = "n" * 65


@pytest.mark.parametrize(("line", "changed", "said"), [
    ("nodes n1 n2 n3", "nodes n1 n2 n3 n2", "nodes: 1 to 9 different ones, not 4"),
    ("nodes n1 n2 n3", f"nodes n1 n2 n3 {LONG}", "nodes: a printable name"),
    ("nodes n1 n2 n3", "nodes n1 n2 n3 \\{1b}", "nodes: a printable name"),
    ("clients 3", "clients -1", "clients: 0 to 1000, not -1"),
    ("clients 3", "clients 2", "client 2 at 0.1s: there are 2, counted from 0"),
    ("clients 3", "clients 99999999999", "clients: 0 to 1000"),
    ("safety 40s", "safety 0s", "safety: longer than 0s"),
    ("safety 40s", "safety 86401s", "safety: longer than 0s, and a day at most"),
    ("safety 40s", "safety 6s", "full-disk at 6s: it never begins, the faults end at 6s"),
    ("heartbeat=100ms", "heartbeat=0s", "product: a heartbeat of 1ms or more"),
    ("heartbeat=100ms", "heartbeat=1ns", "product: a heartbeat of 1ms or more"),
    ("heartbeat=100ms", "heartbeat=2s", "product: a heartbeat of 1ms or more, and an election_timeout that is longer"),
    ("heartbeat=100ms", "heartbeat=500ms", "product: an election_timeout of more than two heartbeats"),
    ("segment_bytes=65536", "segment_bytes=-5", "product: segment_bytes of 4096"),
    ("waiting_calls_max=1000", "waiting_calls_max=0", "product: waiting_calls_max of 1 or more, not 0"),
    ("append_bytes_max=1048576", "append_bytes_max=0", "limits: append_bytes_max of 1 or more, not 0"),
    ("delay_min=100us", "delay_min=10ms", "network: delay_min is more than delay_max"),
    ("delay_min=100us", "delay_min=-1s", "network: delay_ns_min of 0 or more"),
    ("loss_max=0ppm", "loss_max=1000001ppm", "network: loss_ppm_max of 0 to 1000000, not 1000001"),
    ("slow_sync=0ppm", "slow_sync=-1ppm", "disk: slow_sync_ppm of 0 to 1000000, not -1"),
    ("drift=-20ppm", "drift=-2000000ppm", "traits n1: a drift of -2000000 ppm"),
    ("turn=1ms", "turn=-1s", "traits n1: a turn of"),
    ("n1>n2 n2>n1", "n1>n2 n2>n2", "partition at 1.25s: a link from a node to itself"),
    ("at 1.25s for 3s", "at 1.25s for -3s", "partition at 1.25s: it lasts 0s or more"),
    ("at 1.25s for 3s", "at -1s for 3s", "partition at -1s: it never begins"),
    ("failing-disk n2 fsync_dir", "failing-disk n2 fsync_dri", "failing-disk at 5s: there is no operation 'fsync_dri'"),
    ("taken=2.5s", "taken=6s", "older-copy at 4s: the copy is taken before it is put back"),
    ("operations=7", "operations=-7", "crash at 2.2s: operations of 0 or more, not -7"),
    ("loss=500000ppm", "loss=-5ppm", "storm at 2s: loss_ppm of 0 or more, not -5"),
    ("move tx-17 a1 a2 500", "move", "client 2 at 0.3s: a move of no rows"),
    ("move tx-17 a1 a2 500", "move tx-17 a1 a2 9223372036854775808", "client 2 at 0.3s: an amount that is no 64-bit number"),
    ("open a1 1000", "open a1 9223372036854775808", "client 1 at 0.1s: a balance that is no 64-bit number"),
    ("at 7s client", "at 41s client", "client 1 at 41s: it never calls, the calls end at 40s"),
    ("stays-down n3", "stays-down n2 n3", "stays-down: less than half of the 3 nodes, not 2"),
])  # fmt: skip
def test_plan_that_makes_no_sense_is_refused(line: str, changed: str, said: str) -> None:
    assert STORY.count(line) == 1
    with pytest.raises(PlanInvalid, match=f"^{said}"):
        checked(loads(STORY.replace(line, changed)))


def test_plan_of_the_page_is_in_order() -> None:
    plan = loads(STORY)
    assert checked(plan) is plan


@pytest.mark.parametrize("seed", range(40))
def test_what_a_seed_draws_is_in_order_also_as_text(seed: int) -> None:
    plan = draw(seed)
    assert checked(loads(dumps(plan))) == plan
