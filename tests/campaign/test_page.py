"""What docs/simulator.md quotes of a campaign and of a report is what is printed when a bug is planted.

After a change that is meant to change it: SIMULATOR_PAGE_REWRITE=1 pytest tests/campaign/test_page.py, and read the
diff: the page walks through the report in words.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bankd.sim.plan_text import loads

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "simulator.md"
BUG: Final = "conflict-kept"
CAMPAIGN: Final = ["--from", "1", "--count", "6", "--nodes", "3", "--jobs", "2"]
KEPT: Final = "kept.txt"
LEFT_OUT: Final = "        ..."  # how the nodes started, which is the same in every run
HEAD_LINES: Final = 6
FIRST_FAULT: Final = "   8.000000"
OF_THE_MACHINE: Final = re.compile(r" in [\d.]+ s on|[\d.]+ seeds/s|\(\d+ s a second\)")


def block(beginning: str) -> str:
    """The quotation that begins so."""
    [found] = re.findall(rf"^```text\n({re.escape(beginning)}.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert isinstance(found, str)
    return found


def printed(words: Sequence[str], directory: Path) -> str:
    """What `bankd sim` prints with the bug in it; something must be found."""
    command = [sys.executable, "-m", "tests.campaign.with_bug", BUG, "sim", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    assert ran.returncode == 8, ran.stderr
    return ran.stdout


def check(quoted: str, printed: str) -> None:
    """Compare, but for what depends on the machine; or write what is printed into the page."""
    if os.environ.get("SIMULATOR_PAGE_REWRITE"):
        PAGE.write_text(PAGE.read_text().replace(quoted, printed))
    else:
        assert OF_THE_MACHINE.sub("_", quoted) == OF_THE_MACHINE.sub("_", printed)


def shortened(report: str) -> str:
    lines = report.splitlines(keepends=True)
    first = next(place for place, line in enumerate(lines) if line.startswith(FIRST_FAULT))
    return "".join([*lines[:HEAD_LINES], f"{LEFT_OUT}\n", *lines[first:]])


def test_the_table_of_a_campaign_is_a_real_one(tmp_path: Path) -> None:
    check(block("6 seeds in "), printed(CAMPAIGN, tmp_path))


def test_the_report_is_that_of_the_kept_plan(tmp_path: Path) -> None:
    kept, report = block("# S4: "), block("S4 violated ")
    (tmp_path / KEPT).write_text(kept)
    found = printed(["--plan", KEPT], tmp_path)
    check(report, shortened(found))
    assert f"\nS4 broke: {kept.splitlines()[0].removeprefix('# S4: ')}\n" in found


def test_the_kept_plan_is_what_the_page_says_of_it() -> None:
    plan = loads(block("# S4: "))
    assert (len(plan.nodes), len(plan.faults), len(plan.operations)) == (3, 1, 1)
