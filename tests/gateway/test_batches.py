"""bank.v1.LedgerService through a real gRPC channel: batches, and the view of accounts."""

import grpc

from bankd.pb import bank_pb2
from bankd.types import BATCH_TRANSFERS_MAX, ROW_ID_CONFLICT
from tests.gateway.calls import Bank, refused


def test_the_rows_of_a_batch_take_effect_in_order_each_on_its_own(bank: Bank, name: str) -> None:
    a, b = f"{name}-a", f"{name}-b"
    bank.create(a, 100)
    bank.create(b)
    answer = bank.submit(
        [
            (f"{name}-1", a, b, 100),
            (f"{name}-2", a, b, 1),
            (f"{name}-3", b, a, 30),
            (f"{name}-4", a, f"{name}-x", 1),
            (f"{name}-1", a, b, 99),
        ]
    )
    assert list(answer.outcomes) == [
        bank_pb2.COMMITTED_OK,
        bank_pb2.COMMITTED_INSUFFICIENT_FUNDS,
        bank_pb2.COMMITTED_OK,
        bank_pb2.COMMITTED_INVALID_ACCOUNT,
        ROW_ID_CONFLICT,
    ]
    assert [(d.row, d.HasField("available"), list(d.differs)) for d in answer.details] == [
        (1, True, []),
        (4, False, ["amount"]),
    ]
    assert (bank.balance(a).balance, bank.balance(b).balance) == (30, 70)
    assert bank.status(f"{name}-3").index == answer.index


def test_a_batch_sent_again_has_the_same_outcomes_and_no_further_effect(bank: Bank, name: str) -> None:
    a, b = f"{name}-a", f"{name}-b"
    bank.create(a, 100)
    bank.create(b)
    rows = [(f"{name}-{row}", a, b, 40) for row in range(3)]
    first, second = bank.submit(rows), bank.submit(rows)
    assert first.outcomes == second.outcomes
    assert {detail.index for detail in second.details} == {first.index}
    assert bank.balance(b).balance == 80


def test_the_largest_batch_is_taken_and_one_more_row_is_an_invalid_argument(bank: Bank, name: str) -> None:  # K16
    a, b = f"{name}-a", f"{name}-b"
    bank.create(a, BATCH_TRANSFERS_MAX)
    bank.create(b)
    rows = [(f"{name}-{row}", a, b, 1) for row in range(BATCH_TRANSFERS_MAX + 1)]
    refusal = refused(lambda: bank.submit(rows))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE")
    assert str(BATCH_TRANSFERS_MAX) in refusal.message
    assert bank.balance(b).balance == 0
    answer = bank.submit(rows[:BATCH_TRANSFERS_MAX])
    assert answer.outcomes == bytes([bank_pb2.COMMITTED_OK]) * BATCH_TRANSFERS_MAX
    assert bank.balance(b).balance == BATCH_TRANSFERS_MAX


def test_an_account_is_shown_with_its_opening(bank: Bank, name: str) -> None:
    opened = bank.create(name, 100)
    bank.create(f"{name}-b")
    bank.transfer(name, f"{name}-b", 1, name)
    answer = bank.account(name)
    assert (answer.account.account.id, answer.account.balance, answer.account.initial_balance) == (name, 99, 100)
    assert answer.account.created_index == opened.index
    assert answer.index > opened.index


def test_an_unknown_account_is_not_shown(bank: Bank, name: str) -> None:
    refusal = refused(lambda: bank.account(name))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert refusal.metadata == {"account": name}


def test_accounts_are_listed_in_order_and_by_page(bank: Bank, name: str) -> None:
    for letter in "cab":
        bank.create(f"{name}-{letter}")
    first = bank.accounts(after=name, limit=2)
    assert [account.account.id for account in first.accounts] == [f"{name}-a", f"{name}-b"]
    assert first.more
    second = bank.accounts(after=f"{name}-b", limit=1)
    assert [account.account.id for account in second.accounts] == [f"{name}-c"]


def test_system_accounts_are_listed_only_when_asked_for(bank: Bank, name: str) -> None:
    bank.create(name, 1)
    assert bank.accounts(limit=1, system=True).accounts[0].account.id == "@opening"
    assert not bank.accounts(limit=1).accounts[0].account.id.startswith("@")
