"""The frame decoder against every way in which a stream can be cut, broken or made up."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import ProtocolError
from bankd.wire.frames import (
    FLAG_HOPPED,
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    HELLO_BYTES_MAX,
    Frame,
    FrameDecoder,
    FrameKind,
    encode_frame,
)
from tests.wire.strategies import frames

SAMPLE = Frame(FrameKind.REQUEST, FLAG_HOPPED, 5, 1500, 42, b"five rows of money")
RECEIVE_BYTES = 64


def encoded(frame: Frame) -> bytes:
    return encode_frame(
        frame.kind, frame.method, frame.call_id, frame.body, flags=frame.flags, deadline_ms=frame.deadline_ms
    )


def header(length: int) -> bytes:
    """A header, sound in itself, that claims `length`."""
    return length.to_bytes(4, "little") + encode_frame(FrameKind.PING, 0, 0)[4:]


@given(frames)
def test_frame_comes_back_as_it_was(frame: Frame) -> None:
    assert FrameDecoder().feed(encoded(frame)) == [frame]


def test_frame_cut_in_two_at_any_byte_comes_back_whole() -> None:
    stream = encoded(SAMPLE)
    for cut in range(1, len(stream)):
        decoder = FrameDecoder()
        assert decoder.feed(stream[:cut]) == [], f"cut at {cut}"
        assert decoder.pending_bytes == cut
        assert decoder.feed(stream[cut:]) == [SAMPLE], f"cut at {cut}"
        assert decoder.pending_bytes == 0


def test_frames_that_trickle_in_byte_by_byte_come_back_whole() -> None:
    decoder, stream = FrameDecoder(), encoded(SAMPLE) * 3
    assert [frame for byte in stream for frame in decoder.feed(bytes((byte,)))] == [SAMPLE] * 3


def test_one_receive_may_bring_many_frames_and_the_beginning_of_another() -> None:
    decoder, stream = FrameDecoder(), encoded(SAMPLE)
    assert decoder.feed(stream * 1000 + stream[:30]) == [SAMPLE] * 1000
    assert decoder.pending_bytes == 30
    assert decoder.feed(stream[30:] + stream) == [SAMPLE] * 2


def test_small_frame_behind_a_large_one_is_not_held_back() -> None:
    """What the large one still lacked says nothing about the small one."""
    decoder, small = FrameDecoder(), encoded(SAMPLE)
    large = encoded(SAMPLE._replace(body=bytes(1000)))
    assert decoder.feed(large[:500]) == []
    assert len(decoder.feed(large[500:])) == 1
    assert decoder.feed(small[:10]) == []
    assert decoder.feed(small[10:]) == [SAMPLE]


@given(st.lists(frames, max_size=6), st.data())
def test_any_split_of_a_stream_gives_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encoded, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    decoder = FrameDecoder()
    received = [frame for start, end in pairwise([0, *cuts, len(stream)]) for frame in decoder.feed(stream[start:end])]
    assert received == sent
    assert decoder.pending_bytes == 0


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=RECEIVE_BYTES), max_size=20), st.lists(frames, max_size=3))
def test_made_up_bytes_end_in_a_protocol_error_at_worst(receives: list[bytes], good: list[Frame]) -> None:
    """N08: whatever comes, also behind good frames, nothing else is raised and little is kept."""
    frame_bytes_max = 100
    decoder = FrameDecoder(frame_bytes_max)
    try:
        for data in [*map(encoded, good), *receives]:
            decoder.feed(data)
            assert decoder.pending_bytes < frame_bytes_max
    except ProtocolError:
        assert decoder.pending_bytes == 0


def test_every_flipped_bit_is_noticed() -> None:
    """As soon as there are as many bytes as the damaged frame claims to have."""
    stream = encoded(SAMPLE)
    for bit in range(len(stream) * 8):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        claimed = int.from_bytes(damaged[:4], "little") + 4
        enough = min(max(claimed, HEADER_BYTES), HELLO_BYTES_MAX)
        with pytest.raises(ProtocolError):
            FrameDecoder().feed(bytes(damaged[:enough].ljust(enough, b"\0")))


def test_every_truncated_frame_gives_nothing_and_waits() -> None:
    stream = encoded(SAMPLE)
    for size in range(len(stream)):
        assert FrameDecoder().feed(stream[:size]) == []


@pytest.mark.parametrize("bytes_max", [HELLO_BYTES_MAX, FRAME_BYTES_MAX])
def test_oversized_frame_is_refused_on_its_header_alone(bytes_max: int) -> None:
    """N08, D03: no room is made for a body that is not allowed to come."""
    decoder = FrameDecoder(bytes_max)
    assert FrameDecoder(bytes_max).feed(header(bytes_max - 4)) == []  # the largest that is allowed
    with pytest.raises(ProtocolError, match=f"{bytes_max} are allowed"):
        decoder.feed(header(bytes_max - 4 + 1))
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize("length", range(HEADER_BYTES - 4))
def test_length_that_does_not_cover_the_header_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        FrameDecoder().feed(header(length))


def test_frame_of_an_unknown_kind_is_refused() -> None:
    strange = encode_frame(200, 0, 0)  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="unknown kind 200"):
        FrameDecoder().feed(strange)


def test_broken_stream_stays_broken() -> None:
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError) as first:
        decoder.feed(header(1))
    with pytest.raises(ProtocolError) as second:
        decoder.feed(encoded(SAMPLE))
    assert str(first.value) == str(second.value)


def test_bound_raised_after_the_handshake_lets_larger_frames_in() -> None:
    large = SAMPLE._replace(body=bytes(HELLO_BYTES_MAX))
    with pytest.raises(ProtocolError):
        FrameDecoder().feed(encoded(large))
    decoder = FrameDecoder()
    decoder.feed(encoded(SAMPLE))
    decoder.frame_bytes_max = FRAME_BYTES_MAX
    assert decoder.feed(encoded(large)) == [large]


def test_largest_frame_passes_in_receives_of_64_kib() -> None:
    largest = SAMPLE._replace(body=bytes(FRAME_BYTES_MAX - HEADER_BYTES))
    stream, decoder = encoded(largest), FrameDecoder(FRAME_BYTES_MAX)
    received = [
        frame for start in range(0, len(stream), 65536) for frame in decoder.feed(stream[start : start + 65536])
    ]
    assert received == [largest]
    with pytest.raises(AssertionError):
        encoded(largest._replace(body=largest.body + b"x"))


def test_unknown_flags_are_kept() -> None:
    assert FrameDecoder().feed(encoded(SAMPLE._replace(flags=0x80)))[0].flags == 0x80
