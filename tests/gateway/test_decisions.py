"""What bank.v1 left open and docs/contract.md decides (K1 to K12, K16), through a real gRPC channel.

As in test_fixed_behaviour: every test has accounts and ids of its own, and none knows what stands behind
the gateway.
"""

from collections.abc import Callable

import grpc
import pytest

from bankd.pb import bank_pb2
from bankd.types import BALANCE_MAX
from bankd.wire.requests import REQUEST_BYTES_MAX
from tests.gateway.calls import DEADLINE_S, Bank, refused

ID_MAX = "x" * 128
TOO_LONG = "x" * 129
TOO_LONG_IN_BYTES = "é" * 65

# (what is wrong, the call, the reason that programs branch on); {name} stands for an id that nobody used.
JUDGED_FROM_THE_REQUEST_ALONE: list[tuple[str, Callable[[Bank, str], object], str]] = [
    ("K1 amount 0", lambda bank, name: bank.transfer("a", "b", 0, name), "AMOUNT_NOT_POSITIVE"),
    ("K1 amount -1", lambda bank, name: bank.transfer("a", "b", -1, name), "AMOUNT_NOT_POSITIVE"),
    ("K2 to itself", lambda bank, name: bank.transfer("a", "a", 1, name), "SAME_ACCOUNT"),
    ("K4 no transfer id", lambda bank, name: bank.transfer("a", "b", 1, ""), "CLIENT_TX_ID_MISSING"),
    ("K4 no id asked for", lambda bank, name: bank.status(""), "CLIENT_TX_ID_MISSING"),
    ("K5 transfer id too long", lambda bank, name: bank.transfer("a", "b", 1, TOO_LONG), "CLIENT_TX_ID_INVALID"),
    ("K5 control in transfer id", lambda bank, name: bank.transfer("a", "b", 1, "a\nb"), "CLIENT_TX_ID_INVALID"),
    ("K5 no source", lambda bank, name: bank.transfer("", "b", 1, name), "ACCOUNT_ID_INVALID"),
    ("K5 target too long", lambda bank, name: bank.transfer("a", TOO_LONG, 1, name), "ACCOUNT_ID_INVALID"),
    ("K5 no account", lambda bank, name: bank.create(""), "ACCOUNT_ID_INVALID"),
    ("K5 129 bytes", lambda bank, name: bank.create(TOO_LONG), "ACCOUNT_ID_INVALID"),
    ("K5 130 bytes in 65 letters", lambda bank, name: bank.create(TOO_LONG_IN_BYTES), "ACCOUNT_ID_INVALID"),
    ("K5 NUL", lambda bank, name: bank.create("a\0b"), "ACCOUNT_ID_INVALID"),
    ("K5 C1 control", lambda bank, name: bank.create("a\x85b"), "ACCOUNT_ID_INVALID"),
    ("K5 reading no account", lambda bank, name: bank.balance(""), "ACCOUNT_ID_INVALID"),
    ("K5 opening a system account", lambda bank, name: bank.create("@mine"), "SYSTEM_ACCOUNT"),
    ("K5 paying a system account", lambda bank, name: bank.transfer("a", "@opening", 1, name), "SYSTEM_ACCOUNT"),
    ("K5 request id too long", lambda bank, name: bank.create(name, request_id=TOO_LONG), "REQUEST_ID_INVALID"),
    ("K6 negative opening", lambda bank, name: bank.create(name, -1), "NEGATIVE_INITIAL_BALANCE"),
    ("K16 empty batch", lambda bank, name: bank.submit([]), "BATCH_EMPTY"),
    (
        "K1 in a batch",
        lambda bank, name: bank.submit([(name, "a", "b", 1), (name, "a", "b", 0)]),
        "AMOUNT_NOT_POSITIVE",
    ),
]


@pytest.mark.parametrize(
    ("call", "reason"),
    [pytest.param(call, reason, id=title) for title, call, reason in JUDGED_FROM_THE_REQUEST_ALONE],
)
def test_what_the_request_alone_shows_wrong_is_an_invalid_argument(
    bank: Bank, name: str, call: Callable[[Bank, str], object], reason: str
) -> None:
    refusal = refused(lambda: call(bank, name))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert refusal.domain == "bank.v1"
    assert refusal.retry_delay_ms is None


def test_a_request_judged_wrong_burns_no_id(bank: Bank, name: str) -> None:
    source, target = f"{name}-a", f"{name}-b"
    bank.create(source, 10)
    bank.create(target)
    refused(lambda: bank.transfer(source, target, 0, name))
    assert refused(lambda: bank.status(name)).code is grpc.StatusCode.NOT_FOUND
    assert bank.transfer(source, target, 10, name).status == bank_pb2.COMMITTED_OK


