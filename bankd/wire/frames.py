"""Cut a byte stream into frames, and make the bytes of one.

Both sides of every connection speak in frames: a header of 24 bytes and a body, little-endian.

    u32 length       of everything behind this field: 20 + the body
    u32 crc32c       of everything behind this field
    u8  kind         FrameKind
    u8  flags        FLAG_*; a bit that is not known is ignored
    u16 method       methods.Method; 0 where the kind needs none
    u32 deadline_ms  milliseconds left to the caller; 0: no deadline
    u64 call_id      chosen by the caller, unique among its calls under way; 0 where there is no call
    body

Rules: the length is judged before room is made for the body. A stream that broke once is never
looked at again, for there is no way to find the next frame. What bodies mean is not known here,
and nothing here does I/O. docs/protocol.md is the same for readers who write another client.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import extend, value

from bankd.errors import ProtocolError

HEADER_BYTES: Final = 24
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024  # the widest batch is 3.2 MiB (BATCH_TRANSFERS_MAX rows of the longest ids)
HELLO_BYTES_MAX: Final = 4096  # whoever has not said a good Hello gets no more room than that

FLAG_HOPPED: Final = 1  # forwarded once by a node: never forwarded again

_PREFIX: Final = Struct("<II")  # length, crc
_COVERED: Final = Struct("<BBHIQ")  # what the CRC covers of the header
_HEADER: Final = Struct("<IIBBHIQ")
_LENGTH_BYTES: Final = 4
_CRC_END: Final = _PREFIX.size
_LENGTH_MIN: Final = HEADER_BYTES - _LENGTH_BYTES

assert _HEADER.size == HEADER_BYTES == _PREFIX.size + _COVERED.size


@unique
class FrameKind(IntEnum):
    """The numbers are on the wire: never reused."""

    HELLO = 1  # the first frame each way
    REQUEST = 2  # a call
    RESPONSE = 3  # its result
    ERROR = 4  # its refusal; with call id 0, the refusal of the connection
    ITEM = 5  # one message of a stream: between peers, a Raft message
    END = 6  # the stream of this call id is over
    CANCEL = 7  # the caller no longer waits; a write under way is not undone
    PING = 8  # asks for a PONG with the same call id and body
    PONG = 9
    GOAWAY = 10  # no new requests on this connection, please


_KINDS: Final[Mapping[int, FrameKind]] = {int(kind): kind for kind in FrameKind}


class Frame(NamedTuple):  # one per call on the hot path, hence a plain tuple
    kind: FrameKind
    flags: int
    method: int
    deadline_ms: int
    call_id: int
    body: bytes


def encode_frame(
    kind: FrameKind, method: int, call_id: int, body: bytes = b"", *, flags: int = 0, deadline_ms: int = 0
) -> bytes:
    """The bytes of one frame. The body is copied once."""
    assert len(body) <= FRAME_BYTES_MAX - HEADER_BYTES, f"a body of {len(body)} bytes fits no frame"
    covered = _COVERED.pack(kind, flags, method, deadline_ms, call_id)
    return _PREFIX.pack(_LENGTH_MIN + len(body), extend(value(covered), body)) + covered + body


class FrameDecoder:
    """Bytes in any split become frames.

    `frame_bytes_max` bounds one frame, header included. An acceptor starts with HELLO_BYTES_MAX and
    raises it once it has accepted the Hello; bytes already taken in were judged by the old bound, so
    a dialer says nothing behind its Hello before the answer is there. A dialer, who chose whom to
    talk to, starts with FRAME_BYTES_MAX: an acceptor may speak right behind its Hello.

    Invariant: `pending_bytes` < `frame_bytes_max`, and while feed() runs it holds at most one receive
    and a copy of it more.
    """

    def __init__(self, frame_bytes_max: int = HELLO_BYTES_MAX) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._pending = bytearray()  # the beginning of one frame
        self._wanted_bytes = HEADER_BYTES  # with fewer than these pending, nothing new can be learnt
        self._fault: str | None = None

    @property
    def pending_bytes(self) -> int:
        return len(self._pending)

    def feed(self, data: bytes) -> list[Frame]:
        """Take in one receive and return every frame that is now whole, in order.

        Raises:
          ProtocolError: the stream is broken; so is every later call. Frames in front of the fault in the
            same receive are dropped with it: to their callers the connection was lost.
        """
        if self._fault is not None:
            raise ProtocolError(self._fault)
        pending = self._pending
        if pending:
            # Gathered in a bytearray and looked at only when enough is there: a frame that trickles in
            # byte by byte costs its size once, not its size squared.
            pending += data
            if len(pending) < self._wanted_bytes:
                return []
            data = bytes(pending)
            pending.clear()  # before bodies are cut out: two copies of a large frame at most, never three
        try:
            frames, rest = self._cut(data)
        except ProtocolError as error:
            self._fault = str(error)
            raise
        if rest < len(data):
            pending += data[rest:]
        return frames

    def _cut(self, data: bytes) -> tuple[list[Frame], int]:
        """The whole frames at the front of `data`, and where what is behind them begins."""
        frames: list[Frame] = []
        start, size, length_max = 0, len(data), self.frame_bytes_max - _LENGTH_BYTES
        while size - start >= HEADER_BYTES:
            length, crc, kind, flags, method, deadline_ms, call_id = _HEADER.unpack_from(data, start)
            if not _LENGTH_MIN <= length <= length_max:
                raise ProtocolError(f"a frame of {length + _LENGTH_BYTES} bytes, {self.frame_bytes_max} are allowed")
            end = start + _LENGTH_BYTES + length
            if end > size:
                self._wanted_bytes = end - start
                return frames, start
            covered_end = start + HEADER_BYTES
            body = data[covered_end:end]
            if extend(value(data[start + _CRC_END : covered_end]), body) != crc:
                raise ProtocolError("a frame fails its checksum")
            known_kind = _KINDS.get(kind)
            if known_kind is None:
                raise ProtocolError(f"a frame of unknown kind {kind}")
            frames.append(Frame(known_kind, flags, method, deadline_ms, call_id, body))
            start = end
        self._wanted_bytes = HEADER_BYTES
        return frames, start
