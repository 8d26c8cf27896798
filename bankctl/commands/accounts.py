"""`account create`, `account show`, `account list`, `balance`."""

from collections.abc import Iterator
from typing import Final

from bankctl.columns import INT, MONEY, TEXT, TIME, Column, Row, rfc3339
from bankctl.money import format_money
from bankctl.output import Listing, Record
from bankctl.session import Session, Stopwatch, writing
from bankctl.values import read_name
from bankd.client import Account
from bankd.errors import Exit
from bankd.types import AtLeast, Linearizable, ReadMode

PAGE_ROWS: Final = 1000  # the most that one ListAccounts answers

LISTED: Final = (
    Column("account", TEXT),
    Column("balance", MONEY),
    Column("initial_balance", MONEY, "OPENED WITH"),
    Column("created_at", TIME),
    Column("created_index", INT),
)
SHOWN: Final = (*LISTED, Column("index", INT))
BALANCE: Final = (
    Column("account", TEXT),
    Column("balance", MONEY),
    Column("index", INT),
    Column("read", TEXT),
    Column("age_ms", INT),
)


def create(session: Session, *, account: str, initial: int) -> Exit:
    request_id = session.bank.make_tx_id()
    stopwatch = Stopwatch()
    ask = f"bankctl account show {account}"
    with writing(f"opening {account}", ask=ask, metadata={"account": account, "client_tx_id": request_id}):
        made = session.bank.create_account(
            account, initial_balance=initial, request_id=request_id, timeout_s=session.left_s()
        )
    text = f"{made.account}  {format_money(made.balance)}   opened   index {made.index}   {stopwatch}"
    session.printer.record(Record(SHOWN, row_of(made), text))
    return Exit.OK


def show(session: Session, *, account: str, read: ReadMode) -> Exit:
    found = session.bank.get_account(account, read=read, timeout_s=session.left_s())
    opened = f"opened with {format_money(found.initial_balance)} at {rfc3339(found.created_ns)}"
    text = f"{found.account}  {format_money(found.balance)}   {opened}   index {found.index}"
    session.printer.record(Record(SHOWN, row_of(found), text))
    return Exit.OK


def list_all(session: Session, *, after: str, limit: int | None, system: bool, read: ReadMode) -> Exit:
    """Accounts by pages, each as of its own index: a long list is no snapshot."""
    session.printer.listing(Listing("accounts", LISTED, pages(session, after, limit, system, read)))
    return Exit.OK


def pages(session: Session, after: str, limit: int | None, system: bool, read: ReadMode) -> Iterator[Row]:
    left = limit
    while left is None or left > 0:
        rows = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
        page = session.bank.list_accounts(after=after, limit=rows, system=system, read=read, timeout_s=session.left_s())
        yield from map(row_of, page.accounts)
        if not page.more or not page.accounts:
            return
        after = page.accounts[-1].account
        left = None if left is None else left - len(page.accounts)


def balance(session: Session, *, account: str, read: ReadMode) -> Exit:
    bank = session.bank
    stopwatch = Stopwatch()
    found = bank.get_balance(account, read=read, timeout_s=session.left_s())
    name = read_name(found.read)
    age_ms = None if isinstance(found.read, Linearizable | AtLeast) else found.age_ms
    row: Row = {"account": account, "balance": found.balance, "index": found.index, "read": name, "age_ms": age_ms}
    how = name if age_ms is None else f"{name} ({age_ms} ms old)"
    text = f"{account}  {format_money(found.balance)}   index {found.index}  {how}  {stopwatch}"
    session.printer.record(Record(BALANCE, row, text))
    return Exit.OK


def row_of(account: Account) -> Row:
    return {
        "account": account.account,
        "balance": account.balance,
        "initial_balance": account.initial_balance,
        "created_at": account.created_ns or None,
        "created_index": account.created_index or None,
        "index": account.index,
    }
