"""What opening an account is answered: the fixed behaviour, K5-K10."""

import pytest

from bankd.ledger.commands import AccountCreated, CreateAccount, Malformed, RequestConflict
from bankd.types import LogIndex
from tests.ledger.bank import Bank, create, said

INT64_MAX = 2**63 - 1
CREATED_AT_1 = AccountCreated(success=True, index=LogIndex(1))


def test_a_new_account_holds_its_opening_balance_which_the_system_account_paid() -> None:
    bank = Bank()
    assert bank.create("a", 100) == CREATED_AT_1
    assert bank.balances(["a", "@opening"]) == {"a": 100, "@opening": -100}
    assert bank.ledger.imbalance() == 0


def test_a_new_account_without_opening_balance_holds_zero() -> None:
    bank = Bank()
    assert bank.create("a") == CREATED_AT_1
    assert bank.balance("a") == 0


@pytest.mark.parametrize("initial", [100, 7])
def test_an_existing_account_keeps_its_first_balance(initial: int) -> None:
    bank = Bank()
    bank.create("a", 100)
    assert bank.create("a", initial) == AccountCreated(success=False, index=LogIndex(2))
    assert bank.balances(["a", "@opening"]) == {"a": 100, "@opening": -100}
    assert bank.ledger.account_count == 1


def test_a_retried_request_gets_the_first_answer_again() -> None:
    bank = Bank()
    bank.create("a", 100, "r1")
    bank.create("a", 100, "r2")
    assert bank.create("a", 100, "r1") == CREATED_AT_1
    assert bank.create("a", 100, "r2") == AccountCreated(success=False, index=LogIndex(2))
    assert bank.balance("a") == 100


@pytest.mark.parametrize(
    ("account", "initial", "differs"),
    [("b", 100, ("account",)), ("a", 99, ("initial_balance",)), ("b", 99, ("account", "initial_balance"))],
)
def test_a_request_id_used_again_with_other_fields_is_a_conflict(
    account: str, initial: int, differs: tuple[str, ...]
) -> None:
    bank = Bank()
    bank.create("a", 100, "r")
    assert bank.create(account, initial, "r") == RequestConflict(differs)
    assert bank.balance("b") is None


def test_request_ids_and_transfer_ids_do_not_meet() -> None:
    bank = Bank()
    bank.apply(create("a", 100, "x"), create("b", 0, "y"))
    assert said(bank.transfer("x", "a", "b", 1)) == ["ok"]
    assert bank.create("c", 0, "x") == RequestConflict(("account", "initial_balance"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(create("", 1), id="empty"),
        pytest.param(create("@mine", 1), id="the system's"),
        pytest.param(create("@opening", 1), id="the opening account"),
        pytest.param(create("a\x7f", 1), id="control character"),
        pytest.param(create("a", -1), id="K6 negative"),
        pytest.param(create("a", INT64_MAX + 1), id="beyond int64"),
        pytest.param(create("a", 1, ""), id="empty request id"),
        pytest.param(create("a", 1, "r" * 129), id="long request id"),
    ],
)
def test_a_malformed_opening_changes_nothing(command: CreateAccount) -> None:
    bank = Bank()
    assert bank.apply(command) == [Malformed()]
    assert bank.ledger.account_count == 0
    assert bank.balance("@opening") == 0


def test_an_opening_that_the_system_account_cannot_pay_opens_nothing_and_claims_no_success() -> None:
    """K9: `@opening` may go down to -2**63 and not below."""
    bank = Bank()
    bank.create("rich", INT64_MAX)
    refused = AccountCreated(success=False, index=LogIndex(2), limit_exceeded=True)
    assert bank.create("a", 2, "r") == refused
    assert bank.balance("a") is None
    assert bank.create("b", 1) == AccountCreated(success=True, index=LogIndex(3))
    assert bank.balance("@opening") == -(2**63)
    assert bank.create("a", 2, "r") == refused
    assert bank.create("a", 0).__class__ is AccountCreated
    assert bank.balance("a") == 0
