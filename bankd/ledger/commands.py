"""What the log asks of the ledger, and what the ledger answers, as plain values.

Commands reach the ledger decoded; how they look as bytes is wire/'s affair. A batch of transfers
is held in columns: one list per field and no object per transfer.
"""

from collections.abc import Mapping, Sequence

import attrs

from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId


@attrs.frozen
class CreateAccount:
    account: AccountId
    initial_balance: int
    request_id: TxId | None = None


@attrs.frozen
class SubmitTransfers:
    """Transfers in columns of equal length. They take effect in order, each on its own."""

    tx_ids: Sequence[TxId]
    sources: Sequence[AccountId]
    targets: Sequence[AccountId]
    amounts: Sequence[int]


@attrs.frozen
class Unreadable:
    """Bytes in a committed entry of a known version that are no command. Every node refuses them alike (K14)."""


Command = CreateAccount | SubmitTransfers | Unreadable


@attrs.frozen
class AccountCreated:
    """`success` is false when the account existed and this is no retry of the request that opened it.

    With `limit_exceeded` it is false for another reason: `@opening` could not pay the opening balance without
    leaving the signed 64-bit range (K9). No account was opened.
    """

    success: bool
    index: LogIndex  # at which the answer was first decided
    limit_exceeded: bool = False


@attrs.frozen
class RequestConflict:
    """The request id is recorded with other fields (K3, K8)."""

    differs: tuple[str, ...]


@attrs.frozen
class RowDetail:
    """What one row's outcome byte does not say. `index` and `time_ns` are those of the first outcome."""

    index: LogIndex
    time_ns: TimeNs
    available: int | None = None  # insufficient funds: the balance found
    differs: tuple[str, ...] = ()  # id conflict: "from", "to", "amount"


@attrs.frozen
class TransfersDone:
    """One byte a row: a TransferStatus, ROW_ID_CONFLICT or ROW_MALFORMED; details by row where needed.

    A row has a detail when it was a retry (an index other than the batch's), a conflict, or refused for funds.
    """

    index: LogIndex
    time_ns: TimeNs
    outcomes: bytes
    details: Mapping[int, RowDetail]


@attrs.frozen
class Malformed:
    """The command as a whole could not be judged: nothing changed."""


Outcome = AccountCreated | RequestConflict | TransfersDone | Malformed


@attrs.frozen
class TransferRecord:
    """A recorded transfer, for reads."""

    tx_id: TxId
    source: AccountId
    target: AccountId
    amount: int
    status: TransferStatus
    index: LogIndex
    time_ns: TimeNs
    available: int | None = None


@attrs.frozen
class AccountRecord:
    """An account as of one index, for reads."""

    account: AccountId
    balance: int
    initial_balance: int
    created_index: LogIndex
    created_ns: TimeNs