@pytest.mark.parametrize(
    ("differs", "source", "target", "amount"), [("from", "c", "b", 10), ("to", "a", "c", 10), ("amount", "a", "b", 11)]
)
def test_an_id_sent_again_with_another_field_already_exists_and_the_field_is_named(  # K3
    bank: Bank, name: str, differs: str, source: str, target: str, amount: int
) -> None:
    for account in "abc":
        bank.create(f"{name}-{account}", 100)
    bank.transfer(f"{name}-a", f"{name}-b", 10, name)
    refusal = refused(lambda: bank.transfer(f"{name}-{source}", f"{name}-{target}", amount, name))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ID_CONFLICT")
    assert differs in refusal.message
    assert (refusal.metadata["client_tx_id"], refusal.metadata["differs"]) == (name, differs)
    assert bank.status(name).status == bank_pb2.COMMITTED_OK
    assert [bank.balance(f"{name}-{account}").balance for account in "abc"] == [90, 110, 100]


def test_ids_of_128_bytes_are_taken_and_compared_byte_by_byte(bank: Bank, name: str) -> None:  # K5
    composed, decomposed = f"{name}-\u00e9", f"{name}-e\u0301"
    longest = name + "x" * (128 - len(name))
    assert [bank.create(account).success for account in (composed, decomposed, longest)] == [True, True, True]


@pytest.mark.parametrize("body", [b"\x0a\x04\x0a\x02\xff\xfe", b"\xff", b"\x0a\x7f"], ids=["UTF-8", "tag", "length"])
def test_bytes_that_are_no_request_are_an_invalid_argument(bank: Bank, body: bytes) -> None:  # K5
    create = bank.channel.unary_unary("/bank.v1.BankService/CreateAccount")
    refusal = refused(lambda: create(body, timeout=DEADLINE_S))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


def test_an_opening_balance_is_paid_by_the_opening_account(bank: Bank, name: str) -> None:  # K7
    bank.create(f"{name}-first")  # so that there is an opening account
    before = bank.balance("@opening").balance
    bank.create(name, 250)
    assert bank.balance("@opening").balance == before - 250


def test_creating_again_with_the_same_request_id_succeeds_again(bank: Bank, name: str) -> None:  # K8
    first = bank.create(name, 100, request_id=name)
    assert first.success
    assert bank.create(name, 100, request_id=name) == first
    assert bank.balance(name).balance == 100


def test_a_request_id_with_another_payload_already_exists(bank: Bank, name: str) -> None:  # K8, K3
    bank.create(name, 100, request_id=name)
    refusal = refused(lambda: bank.create(name, 101, request_id=name))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ID_CONFLICT")


def test_another_request_id_for_an_existing_account_gets_the_fixed_answer(bank: Bank, name: str) -> None:  # K8
    bank.create(name, 100, request_id=f"{name}-1")
    answer = bank.create(name, 100, request_id=f"{name}-2")
    assert (answer.success, answer.message) == (False, "Account already exists")


def test_an_opening_balance_that_the_opening_account_cannot_pay_opens_nothing(bank: Bank, name: str) -> None:  # K9
    bank.create(f"{name}-first", 2)
    answer = bank.create(name, BALANCE_MAX)
    assert (answer.success, answer.limit_exceeded) == (False, True)
    assert answer.message != "Account already exists"
    assert refused(lambda: bank.balance(name)).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "read",
    [
        bank_pb2.ReadOptions(mode=bank_pb2.LINEARIZABLE),
        bank_pb2.ReadOptions(mode=bank_pb2.BOUNDED, max_age_ms=60_000),
        bank_pb2.ReadOptions(mode=bank_pb2.AT_LEAST, index=1),
        bank_pb2.ReadOptions(mode=bank_pb2.STALE),
    ],
    ids=["linearizable", "bounded", "at_least", "stale"],
)
def test_a_read_takes_its_mode_and_names_the_index_that_it_reflects(  # K12
    bank: Bank, name: str, read: bank_pb2.ReadOptions
) -> None:
    opened = bank.create(name, 1)
    if read.mode == bank_pb2.AT_LEAST:
        read = bank_pb2.ReadOptions(mode=read.mode, index=opened.index)
    answer = bank.balance(name, read)
    assert answer.index >= opened.index


def test_an_unknown_read_mode_is_an_invalid_argument(bank: Bank, name: str) -> None:
    bank.create(name)
    refusal = refused(lambda: bank.balance(name, bank_pb2.ReadOptions(mode=99)))  # type: ignore[arg-type]
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_page_beyond_its_bound_is_an_invalid_argument_with_the_limit_in_the_message(bank: Bank) -> None:
    refusal = refused(lambda: bank.accounts(limit=1001))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "1000" in refusal.message


def test_a_request_too_large_is_an_invalid_argument_with_the_limit_in_the_message(bank: Bank) -> None:  # K16
    create = bank.channel.unary_unary("/bank.v1.BankService/CreateAccount")
    refusal = refused(lambda: create(b"\x7a" + b"\xff\xff\xff\x01" + bytes(2**22 - 1), timeout=DEADLINE_S))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert str(REQUEST_BYTES_MAX) in refusal.message
