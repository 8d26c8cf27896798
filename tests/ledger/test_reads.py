"""What reads answer."""

import pytest

from bankd.ledger.commands import AccountRecord
from bankd.ledger.queries import AccountFound, AccountsPage, GetAccount, GetBalance, ListAccounts, NotFound
from bankd.types import AccountId, LogIndex, TimeNs
from tests.ledger.bank import Bank, create


@pytest.fixture
def bank() -> Bank:
    """Opened out of order, in two entries."""
    bank = Bank()
    bank.apply(*(create(account, 10) for account in ("b", "é", "Z", "€uro")))
    bank.apply(*(create(account, 20) for account in ("a", "\U0001f3e6", "0")))
    return bank


IN_BYTE_ORDER = ["0", "Z", "a", "b", "é", "€uro", "\U0001f3e6"]


def ids(bank: Bank, after: str = "", limit: int = 100, *, system: bool = False) -> tuple[list[str], bool]:
    page = bank.ledger.read(ListAccounts(after, limit, system))
    assert isinstance(page, AccountsPage)
    return [str(record.account) for record in page.records], page.more


def test_an_account_is_read_with_its_opening_data(bank: Bank) -> None:
    bank.transfer("t", "a", "b", 5)
    record = AccountRecord(AccountId("a"), 15, 20, LogIndex(2), TimeNs(2_000))
    assert bank.ledger.read(GetAccount(AccountId("a"))) == AccountFound(record)


@pytest.mark.parametrize("query", [GetBalance(AccountId("none")), GetAccount(AccountId("none"))])
def test_an_unknown_account_is_not_found(bank: Bank, query: GetBalance | GetAccount) -> None:
    assert bank.ledger.read(query) == NotFound()


def test_accounts_are_listed_in_the_byte_order_of_their_ids(bank: Bank) -> None:
    assert sorted(IN_BYTE_ORDER, key=str.encode) == IN_BYTE_ORDER
    assert ids(bank) == (IN_BYTE_ORDER, False)


def test_pages_cover_every_account_once_and_say_whether_more_follow(bank: Bank) -> None:
    assert ids(bank, limit=3) == (IN_BYTE_ORDER[:3], True)
    assert ids(bank, after="a", limit=3) == (IN_BYTE_ORDER[3:6], True)
    assert ids(bank, after="€uro", limit=3) == (IN_BYTE_ORDER[6:], False)
    assert ids(bank, after="aa", limit=1) == (["b"], True)
    assert ids(bank, limit=7) == (IN_BYTE_ORDER, False)
    assert ids(bank, after="\U0001f3e6") == ([], False)


def test_accounts_opened_between_two_pages_take_their_place(bank: Bank) -> None:
    ids(bank)
    bank.create("aa")
    assert ids(bank, after="a", limit=2) == (["aa", "b"], True)


def test_system_accounts_are_listed_only_when_asked_for(bank: Bank) -> None:
    assert ids(bank, limit=3, system=True) == (["0", "@opening", "Z"], True)
    assert ids(bank, after="0", limit=1) == (["Z"], True)


@pytest.mark.parametrize(("limit", "records"), [(0, 1), (-5, 1), (1001, 1000), (10**30, 1000)])
def test_a_page_is_held_to_its_bounds(limit: int, records: int) -> None:
    bank = Bank()
    bank.apply(*(create(f"a{number}") for number in range(1001)))
    found, more = ids(bank, limit=limit)
    assert (len(found), more) == (records, True)


def test_counts_leave_out_the_system_account(bank: Bank) -> None:
    assert bank.ledger.account_count == 7
    assert Bank().ledger.account_count == 0
