"""Answers from a node's hand to a client's: round trips, the fixed words of bank.v1, and made-up bytes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd.errors import Code, ProtocolError, Refusal
from bankd.ledger.commands import (
    AccountCreated,
    AccountRecord,
    CreateAccount,
    Malformed,
    RequestConflict,
    RowDetail,
    SubmitTransfers,
    TransferRecord,
    TransfersDone,
)
from bankd.ledger.queries import (
    AccountFound,
    AccountsPage,
    BalanceFound,
    GetAccount,
    GetBalance,
    GetTransfer,
    ListAccounts,
    NotFound,
    TransferFound,
)
from bankd.pb import bank_pb2, ledger_pb2
from bankd.status import DigestReport, LeadershipMoved, NodeStatus, SnapshotPart, SnapshotTaken
from bankd.types import (
    LINEARIZABLE,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AccountId,
    LogIndex,
    Term,
    TimeNs,
    TransferStatus,
    TxId,
)
from bankd.wire import client_codec
from bankd.wire.methods import Method
from bankd.wire.requests import (
    DigestAsked,
    Read,
    Request,
    SnapshotReadAsked,
    SnapshotTriggerAsked,
    StatusAsked,
    TransferLeadershipAsked,
    Write,
)
from bankd.wire.responses import Result, encode_response
from bankd.wire.snapshot_codec import PART_BYTES_MAX
from tests.wire.strategies import (
    account_records,
    accounts_created,
    digest_reports,
    leadership_moves,
    money,
    node_statuses,
    snapshots_taken,
    transfer_records,
    transfers_done,
    u64,
)

A, B, T = AccountId("a"), AccountId("b"), TxId("t1")
NOW = TimeNs(1_790_000_000_000_000_000)

ONE_ROW = SubmitTransfers([T], [A], [B], [30])
TRANSFER = Write(Method.TRANSFER, ONE_ROW, b"")
SUBMIT = Write(Method.SUBMIT_TRANSFERS, ONE_ROW, b"")
CREATE = Write(Method.CREATE_ACCOUNT, CreateAccount(A, 500, TxId("r1")), b"")
BALANCE_OF_A = Read(GetBalance(A), LINEARIZABLE)
STATUS_OF_T = Read(GetTransfer(T), LINEARIZABLE)


def answered(method: Method, request: Request, result: Result, index: int = 0, age_ms: int = 0) -> bytes:
    body = encode_response(method, request, result, index=LogIndex(index), age_ms=age_ms)
    assert isinstance(body, bytes), f"{body} instead of an answer"
    return body


def refused(method: Method, request: Request, result: Result, index: int = 0) -> Refusal:
    refusal = encode_response(method, request, result, index=LogIndex(index))
    assert isinstance(refusal, Refusal), f"{refusal!r} instead of a refusal"
    return refusal


# Round trips


@given(transfers_done())
def test_outcomes_of_a_batch_come_back_as_they_were(done: TransfersDone) -> None:
    body = answered(Method.SUBMIT_TRANSFERS, SUBMIT, done)
    assert client_codec.decode_submit_transfers(body, len(done.outcomes)) == done


@given(accounts_created)
def test_account_opening_comes_back_as_it_was(created: AccountCreated) -> None:
    assert client_codec.decode_create_account(answered(Method.CREATE_ACCOUNT, CREATE, created)) == created


@given(money, u64, u64)
def test_balance_comes_back_with_index_and_age(balance: int, index: int, age_ms: int) -> None:
    body = answered(Method.GET_BALANCE, BALANCE_OF_A, BalanceFound(balance), index, age_ms)
    assert client_codec.decode_get_balance(body) == (balance, index, age_ms)


@given(transfer_records, u64, u64)
def test_transfer_record_comes_back_with_index_and_age(record: TransferRecord, index: int, age_ms: int) -> None:
    body = answered(Method.GET_TRANSFER_STATUS, STATUS_OF_T, TransferFound(record), index, age_ms)
    assert client_codec.decode_get_transfer_status(body, record.tx_id) == (record, index, age_ms)


@given(account_records, u64, u64)
def test_account_comes_back_with_index_and_age(record: AccountRecord, index: int, age_ms: int) -> None:
    asked = Read(GetAccount(record.account), LINEARIZABLE)
    body = answered(Method.GET_ACCOUNT, asked, AccountFound(record), index, age_ms)
    assert client_codec.decode_get_account(body) == (record, index, age_ms)


@given(st.lists(account_records, max_size=4).map(tuple), st.booleans(), u64, u64)
def test_page_of_accounts_comes_back_in_order(
    records: tuple[AccountRecord, ...], more: bool, index: int, age_ms: int
) -> None:
    page = AccountsPage(records, more)
    body = answered(Method.LIST_ACCOUNTS, Read(ListAccounts(), LINEARIZABLE), page, index, age_ms)
    assert client_codec.decode_list_accounts(body) == (page, index, age_ms)


@given(node_statuses)
def test_node_status_comes_back_as_it_was(status: NodeStatus) -> None:
    assert client_codec.decode_node_status(answered(Method.GET_NODE_STATUS, StatusAsked(), status)) == status


@given(digest_reports)
def test_digest_comes_back_as_it_was(report: DigestReport) -> None:
    body = answered(Method.GET_DIGEST, DigestAsked(LogIndex(0)), report)
    assert client_codec.decode_digest(body) == report


@given(leadership_moves)
def test_new_leader_comes_back_as_it_was(moved: LeadershipMoved) -> None:
    body = answered(Method.TRANSFER_LEADERSHIP, TransferLeadershipAsked(None), moved)
    assert client_codec.decode_transfer_leadership(body) == moved


@given(snapshots_taken)
def test_snapshot_taken_comes_back_as_it_was(taken: SnapshotTaken) -> None:
    body = answered(Method.TRIGGER_SNAPSHOT, SnapshotTriggerAsked(), taken)
    assert client_codec.decode_snapshot_taken(body) == taken


NEWEST = SnapshotReadAsked(LogIndex(0), Term(0), 0)


def part(offset: int = 0, data: bytes = b"data", size_bytes: int = 100) -> SnapshotPart:
    return SnapshotPart(LogIndex(7), Term(3), size_bytes, b"id", offset, data)


@pytest.mark.parametrize("place", [(LogIndex(7), Term(3)), (LogIndex(0), Term(0))])
@pytest.mark.parametrize("sent", [part(), part(96), part(100, b""), part(0, b"x" * PART_BYTES_MAX, PART_BYTES_MAX)])
def test_part_of_a_snapshot_comes_back_as_it_was(place: tuple[LogIndex, Term], sent: SnapshotPart) -> None:
    body = answered(Method.READ_SNAPSHOT, NEWEST, sent)
    assert client_codec.decode_snapshot_part(body, *place, sent.offset) == sent


# The fixed words and shapes of bank.v1


@pytest.mark.parametrize(
    ("created", "success", "message"),
    [
        (AccountCreated(True, LogIndex(4)), True, "Account created"),
        (AccountCreated(False, LogIndex(4)), False, "Account already exists"),
        (AccountCreated(False, LogIndex(4), limit_exceeded=True), False, "Limit exceeded"),
    ],
)
def test_account_opening_is_answered_in_the_fixed_words(created: AccountCreated, success: bool, message: str) -> None:
    response = bank_pb2.CreateAccountResponse.FromString(answered(Method.CREATE_ACCOUNT, CREATE, created))
    assert (response.success, response.message, response.index) == (success, message, 4)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (TransferStatus.COMMITTED_OK, "Transfer committed"),
        (TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, "Insufficient funds"),
        (TransferStatus.COMMITTED_INVALID_ACCOUNT, "Invalid account"),
        (TransferStatus.COMMITTED_LIMIT_EXCEEDED, "Limit exceeded"),
    ],
)
def test_transfer_and_its_status_are_answered_in_the_fixed_words(status: TransferStatus, message: str) -> None:
    done = TransfersDone(LogIndex(9), NOW, bytes((status,)), {})
    transfer = bank_pb2.TransferResponse.FromString(answered(Method.TRANSFER, TRANSFER, done))
    record = TransferFound(TransferRecord(T, A, B, 30, status, LogIndex(9), NOW))
    asked = bank_pb2.GetTransferStatusResponse.FromString(answered(Method.GET_TRANSFER_STATUS, STATUS_OF_T, record))
    for response in (transfer, asked):
        assert (int(response.status), response.message, response.index, response.time_ns) == (status, message, 9, NOW)
        assert not response.HasField("available")


def test_refusal_for_funds_names_what_was_there_even_if_nothing() -> None:
    outcomes = bytes((TransferStatus.COMMITTED_INSUFFICIENT_FUNDS,))
    done = TransfersDone(LogIndex(9), NOW, outcomes, {0: RowDetail(LogIndex(9), NOW, available=0)})
    response = bank_pb2.TransferResponse.FromString(answered(Method.TRANSFER, TRANSFER, done))
    assert (response.HasField("available"), response.available) == (True, 0)


def test_retried_transfer_is_answered_with_the_first_index_and_time() -> None:
    first = RowDetail(LogIndex(3), TimeNs(77))
    done = TransfersDone(LogIndex(9), NOW, bytes((TransferStatus.COMMITTED_OK,)), {0: first})
    response = bank_pb2.TransferResponse.FromString(answered(Method.TRANSFER, TRANSFER, done))
    assert (response.index, response.time_ns) == (3, 77)


def test_balance_of_zero_is_present() -> None:
    body = answered(Method.GET_BALANCE, BALANCE_OF_A, BalanceFound(0))
    response = bank_pb2.GetBalanceResponse.FromString(body)
    assert (response.HasField("balance"), response.balance) == (True, 0)


# Refusals


def test_unknown_account_is_named() -> None:
    for asked in (GetBalance(A), GetAccount(A)):
        refusal = refused(Method.GET_BALANCE, Read(asked, LINEARIZABLE), NotFound(), index=12)
        assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "ACCOUNT_NOT_FOUND")
        assert refusal.message == "account 'a' does not exist as of index 12"
        assert refusal.metadata == {"account": "a"}


def test_unknown_transfer_is_named() -> None:
    refusal = refused(Method.GET_TRANSFER_STATUS, STATUS_OF_T, NotFound(), index=12)
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "TRANSFER_NOT_FOUND")
    assert refusal.message == "transfer 't1' is not committed as of index 12"
    assert refusal.metadata == {"client_tx_id": "t1"}


def test_transfer_under_a_taken_id_names_the_fields_that_differ() -> None:
    """K3."""
    detail = RowDetail(LogIndex(3), NOW, differs=("to", "amount"))
    done = TransfersDone(LogIndex(9), NOW, bytes((ROW_ID_CONFLICT,)), {0: detail})
    refusal = refused(Method.TRANSFER, TRANSFER, done)
    assert (refusal.code, refusal.reason, refusal.retryable) == (Code.ALREADY_EXISTS, "ID_CONFLICT", False)
    assert refusal.metadata == {"client_tx_id": "t1", "differs": "to,amount"}
    assert "(to, amount)" in refusal.message


def test_account_opening_under_a_taken_request_id_names_the_fields_that_differ() -> None:
    """K8."""
    refusal = refused(Method.CREATE_ACCOUNT, CREATE, RequestConflict(("initial_balance",)))
    assert (refusal.code, refusal.reason) == (Code.ALREADY_EXISTS, "ID_CONFLICT")
    assert refusal.metadata == {"client_tx_id": "r1", "account": "a", "differs": "initial_balance"}


@pytest.mark.parametrize(
    ("method", "request_", "result"),
    [
        (Method.TRANSFER, TRANSFER, TransfersDone(LogIndex(9), NOW, bytes((ROW_MALFORMED,)), {})),
        (Method.TRANSFER, TRANSFER, Malformed()),
        (Method.SUBMIT_TRANSFERS, SUBMIT, Malformed()),
        (Method.CREATE_ACCOUNT, CREATE, Malformed()),
    ],
)
def test_command_that_could_not_be_judged_is_refused(method: Method, request_: Request, result: Result) -> None:
    refusal = refused(method, request_, result)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "COMMAND_MALFORMED")


# What a client must not believe

DECODERS: list[Callable[[bytes], object]] = [
    client_codec.decode_create_account,
    client_codec.decode_get_balance,
    client_codec.decode_get_account,
    client_codec.decode_list_accounts,
    client_codec.decode_node_status,
    client_codec.decode_digest,
    client_codec.decode_transfer_leadership,
    client_codec.decode_snapshot_taken,
    lambda body: client_codec.decode_snapshot_part(body, LogIndex(0), Term(0), 0),
    lambda body: client_codec.decode_get_transfer_status(body, "t"),
    lambda body: client_codec.decode_submit_transfers(body, 1),
]


@pytest.mark.parametrize("decode", DECODERS)
@given(body=st.binary(max_size=60))
def test_made_up_response_raises_nothing_but_a_protocol_error(decode: Callable[[bytes], object], body: bytes) -> None:
    try:
        decode(body)
    except ProtocolError:
        pass


def test_answer_for_another_number_of_transfers_is_a_protocol_error() -> None:
    done = TransfersDone(LogIndex(9), NOW, bytes((TransferStatus.COMMITTED_OK,)), {})
    body = answered(Method.SUBMIT_TRANSFERS, SUBMIT, done)
    for rows in (0, 2):
        with pytest.raises(ProtocolError, match=f"1 outcomes for {rows} transfers"):
            client_codec.decode_submit_transfers(body, rows)


@pytest.mark.parametrize("outcome", [0, 5, 253])
def test_outcome_unknown_here_is_a_protocol_error_and_never_taken_for_success(outcome: int) -> None:
    body = ledger_pb2.SubmitTransfersResponse(outcomes=bytes((1, outcome))).SerializeToString()
    with pytest.raises(ProtocolError, match=f"outcome is {outcome}"):
        client_codec.decode_submit_transfers(body, 2)


def test_detail_of_a_row_that_was_not_sent_is_a_protocol_error() -> None:
    details = [ledger_pb2.TransferDetail(row=1)]
    body = ledger_pb2.SubmitTransfersResponse(outcomes=b"\x01", details=details).SerializeToString()
    with pytest.raises(ProtocolError, match="row 1"):
        client_codec.decode_submit_transfers(body, 1)


@pytest.mark.parametrize("status", [0, 5])
def test_transfer_status_unknown_here_is_a_protocol_error(status: int) -> None:
    body = bank_pb2.GetTransferStatusResponse(status=status).SerializeToString()  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        client_codec.decode_get_transfer_status(body, "t")


@pytest.mark.parametrize(
    ("index", "term", "offset", "sent"),
    [
        (8, 3, 0, part()),  # another snapshot
        (7, 4, 0, part()),
        (7, 3, 5, part()),  # another place
        (7, 3, 0, part(0, b"")),  # nothing, and never anything more
        (7, 3, 97, part(97)),  # beyond the end
        (7, 3, 101, part(101, b"")),
        (7, 3, 0, part(0, b"x" * PART_BYTES_MAX, 5)),
    ],
)
def test_part_that_was_not_asked_for_or_leads_nowhere_is_a_protocol_error(
    index: int, term: int, offset: int, sent: SnapshotPart
) -> None:
    body = answered(Method.READ_SNAPSHOT, NEWEST, sent)
    with pytest.raises(ProtocolError, match="a part of"):
        client_codec.decode_snapshot_part(body, LogIndex(index), Term(term), offset)


def test_missing_balance_or_account_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        client_codec.decode_get_balance(bank_pb2.GetBalanceResponse(index=3).SerializeToString())
    with pytest.raises(ProtocolError):
        client_codec.decode_get_account(ledger_pb2.GetAccountResponse(index=3).SerializeToString())


def test_response_of_a_newer_node_is_understood() -> None:
    body = answered(Method.GET_BALANCE, BALANCE_OF_A, BalanceFound(5), index=7)
    assert client_codec.decode_get_balance(body + b"\xf0\x06\x01") == (5, 7, 0)
