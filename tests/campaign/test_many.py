"""The campaign: what is run, what is said of it, and how it ends. The runs themselves are made up here."""

import io
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bankd.campaign.many import Campaign, Order, Progress, continued, summary
from bankd.campaign.run import Broken, Ran, Seed
from bankd.campaign.tally import Failure, Tally, aligned

S = 10**9


def fine(seed: Seed) -> Ran:
    return Ran(
        3 + seed.number % 2, {"crash": 2, "clog": 1}, 60 * S, 1_000, 100, 5, 200, 30, f"{seed.number:032x}", None
    )


def faulty(seed: Seed) -> Ran:
    """Seed 12 loses a write, and seed 13 never comes back."""
    if seed.number == 13:
        os._exit(9)
    ran = fine(seed)
    if seed.number != 12:
        return ran
    broken = Broken("S1", "tx-7 was acknowledged and is gone", 12_345_000_000, 99, "the last events\n")
    return Ran(3, ran.faults, 12 * S, 500, 10, 1, 0, 0, ran.digest, broken)


def interrupting(seed: Seed, number: signal.Signals) -> Ran:
    """Seed 12 does to the parent what Ctrl-C on a terminal does, or whoever ends the program."""
    if seed.number == 12:
        os.kill(os.getppid(), number)
    return fine(seed)


def order(tmp_path: Path, *, count: int | None = 5, hours: float | None = None, jobs: int = 2) -> Order:
    return Order(10, count, hours, jobs, tmp_path / "failures.txt")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def carried_out(wanted: Order, run: Callable[[Seed], Ran], stream: io.StringIO | None = None) -> Campaign:
    campaign = Campaign(wanted, run)
    campaign.carry_out(Progress(stream or io.StringIO()))
    return campaign


def test_every_seed_of_the_range_is_run_and_summed_up(tmp_path: Path) -> None:
    campaign = carried_out(order(tmp_path), fine)
    tally = campaign.tally
    assert (tally.runs, tally.simulated_ns, tally.events) == (5, 300 * S, 5_000)
    assert (tally.faults, tally.sizes) == ({"crash": 10, "clog": 5}, {3: 3, 4: 2})
    assert (campaign.resume_at, campaign.interrupted, tally.failures) == (15, False, [])
    assert not (tmp_path / "failures.txt").exists()


def test_failing_and_lost_seeds_are_told_at_once_and_kept_in_the_file(tmp_path: Path) -> None:
    stream = io.StringIO()
    campaign = carried_out(order(tmp_path), faulty, stream)
    assert sorted(campaign.tally.failures, key=lambda failure: failure.seed.number) == [
        Failure(Seed(12), "S1", 12_345_000_000, "tx-7 was acknowledged and is gone"),
        Failure(Seed(13), "LOST", None, "its process ended with exit code 9"),
    ]
    assert "the last events\nbankd sim --seed 12\n" in stream.getvalue()
    assert sorted((tmp_path / "failures.txt").read_text().splitlines()) == [
        "bankd sim --seed 12  # S1: tx-7 was acknowledged and is gone",
        "bankd sim --seed 13  # LOST: its process ended with exit code 9",
    ]
    assert campaign.tally.runs == 4  # the lost one is no run


