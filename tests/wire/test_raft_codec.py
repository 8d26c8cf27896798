"""Raft messages over the wire: round trips, the published shape, and what no sound peer sends."""

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd.errors import ProtocolError
from bankd.pb import raft_pb2 as pb
from bankd.raft.messages import AppendRequest, Entry, EntryType
from bankd.replica.comparison import DigestNotice
from bankd.replica.events import PeerMessage
from bankd.types import LogIndex, Term
from bankd.wire.raft_codec import COUNTER_MAX, decode_message, encode_message
from tests.wire.strategies import SENDER, TO, append_requests, messages


def decoded(body: bytes) -> PeerMessage:
    return decode_message(body, sender=SENDER, to=TO)


@given(messages)
def test_message_comes_back_as_it_was(message: PeerMessage) -> None:
    assert decoded(encode_message(message)) == message


@given(messages)
def test_message_names_neither_sender_nor_receiver(message: PeerMessage) -> None:
    """They are the connection's; a peer cannot speak for another."""
    elsewhere = attrs.evolve(message, to=SENDER, sender=TO)
    assert encode_message(elsewhere) == encode_message(message)


@given(append_requests())
def test_append_framed_by_hand_is_what_the_published_schema_says(message: AppendRequest) -> None:
    """The bytes differ from the generated class's at most in zeros that it leaves out."""
    entries = [
        pb.Entry(index=e.index, term=e.term, type=pb.EntryType.Name(e.type), body=e.body) for e in message.entries
    ]
    request = pb.AppendRequest(
        prev_index=message.prev_index, prev_term=message.prev_term, commit_index=message.commit_index, entries=entries
    )
    expected = pb.Message(term=message.term, append_request=request)
    assert pb.Message.FromString(encode_message(message)) == expected
    assert decoded(expected.SerializeToString()) == message


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_097_152])
def test_entry_body_of_any_length_arrives(size: int) -> None:
    """The lengths at which protobuf's length field grows by a byte."""
    entry = Entry(LogIndex(9), Term(3), EntryType.COMMANDS, bytes(size))
    message = AppendRequest(TO, SENDER, Term(3), LogIndex(8), Term(3), LogIndex(8), (entry,))
    assert decoded(encode_message(message)) == message


@given(st.binary(max_size=60))
def test_made_up_message_raises_nothing_but_a_protocol_error(body: bytes) -> None:
    try:
        decoded(body)
    except ProtocolError:
        pass


@given(messages, st.data())
def test_damaged_message_raises_nothing_but_a_protocol_error(message: PeerMessage, data: st.DataObject) -> None:
    damaged = bytearray(encode_message(message))
    if damaged:
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        decoded(bytes(damaged))
    except ProtocolError:
        pass


def append(change: Callable[[pb.AppendRequest], None]) -> bytes:
    """A sound AppendRequest of a leader in term 5, with entries 8@3 and 9@5 behind 7@3, spoilt."""
    entries = [pb.Entry(index=8, term=3, type=pb.NOOP), pb.Entry(index=9, term=5, type=pb.COMMANDS, body=b"x")]
    message = pb.Message(term=5, append_request=pb.AppendRequest(prev_index=7, prev_term=3, entries=entries))
    change(message.append_request)
    return message.SerializeToString()


def test_sound_append_is_taken() -> None:
    assert isinstance(decoded(append(lambda request: None)), AppendRequest)


def set_entry(place: int, **fields: object) -> Callable[[pb.AppendRequest], None]:
    def change(request: pb.AppendRequest) -> None:
        for field, number in fields.items():
            setattr(request.entries[place], field, number)

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(set_entry(0, index=7), id="entry_repeats_an_index"),
        pytest.param(set_entry(0, index=9), id="gap_behind_prev_index"),
        pytest.param(set_entry(1, index=10), id="gap_between_entries"),
        pytest.param(set_entry(1, term=2), id="term_falls"),
        pytest.param(set_entry(0, term=2), id="term_below_prev_term"),
        pytest.param(set_entry(1, term=6), id="term_above_the_leaders"),
        pytest.param(set_entry(0, type=0), id="entry_type_missing"),
        pytest.param(set_entry(0, type=99), id="entry_type_unknown"),
        pytest.param(lambda request: setattr(request, "prev_index", 2**64 - 1), id="prev_index_beyond_the_bound"),
        pytest.param(lambda request: setattr(request, "commit_index", COUNTER_MAX + 1), id="commit_beyond_the_bound"),
    ],
)
def test_append_that_no_sound_leader_sends_is_a_protocol_error(change: Callable[[pb.AppendRequest], None]) -> None:
    with pytest.raises(ProtocolError):
        decoded(append(change))


