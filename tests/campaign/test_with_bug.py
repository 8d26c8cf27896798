"""What `python -m tests.campaign.with_bug` says when no bug is named that it knows."""

import subprocess
import sys

import pytest

from tests.planted.bug import ROOT
from tests.planted.bugs import BUGS


@pytest.mark.parametrize(
    ("words", "found"),
    [([], "no planted bug is named"), (["sim", "--seed", "1"], "'sim' is no planted bug")],
)
def test_without_a_known_bug_the_known_ones_are_named(words: list[str], found: str) -> None:
    command = [sys.executable, "-m", "tests.campaign.with_bug", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert (ran.stdout, ran.stderr) == ("", f"error: {found}; there are {', '.join(BUGS)}\n")