def test_failures_of_several_campaigns_gather_in_one_file(tmp_path: Path) -> None:
    for _ in range(2):
        carried_out(order(tmp_path), faulty)
    assert len((tmp_path / "failures.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_sigterm_and_sighup_end_the_campaign_and_the_rest_can_be_run_later(
    number: signal.Signals, tmp_path: Path
) -> None:
    campaign = carried_out(order(tmp_path, count=1000, jobs=1), partial(interrupting, number=number))
    assert campaign.interrupted
    assert 1 <= campaign.tally.runs < 1000  # a result that was on its way may be left
    assert campaign.resume_at == 10 + campaign.tally.runs
    left = 1000 - campaign.tally.runs
    assert continued(campaign) == f"bankd sim --from {campaign.resume_at} --count {left} --jobs 1"


def test_no_seed_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    campaign = carried_out(order(tmp_path, count=None, hours=0.0), fine)
    assert campaign.tally.runs == 0
    assert re.fullmatch(r"bankd sim --from 10 --hours 0\.00 --jobs 2", continued(campaign))


def test_going_on_keeps_the_shape_of_the_runs(tmp_path: Path) -> None:
    shaped = Order(10, 2, None, 1, tmp_path / "f", nodes=5, seconds=30)
    assert continued(Campaign(shaped)) == "bankd sim --from 10 --count 2 --jobs 1 --nodes 5 --seconds 30"
    assert [seed.command for seed in shaped.seeds()] == [
        "bankd sim --seed 10 --nodes 5 --seconds 30",
        "bankd sim --seed 11 --nodes 5 --seconds 30",
    ]


TABLE = """\
3 seeds in 2.0 s on 2 processes  1.50 seeds/s  0.04 simulated hours (66 s a second)
runs: 2 of 3 nodes, 1 of 4 nodes
2,500 events  210 calls acknowledged  11 leaders elected
400 operations in histories, 85.0 % of them judged by the witness

FAULT  DRAWN
clog       3
crash      6

SEED  BROKE       AT  WHAT
   9  LOST         -  it took longer than 300 s
  12  S1     12.345s  tx-7 was acknowledged and is gone

To see one of them again:
  bankd sim --seed 9
  bankd sim --seed 12"""


def test_the_table_says_what_was_run_and_what_broke() -> None:
    tally = Tally()
    for number in (10, 11, 12):
        tally.add(faulty(Seed(number)))
    tally.failures = [
        Failure(Seed(12), "S1", 12_345_000_000, "tx-7 was acknowledged and is gone"),
        Failure.lost(Seed(9), "it took longer than 300 s"),
    ]
    assert tally.table(2.0, 2) == TABLE


def test_the_table_of_a_good_campaign_says_so() -> None:
    assert Tally(runs=1).table(0.0, 2).endswith("\nNo invariant broke.")


def test_the_table_of_no_run_does_not_call_it_good() -> None:
    assert Tally().table(0.0, 2).endswith("\nNothing was run.")


def test_rows_align_numbers_to_the_right() -> None:
    assert aligned([("A", "B", "C"), ("aaa", "1", "x"), ("a", "22", "y")], right=(1,)) == [
        "A     B  C",
        "aaa   1  x",
        "a    22  y",
    ]


def test_a_failures_file_that_cannot_be_written_loses_no_failure(tmp_path: Path) -> None:
    stream = io.StringIO()
    campaign = carried_out(Order(12, 1, None, 1, tmp_path / "missing" / "f.txt"), faulty, stream)
    assert [failure.seed.number for failure in campaign.tally.failures] == [12]
    assert not campaign.all_kept
    assert "f.txt cannot be written: No such file or directory\n" in stream.getvalue()


@pytest.mark.parametrize(("stream", "shown"), [(io.StringIO(), "5 seeds"), (Terminal(), "\r\x1b[K5 seeds")])
def test_progress_is_drawn_over_on_a_terminal_and_is_a_line_elsewhere(stream: io.StringIO, shown: str) -> None:
    now_s = [0.0]
    progress = Progress(stream, lambda: now_s[0])
    tally = Tally(runs=5, faults=Counter({"crash": 1_200, "clog": 3}))
    progress.show(tally, 1.0)
    assert stream.getvalue() == ""  # not with every seed
    now_s[0] = 30.0
    progress.show(tally, 2.0)
    progress.show(tally, 2.0)
    assert stream.getvalue().startswith(shown)
    assert stream.getvalue().count("seeds/s") == 1
    assert stream.isatty() or stream.getvalue().endswith("clog 3  crash 1,200\n")


def test_the_summary_for_programs_is_a_promise(tmp_path: Path) -> None:
    campaign = carried_out(order(tmp_path, count=3, jobs=1), faulty)
    found = summary(campaign)
    assert isinstance(found.pop("elapsed_s"), float)
    assert found == {
        "first_seed": "10",
        "next_seed": "13",
        "runs": 3,
        "simulated_ns": str(132 * S),
        "events": "2500",
        "acknowledged": "210",
        "elections": "11",
        "operations": "400",
        "unjudged": "60",
        "faults": {"clog": 3, "crash": 6},
        "violations": [
            {
                "seed": "12",
                "invariant": "S1",
                "at_ns": "12345000000",
                "message": "tx-7 was acknowledged and is gone",
                "replay": "bankd sim --seed 12",
            }
        ],
    }
