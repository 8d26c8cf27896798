"""Who may talk to whom, as a table."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd.errors import Code, HandshakeRefused, ProtocolError, Refusal
from bankd.pb import wire_pb2 as pb
from bankd.types import ClusterId, Incarnation, NodeId, Start
from bankd.wire.frames import HELLO_BYTES_MAX, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import (
    BOOTS_MAX,
    MAGIC,
    Endpoint,
    Hello,
    PeerRole,
    boots_told,
    decode_hello,
    encode_hello,
    judge_hello,
)
from bankd.wire.methods import Method
from bankd.wire.refusals import decode_refusal, encode_refusal
from tests.wire.strategies import hellos

N1 = Hello(PeerRole.PEER, "main", ClusterId(7), NodeId("n1"), Incarnation(0xA1))
N2 = Hello(PeerRole.PEER, "main", ClusterId(7), NodeId("n2"), Incarnation(0xA2))
CLIENT = Hello(PeerRole.CLIENT)


def received(stream: bytes) -> Hello:
    [frame] = FrameDecoder().feed(stream)
    return decode_hello(frame)


def reason(refusal: Refusal | None) -> str | None:
    return refusal.reason if refusal else None


@given(hellos)
def test_hello_comes_back_as_it_was(hello: Hello) -> None:
    assert received(encode_hello(hello)) == hello


def test_hello_of_a_large_cluster_fits_its_bound() -> None:
    endpoints = tuple(Endpoint(NodeId(f"node-{n:02}"), f"node-{n:02}.ledger.example.org:7401") for n in range(32))
    assert len(encode_hello(attrs.evolve(N1, endpoints=endpoints))) <= HELLO_BYTES_MAX


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (N1, N2, None),
        (N1, CLIENT, None),
        (CLIENT, N1, None),
        (N1, attrs.evolve(CLIENT, cluster="main", cluster_id=ClusterId(7)), None),
        (N1, attrs.evolve(N2, version_min=2, version_max=3), "VERSION_UNSUPPORTED"),
        (N1, attrs.evolve(N2, version_min=0, version_max=0), "VERSION_UNSUPPORTED"),
        (N1, attrs.evolve(N2, version_min=0, version_max=9), None),
        (N1, attrs.evolve(N2, version_min=3, version_max=1), "VERSION_UNSUPPORTED"),
        (N1, attrs.evolve(N2, cluster="other"), "WRONG_CLUSTER"),
        (N1, attrs.evolve(N2, cluster=""), "WRONG_CLUSTER"),
        (N1, attrs.evolve(CLIENT, cluster="other"), "WRONG_CLUSTER"),
        (attrs.evolve(CLIENT, cluster="other"), N1, "WRONG_CLUSTER"),
        (N1, attrs.evolve(N2, cluster_id=ClusterId(8)), "WRONG_CLUSTER"),
        (N1, attrs.evolve(N2, cluster_id=ClusterId(0)), "WRONG_CLUSTER"),
        (N1, attrs.evolve(CLIENT, cluster_id=ClusterId(8)), "WRONG_CLUSTER"),
        (N1, attrs.evolve(N2, node_id=NodeId("")), "NODE_ID_MISSING"),
        (N1, attrs.evolve(N2, node_id=NodeId("n1")), "NODE_ID_TAKEN"),
    ],
)
def test_judgement_on_a_hello(ours: Hello, theirs: Hello, expected: str | None) -> None:
    refusal = judge_hello(ours, theirs)
    assert reason(refusal) == expected
    assert refusal is None or (refusal.code is Code.FAILED_PRECONDITION and not refusal.retryable)


def test_node_with_another_incarnation_than_the_known_one_is_refused() -> None:
    """D09, R14: a node that lost its disk is not the voter that it was."""
    assert judge_hello(N1, N2, known=Start(Incarnation(0xA2))) is None
    for theirs in (N2, attrs.evolve(N2, refilling=True)):
        assert reason(judge_hello(N1, theirs, known=Start(Incarnation(0xB2)))) == "NODE_ID_REUSED"


@pytest.mark.parametrize(
    ("boots", "nonces", "copied", "expected"),
    [
        (5, (77, 74), False, None),  # the same process connects again
        (6, (78, 77), False, None),
        (9, (81, 80, 79, 78, 77, 74), False, None),
        (9, (81, 80, 79, 78), False, None),  # which start was the fifth, it has forgotten
        (9, (), False, None),
        (5, (78, 74), False, "OLDER_COPY"),  # the first start of a copy that was taken before this one
        (6, (79, 78, 74), False, "OLDER_COPY"),  # the second one
        (9, (82, 81, 80, 79, 78), False, "OLDER_COPY"),
        (4, (78,), False, "OLDER_COPY"),
        (4, (77,), False, "OLDER_COPY"),
        (4, (), False, "OLDER_COPY"),
        (4, (78,), True, None),
        (5, (78,), True, None),
        (0, (), False, None),  # a program that does not say it
    ],
)
def test_start_that_does_not_follow_upon_the_known_one_is_of_an_older_copy(
    boots: int, nonces: tuple[int, ...], copied: bool, expected: str | None
) -> None:  # D10
    """One that is refilling for another reason is turned away as well: it does not know that its term is old."""
    theirs = attrs.evolve(N2, boots=boots, nonces=nonces, copied=copied, refilling=True)
    refusal = judge_hello(N1, theirs, known=Start(N2.incarnation, 5, 77))
    assert reason(refusal) == expected
    if refusal is not None:
        assert "node 'n2' has started 5 times as far as we know, its directory says" in refusal.message
        assert boots_told(decode_refusal(encode_refusal(refusal)), theirs) == 5


@pytest.mark.parametrize("metadata", [{}, {"boots": ""}, {"boots": "x"}, {"boots": "-1"}, {"boots": "9" * 5000}])
def test_refusal_without_a_number_tells_none(metadata: dict[str, str]) -> None:
    assert boots_told(Refusal(Code.FAILED_PRECONDITION, "OLDER_COPY", "", metadata=metadata), N2) is None


@pytest.mark.parametrize(
    ("copied", "told", "believed"),
    [
        (False, 5, True),
        (False, 4, True),  # another start was the fourth
        (
            False,
            3,
            False,
        ),  # which start was the third, this node does not remember, so the other side cannot have known
        (False, BOOTS_MAX, True),
        (False, BOOTS_MAX + 1, False),
        (True, 5, False),
    ],
)
def test_number_of_starts_is_believed_only_where_it_can_be_true(copied: bool, told: int, believed: bool) -> None:
    refusal = Refusal(Code.FAILED_PRECONDITION, "OLDER_COPY", "", metadata={"boots": str(told)})
    ours = attrs.evolve(N2, boots=5, nonces=(77, 74), refilling=True, copied=copied)
    assert boots_told(refusal, ours) == (told if believed else None)
    assert boots_told(attrs.evolve(refusal, reason="WRONG_NODE"), ours) is None


def test_dialer_that_reaches_another_node_than_it_meant_refuses() -> None:
    assert judge_hello(N1, N2, expected_node_id=NodeId("n2")) is None
    assert reason(judge_hello(N1, N2, expected_node_id=NodeId("n3"))) == "WRONG_NODE"


def test_refusal_in_place_of_a_hello_is_raised_in_the_acceptors_words() -> None:
    refusal = Refusal(Code.FAILED_PRECONDITION, "WRONG_CLUSTER", "this is cluster 'main'")
    with pytest.raises(HandshakeRefused, match="this is cluster 'main'") as refused:
        received(encode_frame(FrameKind.ERROR, Method.NONE, 0, encode_refusal(refusal)))
    assert refused.value.refusal == refusal


@pytest.mark.parametrize("kind", [kind for kind in FrameKind if kind not in (FrameKind.HELLO, FrameKind.ERROR)])
def test_any_other_first_frame_is_a_protocol_error(kind: FrameKind) -> None:
    with pytest.raises(ProtocolError):
        received(encode_frame(kind, Method.NONE, 0, pb.Hello(magic=MAGIC, role=pb.CLIENT).SerializeToString()))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"",
        pb.Hello(magic=MAGIC + 1, role=pb.CLIENT).SerializeToString(),
        pb.Hello(magic=MAGIC).SerializeToString(),  # no role
        pb.Hello(magic=MAGIC, role=9).SerializeToString(),  # type: ignore[arg-type]
    ],
)
def test_first_frame_that_is_no_hello_of_ours_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        received(encode_frame(FrameKind.HELLO, Method.NONE, 0, body))


@given(st.binary(max_size=60))
def test_made_up_hello_raises_nothing_but_a_protocol_error(body: bytes) -> None:
    try:
        received(encode_frame(FrameKind.HELLO, Method.NONE, 0, body))
    except ProtocolError:
        pass


def test_hello_of_a_newer_program_is_understood() -> None:
    """Fields that are not known here are passed over."""
    [frame] = FrameDecoder().feed(encode_hello(N2))
    newer = frame._replace(body=frame.body + b"\xf2\x06\x03new")  # field 110, a string
    assert decode_hello(newer) == N2
