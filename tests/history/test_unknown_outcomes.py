"""Writes whose answer was lost: they may have taken effect once, at any moment behind their call, or never."""

import attrs
import pytest

from bankd.history.records import Moved, Record
from bankd.history.witness import check, examine
from bankd.types import BALANCE_MAX, LogIndex
from tests.history.table import OK, SHORT, Table, assert_found_by_both, assert_right, found, move_of


def bank() -> Table:
    table = Table()
    table.open("a", 100, 1)
    table.open("b", 0, 2)
    table.open("c", 10, 3)
    return table


@pytest.mark.parametrize("balances", [(100, 0), (70, 30)])
def test_lost_transfer_took_effect_or_did_not(balances: tuple[int, int]) -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("a", balances[0], 4)
    table.balance("b", balances[1], 4)
    assert_right(table.records)


@pytest.mark.parametrize("balances", [(100, 30), (40, 60), (71, 29)])
def test_lost_transfer_takes_effect_whole_and_at_most_once(balances: tuple[int, int]) -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("b", balances[1], 4)
    table.balance("a", balances[0], 4)
    assert_found_by_both(table.records)


def test_effect_that_was_seen_stays() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("b", 30, 4)
    table.balance("b", 0, 5)
    assert_found_by_both(table.records)


def test_effect_may_come_late() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("b", 0, 4)
    table.move("t2", "c", "b", 1, OK, 5)
    table.balance("b", 31, 9)
    assert_right(table.records)


def test_effect_does_not_come_before_its_call() -> None:
    table = bank()
    table.balance("b", 30, 4)
    table.lost("t1", "a", "b", 30)
    assert_found_by_both(table.records)


def test_effect_does_not_come_into_an_entry_that_was_answered_before_its_call() -> None:
    """Only the index says so: by the clock alone the payment could be seen by the late read."""
    table = bank()
    table.move("t2", "c", "b", 1, OK, 4, times=(100, 110))
    table.lost("t1", "a", "b", 30, called=120)
    table.balance("b", 31, 4, times=(130, 140))
    assert found(table.records) == ["R1"]


def test_money_that_was_spent_shows_where_it_came_from() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.move("t2", "b", "c", 20, OK, 5)  # only t1 can have brought it
    table.balance("a", 70, 5)
    assert_right(table.records)
    table.balance("a", 100, 6)
    assert_found_by_both(table.records)


def test_of_several_lost_transfers_those_that_fit_were_the_ones() -> None:
    table = bank()
    for number, amount in enumerate((1, 2, 4, 8)):
        table.lost(f"t{number}", "a", "b", amount)
    table.balance("b", 10, 5)
    table.balance("a", 90, 5)
    assert_right(table.records)
    table.balance("b", 13, 6)  # 8 + 2 stay: 11, 14 and 15 are left
    assert_found_by_both(table.records)


def test_worlds_are_told_apart_by_later_answers() -> None:
    """Two ways to 5: which one it was shows at the other accounts."""
    table = bank()
    table.lost("t1", "a", "b", 5)
    table.lost("t2", "c", "b", 5)
    table.balance("b", 5, 4)
    table.balance("c", 5, 4)
    assert_right(table.records)
    table.balance("a", 95, 4)
    assert found(table.records) == ["R1"]  # one state, says the index
    table.balance("b", 5, 4)
    assert_found_by_both(table.records)


def test_lost_chain_needs_its_first_link() -> None:
    table = bank()
    table.lost("t1", "a", "b", 60)
    table.lost("t2", "b", "c", 50)
    table.balance("c", 60, 4)
    table.balance("a", 40, 4)
    assert_right(table.records)
    table.balance("a", 100, 5)
    assert_found_by_both(table.records)


def test_lost_transfer_takes_no_money_that_is_not_there() -> None:
    table = bank()
    table.lost("t1", "b", "c", 50)
    table.balance("c", 60, 4)
    assert_found_by_both(table.records)


def test_retry_of_a_lost_transfer_tells_where_it_was_decided() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("b", 30, 4)
    table.move("t1", "a", "b", 30, OK, 6, decided=4)
    assert_right(table.records)


def test_retry_that_took_effect_anew_is_found() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("b", 30, 4)
    table.move("t1", "a", "b", 30, OK, 6)
    table.balance("b", 60, 6)
    assert_found_by_both(table.records)


def test_id_that_was_absent_can_come_later_and_only_later() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.outcome("t1", None, 4)
    table.balance("b", 30, 5)
    assert_right(table.records)
    wrong = bank()
    wrong.lost("t1", "a", "b", 30)
    wrong.balance("b", 30, 4)
    wrong.outcome("t1", None, 5)
    assert_found_by_both(wrong.records)


def test_one_id_sent_with_two_payloads_takes_effect_as_one_of_them() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.lost("t1", "a", "b", 31)
    table.balance("b", 31, 4)
    assert_right(table.records)
    wrong = bank()
    wrong.lost("t1", "a", "b", 30)
    wrong.lost("t1", "a", "b", 31)
    wrong.balance("b", 61, 4)
    assert_found_by_both(wrong.records)
    table.balance("b", 61, 5)
    assert_found_by_both(table.records)


