"""Right histories spoilt in one place each: whoever claims to see such a thing must see it."""

import random
from collections.abc import Callable

import attrs
import pytest

from bankd.history.records import BalanceFound, Moved, NotFound, OutcomeFound, Record
from bankd.types import AtLeast, Bounded, LogIndex, Stale
from tests.history.model import Shape, history
from tests.history.table import (
    CONFLICT,
    OK,
    SHORT,
    Table,
    assert_found_by_both,
    assert_found_by_the_witness_alone,
    assert_right,
    found,
    usual,
)


def test_the_usual_history_is_right() -> None:
    assert_right(usual().records)


def test_the_order_of_the_records_means_nothing() -> None:
    records = usual().records
    random.Random(1).shuffle(records)
    assert_right(records)


def test_stale_read_is_found() -> None:
    table = usual()
    table.balance("a", 70, 3)  # long after t4 was answered
    assert_found_by_both(table.records)


def test_stale_read_is_right_where_it_was_asked_for() -> None:
    table = usual()
    table.balance("a", 70, 3, mode=Stale())
    assert_right(table.records)


def test_lost_write_is_found() -> None:
    table = usual()
    table.balance("b", 30, 12)  # t4 brought it to 100
    assert_found_by_both(table.records)


def test_lost_id_is_found() -> None:
    table = usual()
    table.outcome("t4", None, 12)
    assert_found_by_both(table.records)


def test_double_application_is_found() -> None:
    table = usual()
    table.move("t5", "b", "a", 40, OK, 12)
    table.move("t5", "b", "a", 40, OK, 13, decided=12)
    table.balance("a", 80, 13)
    assert_found_by_both(table.records)


def test_outcome_told_as_of_an_index_before_its_decision_is_found() -> None:
    table = usual()
    table.outcome("t4", ("a", "b", 70, OK, 11), 10, mode=Stale())
    assert_found_by_the_witness_alone(table.records)
    table = usual()
    table.move("t1", "a", "b", 30, OK, 12, decided=13)
    assert_found_by_the_witness_alone(table.records)


def test_overdraft_is_found() -> None:
    table = usual()
    table.move("t5", "a", "b", 1, OK, 12)  # a is empty
    assert_found_by_both(table.records)


def test_payment_that_was_refused_though_funded_is_found() -> None:
    table = usual()
    table.move("t5", "b", "a", 99, SHORT, 12, available=98)
    assert_found_by_both(table.records)


def test_reordered_ids_are_found() -> None:
    """Two payments whose answers were exchanged: the refused one could have been paid, the paid one not."""
    table = usual()
    table.move("t5", "b", "a", 150, OK, 12)
    table.move("t6", "b", "a", 1, SHORT, 13, available=100)
    assert_found_by_both(table.records)


def test_phantom_transfer_is_found() -> None:
    table = usual()
    table.outcome("t7", ("b", "a", 5, OK, 12), 12)  # nobody ever asked for t7
    assert "M3" in found(table.records)
    assert_found_by_both(table.records)


def test_money_that_nobody_moved_is_found() -> None:
    table = usual()
    table.balance("a", 5, 12)
    table.balance("b", 95, 12)
    assert_found_by_both(table.records)


def test_wrong_status_is_found() -> None:
    table = usual()
    table.outcome("t2", ("b", "a", 50, OK, 4), 12)  # it was refused
    assert_found_by_both(table.records)


def test_balance_off_by_one_is_found() -> None:
    table = usual()
    table.balance("b", 99, 12)
    assert_found_by_both(table.records)


def test_answer_for_another_id_is_found() -> None:
    table = usual()
    table.outcome("t2", ("a", "b", 30, OK, 3), 12)  # that is t1's
    assert_found_by_both(table.records)


def test_index_used_again_is_found() -> None:
    """Two entries at one index: the second one's call came after the first one's answer."""
    table = usual()
    table.move("t5", "b", "a", 1, OK, 11)
    assert_found_by_the_witness_alone(table.records)


def test_entry_that_holds_a_call_made_after_its_answer_is_found() -> None:
    table = Table()
    table.open("a", 5, 1)
    table.open("b", 5, 1)
    assert_found_by_the_witness_alone(table.records)


def test_index_that_runs_backwards_is_found() -> None:
    table = usual()
    table.move("t5", "b", "a", 1, OK, 10)
    table.balance("b", 99, 12)
    assert_found_by_the_witness_alone(table.records)


def test_id_decided_at_two_indexes_is_found() -> None:
    table = usual()
    table.move("t1", "a", "b", 30, OK, 12, decided=4)
    assert_found_by_the_witness_alone(table.records)


def test_answer_before_the_call_is_found() -> None:
    """Time travel: a read saw a payment that was called only after the read had returned."""
    table = usual()
    table.balance("a", 10, 12, times=(200, 205))
    table.move("t5", "b", "a", 10, OK, 12, times=(210, 215))
    assert_found_by_both(table.records)


