"""A plan's requests as what really crosses: the method and the bytes of a call, and the read mode asked for."""

from typing import Final, assert_never

from bankd.sim.plan import Balance, Move, Open, OutcomeOf, ReadKind, Request
from bankd.types import LINEARIZABLE, AtLeast, Bounded, LogIndex, ReadMode, Stale
from bankd.wire import client_codec
from bankd.wire.methods import Method

MAX_AGE_MS: Final = 500  # of bounded reads: a few heartbeats, so that it is met, and at times is not


def encoded(request: Request, seen_index: LogIndex) -> tuple[Method, bytes]:
    """`seen_index`: the highest that the client has seen, for reads of its own writes."""
    match request:
        case Open(account=account, balance=balance, request_id=request_id):
            return Method.CREATE_ACCOUNT, client_codec.encode_create_account(account, balance, request_id)
        case Move(tx_ids=tx_ids, sources=sources, targets=targets, amounts=amounts):
            return Method.SUBMIT_TRANSFERS, client_codec.encode_submit_transfers(tx_ids, sources, targets, amounts)
        case Balance(account=account, kind=kind):
            return Method.GET_BALANCE, client_codec.encode_get_balance(account, mode_of(kind, seen_index))
        case OutcomeOf(tx_id=tx_id, kind=kind):
            mode = mode_of(kind, seen_index)
            return Method.GET_TRANSFER_STATUS, client_codec.encode_get_transfer_status(tx_id, mode)
        case _:
            assert_never(request)


def mode_of(kind: ReadKind, seen_index: LogIndex) -> ReadMode:
    match kind:
        case ReadKind.LINEARIZABLE:
            return LINEARIZABLE
        case ReadKind.STALE:
            return Stale()
        case ReadKind.BOUNDED:
            return Bounded(MAX_AGE_MS)
        case ReadKind.AT_LEAST:
            return AtLeast(seen_index)
        case _:
            assert_never(kind)
