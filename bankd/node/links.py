"""Keep one connection to one peer: dial, greet, send, notice silence, dial again.

A link carries what this node sends: Raft messages one way, and calls forwarded to the leader, whose
answers come back on it. The peer's own messages arrive on the connection that the peer dialled.

Rules
- Raft messages may be lost: while there is no connection they are dropped, and consensus is told once.
- A forwarded call may not: when the connection breaks under it, a write is "outcome unknown" and a
  read, which changes nothing, is merely unavailable.
- A ping goes out every `ping_every_s`; a peer that sends nothing for four of them is gone, whatever
  TCP believes (docs/reliability.md, N06, N07).
- Only links restart, with growing pauses; each failure is logged when it differs from the last.
"""

import logging
from collections.abc import Callable
from typing import Final

import attrs
import trio

from bankd.errors import HandshakeRefused, ProtocolError, Refusal
from bankd.node.book import Book
from bankd.node.environment import Environment
from bankd.node.receiver import Receive, receiver
from bankd.node.sender import FrameSender
from bankd.replica import refusals
from bankd.types import NodeId
from bankd.wire.frames import FLAG_HOPPED, FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, decode_hello, encode_hello, judge_hello
from bankd.wire.methods import WRITES, Method
from bankd.wire.refusals import encode_refusal

log = logging.getLogger(__name__)

CONNECT_S: Final = 2.0  # dial and greet
RETRY_S_MIN: Final = 0.05
RETRY_S_MAX: Final = 1.0
SILENT_PINGS_MAX: Final = 4
OUTBOX_BYTES_MAX: Final = 32 * 1024 * 1024  # a window of full AppendRequests to a peer that reads slowly


class SilentPeer(Exception):
    """The peer does not answer, or does not read. Caught in `PeerLink.run`, which dials again."""


@attrs.frozen
class Forwarded:
    """A call that went to the leader for somebody connected here."""

    back: FrameSender
    call_id: int
    method: int
    deadline_s: float


