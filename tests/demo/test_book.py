"""The tour is only as good as its book: it must notice every kind of wrong."""

from collections.abc import Callable, Iterator

import attrs
import pytest

from bankd.client import SyncBankClient
from bankd.demo.book import SAMPLE_ACCOUNTS, Book, money, sample_balances
from bankd.types import TransferStatus
from tests.client.fake_server import FakeServer


@pytest.fixture
def client() -> Iterator[SyncBankClient]:
    with FakeServer() as server, SyncBankClient(server.address) as client:
        yield client


def book_after_three_transfers(client: SyncBankClient) -> Book:
    book = Book.opened(client)
    for source, target, amount in [("alice", "bob", 25_00), ("dave", "alice", 1), ("bob", "dave", 1_00)]:
        book.enter(client.try_transfer(source, target, amount))
    return book


def test_book_and_bank_agree_on_transfers_and_refusals(client: SyncBankClient) -> None:
    book = book_after_three_transfers(client)
    assert [transfer.status for transfer in book.acknowledged] == [
        TransferStatus.COMMITTED_OK,
        TransferStatus.COMMITTED_INSUFFICIENT_FUNDS,
        TransferStatus.COMMITTED_OK,
    ]
    assert sample_balances(book) == "alice 975.00, bob 524.00, carol 250.00, dave 1.00"
    assert list(book.differences(client)) == []


def test_accounts_that_exist_are_taken_as_they_are(client: SyncBankClient) -> None:
    book_after_three_transfers(client)
    assert Book.opened(client).balances["alice"] == SAMPLE_ACCOUNTS["alice"] - 25_00


def lose_a_cent(book: Book) -> None:
    book.balances["alice"] -= 1


def invent_an_account(book: Book) -> None:
    book.balances["erin"] = 0


def forget_an_account(book: Book) -> None:
    del book.balances["carol"]


def acknowledge_what_never_was(book: Book) -> None:
    book.acknowledged.append(attrs.evolve(book.acknowledged[0], tx_id="lost"))


def remember_another_index(book: Book) -> None:
    book.acknowledged[0] = attrs.evolve(book.acknowledged[0], index=999)


def remember_another_status(book: Book) -> None:
    book.acknowledged[1] = attrs.evolve(book.acknowledged[1], status=TransferStatus.COMMITTED_OK)


WRONGS = [
    (lose_a_cent, "alice has 97500 cents, the book says 97499"),
    (invent_an_account, "erin has None cents, the book says 0"),
    (forget_an_account, "carol has 25000 cents, the book says None"),
    (acknowledge_what_never_was, "; recorded: None"),
    (remember_another_index, "index=999"),
    (remember_another_status, "COMMITTED_OK"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONGS)
def test_every_disagreement_is_named(client: SyncBankClient, wrong: Callable[[Book], None], named: str) -> None:
    book = book_after_three_transfers(client)
    wrong(book)
    (difference,) = book.differences(client)
    assert named in difference


def test_money_is_written_with_two_digits() -> None:
    assert [money(cents) for cents in (0, 5, 100, 123456)] == ["0.00", "0.05", "1.00", "1234.56"]
