"""Judge the blocks of an image before they become a ledger: whatever is taken, the invariants of the bank hold.

A snapshot is covered by checksums, so what fails here was written wrong, by this program or by another one. Each
function raises ImageInvalid with the first fault that it finds, and trusts no column: neither its length nor its values.
No block of rows is empty.

Judged elsewhere: that ids are new, by the dicts which they enter; kinds and counts of blocks, and the sums over the
whole image (M1, K7), by `builder`. Nobody can judge whether the balances follow from the transfers, or whether the digest
is that of the state: the log that says so is gone.
"""

from collections.abc import Sequence, Sized
from itertools import chain, islice
from operator import eq, le, lt
from typing import Final

from bankd.ledger.accounts import Accounts
from bankd.ledger.checks import SYSTEM_PREFIX, ids_well_formed
from bankd.ledger.digest import DIGEST_BYTES
from bankd.ledger.rows import AccountRows, EntryRows, ImageHead, ImageInvalid, RequestAnswer, RequestRows, TransferRows
from bankd.ledger.transfers import NO_ACCOUNT, places
from bankd.types import BALANCE_MAX, BALANCE_MIN, AccountId, TransferStatus

Moment = tuple[int, int]  # log index and stamp

_INDEX_MAX: Final = 2**63 - 1  # the wire's bound of log indexes: no log gets there
_NEVER_OPENED: Final = (_INDEX_MAX + 1, 0)  # the opening of an account that does not exist
_STATUSES: Final = bytes(status for status in TransferStatus if status != TransferStatus.UNKNOWN)
_ANSWERS: Final = bytes(RequestAnswer)


def require(holds: bool, fault: str) -> None:
    """Raises ImageInvalid: it does not hold."""
    if not holds:
        raise ImageInvalid(fault)


def verify_head(head: ImageHead) -> None:
    require(0 <= head.applied_index <= _INDEX_MAX, f"log index {head.applied_index}")
    require(len(head.digest) == DIGEST_BYTES, f"a digest of {len(head.digest)} bytes")
    require(BALANCE_MIN <= head.opening_balance <= 0, f"@opening holds {head.opening_balance}")
    require(min(head.accounts, head.requests, head.entries, head.transfers) >= 0, "a negative count of rows")
    require(bool(head.entries) == bool(head.transfers), f"{head.entries} entries for {head.transfers} transfers")


def verify_accounts(rows: AccountRows, head: ImageHead, last: Moment) -> None:
    """`last` is the moment at which the account before was opened."""
    columns = (rows.balances, rows.initial_balances, rows.created_indexes, rows.created_times)
    _require_equal_lengths(rows.ids, *columns)
    _require_ids(rows.ids)
    _require_customers(rows.ids)
    _require_within(rows.balances, 0, BALANCE_MAX, "a balance")  # M2
    _require_within(rows.initial_balances, 0, BALANCE_MAX, "an opening balance")
    _require_moments(rows.created_indexes, rows.created_times, head, last)


def verify_requests(rows: RequestRows, head: ImageHead, last_index: int, accounts: Accounts) -> None:
    """`last_index` is that of the request before, `accounts` are those of the whole image."""
    _require_equal_lengths(rows.ids, rows.accounts, rows.initial_balances, rows.indexes, rows.answers)
    _require_ids(rows.ids)
    _require_ids(rows.accounts)
    _require_customers(rows.accounts)
    _require_within(rows.initial_balances, 0, BALANCE_MAX, "an opening balance")
    require(_ascends(rows.indexes, max(last_index, 1), head.applied_index), "requests out of log order")
    _require_bytes(rows.answers, _ANSWERS, "answer to a request")
    decided = zip(rows.accounts, rows.initial_balances, rows.indexes, rows.answers, strict=True)
    for account, initial_balance, index, answer in decided:
        if answer != RequestAnswer.LIMIT_EXCEEDED:  # which says nothing about the account
            opened = accounts.opening(account) or _NEVER_OPENED
            fits = opened == (index, initial_balance) if answer == RequestAnswer.OPENED else opened[0] <= index
            require(fits, f"answer {answer} to a request, which the accounts contradict")


