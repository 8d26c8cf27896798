"""Frames that were sound once, and bytes that never were, against everything that reads from a connection (N08).

Twenty thousand streams from a seed: bodies are damaged inside frames that are sound, so that every decoder is
reached, and streams are damaged as a whole. Nothing but the wire's own errors comes out, whatever the splits,
and nothing is kept beyond the bound. A failure names the stream's number; `drawn_stream(number)` makes it again.
"""

import re
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, cast

import pytest

from bankd.errors import Code, HandshakeRefused, ProtocolError, Refusal
from bankd.pb import bank_pb2, ledger_pb2
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.sim.random import Stream
from bankd.status import DigestReport, LeadershipMoved, MemberStatus, NodeStatus, SnapshotPart, SnapshotTaken
from bankd.types import (
    LINEARIZABLE,
    AtLeast,
    Bounded,
    ClusterId,
    Incarnation,
    LogIndex,
    NodeId,
    Stale,
    Term,
    TimeNs,
)
from bankd.wire import client_codec
from bankd.wire.entries import decode_batch, encode_batch_head
from bankd.wire.frames import (
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    HELLO_BYTES_MAX,
    Frame,
    FrameDecoder,
    FrameKind,
    encode_frame,
)
from bankd.wire.hello import Endpoint, Hello, PeerRole, decode_hello, encode_hello
from bankd.wire.methods import Method
from bankd.wire.raft_codec import decode_message, encode_message
from bankd.wire.refusals import decode_refusal, encode_refusal
from bankd.wire.requests import Write, decode_request
from bankd.wire.snapshot_codec import encode_snapshot_part, encode_snapshot_taken
from bankd.wire.status_codec import encode_digest_report, encode_leadership_moved, encode_node_status

SEED: Final = 1
STREAMS: Final = 20_000
MEASURED_EVERY: Final = 20  # of the streams, for what they allocate: measuring is slow
KEPT_PER_BYTE_MAX: Final = 64  # of Python's memory for each byte received: the smallest row of a batch makes objects
KEPT_MAX: Final = 32 * 1024  # and beside that

SENDER, TO = NodeId("n1"), NodeId("n2")
TERM, INDEX = Term(5), LogIndex(9)


def sound_requests() -> Mapping[Method, Sequence[bytes]]:
    codec = client_codec
    rows = [f"t{row}" for row in range(40)]
    return {
        Method.CREATE_ACCOUNT: [codec.encode_create_account("alice", 500, "r1"), codec.encode_create_account("bob")],
        Method.TRANSFER: [
            bank_pb2.TransferRequest(
                to=bank_pb2.AccountId(id="bob"),
                amount=7,
                client_tx_id=bank_pb2.ClientTxId(id="t1"),
                **{"from": bank_pb2.AccountId(id="alice")},
            ).SerializeToString()
        ],
        Method.SUBMIT_TRANSFERS: [
            codec.encode_submit_transfers(["t1"], ["alice"], ["bob"], [7]),
            codec.encode_submit_transfers(rows, ["alice"] * 40, ["bob"] * 40, range(1, 41)),
        ],
        Method.GET_BALANCE: [codec.encode_get_balance("alice", LINEARIZABLE)],
        Method.GET_TRANSFER_STATUS: [codec.encode_get_transfer_status("t1", Bounded(500))],
        Method.GET_ACCOUNT: [codec.encode_get_account("@opening", AtLeast(INDEX))],
        Method.LIST_ACCOUNTS: [codec.encode_list_accounts("alice", 10, True, Stale())],
        Method.GET_NODE_STATUS: [codec.encode_node_status()],
        Method.GET_DIGEST: [codec.encode_digest(INDEX)],
        Method.TRANSFER_LEADERSHIP: [codec.encode_transfer_leadership(TO)],
        Method.READ_SNAPSHOT: [codec.encode_snapshot_read(INDEX, TERM, 100)],
    }