class PeerLink:
    def __init__(
        self,
        peer: NodeId,
        *,
        environment: Environment,
        book: Book,
        hello: Callable[[], Hello],
        unreachable: Callable[[NodeId], None],
        forwarded_max: int,
        ping_every_s: float,
    ) -> None:
        self.peer = peer
        self.rtt_us = 0
        self.last_heard_s: float | None = None
        self._environment = environment
        self._book = book
        self._hello = hello
        self._unreachable = unreachable
        self._forwarded_max = forwarded_max
        self._ping_every_s = ping_every_s
        self._sender: FrameSender | None = None
        self._forwarded: dict[int, Forwarded] = {}
        self._last_call_id = 0
        self._ping_sent_s = 0.0
        self._last_failure = ""

    @property
    def connected(self) -> bool:
        return self._sender is not None

    @property
    def waiting_calls(self) -> int:
        return len(self._forwarded)

    # For the loop and the doors: never wait

    def push(self, frame: bytes) -> None:
        """Queue one frame for the next flush, or drop it when there is no connection."""
        if self._sender is not None:
            self._sender.push(frame)

    def flush(self) -> None:
        """Send what is queued."""
        if self._sender is not None:
            self._sender.flush()

    def forward(self, frame: Frame, back: FrameSender, deadline_s: float) -> bool:
        """Queue a call for the next flush, unopened, marked as having hopped; its answer goes to `back`.

        False: there is no connection or no room, and nothing was sent.
        """
        if self._sender is None or len(self._forwarded) >= self._forwarded_max:
            return False
        self._last_call_id += 1
        call_id = self._last_call_id
        self._forwarded[call_id] = Forwarded(back, frame.call_id, frame.method, deadline_s)
        flags = frame.flags | FLAG_HOPPED
        return self._sender.push(
            encode_frame(
                FrameKind.REQUEST, frame.method, call_id, frame.body, flags=flags, deadline_ms=frame.deadline_ms
            )
        )

    def tick(self, now_s: float) -> None:
        """Ping when it is time, notice silence, answer forwarded calls whose deadline has passed."""
        if self._sender is None or self.last_heard_s is None:
            return
        if now_s - self.last_heard_s > SILENT_PINGS_MAX * self._ping_every_s:
            self._sender.close()
            return
        if now_s - self._ping_sent_s >= self._ping_every_s:
            self._ping_sent_s = now_s
            self._sender.push(encode_frame(FrameKind.PING, Method.NONE, 0))
            self._sender.flush()
        for call_id in [call_id for call_id, call in self._forwarded.items() if call.deadline_s <= now_s]:
            self._lose(self._forwarded.pop(call_id))

    # The task

    async def run(self) -> None:
        """Keep the link up until cancelled.

        Cancellation: the connection is closed; calls under way are answered as lost.
        """
        pause_s = RETRY_S_MIN
        while True:
            began_s = trio.current_time()
            try:
                await self._connect_and_talk()
            except* (OSError, trio.BrokenResourceError, trio.TooSlowError, ProtocolError, SilentPeer) as group:
                self._failed(group)
            except* HandshakeRefused as group:
                self._failed(group)
            lasted = trio.current_time() - began_s > RETRY_S_MAX
            pause_s = RETRY_S_MIN if lasted else min(2 * pause_s, RETRY_S_MAX)
            # Half of the pause is drawn, so that nodes started together do not dial in step.
            await trio.sleep(pause_s * (0.5 + self._environment.random.below(500) / 1000))

    async def _connect_and_talk(self) -> None:
        decoder = FrameDecoder(FRAME_BYTES_MAX)
        with trio.fail_after(CONNECT_S):
            stream = await self._environment.connect(self._book.addresses[self.peer])
        async with stream:
            receive = receiver(stream)
            with trio.fail_after(CONNECT_S):
                await self._greet(stream, receive, decoder)
            await self._talk(stream, receive, decoder)

    async def _greet(self, stream: trio.abc.Stream, receive: Receive, decoder: FrameDecoder) -> None:
        ours = self._hello()
        await stream.send_all(encode_hello(ours))
        frames: list[Frame] = []
        while not frames:
            data = await receive()
            if not data:
                raise trio.BrokenResourceError("closed during the handshake")
            frames = decoder.feed(data)
        theirs = decode_hello(frames[0])
        known = self._book.incarnations.get(self.peer)
        refusal = judge_hello(ours, theirs, expected_node_id=self.peer, expected_incarnation=known)
        if refusal is not None:
            raise HandshakeRefused(refusal)
        self._book.met(theirs.node_id, theirs.incarnation)

    async def _talk(self, stream: trio.abc.Stream, receive: Receive, decoder: FrameDecoder) -> None:
        sender = FrameSender(stream, bytes_max=OUTBOX_BYTES_MAX)
        self._sender = sender
        self.last_heard_s = trio.current_time()
        self._last_failure = ""
        log.info("peer_connected peer=%s", self.peer)
        try:
            with sender.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(sender.run)
                    await self._receive(receive, decoder)
            raise SilentPeer("nothing was heard for too long, or less taken in than was sent")
        finally:
            self._sender = None
            self._disconnected()

    async def _receive(self, receive: Receive, decoder: FrameDecoder) -> None:
        while True:
            data = await receive()
            if not data:
                raise trio.BrokenResourceError("closed by the peer")
            self.last_heard_s = trio.current_time()
            reached = {sender for frame in decoder.feed(data) if (sender := self._take(frame)) is not None}
            for sender in reached:
                sender.flush()

    def _take(self, frame: Frame) -> FrameSender | None:
        """Take one frame in; returns whom it had an answer for."""
        if frame.kind is FrameKind.PONG:
            self.rtt_us = int((trio.current_time() - self._ping_sent_s) * 1e6)
        elif frame.kind in (FrameKind.RESPONSE, FrameKind.ERROR):
            call = self._forwarded.pop(frame.call_id, None)
            if call is not None:  # else it was answered at its deadline
                call.back.push(encode_frame(frame.kind, call.method, call.call_id, frame.body, flags=frame.flags))
                return call.back
        return None

    # When it ends

    def _failed(self, group: BaseExceptionGroup[BaseException]) -> None:
        cause: BaseException = group
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        failure = f"{type(cause).__name__}: {cause}"
        if failure != self._last_failure:
            log.warning(
                "peer_unreachable peer=%s address=%s why=%r", self.peer, self._book.address_of(self.peer), failure
            )
            self._last_failure = failure

    def _disconnected(self) -> None:
        lost, self._forwarded = self._forwarded, {}
        for call in lost.values():
            self._lose(call)
        self._unreachable(self.peer)

    def _lose(self, call: Forwarded) -> None:
        refusal = self._refusal_for_lost(call.method)
        call.back.push(encode_frame(FrameKind.ERROR, call.method, call.call_id, encode_refusal(refusal)))
        call.back.flush()

    def _refusal_for_lost(self, method: int) -> Refusal:
        return refusals.outcome_unknown(None) if method in WRITES else refusals.not_leader(None)
