"""The fixed behaviour of bank.v1 (docs/contract.md), through a real gRPC channel.

Each test is a row of the table. They share one bank, so every test uses accounts and ids of its own,
under `name`. They know nothing of what stands behind the gateway.
"""

import grpc

from bankd.pb import bank_pb2
from tests.gateway.calls import Bank, refused


def test_creating_a_new_account_succeeds(bank: Bank, name: str) -> None:
    answer = bank.create(name, 100)
    assert (answer.success, answer.message) == (True, "Account created")
    assert answer.index > 0


def test_creating_an_existing_account_fails_and_its_first_balance_stays(bank: Bank, name: str) -> None:
    bank.create(name, 100)
    for initial_balance in (100, 7):
        answer = bank.create(name, initial_balance)
        assert (answer.success, answer.message) == (False, "Account already exists")
    assert bank.balance(name).balance == 100


def test_the_balance_of_a_known_account_is_present_also_when_zero(bank: Bank, name: str) -> None:
    bank.create(name)
    answer = bank.balance(name)
    assert answer.HasField("balance")
    assert answer.balance == 0


def test_the_balance_of_an_unknown_account_is_not_found_and_the_message_names_it(bank: Bank, name: str) -> None:
    refusal = refused(lambda: bank.balance(name))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert name in refusal.message


def test_a_funded_transfer_commits_and_moves_both_balances(bank: Bank, name: str) -> None:
    source, target = f"{name}-a", f"{name}-b"
    bank.create(source, 100)
    bank.create(target, 5)
    answer = bank.transfer(source, target, 100, name)
    assert (answer.status, answer.message) == (bank_pb2.COMMITTED_OK, "Transfer committed")
    assert (bank.balance(source).balance, bank.balance(target).balance) == (0, 105)


def test_a_transfer_with_an_unknown_account_is_recorded_as_invalid_account(bank: Bank, name: str) -> None:
    bank.create(name, 100)
    for tx_id, source, target in ((f"{name}-to", name, f"{name}-x"), (f"{name}-from", f"{name}-x", name)):
        answer = bank.transfer(source, target, 1, tx_id)
        assert (answer.status, answer.message) == (bank_pb2.COMMITTED_INVALID_ACCOUNT, "Invalid account")
        assert bank.status(tx_id).status == bank_pb2.COMMITTED_INVALID_ACCOUNT
    assert bank.balance(name).balance == 100


def test_a_transfer_beyond_the_funds_is_recorded_as_insufficient_funds(bank: Bank, name: str) -> None:
    source, target = f"{name}-a", f"{name}-b"
    bank.create(source, 100)
    bank.create(target)
    answer = bank.transfer(source, target, 101, name)
    assert (answer.status, answer.message) == (bank_pb2.COMMITTED_INSUFFICIENT_FUNDS, "Insufficient funds")
    assert answer.available == 100
    assert bank.status(name).status == bank_pb2.COMMITTED_INSUFFICIENT_FUNDS
    assert (bank.balance(source).balance, bank.balance(target).balance) == (100, 0)


def test_a_transfer_sent_again_gives_the_first_outcome_and_is_applied_once(bank: Bank, name: str) -> None:
    source, target = f"{name}-a", f"{name}-b"
    bank.create(source, 100)
    bank.create(target)
    first = bank.transfer(source, target, 60, name)
    assert bank.transfer(source, target, 60, name) == first
    assert (bank.balance(source).balance, bank.balance(target).balance) == (40, 60)


def test_the_id_of_a_refused_transfer_is_burned_even_when_funded_since(bank: Bank, name: str) -> None:
    source, target = f"{name}-a", f"{name}-b"
    bank.create(source)
    bank.create(target, 100)
    first = bank.transfer(source, target, 50, name)
    bank.transfer(target, source, 100, f"{name}-funding")
    assert bank.transfer(source, target, 50, name) == first
    assert first.status == bank_pb2.COMMITTED_INSUFFICIENT_FUNDS
    assert bank.balance(source).balance == 100


def test_the_status_of_a_known_transfer_is_its_status(bank: Bank, name: str) -> None:
    source, target = f"{name}-a", f"{name}-b"
    bank.create(source, 100)
    bank.create(target)
    moved = bank.transfer(source, target, 30, name)
    answer = bank.status(name)
    assert answer.status == bank_pb2.COMMITTED_OK
    assert (answer.index, answer.time_ns) == (moved.index, moved.time_ns)
    assert (getattr(answer, "from").id, answer.to.id, answer.amount) == (source, target, 30)


def test_the_status_of_an_unknown_transfer_is_not_found_and_the_message_names_it(bank: Bank, name: str) -> None:
    refusal = refused(lambda: bank.status(name))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert name in refusal.message
