"""A refusal over the wire, and the exception that a caller sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd import errors
from bankd.errors import BankError, Code, ProtocolError, Refusal
from bankd.pb import wire_pb2 as pb
from bankd.wire.refusals import decode_refusal, encode_refusal, to_error
from tests.wire.strategies import refusals


@given(refusals)
def test_refusal_comes_back_as_it_was(refusal: Refusal) -> None:
    assert decode_refusal(encode_refusal(refusal)) == refusal


@given(st.binary(max_size=60))
def test_made_up_error_body_raises_nothing_but_a_protocol_error(body: bytes) -> None:
    try:
        decode_refusal(body)
    except ProtocolError:
        pass


@pytest.mark.parametrize("number", [0, 17, 99, 2**32 - 1])
def test_unknown_code_reads_as_unknown_and_keeps_its_number(number: int) -> None:
    body = pb.Error(code=number, reason="NEWER", message="words", metadata={"account": "a"}).SerializeToString()
    refusal = decode_refusal(body)
    assert (refusal.code, refusal.reason, refusal.message) == (Code.UNKNOWN, "NEWER", "words")
    assert refusal.metadata == {"account": "a", "code": str(number)}


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (Code.INVALID_ARGUMENT, "AMOUNT_NOT_POSITIVE", errors.InvalidArgument),
        (Code.NOT_FOUND, "ACCOUNT_NOT_FOUND", errors.AccountNotFound),
        (Code.NOT_FOUND, "TRANSFER_NOT_FOUND", errors.AccountNotFound),
        (Code.ALREADY_EXISTS, "ID_CONFLICT", errors.IdConflict),
        (Code.ALREADY_EXISTS, "ACCOUNT_EXISTS", errors.AccountExists),
        (Code.UNAVAILABLE, "NOT_LEADER", errors.Unavailable),
        (Code.RESOURCE_EXHAUSTED, "OVERLOADED", errors.Overloaded),
        (Code.DEADLINE_EXCEEDED, "TOOK_TOO_LONG", errors.DeadlineExceeded),
        (Code.DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN", errors.OutcomeUnknown),
        (Code.UNKNOWN, "OUTCOME_UNKNOWN", errors.OutcomeUnknown),
        (Code.UNAVAILABLE, "OUTCOME_UNKNOWN", errors.OutcomeUnknown),  # never read as "surely not done"
        (Code.UNAUTHENTICATED, "TOKEN_MISSING", errors.NotAllowed),
        (Code.PERMISSION_DENIED, "ROLE", errors.NotAllowed),
        (Code.FAILED_PRECONDITION, "INSUFFICIENT_FUNDS", errors.InsufficientFunds),
        (Code.FAILED_PRECONDITION, "INVALID_ACCOUNT", errors.InvalidAccount),
        (Code.FAILED_PRECONDITION, "LIMIT_EXCEEDED", errors.LimitExceeded),
        (Code.FAILED_PRECONDITION, "LEADERSHIP_NOT_MOVED", BankError),
        (Code.UNIMPLEMENTED, "METHOD_UNKNOWN", BankError),
        (Code.INTERNAL, "", BankError),
    ],
)
def test_refusal_is_raised_as(code: Code, reason: str, expected: type[BankError]) -> None:
    refusal = Refusal(code, reason, "words for people", metadata={"client_tx_id": "t1"})
    error = to_error(refusal)
    assert type(error) is expected
    assert (error.refusal, str(error)) == (refusal, "words for people")
