"""Answers that few histories hold: malformed rows, limits of numbers, and answers that name no index."""

import pytest

from bankd.history.linearizability import Verdict
from bankd.history.records import Balance, BalanceFound, Move, Moved, NotFound, Open, Opened, OutcomeOf
from bankd.history.witness import examine
from bankd.types import BALANCE_MAX, LINEARIZABLE, ROW_MALFORMED, AccountId, LogIndex, TransferStatus, TxId
from tests.history.table import OK, SHORT, Table, assert_found_by_both, assert_right, move_of, searched, usual

LIMIT = int(TransferStatus.COMMITTED_LIMIT_EXCEEDED)


def mixed(status: int, available: dict[int, int]) -> Table:
    """A batch of three, the first row malformed, the last one asking for more than the 100 of b."""
    table = usual()
    rows = move_of(("t5", "b", "b", 1), ("t6", "b", "a", 10), ("t7", "b", "a", 91))
    table.add(rows, Moved(bytes([ROW_MALFORMED, OK, status]), available=available), 12, None)
    return table


def test_malformed_rows_have_no_effect_and_the_others_keep_their_places() -> None:
    table = mixed(SHORT, {2: 90})
    assert_right(table.records)
    table.outcome("t5", None, 12)
    table.balance("b", 90, 12)
    assert_right(table.records)


@pytest.mark.parametrize(("status", "available"), [(OK, {}), (SHORT, {2: 91})])
def test_wrong_row_behind_a_malformed_one_is_found(status: int, available: dict[int, int]) -> None:
    assert_found_by_both(mixed(status, available).records)


def full() -> Table:
    """The bank can give no more, and d hold 99 more."""
    table = usual()
    table.open("d", BALANCE_MAX - 99, 12)
    return table


@pytest.mark.parametrize(("amount", "status"), [(99, OK), (100, LIMIT)])
def test_account_holds_as_much_as_its_number_and_no_more(amount: int, status: int) -> None:
    table = full()
    table.move("t5", "b", "d", amount, status, 13)
    assert_right(table.records)
    wrong = full()
    wrong.move("t5", "b", "d", amount, LIMIT if status == OK else OK, 13)
    assert_found_by_both(wrong.records)


@pytest.mark.parametrize(("balance", "limit_exceeded"), [(0, False), (1, True)])
def test_bank_gives_as_much_as_its_number_and_no_more(balance: int, limit_exceeded: bool) -> None:
    for told, judge in ((limit_exceeded, assert_right), (not limit_exceeded, assert_found_by_both)):
        table = full()
        opened = Opened(not told, LogIndex(13), limit_exceeded=told)
        table.add(Open(AccountId("e"), balance), opened, None, None)
        judge(table.records)


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        (Balance(AccountId("a"), LINEARIZABLE), BalanceFound(1)),
        (OutcomeOf(TxId("t1"), LINEARIZABLE), NotFound()),
        (move_of(("t5", "b", "a", 101)), Moved(bytes([OK]))),
    ],
    ids=["balance", "outcome", "move"],
)
def test_wrong_answer_without_an_index_is_counted_by_the_witness_and_found_by_the_search(
    operation: Balance | OutcomeOf | Move, result: BalanceFound | NotFound | Moved
) -> None:
    table = usual()
    table.add(operation, result, None, None)
    report = examine(table.records)
    assert (report.findings, report.unjudged) == ((), 1)
    assert searched(table.records).verdict is Verdict.VIOLATED
