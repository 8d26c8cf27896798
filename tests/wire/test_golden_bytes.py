"""The test vectors of docs/protocol.md: one frame of each kind, byte for byte.

Other programs and older nodes read these bytes. If this test fails, the format has changed: that
needs a new protocol version, not new vectors.
"""

import re
from pathlib import Path

import pytest

from bankd.errors import Code, Refusal
from bankd.ledger.commands import TransfersDone
from bankd.pb import wire_pb2
from bankd.raft.messages import AppendRequest, Entry, EntryType
from bankd.types import LogIndex, NodeId, Term, TimeNs
from bankd.wire.client_codec import encode_submit_transfers
from bankd.wire.frames import FLAG_HOPPED, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, encode_hello
from bankd.wire.methods import Method
from bankd.wire.raft_codec import encode_message
from bankd.wire.refusals import encode_refusal
from bankd.wire.requests import Write, decode_request
from bankd.wire.responses import encode_response

PROTOCOL_PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
CALL_ID = 42


def response_body(request: bytes) -> bytes:
    write = decode_request(Method.SUBMIT_TRANSFERS, request)
    assert isinstance(write, Write)
    done = TransfersDone(LogIndex(9), TimeNs(1_790_000_000_000_000_000), b"\x01", {})
    body = encode_response(Method.SUBMIT_TRANSFERS, write, done)
    assert isinstance(body, bytes)
    return body


def vectors() -> dict[str, bytes]:
    submit = encode_submit_transfers(["t1"], ["a"], ["b"], [30])
    refusal = Refusal(Code.UNAVAILABLE, "NOT_LEADER", "n2 leads", retryable=True, leader_id="n2")
    noop = Entry(LogIndex(9), Term(3), EntryType.NOOP, b"")
    append = AppendRequest(NodeId("n2"), NodeId("n1"), Term(3), LogIndex(8), Term(2), LogIndex(8), (noop,))
    goaway = wire_pb2.Goaway(reason="shutting down").SerializeToString()
    method = Method.SUBMIT_TRANSFERS
    return {
        "hello": encode_hello(Hello(PeerRole.CLIENT, cluster="main", software="example 1.0")),
        "request": encode_frame(FrameKind.REQUEST, method, CALL_ID, submit, flags=FLAG_HOPPED, deadline_ms=1500),
        "response": encode_frame(FrameKind.RESPONSE, method, CALL_ID, response_body(submit)),
        "error": encode_frame(FrameKind.ERROR, method, CALL_ID, encode_refusal(refusal)),
        "item": encode_frame(FrameKind.ITEM, Method.RAFT, 0, encode_message(append)),
        "end": encode_frame(FrameKind.END, Method.NONE, CALL_ID),
        "cancel": encode_frame(FrameKind.CANCEL, Method.NONE, CALL_ID),
        "ping": encode_frame(FrameKind.PING, Method.NONE, 7, b"beat"),
        "pong": encode_frame(FrameKind.PONG, Method.NONE, 7, b"beat"),
        "goaway": encode_frame(FrameKind.GOAWAY, Method.NONE, 0, goaway),
    }


def published() -> dict[str, bytes]:
    [block] = re.findall(r"^```text\n(.*?)^```", PROTOCOL_PAGE.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.split(maxsplit=1) for line in block.splitlines()]
    return {name: bytes.fromhex(digits) for name, digits in lines}


def test_published_vectors_cover_every_kind_of_frame() -> None:
    assert [*published()] == [kind.name.lower() for kind in FrameKind]


@pytest.mark.parametrize("kind", FrameKind, ids=lambda kind: kind.name)
def test_bytes_are_those_published(kind: FrameKind) -> None:
    name = kind.name.lower()
    assert vectors()[name].hex(" ") == published()[name].hex(" ")


@pytest.mark.parametrize("kind", FrameKind, ids=lambda kind: kind.name)
def test_published_bytes_are_read_as_that_kind(kind: FrameKind) -> None:
    [frame] = FrameDecoder().feed(published()[kind.name.lower()])
    assert frame.kind is kind
