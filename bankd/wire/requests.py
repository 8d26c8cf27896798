"""Read a client's request, and judge what can be judged from the request alone.

What leaves here is either sound enough for the log or the ledger, or a refusal that burns no id
(docs/contract.md: K1-K6, K16). A write keeps the client's own bytes beside the decoded command: they go to
the log as they came.
"""

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from bankd.errors import Code, ProtocolError, Refusal
from bankd.ledger.checks import judge_account_id, judge_create, judge_transfers, judge_tx_id
from bankd.ledger.commands import Command
from bankd.ledger.queries import GetAccount, GetBalance, GetTransfer, ListAccounts, Query
from bankd.pb import bank_pb2, cluster_pb2, ledger_pb2
from bankd.types import AccountId, LogIndex, NodeId, ReadMode, TxId
from bankd.wire import commands
from bankd.wire.entries import wrap_command
from bankd.wire.methods import Method
from bankd.wire.parsing import parse
from bankd.wire.read_modes import decode_read_mode

# What a request becomes on its way (an entry, an AppendRequest, a frame) must still fit in a frame,
# with whatever fields a newer client put in: half a MiB below FRAME_BYTES_MAX, and above the widest batch.
REQUEST_BYTES_MAX: Final = 3584 * 1024
PAGE_ACCOUNTS_DEFAULT: Final = 100
PAGE_ACCOUNTS_MAX: Final = 1000


@attrs.frozen
class Write:
    """`raw` is the request, already wrapped as an element of a log entry's body."""

    method: Method
    command: Command
    raw: bytes


@attrs.frozen
class Read:
    query: Query
    mode: ReadMode


@attrs.frozen
class StatusAsked:
    pass


@attrs.frozen
class DigestAsked:
    index: LogIndex  # 0: the applied index


@attrs.frozen
class TransferLeadershipAsked:
    target: NodeId | None  # None: the most up-to-date voter


Request = Write | Read | StatusAsked | DigestAsked | TransferLeadershipAsked


def decode_request(method: int, body: bytes) -> Request | Refusal:
    """Read one call. Never raises on what a client sent."""
    reader = _READERS.get(method)
    if reader is None:
        return Refusal(Code.UNIMPLEMENTED, "METHOD_UNKNOWN", f"this node knows no method {method}")
    if len(body) > REQUEST_BYTES_MAX:
        message = f"a request has at most {REQUEST_BYTES_MAX} bytes, this one {len(body)}"
        return Refusal(Code.INVALID_ARGUMENT, "REQUEST_TOO_LARGE", message)
    try:
        return reader(body)
    except ProtocolError as error:
        return Refusal(Code.INVALID_ARGUMENT, "REQUEST_MALFORMED", str(error))


def _create_account(body: bytes) -> Write | Refusal:
    command = commands.create_account(parse(bank_pb2.CreateAccountRequest, body))
    return judge_create(command) or Write(Method.CREATE_ACCOUNT, command, wrap_command(Method.CREATE_ACCOUNT, body))


def _transfer(body: bytes) -> Write | Refusal:
    command = commands.transfer(parse(bank_pb2.TransferRequest, body))
    return judge_transfers(command) or Write(Method.TRANSFER, command, wrap_command(Method.TRANSFER, body))


def _submit_transfers(body: bytes) -> Write | Refusal:
    command = commands.submit_transfers(parse(ledger_pb2.SubmitTransfersRequest, body))
    return judge_transfers(command) or Write(
        Method.SUBMIT_TRANSFERS, command, wrap_command(Method.SUBMIT_TRANSFERS, body)
    )


def _get_balance(body: bytes) -> Read | Refusal:
    request = parse(bank_pb2.GetBalanceRequest, body)
    account = AccountId(request.account.id)
    return judge_account_id(account, system_allowed=True) or Read(GetBalance(account), decode_read_mode(request.read))


def _get_transfer_status(body: bytes) -> Read | Refusal:
    request = parse(bank_pb2.GetTransferStatusRequest, body)
    tx_id = TxId(request.client_tx_id.id)
    return judge_tx_id(tx_id) or Read(GetTransfer(tx_id), decode_read_mode(request.read))


def _get_account(body: bytes) -> Read | Refusal:
    request = parse(ledger_pb2.GetAccountRequest, body)
    account = AccountId(request.account.id)
    return judge_account_id(account, system_allowed=True) or Read(GetAccount(account), decode_read_mode(request.read))


def _list_accounts(body: bytes) -> Read | Refusal:
    request = parse(ledger_pb2.ListAccountsRequest, body)
    limit = request.limit or PAGE_ACCOUNTS_DEFAULT
    if limit > PAGE_ACCOUNTS_MAX:
        message = f"a page has at most {PAGE_ACCOUNTS_MAX} accounts, {limit} were asked for"
        return Refusal(Code.INVALID_ARGUMENT, "LIMIT_OUT_OF_RANGE", message)
    if request.after and (refusal := judge_account_id(request.after, system_allowed=True)):
        return refusal
    return Read(ListAccounts(request.after, limit, request.system), decode_read_mode(request.read))


def _get_node_status(body: bytes) -> StatusAsked:
    parse(cluster_pb2.GetNodeStatusRequest, body)
    return StatusAsked()


def _get_digest(body: bytes) -> DigestAsked:
    return DigestAsked(LogIndex(parse(cluster_pb2.GetDigestRequest, body).index))


def _transfer_leadership(body: bytes) -> TransferLeadershipAsked:
    target = parse(cluster_pb2.TransferLeadershipRequest, body).target
    return TransferLeadershipAsked(NodeId(target) if target else None)


_READERS: Final[Mapping[int, Callable[[bytes], Request | Refusal]]] = {
    Method.CREATE_ACCOUNT: _create_account,
    Method.GET_BALANCE: _get_balance,
    Method.TRANSFER: _transfer,
    Method.GET_TRANSFER_STATUS: _get_transfer_status,
    Method.SUBMIT_TRANSFERS: _submit_transfers,
    Method.GET_ACCOUNT: _get_account,
    Method.LIST_ACCOUNTS: _list_accounts,
    Method.GET_NODE_STATUS: _get_node_status,
    Method.GET_DIGEST: _get_digest,
    Method.TRANSFER_LEADERSHIP: _transfer_leadership,
}