def sound_responses() -> Mapping[Method, Sequence[bytes]]:
    account = ledger_pb2.Account(account=bank_pb2.AccountId(id="alice"), balance=5, initial_balance=9, created_index=2)
    detail = ledger_pb2.TransferDetail(row=1, index=4, available=3, differs=["amount"])
    member = MemberStatus(TO, "host:1", True, INDEX, 3, 4, True)
    status = NodeStatus(
        "main", ClusterId(7), SENDER, Incarnation(8), "leader", TERM, TO, INDEX, INDEX, INDEX, bytes(16), 0, 1, 2, "0.1.0",
        3, 4, 5, (member, member),
    )  # fmt: skip
    messages = {
        Method.CREATE_ACCOUNT: bank_pb2.CreateAccountResponse(success=True, message="Account created", index=9),
        Method.SUBMIT_TRANSFERS: ledger_pb2.SubmitTransfersResponse(index=9, outcomes=b"\1\2\3", details=[detail]),
        Method.GET_BALANCE: bank_pb2.GetBalanceResponse(balance=0, index=9),
        Method.GET_TRANSFER_STATUS: bank_pb2.GetTransferStatusResponse(
            status="COMMITTED_OK", to=bank_pb2.AccountId(id="bob"), amount=7, index=9
        ),
        Method.GET_ACCOUNT: ledger_pb2.GetAccountResponse(account=account, index=9),
        Method.LIST_ACCOUNTS: ledger_pb2.ListAccountsResponse(accounts=[account] * 3, more=True, index=9),
    }
    return {method: [message.SerializeToString()] for method, message in messages.items()} | {
        Method.GET_NODE_STATUS: [encode_node_status(status)],
        Method.GET_DIGEST: [encode_digest_report(DigestReport(INDEX, bytes(16), 0))],
        Method.TRANSFER_LEADERSHIP: [encode_leadership_moved(LeadershipMoved(TO, TERM))],
        Method.TRIGGER_SNAPSHOT: [encode_snapshot_taken(SnapshotTaken(INDEX, TERM, 10**6, bytes(16), 15))],
        Method.READ_SNAPSHOT: [encode_snapshot_part(SnapshotPart(INDEX, TERM, 10**6, bytes(16), 100, b"d" * 200))],
    }


RESPONSE_READERS: Final[Mapping[int, Callable[[bytes], object]]] = {
    Method.CREATE_ACCOUNT: client_codec.decode_create_account,
    Method.SUBMIT_TRANSFERS: lambda body: client_codec.decode_submit_transfers(body, 3),
    Method.GET_BALANCE: client_codec.decode_get_balance,
    Method.GET_TRANSFER_STATUS: lambda body: client_codec.decode_get_transfer_status(body, "t1"),
    Method.GET_ACCOUNT: client_codec.decode_get_account,
    Method.LIST_ACCOUNTS: client_codec.decode_list_accounts,
    Method.GET_NODE_STATUS: client_codec.decode_node_status,
    Method.GET_DIGEST: client_codec.decode_digest,
    Method.TRANSFER_LEADERSHIP: client_codec.decode_transfer_leadership,
    Method.TRIGGER_SNAPSHOT: client_codec.decode_snapshot_taken,
    Method.READ_SNAPSHOT: lambda body: client_codec.decode_snapshot_part(body, INDEX, TERM, 100),
}


def sound_messages() -> Sequence[Message]:
    entries = tuple(Entry(LogIndex(10 + at), TERM, EntryType.COMMANDS, bytes([at]) * 50 * at) for at in range(4))
    return [
        AppendRequest(TO, SENDER, TERM, INDEX, Term(4), INDEX, entries),
        AppendRequest(TO, SENDER, TERM, INDEX, Term(4), INDEX, ()),
        AppendResponse(TO, SENDER, TERM, True, INDEX, LogIndex(0), Term(0)),
        VoteRequest(TO, SENDER, TERM, INDEX, Term(4), True, False),
        VoteResponse(TO, SENDER, TERM, True, False),
        HeartbeatRequest(TO, SENDER, TERM, INDEX, 300),
        HeartbeatResponse(TO, SENDER, TERM, 300),
        ReadIndexRequest(TO, SENDER, TERM, 2**40),
        ReadIndexResponse(TO, SENDER, TERM, 2**40, INDEX, False),
        TimeoutNow(TO, SENDER, TERM),
    ]


def sound_hello() -> bytes:
    """The body."""
    endpoints = tuple(Endpoint(NodeId(f"n{at}"), f"host{at}:7000") for at in range(5))
    hello = Hello(
        PeerRole.PEER, "main", ClusterId(7), SENDER, Incarnation(8), credentials=b"x" * 30, endpoints=endpoints
    )
    return encode_hello(hello)[HEADER_BYTES:]


