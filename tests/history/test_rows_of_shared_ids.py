"""Rows of a batch are decided in their order; a row whose id another call of the same entry carried too may have been
decided by that call."""

import pytest

from bankd.history.witness import check
from tests.history.table import OK, Table

Row = tuple[str, str, str, int]

PAYS_B = ("x", "a", "b", 5)
PAYS_C = ("y", "b", "c", 5)  # b has nothing before


def opened() -> Table:
    table = Table()
    table.open("a", 5, 1)
    table.open("b", 0, 2)
    table.open("c", 0, 3)
    return table


def test_rows_of_a_batch_that_fit_in_another_order_alone_are_found() -> None:
    table = opened()
    table.batch([PAYS_C, PAYS_B], [OK, OK], 4)
    assert [finding.promise for finding in check(table.records)] == ["R1"]


@pytest.mark.parametrize("batches", [[(PAYS_C, PAYS_B), (PAYS_B,)], [(PAYS_B,), (PAYS_C, PAYS_B)]])
def test_row_that_another_call_of_its_entry_decided_needs_no_place_in_its_batch(batches: list[list[Row]]) -> None:
    table = opened()
    for rows in batches:
        table.batch(rows, [OK] * len(rows), 4, times=(30, 60))
    assert check(table.records) == []


def test_row_that_a_lost_call_may_have_decided_needs_no_place_in_its_batch() -> None:
    table = opened()
    table.lost(*PAYS_B)
    table.batch([PAYS_C, PAYS_B], [OK, OK], 4)
    assert check(table.records) == []


def test_lost_try_of_the_same_batch_leaves_its_rows_in_order() -> None:
    table = opened()
    table.lost_batch(PAYS_C, PAYS_B)
    table.batch([PAYS_C, PAYS_B], [OK, OK], 4)
    assert [finding.promise for finding in check(table.records)] == ["R1"]
