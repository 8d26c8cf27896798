"""The short round of `make test`: whatever `make faults` does for long, once."""

from pathlib import Path

import pytest

from tests.real import episode

pytestmark = pytest.mark.real


def test_every_fault_after_every_other_under_one_load_loses_nothing(tmp_path: Path) -> None:
    """`make faults SEED=1` does the same, and goes on."""
    episode.run(tmp_path, 1, print)