@pytest.mark.parametrize(("field", "wrong"), [
    ("index", 0), ("index", COUNTER_MAX + 1), ("last_term", 0), ("last_term", 6), ("size_bytes", COUNTER_MAX + 1),
    ("size_bytes", 11), ("offset", COUNTER_MAX + 1), ("offset", 91), ("content_id", b""), ("content_id", bytes(65)),
])  # fmt: skip
def test_snapshot_that_no_sound_leader_sends_is_a_protocol_error(field: str, wrong: object) -> None:
    """Ten bytes at 2 of a snapshot of 100, of 8@3, from a leader in term 5, with one field wrong."""
    sound = pb.SnapshotRequest(index=8, last_term=3, size_bytes=100, content_id=b"a", offset=2, data=bytes(10))
    assert decoded(pb.Message(term=5, snapshot_request=sound).SerializeToString())
    setattr(sound, field, wrong)
    with pytest.raises(ProtocolError):
        decoded(pb.Message(term=5, snapshot_request=sound).SerializeToString())


def test_entry_of_term_zero_is_a_protocol_error() -> None:
    entries = [pb.Entry(index=1, term=0, type=pb.NOOP)]
    with pytest.raises(ProtocolError):
        decoded(pb.Message(term=5, append_request=pb.AppendRequest(entries=entries)).SerializeToString())


HUGE = COUNTER_MAX + 1


@pytest.mark.parametrize(
    "message",
    [
        pb.Message(term=HUGE, timeout_now=pb.TimeoutNow()),
        pb.Message(vote_request=pb.VoteRequest(last_index=HUGE)),
        pb.Message(vote_request=pb.VoteRequest(last_term=HUGE)),
        pb.Message(append_response=pb.AppendResponse(match_index=HUGE)),
        pb.Message(append_response=pb.AppendResponse(hint_index=HUGE)),
        pb.Message(append_response=pb.AppendResponse(hint_term=HUGE)),
        pb.Message(heartbeat_request=pb.HeartbeatRequest(commit_index=HUGE)),
        pb.Message(heartbeat_request=pb.HeartbeatRequest(read_round=HUGE)),
        pb.Message(heartbeat_request=pb.HeartbeatRequest(barrier_index=HUGE)),
        pb.Message(heartbeat_response=pb.HeartbeatResponse(read_round=HUGE)),
        pb.Message(term=5, snapshot_response=pb.SnapshotResponse(content_id=b"a", received_bytes=HUGE)),
        pb.Message(read_index_request=pb.ReadIndexRequest(read_id=HUGE)),
        pb.Message(read_index_response=pb.ReadIndexResponse(read_id=HUGE)),
        pb.Message(read_index_response=pb.ReadIndexResponse(index=HUGE)),
        pb.Message(digest_notice=pb.DigestNotice(index=HUGE, digest=bytes(16))),
    ],
    ids=str,
)
def test_counter_that_leaves_no_room_to_count_on_is_a_protocol_error(message: pb.Message) -> None:
    with pytest.raises(ProtocolError):
        decoded(message.SerializeToString())


def test_digest_notice_looks_like_this() -> None:
    notice = DigestNotice(TO, SENDER, Term(3), LogIndex(300), bytes(range(16)))
    published = "08 03 6a 15 08 ac 02 12 10 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
    assert encode_message(notice).hex(" ") == published
    assert decoded(bytes.fromhex(published)) == notice


@pytest.mark.parametrize("size", [0, 15, 17])
def test_digest_of_another_length_is_a_protocol_error(size: int) -> None:
    with pytest.raises(ProtocolError):
        decoded(pb.Message(term=3, digest_notice=pb.DigestNotice(index=8, digest=bytes(size))).SerializeToString())


def test_message_of_no_known_kind_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        decoded(pb.Message(term=3).SerializeToString())


def test_fields_of_a_newer_program_are_passed_over() -> None:
    body = pb.Message(term=3, timeout_now=pb.TimeoutNow()).SerializeToString()
    assert decoded(body + b"\xf0\x06\x01") == decoded(body)
