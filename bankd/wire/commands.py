"""Read a client's write request as the command that it asks for.

Called twice for the same bytes, when they arrive and when the log entry that carries them is
applied, and it must say the same both times on every node. So nothing is judged here: ids and amounts of
any shape go through, and ledger/ refuses them where they must be refused.
"""

from typing import cast

from bankd.ledger.commands import CreateAccount, SubmitTransfers
from bankd.pb import bank_pb2, ledger_pb2
from bankd.types import AccountId, TxId


def create_account(request: bank_pb2.CreateAccountRequest) -> CreateAccount:
    request_id = TxId(request.request_id.id) if request.HasField("request_id") else None
    return CreateAccount(AccountId(request.account.id), request.initial_balance, request_id)


def transfer(request: bank_pb2.TransferRequest) -> SubmitTransfers:
    """A single transfer is a batch of one row."""
    return SubmitTransfers(
        (TxId(request.client_tx_id.id),),
        (AccountId(source_of(request).id),),
        (AccountId(request.to.id),),
        (request.amount,),
    )


def source_of(request: bank_pb2.TransferRequest) -> bank_pb2.AccountId:
    source: bank_pb2.AccountId = getattr(request, "from")  # the field's name is a keyword
    return source


def submit_transfers(request: ledger_pb2.SubmitTransfersRequest) -> SubmitTransfers:
    # A slice of a protobuf column is a list of its own, made in half the time that list() takes.
    return SubmitTransfers(
        cast("list[TxId]", request.client_tx_ids[:]),
        cast("list[AccountId]", request.sources[:]),
        cast("list[AccountId]", request.targets[:]),
        request.amounts[:],
    )


def clear_columns(request: ledger_pb2.SubmitTransfersRequest) -> None:
    """Leave of a batch only the fields that this program does not know."""
    for column in ("client_tx_ids", "sources", "targets", "amounts"):
        request.ClearField(column)
