"""Say a refusal in gRPC's words: status code, message, and google.rpc details.

Every error carries an ErrorInfo, so that programs branch on its reason and find the ids concerned in
its metadata. RetryInfo is there exactly when the same request may be sent again: for what surely did
not happen, and for a write of unknown outcome that carries an id. What a client raised is put into
the caller's words first; the table below is the only place that does so.

Sources: docs/contract.md K11, K13 and K18; google.rpc error_details.proto; AIP-193.
"""

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from bankd.errors import BankError, Code, OutcomeUnknown, Overloaded, Refusal, Unavailable

DOMAIN: Final = "bank.v1"
OUTCOME_UNKNOWN_MESSAGE: Final = "outcome unknown, ask GetTransferStatus with the same id"

# What a retry waits when nobody named a time: long enough that callers in a loop do not drown a
# cluster that is electing, short beside the second or two that an election takes.
RETRY_AFTER_MS_DEFAULT: Final = 100

# gRPC carries a status as an HTTP/2 header field; peers refuse headers beyond 8 KiB by default, and
# percent encoding triples the message. Ids are at most 128 bytes, so real messages stay far below.
MESSAGE_CHARS_MAX: Final = 1024


def to_refusal(error: BankError) -> Refusal:
    """What the caller is told about an error that a client raised."""
    rephrase = _REPHRASED.get(type(error))
    return error.refusal if rephrase is None else rephrase(error.refusal)


def to_status(refusal: Refusal) -> status_pb2.Status:
    """The rich status of a refusal, ready to end a gRPC call with."""
    info = error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata)
    details = [_packed(info)]
    if refusal.retryable:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(refusal.retry_after_ms or RETRY_AFTER_MS_DEFAULT)
        details.append(_packed(retry))
    return status_pb2.Status(code=refusal.code, message=refusal.message[:MESSAGE_CHARS_MAX], details=details)


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _outcome_unknown(refusal: Refusal) -> Refusal:
    """An unknown outcome stays one under its two codes; any other code would promise too much (K11)."""
    code = refusal.code if refusal.code is Code.DEADLINE_EXCEEDED else Code.UNKNOWN
    message = OUTCOME_UNKNOWN_MESSAGE if "client_tx_id" in refusal.metadata else refusal.message
    return attrs.evolve(refusal, code=code, message=message)


def _not_done(refusal: Refusal) -> Refusal:
    """What surely took no effect may always be sent again. The client is closed only when the gateway ends."""
    if refusal.reason == "CLIENT_CLOSED":
        return Refusal(refusal.code, "SHUTTING_DOWN", "the gateway is shutting down; nothing was done", retryable=True)
    return attrs.evolve(refusal, retryable=True)


_REPHRASED: Final[Mapping[type[BankError], Callable[[Refusal], Refusal]]] = {
    OutcomeUnknown: _outcome_unknown,
    Overloaded: _not_done,
    Unavailable: _not_done,
}
