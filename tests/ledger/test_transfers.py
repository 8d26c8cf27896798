"""What a transfer is answered: the fixed behaviour, K1-K5, K9, K10, and faults C01, C03, C06, C07, C08."""

import pytest

from bankd.ledger.commands import RowDetail, TransferRecord
from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId
from tests.ledger.bank import Bank, Row, batch, create, said

INT64_MAX = 2**63 - 1


@pytest.fixture
def bank() -> Bank:
    """Accounts a (100), b (50) and empty, opened at index 1; the next entry has index 2."""
    bank = Bank()
    bank.apply(create("a", 100), create("b", 50), create("empty"))
    return bank


@pytest.mark.parametrize(
    ("row", "answer", "a", "b"),
    [
        pytest.param(("t", "a", "b", 30), "ok", 70, 80, id="funded"),
        pytest.param(("t", "a", "b", 100), "ok", 0, 150, id="the whole balance"),
        pytest.param(("t", "a", "b", 101), "insufficient funds: 100", 100, 50, id="one too much"),
        pytest.param(
            ("t", "a", "b", INT64_MAX), "insufficient funds: 100", 100, 50, id="funds are judged before limits"
        ),
        pytest.param(("t", "a", "nobody", 1), "invalid account", 100, 50, id="unknown target"),
        pytest.param(("t", "nobody", "a", 1), "invalid account", 100, 50, id="unknown source"),
        pytest.param(("t", "nobody", "none", 1), "invalid account", 100, 50, id="both unknown"),
        pytest.param(("t", "a", "nobody", 101), "invalid account", 100, 50, id="accounts are judged before funds"),
        pytest.param(("t", "A", "b", 1), "invalid account", 100, 50, id="ids are compared byte by byte"),
        pytest.param(("t", "a", "b", 0), "malformed", 100, 50, id="K1 zero"),
        pytest.param(("t", "a", "b", -1), "malformed", 100, 50, id="K1 negative"),
        pytest.param(("t", "a", "b", INT64_MAX + 1), "malformed", 100, 50, id="beyond int64"),
        pytest.param(("t", "a", "a", 1), "malformed", 100, 50, id="K2 same account"),
        pytest.param(("", "a", "b", 1), "malformed", 100, 50, id="K4 no id"),
        pytest.param(("t\n", "a", "b", 1), "malformed", 100, 50, id="K5 control character"),
        pytest.param(("t", "@opening", "b", 1), "malformed", 100, 50, id="K5 from the system"),
        pytest.param(("t", "a", "@opening", 1), "malformed", 100, 50, id="K5 to the system"),
    ],
)
def test_a_transfer_is_answered_and_moves_money_only_when_ok(bank: Bank, row: Row, answer: str, a: int, b: int) -> None:
    assert said(bank.submit(row)) == [answer]
    assert (bank.balance("a"), bank.balance("b")) == (a, b)
    assert bank.ledger.imbalance() == 0


@pytest.mark.parametrize("amount", [30, 500])
def test_a_retry_gets_the_first_answer_with_its_index_and_time_and_no_second_effect(bank: Bank, amount: int) -> None:
    first = bank.transfer("t", "a", "b", amount)
    balances = bank.balances(["a", "b"])
    bank.create("c", 1000)
    retried = bank.transfer("t", "a", "b", amount)
    available = None if amount == 30 else 100
    assert retried.outcomes == first.outcomes
    assert retried.details == {0: RowDetail(LogIndex(2), TimeNs(2_000), available)}
    assert retried.index == 4
    assert bank.balances(["a", "b"]) == balances


def test_a_refused_id_stays_refused_though_funded_since(bank: Bank) -> None:
    bank.transfer("t", "empty", "b", 10)
    bank.transfer("fund", "a", "empty", 10)
    assert said(bank.transfer("t", "empty", "b", 10)) == ["insufficient funds: 0"]
    assert bank.balance("empty") == 10


def test_an_id_refused_for_an_unknown_account_stays_refused_though_the_account_was_opened_since(bank: Bank) -> None:
    bank.transfer("t", "a", "late", 10)
    bank.create("late")
    assert said(bank.transfer("t", "a", "late", 10)) == ["invalid account"]
    assert bank.balance("late") == 0


def test_a_malformed_row_leaves_its_id_free(bank: Bank) -> None:
    bank.transfer("t", "a", "b", 0)
    assert bank.status("t") is None
    assert said(bank.transfer("t", "a", "b", 1)) == ["ok"]


@pytest.mark.parametrize(
    ("again", "differs"),
    [
        (("t", "b", "c", 30), ("from", "to")),
        (("t", "empty", "b", 30), ("from",)),
        (("t", "a", "empty", 30), ("to",)),
        (("t", "a", "b", 31), ("amount",)),
        (("t", "b", "a", 29), ("from", "to", "amount")),
    ],
)
def test_an_id_used_again_with_other_fields_is_a_conflict_that_names_them(
    bank: Bank, again: Row, differs: tuple[str, ...]
) -> None:
    bank.transfer("t", "a", "b", 30)
    done = bank.submit(again)
    assert said(done) == ["conflict"]
    assert done.details == {0: RowDetail(LogIndex(2), TimeNs(2_000), differs=differs)}
    assert (bank.balance("a"), bank.balance("b")) == (70, 80)
    assert said(bank.transfer("t", "a", "b", 30)) == ["ok"]


