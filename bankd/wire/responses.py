"""Write the answer to a call: its response's bytes, or the refusal that it turns out to be.

What the ledger decided about one transfer is an answer (OK and a status). That a request contradicts
one recorded before (K3), or asks for what is not there, is a refusal. The messages of bank.v1 are
fixed words: clients of the published API compare them.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from bankd.errors import Code, Refusal
from bankd.ledger.commands import (
    AccountCreated,
    AccountRecord,
    CreateAccount,
    Malformed,
    Outcome,
    RequestConflict,
    RowDetail,
    SubmitTransfers,
    TransferRecord,
    TransfersDone,
)
from bankd.ledger.queries import (
    AccountFound,
    AccountsPage,
    Answer,
    BalanceFound,
    GetAccount,
    GetBalance,
    GetTransfer,
    NotFound,
    TransferFound,
)
from bankd.pb import bank_pb2, ledger_pb2
from bankd.status import DigestReport, LeadershipMoved, NodeStatus, SnapshotPart, SnapshotTaken
from bankd.types import ROW_ID_CONFLICT, ROW_MALFORMED, LogIndex, TransferStatus
from bankd.wire.methods import Method
from bankd.wire.requests import Read, Request, Write
from bankd.wire.snapshot_codec import encode_snapshot_part, encode_snapshot_taken
from bankd.wire.status_codec import encode_digest_report, encode_leadership_moved, encode_node_status

ACCOUNT_CREATED: Final = "Account created"
ACCOUNT_EXISTS: Final = "Account already exists"
LIMIT_EXCEEDED: Final = "Limit exceeded"
TRANSFER_MESSAGES: Final[Mapping[int, str]] = {
    TransferStatus.COMMITTED_OK: "Transfer committed",
    TransferStatus.COMMITTED_INSUFFICIENT_FUNDS: "Insufficient funds",
    TransferStatus.COMMITTED_INVALID_ACCOUNT: "Invalid account",
    TransferStatus.COMMITTED_LIMIT_EXCEEDED: LIMIT_EXCEEDED,
}

Result = Outcome | Answer | NodeStatus | DigestReport | LeadershipMoved | SnapshotTaken | SnapshotPart


def encode_response(
    method: int, request: Request, result: Result, *, index: LogIndex = LogIndex(0), age_ms: int = 0
) -> bytes | Refusal:
    """The body of the RESPONSE frame, or the refusal that an ERROR frame carries instead.

    `index` and `age_ms` are those of the state that a read was answered from; a write carries its own.
    """
    match result:
        case TransfersDone() if method == Method.TRANSFER:
            return _transfer(request, result)
        case TransfersDone():
            return _batch(result)
        case AccountCreated():
            return _account_created(result)
        case BalanceFound(balance=balance):
            return bank_pb2.GetBalanceResponse(balance=balance, index=index, age_ms=age_ms).SerializeToString()
        case TransferFound(record=transfer):
            return _transfer_status(transfer, index, age_ms)
        case AccountFound(record=account):
            response = ledger_pb2.GetAccountResponse(account=_account(account), index=index, age_ms=age_ms)
            return response.SerializeToString()
        case AccountsPage(records=records, more=more):
            accounts = map(_account, records)
            page = ledger_pb2.ListAccountsResponse(accounts=accounts, more=more, index=index, age_ms=age_ms)
            return page.SerializeToString()
        case NodeStatus():
            return encode_node_status(result)
        case DigestReport():
            return encode_digest_report(result)
        case LeadershipMoved():
            return encode_leadership_moved(result)
        case SnapshotTaken():
            return encode_snapshot_taken(result)
        case SnapshotPart():
            return encode_snapshot_part(result)
        case NotFound():
            return _not_found(request, index)
        case RequestConflict(differs=differs):
            return _id_conflict(request, differs)
        case Malformed():
            return _malformed()
        case _:
            assert_never(result)


def _account_created(created: AccountCreated) -> bytes:
    refused = LIMIT_EXCEEDED if created.limit_exceeded else ACCOUNT_EXISTS
    return bank_pb2.CreateAccountResponse(
        success=created.success,
        message=ACCOUNT_CREATED if created.success else refused,
        index=created.index,
        limit_exceeded=created.limit_exceeded,
    ).SerializeToString()


def _transfer(request: Request, done: TransfersDone) -> bytes | Refusal:
    """One row, in the published shape."""
    outcome, detail = done.outcomes[0], done.details.get(0)
    if outcome == ROW_ID_CONFLICT:
        return _id_conflict(request, detail.differs if detail else ())
    if outcome == ROW_MALFORMED:
        return _malformed()
    return bank_pb2.TransferResponse(
        status=bank_pb2.TransferStatus.Name(outcome),
        message=TRANSFER_MESSAGES[outcome],
        index=detail.index if detail else done.index,
        time_ns=detail.time_ns if detail else done.time_ns,
        available=detail.available if detail else None,
    ).SerializeToString()


def _batch(done: TransfersDone) -> bytes:
    return ledger_pb2.SubmitTransfersResponse(
        index=done.index,
        time_ns=done.time_ns,
        outcomes=done.outcomes,
        details=[_detail(row, detail) for row, detail in sorted(done.details.items())],
    ).SerializeToString()


def _detail(row: int, detail: RowDetail) -> ledger_pb2.TransferDetail:
    return ledger_pb2.TransferDetail(
        row=row, index=detail.index, time_ns=detail.time_ns, available=detail.available, differs=detail.differs
    )


def _transfer_status(record: TransferRecord, index: LogIndex, age_ms: int) -> bytes:
    response = bank_pb2.GetTransferStatusResponse(
        status=bank_pb2.TransferStatus.Name(record.status),
        message=TRANSFER_MESSAGES[record.status],
        index=record.index,
        time_ns=record.time_ns,
        available=record.available,
        to=bank_pb2.AccountId(id=record.target),
        amount=record.amount,
        read_index=index,
        age_ms=age_ms,
        **{"from": bank_pb2.AccountId(id=record.source)},  # a keyword, so it cannot be written out
    )
    return response.SerializeToString()


def _account(record: AccountRecord) -> ledger_pb2.Account:
    return ledger_pb2.Account(
        account=bank_pb2.AccountId(id=record.account),
        balance=record.balance,
        initial_balance=record.initial_balance,
        created_index=record.created_index,
        created_ns=record.created_ns,
    )


def _not_found(request: Request, index: LogIndex) -> Refusal:
    match request:
        case Read(query=GetTransfer(tx_id=tx_id)):
            message = f"transfer {tx_id!r} is not committed as of index {index}"
            return Refusal(Code.NOT_FOUND, "TRANSFER_NOT_FOUND", message, metadata={"client_tx_id": tx_id})
        case Read(query=GetBalance(account=account) | GetAccount(account=account)):
            message = f"account {account!r} does not exist as of index {index}"
            return Refusal(Code.NOT_FOUND, "ACCOUNT_NOT_FOUND", message, metadata={"account": account})
        case _:
            raise AssertionError(f"{request} cannot miss anything")


def _id_conflict(request: Request, differs: tuple[str, ...]) -> Refusal:
    """K3, K8: the id is taken by another payload, and the first outcome stands."""
    match request:
        case Write(command=SubmitTransfers(tx_ids=tx_ids)):
            metadata = {"client_tx_id": str(tx_ids[0])}
        case Write(command=CreateAccount(account=account, request_id=request_id)):
            metadata = {"client_tx_id": request_id or "", "account": account}
        case _:
            raise AssertionError(f"{request} carries no id")
    fields = ", ".join(differs)
    message = f"id {metadata['client_tx_id']!r} is recorded with other fields ({fields}); the first outcome stands"
    metadata["differs"] = ",".join(differs)
    return Refusal(Code.ALREADY_EXISTS, "ID_CONFLICT", message, metadata=metadata)


def _malformed() -> Refusal:
    """What no reader lets into the log, but a log may hold all the same (K14)."""
    return Refusal(Code.INVALID_ARGUMENT, "COMMAND_MALFORMED", "the command could not be judged; nothing changed")
