"""The bodies of log entries: what clients encoded is what apply reads, and reading is total (K14)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import ProtocolError, UnknownEntryVersion
from bankd.ledger.commands import Command, CreateAccount, SubmitTransfers, Unreadable
from bankd.pb import bank_pb2, entry_pb2, ledger_pb2
from bankd.raft.messages import Configuration
from bankd.types import AccountId, NodeId, TimeNs, TxId
from bankd.wire.entries import (
    DecodedBatch,
    decode_batch,
    decode_configuration,
    encode_batch_head,
    encode_configuration,
    wrap_command,
)
from bankd.wire.methods import Method
from tests.wire.strategies import configurations, text, u64

NOW = TimeNs(1_790_000_000_000_000_000)
A, B = AccountId("a"), AccountId("b")

CREATE = bank_pb2.CreateAccountRequest(
    account=bank_pb2.AccountId(id="a"), initial_balance=500, request_id=bank_pb2.ClientTxId(id="r1")
).SerializeToString()
TRANSFER = bank_pb2.TransferRequest(
    to=bank_pb2.AccountId(id="b"),
    amount=30,
    client_tx_id=bank_pb2.ClientTxId(id="t1"),
    **{"from": bank_pb2.AccountId(id="a")},
).SerializeToString()
SUBMIT = ledger_pb2.SubmitTransfersRequest(
    client_tx_ids=["t2", "t3"], sources=["a", "b"], targets=["b", "a"], amounts=[1, 2]
).SerializeToString()

SAMPLES: list[tuple[Method, bytes, Command]] = [
    (Method.CREATE_ACCOUNT, CREATE, CreateAccount(A, 500, TxId("r1"))),
    (Method.TRANSFER, TRANSFER, SubmitTransfers((TxId("t1"),), (A,), (B,), (30,))),
    (Method.SUBMIT_TRANSFERS, SUBMIT, SubmitTransfers([TxId("t2"), TxId("t3")], [A, B], [B, A], [1, 2])),
]
UNKNOWN_FIELD = b"\xf2\x06\x05newer"  # field 110, a string: from a client newer than this program
POISON = b"\x0a\x02\x0a\xff"  # its account id ends in the middle


def batch(*wrapped: bytes, time_ns: TimeNs = NOW) -> bytes:
    return encode_batch_head(time_ns) + b"".join(wrapped)


@given(st.lists(st.sampled_from(SAMPLES), max_size=20), u64)
def test_commands_come_back_in_order_with_the_leaders_stamp(
    samples: list[tuple[Method, bytes, Command]], time: int
) -> None:
    wrapped = [wrap_command(method, request) for method, request, _ in samples]
    decoded = decode_batch(batch(*wrapped, time_ns=TimeNs(time)))
    assert decoded == DecodedBatch(TimeNs(time), [command for _, _, command in samples])


@given(st.integers(1, 2**64 - 1))
def test_head_is_what_the_published_schema_says(time: int) -> None:
    assert encode_batch_head(TimeNs(time)) == entry_pb2.CommandBatch(version=1, time_ns=time).SerializeToString()


@pytest.mark.parametrize(("method", "request_body", "command"), SAMPLES)
def test_wrapped_command_is_what_the_published_schema_says(
    method: Method, request_body: bytes, command: Command
) -> None:
    parsed = entry_pb2.CommandBatch.FromString(batch(wrap_command(method, request_body)))
    field = method.name.lower()
    assert (parsed.version, parsed.time_ns, len(parsed.commands)) == (1, NOW, 1)
    assert getattr(parsed.commands[0], field).SerializeToString() == request_body


@pytest.mark.parametrize(("method", "request_body", "command"), SAMPLES)
def test_fields_unknown_here_reach_the_entry_unchanged(method: Method, request_body: bytes, command: Command) -> None:
    """The client's bytes are never re-encoded, so a newer node can still read what it sent."""
    raw = request_body + UNKNOWN_FIELD
    body = batch(wrap_command(method, raw))
    assert body.endswith(raw)
    assert decode_batch(body).commands == [command]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_request_of_any_length_can_be_wrapped(size: int) -> None:
    """The lengths at which protobuf's length field grows by a byte."""
    request = ledger_pb2.SubmitTransfersRequest(client_tx_ids=["x" * size] if size else []).SerializeToString()
    [command] = decode_batch(batch(wrap_command(Method.SUBMIT_TRANSFERS, request))).commands
    assert isinstance(command, SubmitTransfers)
    assert [len(tx_id) for tx_id in command.tx_ids] == ([size] if size else [])


