"""Read a client's request, and judge what can be judged from the request alone.

What leaves here is either sound enough for the log or the ledger, or a refusal that burns no id
(docs/contract.md: K1-K6, K16). A write keeps the client's own bytes beside the decoded command: they go to
the log as they came, and its leader applies what was decoded here while its followers decode the log.

Invariant: a Write's command is what `decode_batch` reads from an entry that holds its `raw`, in any program
(S3). So it is decoded from `raw`, and `unknown_fields` keeps out what programs could read differently.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import attrs

from bankd.errors import Code, ProtocolError, Refusal
from bankd.ledger.checks import judge_account_id, judge_create, judge_transfers, judge_tx_id
from bankd.ledger.commands import Command
from bankd.ledger.queries import GetAccount, GetBalance, GetTransfer, ListAccounts, Query
from bankd.pb import bank_pb2, cluster_pb2, ledger_pb2
from bankd.types import AccountId, LogIndex, NodeId, ReadMode, Term, TxId
from bankd.wire import commands
from bankd.wire.entries import open_wrapped, wrap_command
from bankd.wire.methods import Method
from bankd.wire.parsing import parse
from bankd.wire.read_modes import decode_read_mode
from bankd.wire.unknown_fields import UNKNOWN_BYTES_MAX, refuse_groups

# What a request becomes on its way (an entry, an AppendRequest, a frame) must still fit in a frame,
# with whatever fields a newer client put in: half a MiB below FRAME_BYTES_MAX, and above the widest batch.
REQUEST_BYTES_MAX: Final = 3584 * 1024
PAGE_ACCOUNTS_DEFAULT: Final = 100
PAGE_ACCOUNTS_MAX: Final = 1000


class Write(NamedTuple):  # one per call on the hot path, hence a plain tuple
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


@attrs.frozen
class SnapshotTriggerAsked:
    pass


@attrs.frozen
class SnapshotReadAsked:
    """`offset` is any number: whether the file reaches so far, its node must judge."""

    index: LogIndex  # 0: the newest one that is sound, whatever the term
    term: Term
    offset: int


Request = Write | Read | StatusAsked | DigestAsked | TransferLeadershipAsked | SnapshotTriggerAsked | SnapshotReadAsked


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
    if len(body) > UNKNOWN_BYTES_MAX:
        return _too_much_unknown()
    raw = wrap_command(Method.CREATE_ACCOUNT, body)
    request = open_wrapped(raw).create_account
    refuse_groups(request, request.account, request.request_id)
    command = commands.create_account(request)
    return judge_create(command) or Write(Method.CREATE_ACCOUNT, command, raw)


def _transfer(body: bytes) -> Write | Refusal:
    if len(body) > UNKNOWN_BYTES_MAX:
        return _too_much_unknown()
    raw = wrap_command(Method.TRANSFER, body)
    request = open_wrapped(raw).transfer
    refuse_groups(request, commands.source_of(request), request.to, request.client_tx_id)
    command = commands.transfer(request)
    return judge_transfers(command) or Write(Method.TRANSFER, command, raw)


def _submit_transfers(body: bytes) -> Write | Refusal:
    raw = wrap_command(Method.SUBMIT_TRANSFERS, body)
    request = open_wrapped(raw).submit_transfers
    command = commands.submit_transfers(request)
    if len(body) > UNKNOWN_BYTES_MAX:
        commands.clear_columns(request)
        if request.ByteSize() > UNKNOWN_BYTES_MAX:
            return _too_much_unknown()
    refuse_groups(request)
    return judge_transfers(command) or Write(Method.SUBMIT_TRANSFERS, command, raw)


def _too_much_unknown() -> Refusal:
    message = f"beside its rows a request has at most {UNKNOWN_BYTES_MAX} bytes, fields unknown here included"
    return Refusal(Code.INVALID_ARGUMENT, "REQUEST_TOO_LARGE", message)


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


def _trigger_snapshot(body: bytes) -> SnapshotTriggerAsked:
    parse(cluster_pb2.TriggerSnapshotRequest, body)
    return SnapshotTriggerAsked()


def _read_snapshot(body: bytes) -> SnapshotReadAsked:
    request = parse(cluster_pb2.ReadSnapshotRequest, body)
    return SnapshotReadAsked(LogIndex(request.index), Term(request.term), request.offset)


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
    Method.TRIGGER_SNAPSHOT: _trigger_snapshot,
    Method.READ_SNAPSHOT: _read_snapshot,
}
