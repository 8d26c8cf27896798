"""What each call sends and how its answer reads: the one place where calls become bytes.

Nothing is sent from here. A request that can be judged wrong from its own words is refused here,
by the ledger's own rules, before it costs a round trip.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from bankd.client.pending import Call
from bankd.client.results import Account, AccountsPage, Balance, Transfer, TransferRequest
from bankd.client.transfers import TransferBatch, TransferRow, columns_of
from bankd.errors import Code, Refusal
from bankd.ledger.checks import judge_account_id, judge_create, judge_transfers, judge_tx_id
from bankd.ledger.commands import AccountRecord, CreateAccount
from bankd.status import DigestReport, LeadershipMoved, NodeStatus, SnapshotPart, SnapshotTaken
from bankd.types import BATCH_TRANSFERS_MAX, AccountId, AtLeast, LogIndex, NodeId, ReadMode, TxId
from bankd.wire import client_codec as codec
from bankd.wire.methods import Method
from bankd.wire.refusals import to_error
from bankd.wire.snapshot_codec import snapshot_not_found

TIMEOUT_S_MIN: Final = 0.1  # what is left for a second step when the first one used up the time
PAGE_ACCOUNTS_MAX: Final = 1000


def read_mode(read: ReadMode | None, at_least: int | None, default: ReadMode) -> ReadMode:
    """The mode that a read asks for: an index already seen, or the one given, or the client's."""
    return AtLeast(LogIndex(at_least)) if at_least is not None else read or default


def create_account(account: str, initial_balance: int, request_id: str) -> Call[Account]:
    command = CreateAccount(AccountId(account), _whole(initial_balance), TxId(request_id))
    _raise_if(judge_create(command))

    def decode(body: bytes) -> Account:
        created = codec.decode_create_account(body)
        if not created.success:
            raise to_error(_not_opened(account, limit_exceeded=created.limit_exceeded))
        return Account(account, initial_balance, initial_balance, created.index, 0, created.index)

    body = codec.encode_create_account(account, initial_balance, request_id)
    return Call(Method.CREATE_ACCOUNT, body, decode, intent_id=request_id, write=True)


def get_account(account: str, mode: ReadMode) -> Call[Account]:
    _raise_if(judge_account_id(account, system_allowed=True))

    def decode(body: bytes) -> Account:
        record, index, _age_ms = codec.decode_get_account(body)
        return _account(record, index)

    return Call(Method.GET_ACCOUNT, codec.encode_get_account(account, mode), decode)


def get_balance(account: str, mode: ReadMode) -> Call[Balance]:
    _raise_if(judge_account_id(account, system_allowed=True))

    def decode(body: bytes) -> Balance:
        balance, index, age_ms = codec.decode_get_balance(body)
        return Balance(account, balance, index, age_ms, mode)

    return Call(Method.GET_BALANCE, codec.encode_get_balance(account, mode), decode)


def list_accounts(after: str, limit: int, system: bool, mode: ReadMode) -> Call[AccountsPage]:
    _raise_if(judge_account_id(after, system_allowed=True) if after else None)
    _raise_if(_judge_limit(limit))

    def decode(body: bytes) -> AccountsPage:
        page, index, age_ms = codec.decode_list_accounts(body)
        return AccountsPage(tuple(_account(record, index) for record in page.records), page.more, index, age_ms)

    return Call(Method.LIST_ACCOUNTS, codec.encode_list_accounts(after, limit, system, mode), decode)


def get_transfer_status(tx_id: str, mode: ReadMode) -> Call[Transfer]:
    _raise_if(judge_tx_id(tx_id))

    def decode(body: bytes) -> Transfer:
        found, _index, _age_ms = codec.decode_get_transfer_status(body, tx_id)
        fields = (found.source, found.target, found.amount, found.status, found.index, found.time_ns, found.available)
        return Transfer(tx_id, *fields)

    return Call(Method.GET_TRANSFER_STATUS, codec.encode_get_transfer_status(tx_id, mode), decode)


def transfer_row(source: str, target: str, amount: int, tx_id: str) -> TransferRow:
    """A transfer to be gathered with others; what it says is judged when it leaves, all rows at once."""
    if not (isinstance(source, str) and isinstance(target, str) and isinstance(tx_id, str)):
        raise TypeError("account and transfer ids are str")
    return TransferRow(intent_id=tx_id, source=source, target=target, amount=_whole(amount))


