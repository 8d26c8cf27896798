"""A million operations, calls and batches alike, judged as they would be after a day of tests."""

import attrs
import pytest

from bankd.history.witness import examine
from tests.history.model import Shape, history

LOADED = Shape(accounts=300, entry_writes=64, opening=20_000, reads=12, lost=0.002, retried=0.02)


@pytest.mark.parametrize(("seed", "rows", "operations"), [(1, 1, 200_000), (2, 40, 800_000)])
def test_a_million_operations_with_unknown_outcomes_are_right(seed: int, rows: int, operations: int) -> None:
    records = history(seed, operations, attrs.evolve(LOADED, rows=rows))
    assert any(record.result is None for record in records)
    report = examine(records)
    assert report.findings == ()
    assert report.operations >= operations
    assert report.unjudged < operations / 100
