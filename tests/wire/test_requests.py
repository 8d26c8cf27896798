"""Requests as a node reads them: sound ones become calls, all others refusals that burn no id."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bankd.errors import Code, Refusal
from bankd.ledger.commands import CreateAccount, SubmitTransfers
from bankd.ledger.queries import GetAccount, GetBalance, GetTransfer, ListAccounts
from bankd.pb import bank_pb2, ledger_pb2
from bankd.types import (
    BATCH_TRANSFERS_MAX,
    ID_BYTES_MAX,
    LINEARIZABLE,
    AccountId,
    LogIndex,
    NodeId,
    ReadMode,
    Term,
    TimeNs,
    TxId,
)
from bankd.wire import client_codec
from bankd.wire.entries import decode_batch, encode_batch_head, wrap_command
from bankd.wire.frames import FRAME_BYTES_MAX, HEADER_BYTES
from bankd.wire.methods import Method
from bankd.wire.requests import (
    REQUEST_BYTES_MAX,
    DigestAsked,
    Read,
    SnapshotReadAsked,
    SnapshotTriggerAsked,
    StatusAsked,
    TransferLeadershipAsked,
    Write,
    decode_request,
)
from bankd.wire.unknown_fields import UNKNOWN_BYTES_MAX
from bankd.wire.varint import varint
from tests.wire.strategies import ids, read_modes, u64

A, B = AccountId("a" * 40), AccountId("b" * 40)
LONGEST_ID = "é" * (ID_BYTES_MAX // 2)

customers = ids.filter(lambda account: not account.startswith("@"))


def refused(method: Method, body: bytes) -> Refusal:
    refusal = decode_request(method, body)
    assert isinstance(refusal, Refusal), f"{refusal} was let in"
    return refusal


def transfer(source: str, target: str, amount: int, tx_id: str) -> bytes:
    return bank_pb2.TransferRequest(
        to=bank_pb2.AccountId(id=target),
        amount=amount,
        client_tx_id=bank_pb2.ClientTxId(id=tx_id),
        **{"from": bank_pb2.AccountId(id=source)},
    ).SerializeToString()


@given(customers, st.integers(0, 2**63 - 1), st.none() | ids)
def test_account_opening_arrives_as_it_was_sent(account: str, balance: int, request_id: str | None) -> None:
    body = client_codec.encode_create_account(account, balance, request_id)
    command = CreateAccount(AccountId(account), balance, TxId(request_id) if request_id else None)
    assert decode_request(Method.CREATE_ACCOUNT, body) == Write(
        Method.CREATE_ACCOUNT, command, wrap_command(Method.CREATE_ACCOUNT, body)
    )


@given(st.lists(st.tuples(ids, customers, customers, st.integers(1, 2**63 - 1)), min_size=1, max_size=5))
def test_batch_arrives_as_it_was_sent(rows: list[tuple[str, str, str, int]]) -> None:
    assume(all(source != target for _, source, target, _ in rows))
    tx_ids, sources, targets, amounts = map(list, zip(*rows, strict=True))
    body = client_codec.encode_submit_transfers(tx_ids, sources, targets, amounts)
    assert decode_request(Method.SUBMIT_TRANSFERS, body) == Write(
        Method.SUBMIT_TRANSFERS,
        SubmitTransfers(tx_ids, sources, targets, amounts),
        wrap_command(Method.SUBMIT_TRANSFERS, body),
    )


def test_published_transfer_is_a_batch_of_one_row() -> None:
    body = transfer("a", "b", 30, "t1")
    command = SubmitTransfers((TxId("t1"),), (AccountId("a"),), (AccountId("b"),), (30,))
    assert decode_request(Method.TRANSFER, body) == Write(Method.TRANSFER, command, wrap_command(Method.TRANSFER, body))


@given(ids, read_modes)
def test_reads_arrive_with_their_mode(name: str, mode: ReadMode) -> None:
    balance = decode_request(Method.GET_BALANCE, client_codec.encode_get_balance(name, mode))
    account = decode_request(Method.GET_ACCOUNT, client_codec.encode_get_account(name, mode))
    status = decode_request(Method.GET_TRANSFER_STATUS, client_codec.encode_get_transfer_status(name, mode))
    page = decode_request(Method.LIST_ACCOUNTS, client_codec.encode_list_accounts(name, 7, True, mode))
    assert balance == Read(GetBalance(AccountId(name)), mode)
    assert account == Read(GetAccount(AccountId(name)), mode)
    assert status == Read(GetTransfer(TxId(name)), mode)
    assert page == Read(ListAccounts(name, 7, True), mode)


def test_reads_are_linearizable_unless_the_caller_asks_for_less() -> None:
    body = bank_pb2.GetBalanceRequest(account=bank_pb2.AccountId(id="a")).SerializeToString()
    assert decode_request(Method.GET_BALANCE, body) == Read(GetBalance(AccountId("a")), LINEARIZABLE)


def test_page_has_a_hundred_accounts_unless_the_caller_says() -> None:
    assert decode_request(Method.LIST_ACCOUNTS, b"") == Read(ListAccounts("", 100, False), LINEARIZABLE)


def test_what_operators_ask_arrives() -> None:
    asked = decode_request(Method.TRANSFER_LEADERSHIP, client_codec.encode_transfer_leadership(NodeId("n2")))
    assert decode_request(Method.GET_NODE_STATUS, client_codec.encode_node_status()) == StatusAsked()
    assert decode_request(Method.GET_DIGEST, client_codec.encode_digest(LogIndex(9))) == DigestAsked(LogIndex(9))
    assert asked == TransferLeadershipAsked(NodeId("n2"))
    anybody = decode_request(Method.TRANSFER_LEADERSHIP, client_codec.encode_transfer_leadership())
    assert anybody == TransferLeadershipAsked(None)


@given(u64, u64, u64)
def test_what_operators_ask_about_snapshots_arrives(index: int, term: int, offset: int) -> None:
    body = client_codec.encode_snapshot_read(LogIndex(index), Term(term), offset)
    assert decode_request(Method.READ_SNAPSHOT, body) == SnapshotReadAsked(LogIndex(index), Term(term), offset)
    trigger = client_codec.encode_snapshot_trigger()
    assert decode_request(Method.TRIGGER_SNAPSHOT, trigger) == SnapshotTriggerAsked()


@pytest.mark.parametrize(
    ("method", "body", "reason"),
    [
        (Method.TRANSFER, transfer("a", "b", 0, "t"), "AMOUNT_NOT_POSITIVE"),  # K1
        (Method.TRANSFER, transfer("a", "b", -5, "t"), "AMOUNT_NOT_POSITIVE"),  # K1
        (Method.TRANSFER, transfer("a", "a", 5, "t"), "SAME_ACCOUNT"),  # K2
        (Method.TRANSFER, transfer("a", "b", 5, ""), "CLIENT_TX_ID_MISSING"),  # K4
        (Method.TRANSFER, transfer("", "b", 5, "t"), "ACCOUNT_ID_INVALID"),  # K5
        (Method.TRANSFER, transfer("a", "b\n", 5, "t"), "ACCOUNT_ID_INVALID"),  # K5
        (Method.TRANSFER, transfer("a", LONGEST_ID + "x", 5, "t"), "ACCOUNT_ID_INVALID"),  # K5
        (Method.TRANSFER, transfer("@opening", "b", 5, "t"), "SYSTEM_ACCOUNT"),  # K5
        (Method.TRANSFER, b"", "CLIENT_TX_ID_MISSING"),
        (Method.CREATE_ACCOUNT, client_codec.encode_create_account("a", -1), "NEGATIVE_INITIAL_BALANCE"),  # K6
        (Method.CREATE_ACCOUNT, client_codec.encode_create_account("@mine"), "SYSTEM_ACCOUNT"),  # K5
        (Method.CREATE_ACCOUNT, client_codec.encode_create_account("a", 0, ""), "REQUEST_ID_INVALID"),  # K5, K8
        (Method.SUBMIT_TRANSFERS, client_codec.encode_submit_transfers([], [], [], []), "BATCH_EMPTY"),
        (Method.SUBMIT_TRANSFERS, client_codec.encode_submit_transfers(["t"], ["a"], [], [1]), "COLUMNS_UNEQUAL"),
        (Method.GET_BALANCE, client_codec.encode_get_balance("", LINEARIZABLE), "ACCOUNT_ID_INVALID"),
        (Method.GET_ACCOUNT, client_codec.encode_get_account("a\x00", LINEARIZABLE), "ACCOUNT_ID_INVALID"),
        (Method.GET_TRANSFER_STATUS, client_codec.encode_get_transfer_status("", LINEARIZABLE), "CLIENT_TX_ID_MISSING"),
        (Method.LIST_ACCOUNTS, client_codec.encode_list_accounts("\x7f", 1, False, LINEARIZABLE), "ACCOUNT_ID_INVALID"),
        (Method.LIST_ACCOUNTS, client_codec.encode_list_accounts("", 1001, False, LINEARIZABLE), "LIMIT_OUT_OF_RANGE"),
    ],
)
def test_what_the_request_alone_shows_wrong_is_refused(method: Method, body: bytes, reason: str) -> None:
    refusal = refused(method, body)
    assert (refusal.code, refusal.reason, refusal.retryable) == (Code.INVALID_ARGUMENT, reason, False)


def test_system_account_may_be_read() -> None:
    body = client_codec.encode_get_balance("@opening", LINEARIZABLE)
    assert decode_request(Method.GET_BALANCE, body) == Read(GetBalance(AccountId("@opening")), LINEARIZABLE)


def test_read_mode_unknown_here_is_refused_and_not_guessed() -> None:
    newer = bank_pb2.ReadOptions(mode=77)  # type: ignore[arg-type]
    body = bank_pb2.GetBalanceRequest(account=bank_pb2.AccountId(id="a"), read=newer).SerializeToString()
    assert refused(Method.GET_BALANCE, body).reason == "REQUEST_MALFORMED"


@pytest.mark.parametrize("method", [Method.NONE, Method.RAFT, 4711])
def test_method_that_is_no_call_is_refused(method: int) -> None:
    refusal = decode_request(method, b"")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == (Code.UNIMPLEMENTED, "METHOD_UNKNOWN")


def test_batch_beyond_the_limit_is_refused_naming_the_limit() -> None:
    """K16."""
    rows = BATCH_TRANSFERS_MAX + 1
    body = client_codec.encode_submit_transfers(["t"] * rows, ["a"] * rows, ["b"] * rows, [1] * rows)
    refusal = refused(Method.SUBMIT_TRANSFERS, body)
    assert (refusal.reason, str(BATCH_TRANSFERS_MAX) in refusal.message) == ("BATCH_TOO_LARGE", True)


def test_widest_batch_is_let_in_and_still_fits_in_a_frame() -> None:
    """K16: what the row limit allows, the byte limits must not refuse."""
    rows = BATCH_TRANSFERS_MAX
    other = "x" + LONGEST_ID[1:-1] + "yz"
    columns = [LONGEST_ID] * rows, [LONGEST_ID] * rows, [other] * rows, [2**63 - 1] * rows
    body = client_codec.encode_submit_transfers(*columns)
    assert isinstance(decode_request(Method.SUBMIT_TRANSFERS, body), Write)
    assert len(body) <= REQUEST_BYTES_MAX < FRAME_BYTES_MAX - HEADER_BYTES


def test_request_too_large_for_a_log_entry_is_refused_naming_the_limit() -> None:
    """K16: padding in fields unknown here would go to the log with the rest."""
    padding = b"\xf2\x06" + b"\x80\x80\xe0\x01" + bytes(REQUEST_BYTES_MAX)
    refusal = refused(Method.TRANSFER, transfer("a", "b", 1, "t") + padding)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert str(REQUEST_BYTES_MAX) in refusal.message


@settings(max_examples=300)
@given(st.sampled_from([*Method]), st.binary(max_size=60))
def test_no_request_raises(method: Method, body: bytes) -> None:
    decode_request(method, body)


@pytest.mark.parametrize("noise", [b"\xff", b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_text_that_is_no_utf8_is_refused(noise: bytes) -> None:
    """C07: cut short, overlong, a surrogate, beyond Unicode."""
    account_id = b"\x0a" + bytes((len(noise),)) + noise
    body = b"\x0a" + bytes((len(account_id),)) + account_id
    assert refused(Method.GET_BALANCE, body).reason == "REQUEST_MALFORMED"


def test_request_of_a_newer_client_is_understood() -> None:
    body = ledger_pb2.GetAccountRequest(account=bank_pb2.AccountId(id="a")).SerializeToString()
    assert decode_request(Method.GET_ACCOUNT, body + b"\xf0\x06\x01") == decode_request(Method.GET_ACCOUNT, body)


# Writes: what is decoded here is applied by the leader, what the log holds by its followers (S3)

SENT: dict[Method, bytes] = {
    Method.CREATE_ACCOUNT: client_codec.encode_create_account("a", 5, "r"),
    Method.TRANSFER: transfer("a", "b", 30, "t"),
    Method.SUBMIT_TRANSFERS: client_codec.encode_submit_transfers(["t", "u"], ["a", "b"], ["b", "a"], [1, 2]),
}
unknown_numbers = st.integers(5, 2**29 - 1)
harmless = st.one_of(
    st.tuples(unknown_numbers, st.just(0), st.integers(0, 2**64 - 1).map(varint)),
    st.tuples(unknown_numbers, st.just(1), st.binary(min_size=8, max_size=8)),
    st.tuples(unknown_numbers, st.just(2), st.binary(max_size=40).map(lambda raw: varint(len(raw)) + raw)),
    st.tuples(unknown_numbers, st.just(5), st.binary(min_size=4, max_size=4)),
).map(lambda field: varint(field[0] << 3 | field[1]) + field[2])


def group(number: int, content: bytes, *, depth: int = 1) -> bytes:
    """Groups within each other: a kind of field that no schema of ours has."""
    return varint(number << 3 | 3) * depth + content + varint(number << 3 | 4) * depth


groups = st.builds(group, unknown_numbers, st.just(b"") | harmless, depth=st.sampled_from([1, *range(90, 102)]))


def inside(fields: bytes) -> bytes:
    """Field 1 of a request holds an account; another one with the same number is merged into it."""
    return b"\x0a" + varint(len(fields)) + fields


@settings(max_examples=300)
@given(st.sampled_from([*SENT]), st.lists(harmless | groups | (harmless | groups).map(inside), max_size=4))
def test_what_is_let_in_is_what_every_node_will_read_in_the_log(method: Method, fields: list[bytes]) -> None:
    body = SENT[method] + b"".join(fields)
    write = decode_request(method, body)
    if isinstance(write, Refusal):
        return
    assert isinstance(write, Write)
    assert decode_batch(encode_batch_head(TimeNs(1)) + write.raw).commands == [write.command]


@pytest.mark.parametrize("method", SENT)
@pytest.mark.parametrize("depth", [1, 60, *range(90, 102), 5000])
def test_write_that_holds_a_group_is_refused_however_shallow(method: Method, depth: int) -> None:
    """Parsers count nesting from the outermost message, and give up at depths of their own."""
    assert refused(method, SENT[method] + group(15, b"", depth=depth)).reason == "REQUEST_MALFORMED"


@pytest.mark.parametrize(
    ("method", "place"),
    [
        (Method.TRANSFER, b"\x0a"),
        (Method.TRANSFER, b"\x12"),
        (Method.TRANSFER, b"\x22"),
        (Method.CREATE_ACCOUNT, b"\x0a"),
        (Method.CREATE_ACCOUNT, b"\x1a"),
    ],
)
def test_group_is_found_in_every_message_of_a_write(method: Method, place: bytes) -> None:
    nested = group(15, b"")
    body = SENT[method] + place + varint(len(nested)) + nested
    assert refused(method, body).reason == "REQUEST_MALFORMED"


@given(st.sampled_from([*SENT]), st.lists(harmless, max_size=5))
def test_other_fields_of_a_newer_client_reach_the_log_untouched(method: Method, fields: list[bytes]) -> None:
    body = SENT[method] + b"".join(fields)
    write = decode_request(method, body)
    assert isinstance(write, Write)
    assert write.raw == wrap_command(method, body)


@pytest.mark.parametrize("method", SENT)
def test_fields_unknown_here_have_a_bound(method: Method) -> None:
    """Each is looked at, so a request full of the smallest would hold up everybody else."""
    refusal = refused(method, SENT[method] + b"\x78\x00" * (UNKNOWN_BYTES_MAX // 2 + 1))
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert str(UNKNOWN_BYTES_MAX) in refusal.message


def test_wide_batch_may_hold_unknown_fields_too() -> None:
    rows = 2000
    tx_ids, sources, targets = [TxId(f"t{row}") for row in range(rows)], [A] * rows, [B] * rows
    body = client_codec.encode_submit_transfers(tx_ids, sources, targets, [1] * rows) + b"\x7a\x05newer"
    assert len(body) > UNKNOWN_BYTES_MAX
    write = decode_request(Method.SUBMIT_TRANSFERS, body)
    assert isinstance(write, Write)
    assert write.command == SubmitTransfers(tx_ids, sources, targets, [1] * rows)
    assert write.raw.endswith(b"newer")
