"""Every plan that once showed a bug, and shows it no more.

A file is what `bankd sim --seed N --shrink --transcript FILE` wrote, with a comment above it: what
broke, and what in the product was wrong. Its name says what must hold.
"""

from pathlib import Path

import pytest

from bankd.campaign.run import carry_out
from bankd.sim.plan_text import loads

PLANS = sorted((Path(__file__).parent / "regressions").glob("*.txt"))


@pytest.mark.parametrize("file", PLANS, ids=lambda file: file.stem)
def test_what_once_broke_holds(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# "), "say in a comment which bug it once showed"
    ran, *_ = carry_out(loads(text))
    assert ran.broken is None, f"{ran.broken.report}\nbankd sim --plan tests/sim/regressions/{file.name}"
