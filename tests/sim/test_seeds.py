"""Fresh seeds with every run of the tests, and the promise that a seed is all there is to a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bankd.campaign.many import Campaign, Order, Progress, fresh
from bankd.campaign.run import Seed, carry_out
from bankd.sim.plan_text import dumps, loads

BASE = int(os.environ.get("BANKD_SEED_BASE") or fresh())
COUNT = 500
JUDGED_MIN = 0.25  # of the operations in histories: a few large ones are given up for the most part
REPLAYED = 4  # of them, each in processes of its own


def test_fresh_seeds_break_no_invariant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """60 simulated seconds of 3 to 7 nodes each."""
    with capsys.disabled():
        print(f"\nBANKD_SEED_BASE={BASE} gives the same seeds again")
        campaign = Campaign(Order(BASE, COUNT, None, os.cpu_count() or 1, tmp_path / "failures.txt"))
        campaign.carry_out(Progress(sys.stderr))
    assert not campaign.interrupted
    failed = [failure.line for failure in campaign.tally.failures]
    assert failed == [], "\n".join(failed)
    assert campaign.tally.runs == COUNT
    assert campaign.tally.acknowledged > 100 * COUNT, "so few calls were answered that little was judged"
    judged = campaign.tally.operations - campaign.tally.unjudged
    assert judged > JUDGED_MIN * campaign.tally.operations, "the witness gave up on so much that little was judged"
    assert set(campaign.tally.sizes) == {3, 4, 5, 6, 7}


def started(seed: int, hash_seed: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bankd", "sim", "--seed", str(seed), "--json"]
    return subprocess.Popen(command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", range(BASE, BASE + REPLAYED))
def test_a_seed_is_the_same_run_in_every_process(seed: int) -> None:
    with started(seed, "1") as first, started(seed, "2") as second:
        here = carry_out(Seed(seed).plan())[0].digest
        assert [json.loads(ran.communicate()[0])["trace"] for ran in (first, second)] == [here, here]


def test_another_seed_is_another_run() -> None:
    digests = {carry_out(Seed(seed, seconds=5).plan())[0].digest for seed in range(BASE, BASE + REPLAYED)}
    assert len(digests) == REPLAYED


@pytest.mark.parametrize("seed", range(BASE, BASE + REPLAYED))
def test_a_plan_that_was_kept_as_text_is_the_same_run(seed: int) -> None:
    plan = Seed(seed).plan()
    assert carry_out(loads(dumps(plan)))[0].digest == carry_out(plan)[0].digest