def test_a_conflict_with_a_refusal_is_found_though_its_accounts_are_unknown(bank: Bank) -> None:
    bank.transfer("t", "nobody", "a", 1)
    assert said(bank.transfer("t", "other", "a", 1)) == ["conflict"]
    assert said(bank.transfer("t", "nobody", "a", 1)) == ["invalid account"]


def test_a_malformed_row_that_uses_a_recorded_id_is_malformed_not_a_conflict(bank: Bank) -> None:
    bank.transfer("t", "a", "b", 1)
    assert said(bank.transfer("t", "a", "b", -1)) == ["malformed"]


def test_rows_of_a_batch_take_effect_in_order_each_on_its_own(bank: Bank) -> None:
    done = bank.submit(
        ("t1", "a", "empty", 100),  # funds the next row
        ("t2", "empty", "b", 60),
        ("t3", "a", "b", 1),  # a is empty by now
        ("t4", "", "b", 1),
        ("t2", "empty", "b", 60),  # a retry within the batch
        ("t2", "empty", "b", 61),  # a conflict within the batch
        ("t5", "empty", "nobody", 1),
        ("t6", "empty", "b", 40),
    )
    answers = ["ok", "ok", "insufficient funds: 0", "malformed", "ok", "conflict", "invalid account", "ok"]
    assert said(done) == answers
    assert bank.balances(["a", "b", "empty"]) == {"a": 0, "b": 150, "empty": 0}
    assert sorted(done.details) == [2, 4, 5]


def test_rows_behind_retries_and_malformed_rows_are_recorded_under_their_own_ids(bank: Bank) -> None:
    bank.submit(("t1", "a", "b", 1), ("t2", "b", "a", 2))
    bank.submit(("t1", "a", "b", 1), ("t3", "a", "b", 0), ("t4", "a", "b", 4), ("t1", "a", "b", 9), ("t5", "b", "a", 5))
    bank.submit(("t6", "b", "nobody", 6))
    amounts = {
        tx_id: (record.amount if (record := bank.status(tx_id)) else None) for tx_id in ("t1", "t2", "t4", "t5", "t6")
    }
    assert amounts == {"t1": 1, "t2": 2, "t4": 4, "t5": 5, "t6": 6}
    assert bank.status("t3") is None
    assert bank.ledger.transfer_count == 5


def test_retries_and_malformed_rows_leave_nothing_behind(bank: Bank) -> None:
    bank.transfer("t", "a", "b", 1)
    entries = len(bank.ledger._transfers._entry_indexes)
    bank.submit(("t", "a", "b", 1), ("t", "a", "b", 2), ("u", "a", "b", 0))
    assert bank.ledger.transfer_count == 1
    assert len(bank.ledger._transfers._entry_indexes) == entries


def test_commands_of_one_entry_see_each_others_effects_in_order(bank: Bank) -> None:
    outcomes = bank.apply(
        batch(("t1", "a", "c", 1)),
        batch(("t2", "a", "empty", 100)),
        create("c"),
        batch(("t3", "a", "c", 1), ("t4", "empty", "c", 7)),
        batch(),
        batch(("t4", "empty", "c", 7)),
    )
    assert [said(outcome) for outcome in outcomes] == [
        ["invalid account"],
        ["ok"],
        ["created"],
        ["insufficient funds: 0", "ok"],
        [],
        ["ok"],
    ]
    assert bank.balance("c") == 7


def test_a_balance_never_leaves_int64() -> None:
    """K9. What customers hold together is at most 2**63, so only a transfer that gathers it all can overflow."""
    bank = Bank()
    bank.apply(create("rich", INT64_MAX), create("poor", 1))
    assert said(bank.transfer("t", "poor", "rich", 1)) == ["limit exceeded"]
    assert bank.balances(["rich", "poor"]) == {"rich": INT64_MAX, "poor": 1}
    assert said(bank.transfer("t", "poor", "rich", 1)) == ["limit exceeded"]  # recorded
    assert said(bank.transfer("u", "rich", "poor", INT64_MAX - 1)) == ["ok"]  # up to the limit itself
    assert bank.balance("poor") == INT64_MAX


def test_a_hot_account_is_never_overdrawn_by_a_batch(bank: Bank) -> None:
    done = bank.submit(*((f"t{n}", "a", "b", 30) for n in range(5)))
    assert said(done) == ["ok"] * 3 + ["insufficient funds: 10"] * 2


def test_unnormalised_and_lookalike_ids_are_different_ids(bank: Bank) -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    bank.apply(create(composed, 5), create(decomposed, 7))
    bank.submit((composed, composed, "a", 5), (decomposed, decomposed, "a", 5))
    assert bank.balances([composed, decomposed]) == {composed: 0, decomposed: 2}


@pytest.mark.parametrize(
    ("row", "status", "available"),
    [
        (("t", "a", "b", 30), TransferStatus.COMMITTED_OK, None),
        (("t", "a", "b", 300), TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, 100),
        (("t", "nobody", "b", 30), TransferStatus.COMMITTED_INVALID_ACCOUNT, None),
    ],
)
def test_a_recorded_transfer_is_read_back_whole(
    bank: Bank, row: Row, status: TransferStatus, available: int | None
) -> None:
    bank.submit(("before", "a", "b", 0), ("other", "nobody", "none", 9))
    bank.submit(row)
    bank.transfer("behind", "a", "b", 3)
    assert bank.status("t") == TransferRecord(
        TxId("t"), AccountId(row[1]), AccountId("b"), row[3], status, LogIndex(3), TimeNs(3_000), available
    )


def test_an_unknown_transfer_is_not_found(bank: Bank) -> None:
    assert bank.status("t") is None
