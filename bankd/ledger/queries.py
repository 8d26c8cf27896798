"""What a read asks of the ledger, and what it gets, as plain values.

How fresh the state must be is not the ledger's affair: the replica decides when a query may run.
"""

import attrs

from bankd.ledger.commands import AccountRecord, TransferRecord
from bankd.types import AccountId, TxId


@attrs.frozen
class GetBalance:
    account: AccountId


@attrs.frozen
class GetTransfer:
    tx_id: TxId


@attrs.frozen
class GetAccount:
    account: AccountId


@attrs.frozen
class ListAccounts:
    """Accounts behind `after` in byte order, at most `limit` of them (1 to 1,000)."""

    after: str = ""
    limit: int = 100
    system: bool = False


Query = GetBalance | GetTransfer | GetAccount | ListAccounts


@attrs.frozen
class BalanceFound:
    balance: int


@attrs.frozen
class TransferFound:
    record: TransferRecord


@attrs.frozen
class AccountFound:
    record: AccountRecord


@attrs.frozen
class AccountsPage:
    records: tuple[AccountRecord, ...]
    more: bool


@attrs.frozen
class NotFound:
    """No such account or transfer as of the state that was asked."""


Answer = BalanceFound | TransferFound | AccountFound | AccountsPage | NotFound
