"""One connection, as bytes: the greeting, calls by number, and signs of life.

Rules
- An answer belongs to the call whose number it carries, and to nothing else. Numbers are never used
  twice by a session, so the answer to a call that was forgotten or moved elsewhere finds nobody.
- Only a link with calls under way is expected to speak. One that is silent for PING_AFTER_S is
  asked whether it lives; silent for SILENCE_S_MAX, it is given up: a peer that vanished without a
  word (a pulled cable, a stopped machine) must not hold calls until their deadlines.
- Only a whole frame is a sign of life: a length that was damaged on the way would swallow answers, and pongs with
  them, for as long as it says.

Limits: a single answer that takes longer than SILENCE_S_MAX to arrive is given up.

No I/O and no clock: bytes and seconds come in. Which calls go where is the session's affair.
"""

from enum import Enum, auto
from typing import Final

from bankd.client.pending import Request
from bankd.errors import HandshakeRefused
from bankd.wire.frames import FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, decode_hello, encode_hello, judge_hello
from bankd.wire.methods import Method

CONNECT_S_MAX: Final = 1.0  # to connect and be greeted; then the next endpoint gets its chance
PING_AFTER_S: Final = 0.75
SILENCE_S_MAX: Final = 2.0  # well under the default timeout: a second node can still answer
DEADLINE_MS_MAX: Final = 2**32 - 1

assert PING_AFTER_S * 2 < SILENCE_S_MAX, "a lost ping's answer must have time to come"


class LinkState(Enum):
    OPENING = auto()  # the shell connects, then the greeting
    READY = auto()
    RETIRED = auto()  # takes no new calls; ends with its last answer
    CLOSED = auto()


class Link:
    """A connection to `address`, opened at `opened_at` seconds."""

    def __init__(self, address: str, opened_at: float) -> None:
        self.address = address
        self.state = LinkState.OPENING
        self.node_id = ""
        self.calls: dict[int, Request] = {}
        self._decoder = FrameDecoder(FRAME_BYTES_MAX)
        self._output: list[bytes] = []
        self._unsent: dict[int, Request] = {}  # of `calls`: put on their way, and not yet taken to be sent
        self._quiet_since = opened_at
        self._pinged_at: float | None = None

    @property
    def has_output(self) -> bool:
        return bool(self._output or self._unsent)

    @property
    def next_check(self) -> float | None:
        """When silence must be judged again; None while nothing is expected."""
        if self.state is LinkState.OPENING:
            return self._quiet_since + CONNECT_S_MAX
        if not self.calls:
            return None
        if self._pinged_at is None:
            return self._quiet_since + PING_AFTER_S
        # Counted from the ping, not from the last word: if it was us who slept, the other side still
        # gets its time to answer.
        return self._pinged_at + SILENCE_S_MAX - PING_AFTER_S

    def greet(self, hello: Hello) -> None:
        """The connection stands: say who we are. Nothing else may follow before the answer."""
        self._output.append(encode_hello(hello))

    def send(self, request: Request, call_id: int, now: float) -> None:
        """Put a call on its way."""
        assert self.state is LinkState.READY, f"a call for a link that is {self.state.name}"
        if not self.calls:
            self._quiet_since = now
            self._pinged_at = None
        self.calls[call_id] = self._unsent[call_id] = request
        request.call_id = call_id
        request.tries += 1

    def forget(self, call_id: int) -> None:
        """Nobody waits for this call any more: it is cancelled, or never leaves."""
        if self.calls.pop(call_id, None) is not None and self._unsent.pop(call_id, None) is None:
            self._output.append(encode_frame(FrameKind.CANCEL, Method.NONE, call_id))

    def take_output(self, now: float) -> bytes:
        """The bytes to send now. From here on they count as sent, whatever becomes of them."""
        for call_id, request in self._unsent.items():
            # Only now: whoever gave up before was told that nothing was sent for it.
            request.leave_out_done()
            request.on_wire = True
            deadline_ms = min(max(int((request.deadline - now) * 1000), 1), DEADLINE_MS_MAX)
            self._output.append(
                encode_frame(FrameKind.REQUEST, request.method, call_id, request.body, deadline_ms=deadline_ms)
            )
        self._unsent.clear()
        data = self._output[0] if len(self._output) == 1 else b"".join(self._output)
        self._output.clear()
        return data

    def feed(self, data: bytes, now: float) -> list[Frame]:
        """Take in what was received. Raises ProtocolError."""
        frames = self._decoder.feed(data)
        if frames:
            self._quiet_since = now
            self._pinged_at = None
        return frames

    def welcome(self, frame: Frame, ours: Hello) -> Hello:
        """Judge the other side's greeting; from here on calls may be sent.

        Raises:
          HandshakeRefused: it refuses us, or we it.
          ProtocolError: it is no greeting.
        """
        theirs = decode_hello(frame)
        refusal = judge_hello(ours, theirs)
        if refusal is not None:
            raise HandshakeRefused(refusal)
        self.node_id = theirs.node_id
        self.state = LinkState.READY
        return theirs

    def pong(self, frame: Frame) -> None:
        self._output.append(encode_frame(FrameKind.PONG, Method.NONE, frame.call_id, frame.body))

    def silent(self, now: float) -> bool:
        """Whether the other side must be given up; asks it for a sign of life when it is time to."""
        check = self.next_check
        if check is None or now < check:
            return False
        if self.state is LinkState.OPENING or self._pinged_at is not None:
            return True
        self._pinged_at = now
        self._output.append(encode_frame(FrameKind.PING, Method.NONE, 0))
        return False
