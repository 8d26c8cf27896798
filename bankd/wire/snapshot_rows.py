"""The ledger's image as the bytes of a snapshot, block by block, and back.

Equal blocks give equal bytes: a message is its fields by number, none is a map, and nothing here depends on the process.
(It rests on the protobuf runtime too, whose encoding is stable but not promised between releases: nodes that run
different ones may write different bytes, and read each other's all the same.)

A block encodes to less than BLOCK_BYTES_MAX. Encoded blocks may be joined in their order, and `decode_blocks` reads
any such run. Fields that a newer program added within version 1 are left unread. What comes back has the
shape of blocks and no more: whether they are an image is for LedgerBuilder to judge.

Measured for 512 transfers with ids of 36 characters: 24 KB, encoded in 0.15 ms, decoded in 0.2 ms.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import sub
from typing import Final, assert_never, cast

from bankd.errors import ProtocolError
from bankd.ledger.rows import (
    AccountRows,
    Block,
    EntryRows,
    ImageHead,
    ImageInvalid,
    ImageNewer,
    RequestRows,
    TransferRows,
)
from bankd.pb import snapshot_pb2 as pb
from bankd.types import AccountId, LogIndex, TimeNs, TxId
from bankd.wire.parsing import known, parse
from bankd.wire.varint import bytes_field, bytes_tag

VERSION: Final = 1
BLOCK_BYTES_MAX: Final = 256 << 10  # ROWS_MAX transfers, all refused for unknown accounts, with the longest ids: 216 KB

_BLOCK: Final = bytes_tag(pb.Blocks.BLOCKS_FIELD_NUMBER)


def encode_block(block: Block) -> bytes:
    """One block, to be joined to those before it."""
    return bytes_field(_BLOCK, _message(block).SerializeToString())


def _message(block: Block) -> pb.Block:
    match block:
        case ImageHead():
            return pb.Block(head=_head(block))
        case AccountRows():
            return pb.Block(accounts=_accounts(block))
        case RequestRows():
            return pb.Block(requests=_requests(block))
        case EntryRows():
            return pb.Block(entries=_entries(block))
        case TransferRows():
            return pb.Block(transfers=_transfers(block))
        case _:
            assert_never(block)


def _head(head: ImageHead) -> pb.Head:
    return pb.Head(
        version=VERSION,
        applied_index=head.applied_index,
        last_time_ns=head.last_time_ns,
        digest=head.digest,
        opening_balance=head.opening_balance,
        accounts=head.accounts,
        requests=head.requests,
        entries=head.entries,
        transfers=head.transfers,
    )


def _accounts(rows: AccountRows) -> pb.Accounts:
    return pb.Accounts(
        ids=rows.ids,
        balances=rows.balances,
        initial_balances=rows.initial_balances,
        created_index_steps=_steps(rows.created_indexes),
        created_time_steps=_steps(rows.created_times),
    )


def _requests(rows: RequestRows) -> pb.Requests:
    return pb.Requests(
        ids=rows.ids,
        accounts=rows.accounts,
        initial_balances=rows.initial_balances,
        index_steps=_steps(rows.indexes),
        answers=rows.answers,
    )


def _entries(rows: EntryRows) -> pb.Entries:
    return pb.Entries(
        first_row_steps=_steps(rows.first_rows),
        index_steps=_steps(rows.indexes),
        time_steps=_steps(rows.times),
    )


def _transfers(rows: TransferRows) -> pb.Transfers:
    return pb.Transfers(
        client_tx_ids=rows.ids,
        sources=rows.sources,
        targets=rows.targets,
        amounts=rows.amounts,
        statuses=rows.statuses,
        available=rows.available,
        unknown_sources=[source for source, _ in rows.strangers],
        unknown_targets=[target for _, target in rows.strangers],
    )


def decode_blocks(body: bytes) -> Iterator[Block]:
    """The blocks that were joined to these bytes, each opened when it is asked for.

    Raises:
      ImageNewer: a newer program wrote them.
      ImageInvalid: they are no blocks. Those before the faulty one may have been given out already.
    """
    try:
        for sealed in parse(pb.SealedBlocks, body).blocks:
            yield _opened(parse(pb.Block, sealed))
    except ProtocolError as error:
        raise ImageInvalid(str(error)) from None


def _opened(message: pb.Block) -> Block:
    return known(_OPENERS, message.WhichOneof("kind"), "kind of block")(message)


def _opened_head(message: pb.Block) -> ImageHead:
    head = message.head
    if head.version > VERSION:
        raise ImageNewer(f"rows of version {head.version}, and this program knows {VERSION}")
    if head.version < VERSION:
        raise ImageInvalid(f"rows of version {head.version}, which no program wrote")
    return ImageHead(
        applied_index=LogIndex(head.applied_index),
        last_time_ns=TimeNs(head.last_time_ns),
        digest=head.digest,
        opening_balance=head.opening_balance,
        accounts=head.accounts,
        requests=head.requests,
        entries=head.entries,
        transfers=head.transfers,
    )


def _opened_accounts(message: pb.Block) -> AccountRows:
    rows = message.accounts
    return AccountRows(
        ids=cast("list[AccountId]", rows.ids[:]),
        balances=rows.balances[:],
        initial_balances=array("q", rows.initial_balances),
        created_indexes=_column(rows.created_index_steps),
        created_times=_column(rows.created_time_steps),
    )


def _opened_requests(message: pb.Block) -> RequestRows:
    rows = message.requests
    return RequestRows(
        ids=cast("list[TxId]", rows.ids[:]),
        accounts=cast("list[AccountId]", rows.accounts[:]),
        initial_balances=array("q", rows.initial_balances),
        indexes=_column(rows.index_steps),
        answers=rows.answers,
    )


def _opened_entries(message: pb.Block) -> EntryRows:
    rows = message.entries
    return EntryRows(_column(rows.first_row_steps), _column(rows.index_steps), _column(rows.time_steps))


def _opened_transfers(message: pb.Block) -> TransferRows:
    rows = message.transfers
    if len(rows.unknown_sources) != len(rows.unknown_targets):
        raise ImageInvalid("ids of unknown accounts that are not in pairs")
    strangers = zip(rows.unknown_sources, rows.unknown_targets, strict=True)
    return TransferRows(
        ids=cast("list[TxId]", rows.client_tx_ids[:]),
        sources=array("I", rows.sources),
        targets=array("I", rows.targets),
        amounts=array("q", rows.amounts),
        statuses=rows.statuses,
        available=array("q", rows.available),
        strangers=[(AccountId(source), AccountId(target)) for source, target in strangers],
    )


def _steps(column: "array[int]") -> list[int]:
    """A column that never falls, as differences: most fit in a byte or four, where the values take four or eight."""
    return [*column[:1], *map(sub, column[1:], column)]


def _column(steps: Sequence[int]) -> "array[int]":
    try:
        return array("Q", accumulate(steps))
    except OverflowError:
        raise ImageInvalid("a column that leaves 64 bits") from None


_OPENERS: Final[Mapping[str | None, Callable[[pb.Block], Block]]] = {
    "head": _opened_head,
    "accounts": _opened_accounts,
    "requests": _opened_requests,
    "entries": _opened_entries,
    "transfers": _opened_transfers,
}