def sound_frames() -> list[tuple[FrameKind, int, bytes]]:
    refusal = Refusal(Code.UNAVAILABLE, "NO_LEADER", "words", True, {"client_tx_id": "t1"}, 50, "n2", "host:1")
    frames: list[tuple[FrameKind, int, bytes]] = [
        *((FrameKind.REQUEST, method, body) for method, bodies in sound_requests().items() for body in bodies),
        *((FrameKind.RESPONSE, method, body) for method, bodies in sound_responses().items() for body in bodies),
        *((FrameKind.ITEM, Method.RAFT, encode_message(message)) for message in sound_messages()),
        (FrameKind.ERROR, Method.NONE, encode_refusal(refusal)),
        (FrameKind.PING, Method.NONE, b"12345678"),
    ]
    hello = (FrameKind.HELLO, Method.NONE, sound_hello())
    return frames + [hello] * 4  # met often: its reader faces strangers


FRAMES: Final = sound_frames()
BODIES: Final = [body for _, _, body in FRAMES]


# Damage


def replaced(data: bytes, start: int, end: int, by: bytes) -> bytes:
    return data[:start] + by + data[end:]


def flip_a_bit(data: bytes, stream: Stream) -> bytes:
    at = stream.below(len(data))
    return replaced(data, at, at + 1, bytes([data[at] ^ 1 << stream.below(8)]))


def set_a_byte(data: bytes, stream: Stream) -> bytes:
    at = stream.below(len(data))
    return replaced(data, at, at + 1, bytes([stream.pick([0, 1, 0x0B, 0x7F, 0x80, 0xFF, stream.below(256)])]))


def cut_off(data: bytes, stream: Stream) -> bytes:
    return data[: stream.below(len(data))]


def take_out(data: bytes, stream: Stream) -> bytes:
    start = stream.below(len(data))
    return replaced(data, start, start + stream.between(1, 8), b"")


def put_in(data: bytes, stream: Stream) -> bytes:
    at = stream.below(len(data) + 1)
    return replaced(data, at, at, garbage(stream, 12))


def repeat(data: bytes, stream: Stream) -> bytes:
    start = stream.below(len(data))
    end = start + stream.between(1, 40)
    return replaced(data, start, end, data[start:end] * stream.between(2, 30))


def splice(data: bytes, stream: Stream) -> bytes:
    other = stream.pick(BODIES)
    return data[: stream.below(len(data) + 1)] + other[stream.below(len(other) + 1) :]


def claim_a_length(data: bytes, stream: Stream) -> bytes:
    """A number of up to ten bytes, where a length or a count may stand."""
    at = stream.below(len(data))
    return replaced(data, at, at + 1, b"\xff" * stream.between(1, 9) + b"\x7f")


def nest(data: bytes, stream: Stream) -> bytes:
    """Groups in groups, or messages in messages, deeper than any parser goes."""
    opening, closing = stream.pick([(b"\x0b", b"\x0c"), (b"\x0a\x7f", b""), (b"\x53", b"\x54"), (b"\x53", b"")])
    depth = stream.between(1, 300)
    return data + opening * depth + closing * depth


DAMAGES: Final = (flip_a_bit, set_a_byte, cut_off, take_out, put_in, repeat, splice, claim_a_length, nest)


def garbage(stream: Stream, bytes_max: int) -> bytes:
    return bytes(stream.below(256) for _ in range(stream.between(1, bytes_max)))


def damaged(data: bytes, stream: Stream) -> bytes:
    for _ in range(stream.between(1, 3)):
        data = stream.pick(DAMAGES)(data or b"\0", stream)
    return data


def drawn_frame(stream: Stream) -> bytes:
    kind, method, body = stream.pick(FRAMES)
    if stream.chance(750_000):
        body = damaged(body, stream)
    if stream.chance(50_000):
        kind, method = stream.pick(list(FrameKind)), stream.pick([*Method, 999])
    if stream.chance(10_000):
        kind = cast("FrameKind", stream.below(256))
    return encode_frame(
        kind, method, stream.below(2**64), body, flags=stream.below(256), deadline_ms=stream.below(2**32)
    )


