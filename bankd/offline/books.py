"""Add up the books of a ledger: what everybody holds, and whether that can be (M1, M2)."""

from typing import Final

import attrs

from bankd.ledger.queries import AccountsPage, ListAccounts
from bankd.ledger.state import Ledger
from bankd.types import LogIndex

_PAGE_ACCOUNTS: Final = 1000


@attrs.frozen
class LedgerSummary:
    """The ledger after the entry at `index`."""

    index: LogIndex
    accounts: int
    transfers: int
    imbalance: int
    negative_accounts: int
    digest: bytes


def add_up(ledger: Ledger) -> LedgerSummary:
    return LedgerSummary(
        index=ledger.applied_index,
        accounts=ledger.account_count,
        transfers=ledger.transfer_count,
        imbalance=ledger.imbalance(),
        negative_accounts=_negative_accounts(ledger),
        digest=ledger.digest,
    )


def _negative_accounts(ledger: Ledger) -> int:
    """Count the customers that hold less than nothing."""
    negative, after, more = 0, "", True
    while more:
        page = ledger.read(ListAccounts(after, _PAGE_ACCOUNTS, system=False))
        assert isinstance(page, AccountsPage), f"accounts were asked for, not {page}"
        negative += sum(account.balance < 0 for account in page.records)
        after, more = (page.records[-1].account if page.records else ""), page.more
    return negative