def test_conflict_with_a_lost_payload_is_right_and_with_none_is_not() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.move("t1", "a", "b", 31, 255, 5, differs=["amount"])
    assert_right(table.records)
    wrong = bank()
    wrong.move("t1", "a", "b", 31, 255, 5, differs=["amount"])
    assert_found_by_both(wrong.records)


def test_lost_opening_shows_when_the_account_is_used() -> None:
    table = bank()
    table.lost_opening("d", 7)
    table.move("t1", "d", "a", 7, OK, 5)
    assert_right(table.records)
    table.open("d", 9, 6)
    assert_found_by_both(table.records)


def test_refusal_in_want_of_money_counts_against_a_lost_payment() -> None:
    table = bank()
    table.lost("t1", "a", "b", 30)
    table.balance("b", 30, 4)
    table.move("t2", "b", "c", 40, SHORT, 5, available=0)
    assert_found_by_both(table.records)


def test_refused_call_has_no_effect() -> None:
    table = bank()
    table.refused("t1", "a", "b", 30)
    assert_right(table.records)
    table.balance("b", 30, 4)
    assert_found_by_both(table.records)


def test_accounts_with_too_many_lost_transfers_are_given_up_and_counted() -> None:
    table = bank()
    for number in range(40):
        table.lost(f"t{number}", "a", "b", 1 + number % 3)
    table.balance("b", 17, 5)
    report = examine(table.records)
    assert (report.findings, report.unjudged) == ((), 1)
    table.balance("c", 11, 5)  # nothing lost touches c
    assert [finding.promise for finding in examine(table.records).findings] == ["R1"]


def test_answer_without_an_index_is_counted_and_taken_for_a_lost_one() -> None:
    table = bank()
    table.move("t1", "a", "b", 30, OK, None)
    table.balance("b", 0, 3)
    report = examine(table.records)
    assert (report.findings, report.unjudged) == ((), 1)


# Decisions that share a log index


def together(*moves: tuple[str, str, str, int, int], at: int = 4) -> list[Record]:
    """All carried by one entry, called and answered at once."""
    calls = [(move_of(move[:4]), move[4]) for move in moves]
    return [Record(1, call, 100, 110, Moved(bytes([status])), LogIndex(at)) for call, status in calls]


def test_order_inside_an_entry_is_found_whatever_the_order_of_the_records() -> None:
    """a -> b, then b -> a: after a has paid all to c, nothing else would do."""
    pays = [("t1", "a", "b", 100, OK), ("t2", "b", "a", 100, OK), ("t3", "a", "c", 100, OK)]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert_right([*bank().records, *together(*(pays[number] for number in order))])


def test_entry_that_no_order_explains_is_found() -> None:
    pays = [("t1", "a", "b", 60, OK), ("t2", "a", "c", 60, OK)]
    assert_found_by_both([*bank().records, *together(*pays)])


def test_lost_transfer_may_be_in_the_midst_of_an_entry() -> None:
    table = bank()
    table.lost("t0", "b", "a", 50)  # b has it only between t1 and t2
    pays = [("t2", "a", "c", 60, OK), ("t1", "a", "b", 60, OK)]
    assert_right([*table.records, *together(*pays)])


def test_lost_transfer_may_come_between_decisions_that_have_nothing_else_in_common() -> None:
    """c pays b, but only after c was found to have 10: without the lost transfer these two share no account."""
    table = bank()
    table.open("d", 0, 4)
    table.lost("t1", "c", "b", 10)
    pays = together(("t2", "b", "a", 10, OK), ("t3", "c", "d", 11, SHORT), at=5)
    told = Moved(bytes([SHORT]), available={0: 10})
    assert_right([*table.records, pays[0], attrs.evolve(pays[1], result=told)])


def test_rows_of_a_batch_keep_their_order_inside_an_entry() -> None:
    rows = move_of(("t1", "a", "b", 100), ("t2", "b", "c", 100))
    first = Record(1, move_of(("t9", "a", "c", 1)), 100, 110, Moved(bytes([OK])), LogIndex(4))
    wrong = Record(1, rows, 100, 110, Moved(bytes([OK, OK])), LogIndex(4))
    assert_found_by_both([*bank().records, wrong, first])


def test_account_that_is_paid_by_one_that_was_given_up_must_have_been_opened() -> None:
    """The lost opening is what opened `b`: that `a` is not judged any more says nothing about the other side."""
    table = Table()
    table.open("a", 5, 1)
    table.lost_opening("b", 300)
    table.balance("a", 6, 2)  # wrong, and the end of all that can be said of `a`
    table.move("t1", "a", "b", 6, OK, 3)
    table.balance("b", 306, 3)
    assert len(check(table.records)) == 1
    table.balance("b", 305, 3)
    assert len(check(table.records)) == 2


def test_account_that_was_given_up_may_have_been_opened_by_a_lost_call() -> None:
    """What was paid to `x` since says nothing about its opening, which took the bank to its limit."""
    table = Table()
    table.open("a", 10, 1)
    table.lost_opening("x", BALANCE_MAX - 20)
    table.balance("x", 7, 2)  # wrong, and the end of all that can be said of `x`
    table.move("t1", "a", "x", 5, OK, 3)
    table.open_beyond_the_limit("y", 12, 4)
    assert [finding.records for finding in check(table.records)] == [(2,)]