def verify_entries(rows: EntryRows, head: ImageHead, last_first_row: int, last: Moment) -> None:
    """`last_first_row` and `last` are those of the entry before; the former is -1 if there is none."""
    _require_equal_lengths(rows.first_rows, rows.indexes, rows.times)
    require(last_first_row >= 0 or rows.first_rows[0] == 0, "transfers before the first entry")
    require(_ascends(rows.first_rows, last_first_row + 1, head.transfers - 1), "entries out of order")
    require(all(map(lt, rows.first_rows, islice(rows.first_rows, 1, None))), "an entry without transfers")
    _require_moments(rows.indexes, rows.times, head, last)


def verify_transfers(rows: TransferRows, accounts: Accounts) -> None:
    """`accounts` are those of the whole image."""
    _require_equal_lengths(rows.ids, rows.sources, rows.targets, rows.amounts, rows.statuses)
    _require_ids(rows.ids)
    _require_bytes(rows.statuses, _STATUSES, "status")
    _require_within(rows.amounts, 1, BALANCE_MAX, "an amount")
    for numbers in (rows.sources, rows.targets):
        _require_within(numbers, 0, len(accounts.ids) - 1, "an account's number")
    _verify_available(rows)
    _verify_strangers(rows, accounts.ids)


def _verify_available(rows: TransferRows) -> None:
    """Rows refused for funds have the balance found, and it was short."""
    refused = list(places(rows.statuses, TransferStatus.COMMITTED_INSUFFICIENT_FUNDS))
    require(
        len(refused) == len(rows.available), f"{len(rows.available)} balances for {len(refused)} rows short of funds"
    )
    found = zip(refused, rows.available, strict=True)
    require(all(0 <= balance < rows.amounts[row] for row, balance in found), "a refusal for funds that sufficed")


def _verify_strangers(rows: TransferRows, account_ids: Sequence[AccountId]) -> None:
    """Rows refused for an unknown account have both ids, and they alone may lack a number. No row has equal sides."""
    refused = list(places(rows.statuses, TransferStatus.COMMITTED_INVALID_ACCOUNT))
    require(
        len(refused) == len(rows.strangers), f"{len(rows.strangers)} pairs of ids for {len(refused)} unknown accounts"
    )
    sides = [(rows.sources[row], rows.targets[row]) for row in refused]
    unknown = [number == NO_ACCOUNT for number in chain.from_iterable(sides)]
    require(
        sum(unknown) == rows.sources.count(NO_ACCOUNT) + rows.targets.count(NO_ACCOUNT)
        and all(NO_ACCOUNT in pair for pair in sides)
        and sides.count((NO_ACCOUNT, NO_ACCOUNT)) == sum(map(eq, rows.sources, rows.targets)),
        "account numbers that do not go with the statuses",
    )
    named = list(chain.from_iterable(rows.strangers))
    if named:
        _require_ids(named)
        _require_customers(named)
    numbered = zip(chain.from_iterable(sides), named, strict=True)
    require(
        all(number == NO_ACCOUNT or account_ids[number] == id_ for number, id_ in numbered)
        and not any(source == target for source, target in rows.strangers),
        "ids of unknown accounts that do not go with the numbers",
    )


def _require_equal_lengths(*columns: Sized) -> None:
    require(len(set(map(len, columns))) == 1, "columns of unequal length")


def _require_ids(ids: Sequence[str]) -> None:
    require(ids_well_formed(ids), "a malformed id")


def _require_customers(accounts: Sequence[AccountId]) -> None:
    require(not any(account.startswith(SYSTEM_PREFIX) for account in accounts), "a system account among the customers'")


def _require_within(column: Sequence[int], least: int, most: int, what: str) -> None:
    require(least <= min(column) and max(column) <= most, f"{what} outside {least} to {most}")


def _require_bytes(column: bytes, known: bytes, what: str) -> None:
    strange = column.translate(None, known)
    require(not strange, f"an unknown {what}: {strange[:1].hex()}")


def _require_moments(indexes: Sequence[int], times: Sequence[int], head: ImageHead, last: Moment) -> None:
    require(_ascends(indexes, max(last[0], 1), head.applied_index), "log indexes out of order")
    require(_ascends(times, last[1], head.last_time_ns), "stamps out of order")


def _ascends(column: Sequence[int], least: int, most: int) -> bool:
    return least <= column[0] and column[-1] <= most and all(map(le, column, islice(column, 1, None)))
