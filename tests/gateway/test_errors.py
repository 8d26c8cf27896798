"""The table from refusals to google.rpc statuses, and the time that a call may take."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from bankd.errors import (
    BankError,
    Code,
    DeadlineExceeded,
    InvalidArgument,
    OutcomeUnknown,
    Overloaded,
    Refusal,
    Unavailable,
)
from bankd.gateway.door import REPLY_MARGIN_S_MAX, TIMEOUT_S_DEFAULT, TIMEOUT_S_MIN, timeout_s
from bankd.gateway.errors import (
    MESSAGE_CHARS_MAX,
    OUTCOME_UNKNOWN_MESSAGE,
    RETRY_AFTER_MS_DEFAULT,
    to_refusal,
    to_status,
)

IDS = {"client_tx_id": "t1"}


def retry_delays_ms(status: status_pb2.Status) -> list[int]:
    found = [detail for detail in status.details if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
    return [error_details_pb2.RetryInfo.FromString(detail.value).retry_delay.ToMilliseconds() for detail in found]


def info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo.FromString(status.details[0].value)


# (what the client raised, the code that the caller sees, the delays in RetryInfo)
CASES: list[tuple[str, BankError, Code, list[int]]] = [
    (
        "a wrong request",
        InvalidArgument(Refusal(Code.INVALID_ARGUMENT, "SAME_ACCOUNT", "no")),
        Code.INVALID_ARGUMENT,
        [],
    ),
    (
        "overload with a delay",
        Overloaded(Refusal(Code.RESOURCE_EXHAUSTED, "DISK_FULL", "later", retryable=True, retry_after_ms=700)),
        Code.RESOURCE_EXHAUSTED,
        [700],
    ),
    (
        "surely not done, whatever its flag says",
        Unavailable(Refusal(Code.UNAVAILABLE, "NO_LEADER", "nobody leads")),
        Code.UNAVAILABLE,
        [RETRY_AFTER_MS_DEFAULT],
    ),
    (
        "time ran out before anything was sent",
        DeadlineExceeded(Refusal(Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "too late", retryable=True)),
        Code.DEADLINE_EXCEEDED,
        [RETRY_AFTER_MS_DEFAULT],
    ),
    (
        "an unknown outcome",
        OutcomeUnknown(Refusal(Code.UNKNOWN, "OUTCOME_UNKNOWN", "lost", retryable=True, metadata=IDS)),
        Code.UNKNOWN,
        [RETRY_AFTER_MS_DEFAULT],
    ),
    (
        "an unknown outcome at the deadline",
        OutcomeUnknown(Refusal(Code.DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN", "lost", metadata=IDS)),
        Code.DEADLINE_EXCEEDED,
        [],
    ),
    (
        "an unknown outcome never looks like something that was not done",
        OutcomeUnknown(Refusal(Code.UNAVAILABLE, "OUTCOME_UNKNOWN", "lost", metadata=IDS)),
        Code.UNKNOWN,
        [],
    ),
]


@pytest.mark.parametrize(
    ("error", "code", "delays_ms"),
    [pytest.param(error, code, delays, id=title) for title, error, code, delays in CASES],
)
def test_an_error_has_its_code_its_reason_and_a_delay_where_a_retry_helps(
    error: BankError, code: Code, delays_ms: list[int]
) -> None:
    status = to_status(to_refusal(error))
    assert status.code == code
    assert (info(status).reason, info(status).domain) == (error.reason, "bank.v1")
    assert info(status).metadata == error.metadata
    assert retry_delays_ms(status) == delays_ms


def test_an_unknown_outcome_says_how_to_learn_it() -> None:
    lost = OutcomeUnknown(Refusal(Code.UNKNOWN, "OUTCOME_UNKNOWN", "connection lost", metadata=IDS))
    assert to_status(to_refusal(lost)).message == OUTCOME_UNKNOWN_MESSAGE


def test_a_call_that_the_end_of_the_gateway_turned_away_says_so() -> None:
    closed = Unavailable(Refusal(Code.UNAVAILABLE, "CLIENT_CLOSED", "the client is closed"))
    status = to_status(to_refusal(closed))
    assert (status.code, info(status).reason) == (Code.UNAVAILABLE, "SHUTTING_DOWN")
    assert retry_delays_ms(status) == [RETRY_AFTER_MS_DEFAULT]


def test_a_message_fits_into_a_header() -> None:
    assert len(to_status(Refusal(Code.INTERNAL, "INTERNAL", "x" * 100_000)).message) == MESSAGE_CHARS_MAX


@pytest.mark.parametrize(
    ("left_s", "allowed_s"),
    [
        (None, TIMEOUT_S_DEFAULT),
        (60.0, 60.0 - REPLY_MARGIN_S_MAX),
        (0.5, 0.45),
        (0.0, TIMEOUT_S_MIN),
    ],
)
def test_a_call_ends_before_its_caller_stops_waiting(left_s: float | None, allowed_s: float) -> None:
    assert timeout_s(left_s) == pytest.approx(allowed_s)
