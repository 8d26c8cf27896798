"""The demo's own account of the money, to hold against what the cluster says.

It is a second, simpler bank: a dict of balances and a list of what was acknowledged. Where the two
disagree after a node was killed, the cluster is wrong.
"""

from collections.abc import Iterator
from typing import Final

import attrs

from bankd.client import Account, SyncBankClient, Transfer
from bankd.types import TransferStatus

# Opening balances in minor units. Fixed request ids make it harmless to open the accounts again.
SAMPLE_ACCOUNTS: Final = {"alice": 1_000_00, "bob": 500_00, "carol": 250_00, "dave": 0}
PAGE_MAX: Final = 1000


@attrs.define
class Book:
    """Balances as they must be, and every acknowledged transfer."""

    balances: dict[str, int]
    acknowledged: list[Transfer] = attrs.field(factory=list)

    @classmethod
    def opened(cls, client: SyncBankClient) -> "Book":
        """Open the sample accounts where they do not exist, and begin with the balances that all accounts have."""
        for account, balance in SAMPLE_ACCOUNTS.items():
            client.create_account(account, initial_balance=balance, request_id=f"demo-{account}")
        return cls({account.account: account.balance for account in all_accounts(client)})

    def enter(self, transfer: Transfer) -> None:
        self.acknowledged.append(transfer)
        if transfer.status is TransferStatus.COMMITTED_OK:
            self.balances[transfer.source] -= transfer.amount
            self.balances[transfer.target] += transfer.amount

    def differences(self, client: SyncBankClient) -> Iterator[str]:
        """Yield one line for everything in which the cluster and this book disagree."""
        found = {account.account: account.balance for account in all_accounts(client)}
        for name in sorted(self.balances.keys() | found.keys()):
            if self.balances.get(name) != found.get(name):
                yield f"{name} has {found.get(name)} cents, the book says {self.balances.get(name)}"
        if sum(found.values()) != 0:
            yield f"the sum of all accounts is {sum(found.values())} cents"
        for transfer in self.acknowledged:
            recorded = client.get_transfer_status(transfer.tx_id)
            if recorded is None or (recorded.status, recorded.index) != (transfer.status, transfer.index):
                yield f"acknowledged: {transfer}; recorded: {recorded}"


def all_accounts(client: SyncBankClient) -> list[Account]:
    """Every account, the system's too, page by page."""
    accounts: list[Account] = []
    more = True
    while more:
        page = client.list_accounts(after=accounts[-1].account if accounts else "", limit=PAGE_MAX, system=True)
        accounts += page.accounts
        more = page.more
    return accounts


def sample_balances(book: Book) -> str:
    return ", ".join(f"{name} {money(book.balances[name])}" for name in SAMPLE_ACCOUNTS)


def money(cents: int) -> str:
    """Minor units as people write them; customers' balances are never negative."""
    return f"{cents // 100}.{cents % 100:02d}"
