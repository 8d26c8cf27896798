"""What a client's calls bring back, as frozen values.

Amounts and balances are ints of minor units; times are nanoseconds since 1970 UTC, stamped by a
leader; an index is the log index that the answer reflects, fit for a later `at_least` read.
"""

import attrs

from bankd.errors import BankError
from bankd.types import ReadMode, TransferStatus


@attrs.frozen
class Account:
    """An account as of `index`.

    `create_account` answers with the account as it was opened: the balance is the opening one, and
    `created_ns` is 0 because that answer carries no time.
    """

    account: str
    balance: int
    initial_balance: int
    created_index: int
    created_ns: int
    index: int


@attrs.frozen
class Balance:
    """A balance as of `index`; `age_ms` says how old that may be, for the read modes `Bounded` and `Stale`."""

    account: str
    balance: int
    index: int
    age_ms: int
    read: ReadMode


@attrs.frozen
class Transfer:
    """What became of one intended transfer.

    `index` and `time_ns` are those of the log entry that decided it first, on a retry as well.
    `available` is the balance found when the funds did not suffice. `error` is set only where a row
    stands in place of an exception (`try_transfer`, `transfer_many`): the ledger's refusal, an id
    conflict, or what kept the answer away. Without a recorded outcome the status is UNKNOWN.
    """

    tx_id: str
    source: str
    target: str
    amount: int
    status: TransferStatus
    index: int
    time_ns: int
    available: int | None = None
    error: BankError | None = None


@attrs.frozen
class TransferRequest:
    """One intended transfer. Without a `tx_id` the client makes one and keeps it over every retry."""

    source: str
    target: str
    amount: int
    tx_id: str | None = None


@attrs.frozen
class AccountsPage:
    """Accounts in byte order of their ids; `more` says that another page follows the last one."""

    accounts: tuple[Account, ...]
    more: bool
    index: int
    age_ms: int