def test_burned_id_that_lives_again_is_found() -> None:
    table = usual()
    table.move("t5", "a", "b", 10, SHORT, 12, available=0)
    table.move("t6", "b", "a", 50, OK, 13)
    table.move("t5", "a", "b", 10, OK, 14)  # funded by now, but refused for ever
    assert_found_by_both(table.records)


def test_opening_applied_twice_is_found() -> None:
    table = usual()
    table.open("c", 7, 12)
    table.open("c", 7, 13)
    assert_found_by_both(table.records)


def test_opening_paid_twice_is_found() -> None:
    table = usual()
    table.balance("@opening", -200, 12)
    assert_found_by_both(table.records)


def test_broken_sum_is_found() -> None:
    """A payment left one account and reached none."""
    table = usual()
    table.move("t5", "b", "a", 10, OK, 12)
    table.balance("b", 90, 12)
    table.balance("a", 0, 12)
    assert_found_by_both(table.records)


def test_conflict_that_names_the_wrong_fields_is_found() -> None:
    table = usual()
    table.move("t1", "a", "b", 31, CONFLICT, 12, decided=3, differs=["to"])
    assert_found_by_both(table.records)


def test_conflict_without_a_difference_is_found() -> None:
    table = usual()
    table.move("t1", "a", "b", 30, CONFLICT, 12, decided=3, differs=["amount"])
    assert_found_by_both(table.records)


def test_same_id_paid_with_other_fields_is_found() -> None:
    table = usual()
    table.move("t1", "b", "a", 1, OK, 12)
    assert_found_by_both(table.records)


def test_account_that_disappears_is_found() -> None:
    table = usual()
    table.balance("a", None, 12)
    assert_found_by_both(table.records)


def test_payment_refused_for_a_stranger_who_has_an_account_is_found() -> None:
    table = usual()
    table.move("t5", "b", "a", 1, 3, 12)
    assert_found_by_both(table.records)


def test_wrong_balance_in_a_refusal_is_found() -> None:
    table = usual()
    table.move("t5", "b", "a", 500, SHORT, 12, available=99)
    assert_found_by_both(table.records)


def test_rows_of_a_batch_in_another_order_are_found() -> None:
    table = usual()  # a is empty: it can pay its row only after b's
    table.batch([("t5", "a", "b", 10), ("t6", "b", "a", 10)], [OK, OK], 12)
    assert_found_by_both(table.records)


def test_read_that_is_older_than_at_least_is_found() -> None:
    table = usual()
    table.balance("a", 70, 3, mode=AtLeast(LogIndex(4)))
    assert_found_by_the_witness_alone(table.records)


@pytest.mark.parametrize(("max_age_ms", "right"), [(1, False), (3, True)])
def test_read_that_is_older_than_its_bound_is_found(max_age_ms: int, right: bool) -> None:
    table = Table()
    table.open("a", 5, 1)
    table.open("b", 5, 2, times=(100, 1_000_000))
    table.balance("b", None, 1, mode=Bounded(max_age_ms), times=(3_000_000, 3_000_100))
    (assert_right if right else assert_found_by_the_witness_alone)(table.records)


def test_wrong_balance_in_a_stale_read_is_found() -> None:
    table = usual()
    table.balance("a", 71, 3, mode=Stale())
    assert_found_by_the_witness_alone(table.records)


def test_stale_read_of_the_future_is_found() -> None:
    table = usual()
    table.balance("b", 100, 12, mode=Stale(), times=(200, 201))
    table.move("t5", "b", "a", 1, OK, 12, times=(210, 215))
    assert_found_by_the_witness_alone(table.records)


# The same faults, put into long histories with unknown outcomes at places drawn by chance


def off_by_one(record: Record) -> Record | None:
    if not isinstance(record.result, BalanceFound):
        return None
    return attrs.evolve(record, result=BalanceFound(record.result.balance + 1))


def forgotten(record: Record) -> Record | None:
    return attrs.evolve(record, result=NotFound()) if isinstance(record.result, OutcomeFound) else None


def accepted(record: Record) -> Record | None:
    if not isinstance(record.result, Moved) or record.result.statuses != bytes([SHORT]):
        return None
    return attrs.evolve(record, result=attrs.evolve(record.result, statuses=bytes([OK]), available={}))


def far_ahead(record: Record) -> Record | None:
    return (
        attrs.evolve(record, index=LogIndex(record.index + 50))
        if isinstance(record.result, Moved) and record.index
        else None
    )


@pytest.mark.parametrize("spoil", [off_by_one, forgotten, accepted, far_ahead])
def test_one_wrong_answer_in_a_long_history_is_found(spoil: Callable[[Record], Record | None]) -> None:
    records = history(7, 1_000, Shape(lost=0.005, amount_max=60))
    spoilt = [(number, wrong) for number, record in enumerate(records) if (wrong := spoil(record)) is not None]
    for number, wrong in random.Random(3).sample(spoilt, 20):
        assert found([*records[:number], wrong, *records[number + 1 :]]) != []