def batches(
    transfers: Iterable[TransferRequest], batch_size: int, make_ids: Callable[[int], list[str]]
) -> Iterable[TransferBatch]:
    """Transfers cut into judged batches: all of them for a sequence, else each when it is asked for."""
    if not 1 <= batch_size <= BATCH_TRANSFERS_MAX:
        raise ValueError(f"batch_size must be 1 to {BATCH_TRANSFERS_MAX}, not {batch_size}")
    made = _batches(iter(transfers), batch_size, make_ids)
    return list(made) if isinstance(transfers, Sequence) else made


def _batches(
    transfers: Iterator[TransferRequest], batch_size: int, make_ids: Callable[[int], list[str]]
) -> Iterator[TransferBatch]:
    first_row = 0
    while rows := list(islice(transfers, batch_size)):
        fresh_ids = iter(make_ids(sum([row.tx_id is None for row in rows])))
        columns = columns_of(
            [next(fresh_ids) if row.tx_id is None else row.tx_id for row in rows],
            [row.source for row in rows],
            [row.target for row in rows],
            [_whole(row.amount) for row in rows],
        )
        _raise_if(judge_transfers(columns, first_row=first_row))
        yield TransferBatch(columns)
        first_row += len(rows)


def demand(transfer: Transfer) -> Transfer:
    """The transfer if it took effect; raises what it failed with otherwise."""
    if transfer.error is not None:
        raise transfer.error
    return transfer


def node_status() -> Call[NodeStatus]:
    return Call(Method.GET_NODE_STATUS, codec.encode_node_status(), codec.decode_node_status)


def digest(index: int) -> Call[DigestReport]:
    return Call(Method.GET_DIGEST, codec.encode_digest(LogIndex(index)), codec.decode_digest)


def transfer_leader(target: str | None) -> Call[LeadershipMoved]:
    """Not sent twice: a second one could move a leadership that had just arrived."""
    body = codec.encode_transfer_leadership(NodeId(target) if target else None)
    return Call(Method.TRANSFER_LEADERSHIP, body, codec.decode_transfer_leadership, write=True, resend=False)


def trigger_snapshot() -> Call[SnapshotTaken]:
    """No write: asked twice, a node answers with what the first asking made."""
    return Call(Method.TRIGGER_SNAPSHOT, codec.encode_snapshot_trigger(), codec.decode_snapshot_taken)


def read_snapshot(snapshot: SnapshotTaken, offset: int) -> Call[SnapshotPart]:
    """A part of exactly that file: what else may stand at its index by now is refused as not found."""

    def decode(body: bytes) -> SnapshotPart:
        part = codec.decode_snapshot_part(body, snapshot.index, snapshot.term, offset)
        if (part.content_id, part.size_bytes) != (snapshot.content_id, snapshot.size_bytes):
            raise to_error(snapshot_not_found(snapshot.index, snapshot.term))
        return part

    body = codec.encode_snapshot_read(snapshot.index, snapshot.term, offset)
    return Call(Method.READ_SNAPSHOT, body, decode)


def member_addresses(status: NodeStatus) -> tuple[str, ...]:
    """Where the members listen, as far as that node knows, in the order of their ids."""
    members = sorted(status.members, key=lambda member: member.node_id)
    return tuple(member.address for member in members if member.address)


def _account(record: AccountRecord, index: LogIndex) -> Account:
    created = (record.created_index, record.created_ns)
    return Account(record.account, record.balance, record.initial_balance, *created, index)


def _not_opened(account: str, *, limit_exceeded: bool) -> Refusal:
    if limit_exceeded:
        message = f"account {account!r} was not opened: all opening balances together would leave their range"
        return Refusal(Code.FAILED_PRECONDITION, "LIMIT_EXCEEDED", message, metadata={"account": account})
    message = f"account {account!r} was opened before, by another request"
    return Refusal(Code.ALREADY_EXISTS, "ACCOUNT_EXISTS", message, metadata={"account": account})


def _judge_limit(limit: int) -> Refusal | None:
    if 1 <= limit <= PAGE_ACCOUNTS_MAX:
        return None
    message = f"a page has 1 to {PAGE_ACCOUNTS_MAX} accounts, {limit} were asked for"
    return Refusal(Code.INVALID_ARGUMENT, "LIMIT_OUT_OF_RANGE", message)


def _whole(amount: int) -> int:
    """Money is an int of minor units; what a type checker would refuse must not reach the encoder either."""
    if type(amount) is not int:
        raise TypeError(f"amounts are int of minor units, not {type(amount).__name__}")
    return amount


def _raise_if(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise to_error(refusal)