def drawn_stream(number: int) -> tuple[bytes, Stream]:
    """Return the bytes, and what goes on drawing."""
    stream = Stream(SEED, f"frames {number}")
    if stream.chance(50_000):
        return garbage(stream, 300), stream
    data = b"".join(drawn_frame(stream) for _ in range(stream.between(1, 4)))
    return (damaged(data, stream) if stream.chance(300_000) else data), stream


# The judge


def read(frame: Frame) -> str:
    """Read a frame as whoever gets it would; return what came out.

    Raises ProtocolError, HandshakeRefused: as its readers may.
    """
    match frame.kind:
        case FrameKind.REQUEST:
            request = decode_request(frame.method, frame.body)
            if isinstance(request, Write):
                log_says = decode_batch(encode_batch_head(TimeNs(1)) + request.raw).commands
                assert log_says == [request.command], "the log says something else than the door"
            return "refused" if isinstance(request, Refusal) else "request"
        case FrameKind.RESPONSE:
            reader = RESPONSE_READERS.get(frame.method)
            if reader is not None:
                reader(frame.body)
            return "response"
        case FrameKind.ITEM:
            decode_message(frame.body, sender=SENDER, to=TO)
            return "message"
        case FrameKind.HELLO:
            decode_hello(frame)
            return "hello"
        case FrameKind.ERROR:
            decode_refusal(frame.body)
            decode_hello(frame)
            raise AssertionError("an error passed for a Hello")
        case _:
            assert isinstance(frame.kind, FrameKind)
            return "bare"


class Fuzzer:
    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()

    def judge(self, number: int) -> None:
        data, stream = drawn_stream(number)
        frame_bytes_max = stream.pick([100, 300, HELLO_BYTES_MAX, FRAME_BYTES_MAX])
        cuts = sorted(stream.below(len(data) + 1) for _ in range(stream.below(6)))
        frames, fault = received([data[start:end] for start, end in pairwise([0, *cuts, len(data)])], frame_bytes_max)
        at_once, same_fault = received([data], frame_bytes_max)
        assert fault == same_fault, "another verdict for other splits"
        assert fault or frames == at_once, "other frames for other splits"
        self.answers["broken" if fault else "unbroken"] += 1
        for frame in frames:
            self._judge_frame(frame)

    def _judge_frame(self, frame: Frame) -> None:
        try:
            self.answers[read(frame)] += 1
        except ProtocolError as error:
            self.answers[f"{frame.kind.name} {type(error).__name__}"] += 1
        except HandshakeRefused:
            self.answers["handshake refused"] += 1


def received(parts: Sequence[bytes], frame_bytes_max: int) -> tuple[list[Frame], str | None]:
    """Feed a decoder; return the frames, and what broke the stream."""
    decoder = FrameDecoder(frame_bytes_max)
    frames: list[Frame] = []
    fed = 0
    for part in parts:
        fed += len(part)
        try:
            frames += decoder.feed(part)
        except ProtocolError as fault:
            with pytest.raises(ProtocolError, match=re.escape(str(fault))):
                decoder.feed(encode_frame(FrameKind.PING, 0, 0))  # there is no way back
            assert decoder.pending_bytes == 0
            return frames, str(fault)
        assert decoder.pending_bytes < frame_bytes_max
        assert sum(HEADER_BYTES + len(frame.body) for frame in frames) + decoder.pending_bytes == fed
    return frames, None


def allocated_by(judge: Callable[[int], None], number: int) -> int:
    """Return the bytes that were in use at most, above those before."""
    tracemalloc.start()
    try:
        judge(number)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_damaged_and_made_up_frames_end_in_the_wires_own_errors_and_keep_little() -> None:
    fuzzer = Fuzzer()
    for number in range(STREAMS):
        try:
            if number % MEASURED_EVERY:
                fuzzer.judge(number)
            else:
                allocated = allocated_by(fuzzer.judge, number)
                assert allocated < KEPT_MAX + KEPT_PER_BYTE_MAX * len(drawn_stream(number)[0])
        except BaseException as error:
            error.add_note(f"stream {number}")
            raise
    assert fuzzer.answers["broken"] + fuzzer.answers["unbroken"] == STREAMS
    reached = {"broken", "request", "refused", "response", "message", "hello", "handshake refused"}
    assert min(fuzzer.answers[answer] for answer in reached) > STREAMS // 100, fuzzer.answers
