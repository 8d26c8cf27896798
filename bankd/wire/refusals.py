"""Carry a refusal over the framed door, and turn it into the exception that a caller sees.

The error table here is the only one: what a code and a reason mean to a caller is decided once.
"""

from collections.abc import Mapping
from typing import Final

from bankd import errors
from bankd.errors import BankError, Code, Refusal
from bankd.pb import wire_pb2 as pb
from bankd.wire.parsing import parse

# A reason says more than a code, so it is looked up first: OUTCOME_UNKNOWN, above all, under whatever
# code it comes, must never look like something that surely did not happen.
_ERROR_BY_REASON: Final[Mapping[str, type[BankError]]] = {
    "OUTCOME_UNKNOWN": errors.OutcomeUnknown,
    "ID_CONFLICT": errors.IdConflict,
    "INSUFFICIENT_FUNDS": errors.InsufficientFunds,
    "INVALID_ACCOUNT": errors.InvalidAccount,
    "LIMIT_EXCEEDED": errors.LimitExceeded,
    "SNAPSHOT_NOT_FOUND": errors.SnapshotNotFound,
}
_ERROR_BY_CODE: Final[Mapping[Code, type[BankError]]] = {
    Code.INVALID_ARGUMENT: errors.InvalidArgument,
    Code.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    Code.NOT_FOUND: errors.AccountNotFound,
    Code.ALREADY_EXISTS: errors.AccountExists,
    Code.PERMISSION_DENIED: errors.NotAllowed,
    Code.RESOURCE_EXHAUSTED: errors.Overloaded,
    Code.UNAVAILABLE: errors.Unavailable,
    Code.UNAUTHENTICATED: errors.NotAllowed,
}
_CODES: Final[Mapping[int, Code]] = {int(code): code for code in Code if code is not Code.OK}


def encode_refusal(refusal: Refusal) -> bytes:
    """The body of an ERROR frame."""
    return pb.Error(
        code=refusal.code,
        reason=refusal.reason,
        message=refusal.message,
        retryable=refusal.retryable,
        leader_id=refusal.leader_id,
        leader_address=refusal.leader_address,
        metadata=refusal.metadata,
        retry_after_ms=refusal.retry_after_ms,
    ).SerializeToString(deterministic=True)


def decode_refusal(body: bytes) -> Refusal:
    """A code that is not known here reads as UNKNOWN, its number kept in the metadata.

    Raises ProtocolError: the body is no error at all.
    """
    message = parse(pb.Error, body)
    metadata = dict(message.metadata)
    code = _CODES.get(message.code)
    if code is None:
        metadata["code"] = str(message.code)
    return Refusal(
        code=code or Code.UNKNOWN,
        reason=message.reason,
        message=message.message,
        retryable=message.retryable,
        metadata=metadata,
        retry_after_ms=message.retry_after_ms,
        leader_id=message.leader_id,
        leader_address=message.leader_address,
    )


def to_error(refusal: Refusal) -> BankError:
    """The exception to raise for a refusal; a plain BankError where no class of its own fits."""
    by_code = _ERROR_BY_CODE.get(refusal.code, BankError)
    return _ERROR_BY_REASON.get(refusal.reason, by_code)(refusal)
