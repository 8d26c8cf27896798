"""Fresh seeds: whole clusters under faults of all kinds, a different hundred each time.

BANKD_SEED_BASE replays a set, BANKD_SEEDS says how many; `python -m tests.whole SEED` replays one.
"""

import os
import subprocess
import sys
from secrets import randbelow
from typing import Final

import pytest

from tests.whole import drawn

SEEDS: Final = int(os.environ.get("BANKD_SEEDS", "100"))
WORKERS: Final = 2  # processes: as many as the smallest machine that this is made for has cores
BASE_BELOW: Final = 1_000_000_000
FAILED_ONCE: Final = {
    22: "a disk failed while its world was being cleared away",
    915624131: "a node that had been asked to end was started by nobody",
}


def test_fresh_seeds_break_no_promise(capsys: pytest.CaptureFixture[str]) -> None:
    base = int(os.environ.get("BANKD_SEED_BASE", randbelow(BASE_BELOW)))
    share = -(-SEEDS // WORKERS)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.whole", str(base + number * share), str(share)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(WORKERS)
    ]
    reports = [worker.communicate()[0] for worker in workers]
    with capsys.disabled():
        print(f"\nBANKD_SEED_BASE={base}", *(report.splitlines()[-1] for report in reports), sep="\n")
    failed = [report for report, worker in zip(reports, workers, strict=True) if worker.returncode]
    assert not failed, "\n".join([*failed, f"again: BANKD_SEED_BASE={base} pytest {__file__}"])


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_seeds_that_failed_once_hold(seed: int) -> None:
    assert drawn.run_seed(seed).failure == ""


def test_a_seed_that_hangs_is_named_and_ends_its_process() -> None:
    script = "from tests.whole.__main__ import watched\nwith watched(7, 0.1):\n    while True:\n        pass"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 1
    assert 'File "<string>", line' in ran.stdout, "it says where"
    assert ran.stdout.endswith("it took longer than 0.1 s\nfailed: python -m tests.whole 7\n")