def test_damaged_command_costs_only_itself() -> None:
    """K14, C10: the calls around it keep their places and their outcomes."""
    wrapped = [wrap_command(method, request) for method, request, _ in SAMPLES]
    wrapped.insert(1, wrap_command(Method.CREATE_ACCOUNT, POISON))
    commands = [command for _, _, command in SAMPLES]
    assert decode_batch(batch(*wrapped)) == DecodedBatch(NOW, [commands[0], Unreadable(), *commands[1:]])


def test_command_of_a_kind_unknown_here_is_unreadable() -> None:
    empty, newer = b"\x1a\x00", b"\x1a\x04\xf2\x06\x01x"
    assert decode_batch(batch(empty, newer)).commands == [Unreadable(), Unreadable()]


def test_body_that_is_no_batch_is_one_unreadable_command() -> None:
    assert decode_batch(b"\xff\xff\xff") == DecodedBatch(TimeNs(0), [Unreadable()])


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
@pytest.mark.parametrize("rest", [b"", wrap_command(Method.CREATE_ACCOUNT, POISON)])
def test_batch_of_an_unknown_version_stops_the_node_and_is_never_skipped(version: int, rest: bytes) -> None:
    body = entry_pb2.CommandBatch(version=version, time_ns=NOW).SerializeToString() + rest
    with pytest.raises(UnknownEntryVersion, match=str(version)):
        decode_batch(body)


@settings(max_examples=300)
@given(st.binary(max_size=80), st.booleans())
def test_reading_a_body_is_total_but_for_the_version(noise: bytes, behind_a_head: bool) -> None:
    body = batch(noise) if behind_a_head else noise
    try:
        decoded = decode_batch(body)
    except UnknownEntryVersion:
        return
    assert decode_batch(body) == decoded, "two readings differ"


@given(text, st.integers(-(2**63), 2**63 - 1))
def test_what_no_leader_lets_in_is_still_read(account: str, amount: int) -> None:
    """Judging is the ledger's; the codec lets any shape through."""
    request = bank_pb2.CreateAccountRequest(account=bank_pb2.AccountId(id=account), initial_balance=amount)
    decoded = decode_batch(batch(wrap_command(Method.CREATE_ACCOUNT, request.SerializeToString())))
    assert decoded.commands == [CreateAccount(AccountId(account), amount)]


@given(configurations)
def test_configuration_comes_back_as_it_was(configuration: Configuration) -> None:
    members = configuration.voters | configuration.voters_outgoing | configuration.learners
    addresses = {name: f"{name}:7401" for name in members}
    assert decode_configuration(encode_configuration(configuration, addresses)) == (configuration, addresses)


def test_configuration_has_one_encoding() -> None:
    """Sets have no order; bytes do, and they are the same on every node."""
    names = [NodeId(f"n{number}") for number in range(9)]
    encodings = {encode_configuration(Configuration(frozenset(order)), {}) for order in (names, names[::-1])}
    assert len(encodings) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"",
        entry_pb2.Configuration(learners=[entry_pb2.Member(node_id="n1")]).SerializeToString(),
        entry_pb2.Configuration(voters=[entry_pb2.Member(address="host:1")]).SerializeToString(),
    ],
)
def test_what_is_no_configuration_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_configuration(body)
