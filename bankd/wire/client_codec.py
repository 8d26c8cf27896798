"""The client's side of every call: requests to bytes, response bytes to values.

Encoders take what was judged already (bankd.ledger.checks): an id that is no UTF-8 or an amount
outside 64 bits is the caller's bug. Decoders trust nothing: a response that is malformed, or no answer
to what was asked, raises ProtocolError, and the connection that brought it is of no more use.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bankd.errors import ProtocolError
from bankd.ledger.commands import AccountCreated, AccountRecord, RowDetail, TransferRecord, TransfersDone
from bankd.ledger.queries import AccountsPage
from bankd.pb import bank_pb2, cluster_pb2, ledger_pb2
from bankd.types import (
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AccountId,
    LogIndex,
    NodeId,
    ReadMode,
    TimeNs,
    TransferStatus,
    TxId,
)
from bankd.wire.parsing import known, parse
from bankd.wire.read_modes import encode_read_mode
from bankd.wire.snapshot_codec import (
    decode_snapshot_part,
    decode_snapshot_taken,
    encode_snapshot_read,
    encode_snapshot_trigger,
)
from bankd.wire.status_codec import decode_digest_report, decode_leadership_moved, decode_node_status

__all__ = [
    "decode_create_account",
    "decode_digest",
    "decode_get_account",
    "decode_get_balance",
    "decode_get_transfer_status",
    "decode_list_accounts",
    "decode_node_status",
    "decode_snapshot_part",
    "decode_snapshot_taken",
    "decode_submit_transfers",
    "decode_transfer_leadership",
    "encode_create_account",
    "encode_digest",
    "encode_get_account",
    "encode_get_balance",
    "encode_get_transfer_status",
    "encode_list_accounts",
    "encode_node_status",
    "encode_snapshot_read",
    "encode_snapshot_trigger",
    "encode_submit_transfers",
    "encode_transfer_leadership",
]

decode_digest = decode_digest_report
decode_transfer_leadership = decode_leadership_moved

_STATUSES: Final[Mapping[int, TransferStatus]] = {
    int(status): status for status in TransferStatus if status is not TransferStatus.UNKNOWN
}
_ROW_OUTCOMES: Final = bytes([*_STATUSES, ROW_MALFORMED, ROW_ID_CONFLICT])


# Writes


def encode_create_account(account: str, initial_balance: int = 0, request_id: str | None = None) -> bytes:
    return bank_pb2.CreateAccountRequest(
        account=bank_pb2.AccountId(id=account),
        initial_balance=initial_balance,
        request_id=None if request_id is None else bank_pb2.ClientTxId(id=request_id),
    ).SerializeToString()


def decode_create_account(body: bytes) -> AccountCreated:
    response = parse(bank_pb2.CreateAccountResponse, body)
    return AccountCreated(response.success, LogIndex(response.index), response.limit_exceeded)


def encode_submit_transfers(
    tx_ids: Sequence[str], sources: Sequence[str], targets: Sequence[str], amounts: Sequence[int]
) -> bytes:
    """Columns of equal length, at most BATCH_TRANSFERS_MAX rows."""
    return ledger_pb2.SubmitTransfersRequest(
        client_tx_ids=tx_ids, sources=sources, targets=targets, amounts=amounts
    ).SerializeToString()


def decode_submit_transfers(body: bytes, rows: int) -> TransfersDone:
    """The outcomes of the `rows` transfers that were sent, one for each."""
    response = parse(ledger_pb2.SubmitTransfersResponse, body)
    outcomes = response.outcomes
    if len(outcomes) != rows:
        raise ProtocolError(f"{len(outcomes)} outcomes for {rows} transfers")
    if strange := outcomes.translate(None, _ROW_OUTCOMES):
        raise ProtocolError(f"a transfer's outcome is {strange[0]}, which means nothing here")
    return TransfersDone(LogIndex(response.index), TimeNs(response.time_ns), outcomes, _details(response, rows))


def _details(response: ledger_pb2.SubmitTransfersResponse, rows: int) -> dict[int, RowDetail]:
    if not response.details:  # nearly always
        return {}
    details = {detail.row: _detail(detail) for detail in response.details}
    if max(details) >= rows:
        raise ProtocolError(f"a detail of row {max(details)}, there are {rows}")
    return details


def _detail(detail: ledger_pb2.TransferDetail) -> RowDetail:
    available = detail.available if detail.HasField("available") else None
    return RowDetail(LogIndex(detail.index), TimeNs(detail.time_ns), available, tuple(detail.differs))


# Reads: each answer comes with the index that it reflects and its age in milliseconds


def encode_get_balance(account: str, mode: ReadMode) -> bytes:
    return bank_pb2.GetBalanceRequest(
        account=bank_pb2.AccountId(id=account), read=encode_read_mode(mode)
    ).SerializeToString()


def decode_get_balance(body: bytes) -> tuple[int, LogIndex, int]:
    response = parse(bank_pb2.GetBalanceResponse, body)
    if not response.HasField("balance"):
        raise ProtocolError("an answer without a balance")
    return response.balance, LogIndex(response.index), response.age_ms


def encode_get_transfer_status(tx_id: str, mode: ReadMode) -> bytes:
    return bank_pb2.GetTransferStatusRequest(
        client_tx_id=bank_pb2.ClientTxId(id=tx_id), read=encode_read_mode(mode)
    ).SerializeToString()


def decode_get_transfer_status(body: bytes, tx_id: str) -> tuple[TransferRecord, LogIndex, int]:
    """`tx_id` is what was asked for: the answer does not repeat it."""
    response = parse(bank_pb2.GetTransferStatusResponse, body)
    source: bank_pb2.AccountId = getattr(response, "from")  # the field's name is a keyword
    record = TransferRecord(
        tx_id=TxId(tx_id),
        source=AccountId(source.id),
        target=AccountId(response.to.id),
        amount=response.amount,
        status=known(_STATUSES, response.status, "transfer status"),
        index=LogIndex(response.index),
        time_ns=TimeNs(response.time_ns),
        available=response.available if response.HasField("available") else None,
    )
    return record, LogIndex(response.read_index), response.age_ms


def encode_get_account(account: str, mode: ReadMode) -> bytes:
    return ledger_pb2.GetAccountRequest(
        account=bank_pb2.AccountId(id=account), read=encode_read_mode(mode)
    ).SerializeToString()


def decode_get_account(body: bytes) -> tuple[AccountRecord, LogIndex, int]:
    response = parse(ledger_pb2.GetAccountResponse, body)
    if not response.HasField("account"):
        raise ProtocolError("an answer without an account")
    return _account(response.account), LogIndex(response.index), response.age_ms


def encode_list_accounts(after: str, limit: int, system: bool, mode: ReadMode) -> bytes:
    return ledger_pb2.ListAccountsRequest(
        after=after, limit=limit, system=system, read=encode_read_mode(mode)
    ).SerializeToString()


def decode_list_accounts(body: bytes) -> tuple[AccountsPage, LogIndex, int]:
    response = parse(ledger_pb2.ListAccountsResponse, body)
    page = AccountsPage(tuple(map(_account, response.accounts)), response.more)
    return page, LogIndex(response.index), response.age_ms


def _account(account: ledger_pb2.Account) -> AccountRecord:
    return AccountRecord(
        account=AccountId(account.account.id),
        balance=account.balance,
        initial_balance=account.initial_balance,
        created_index=LogIndex(account.created_index),
        created_ns=TimeNs(account.created_ns),
    )


# What operators ask


def encode_node_status() -> bytes:
    return cluster_pb2.GetNodeStatusRequest().SerializeToString()


def encode_digest(index: LogIndex = LogIndex(0)) -> bytes:
    """0 asks for the digest at the node's applied index."""
    return cluster_pb2.GetDigestRequest(index=index).SerializeToString()


def encode_transfer_leadership(target: NodeId | None = None) -> bytes:
    """None leaves the choice to the leader."""
    return cluster_pb2.TransferLeadershipRequest(target=target or "").SerializeToString()
