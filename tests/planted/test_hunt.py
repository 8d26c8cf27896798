"""Every planted bug is found where docs/reliability.md says, and nothing is found there without it."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.planted.bug import Finding
from tests.planted.bugs import BUGS
from tests.planted.hunt import NONE, SEEDS_MAX, hunted
from tests.planted.table import Row, read_rows

ROWS = read_rows()
SEEDS = sorted({(row.level, row.seed) for row in ROWS})
Run = tuple[str, int, int]  # the bug's name, level and seed
Runs = dict[Run, Future[Finding | None]]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """All runs, as many at a time as there are cores; each test waits for its own."""
    wanted = [(row.name, row.level, row.seed) for row in ROWS] + [(NONE, *seed) for seed in SEEDS]
    pool = ThreadPoolExecutor(os.cpu_count())
    yield {
        (name, level, seed): pool.submit(hunted, name, first=seed, count=1, level=level) for name, level, seed in wanted
    }
    pool.shutdown(cancel_futures=True)


def test_the_table_has_every_bug_and_none_was_found_late() -> None:
    assert [(row.name, row.breaks, row.level) for row in ROWS] == [
        (bug.name, bug.breaks, bug.level) for bug in BUGS.values()
    ], "docs/reliability.md tells of other bugs than there are: `make planted` renews its table"
    assert len(ROWS) >= 25
    assert max(row.seed for row in ROWS) <= SEEDS_MAX


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_planted_bug_is_found_again(row: Row, runs: Runs) -> None:
    finding = runs[row.name, row.level, row.seed].result()
    renew = "if the swarm has changed, `make planted` searches anew and renews the table"
    assert finding is not None, f"seed {row.seed} does not find {row.name} any more; {renew}"
    assert finding.invariant == row.invariant, f"{finding}; {renew}"


@pytest.mark.parametrize(("level", "seed"), SEEDS)
def test_the_same_seed_is_clean_without_a_bug(level: int, seed: int, runs: Runs) -> None:
    finding = runs[NONE, level, seed].result()
    assert finding is None, f"the shipped program is broken: {finding}"
