"""Keep one connection to one peer: dial, greet, send, notice silence, dial again.

A link carries what this node sends: Raft messages one way, and calls forwarded to the leader, whose
answers come back on it. The peer's own messages arrive on the connection that the peer dialled.

Rules
- Raft messages may be lost: while there is no connection they are dropped, and consensus is told once.
- A forwarded call may not: it is answered by the leader, or as "unknown" (forwarding.py).
- Both share one outbox, of which forwarding gets a part: Raft must not lose its connection to a
  flood of calls. Beyond it, a call is refused before it is sent.
- A peer that leaves pings unanswered is gone, whatever TCP believes (pulse.py; docs/reliability.md, N06, N07).
- Only links restart, with growing pauses; each failure is logged when it differs from the last.
- A peer that turns this node away as an older copy of what it has met ends the node, which begins anew (serve.py).
"""

import logging
from collections.abc import Callable
from typing import Final

import trio

from bankd.errors import HandshakeRefused, ProtocolError, Refusal
from bankd.node.book import Book
from bankd.node.causes import told
from bankd.node.environment import Environment
from bankd.node.forwarding import ForwardedCall, ForwardedCalls
from bankd.node.handshake import receive_first
from bankd.node.pulse import Beat, Pulse
from bankd.node.receiver import Receive, ReceiveBuffer
from bankd.node.sender import FrameSender
from bankd.replica import refusals
from bankd.types import NodeId
from bankd.wire.frames import FLAG_HOPPED, FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, decode_hello, encode_hello, judge_hello
from bankd.wire.methods import Method

log = logging.getLogger(__name__)

CONNECT_S: Final = 2.0  # dial and greet
RETRY_S_MIN: Final = 0.05
RETRY_S_MAX: Final = 1.0
OUTBOX_BYTES_MAX: Final = 32 * 1024 * 1024  # a window of full AppendRequests to a peer that reads slowly
FORWARDING_BYTES_MAX: Final = 8 * 1024 * 1024  # waiting there, of whatever kind: beyond, nothing is forwarded

assert FORWARDING_BYTES_MAX + FRAME_BYTES_MAX < OUTBOX_BYTES_MAX / 2, "forwarding must leave Raft its room"


class SilentPeer(Exception):
    """The peer does not answer, or does not read. Caught in `PeerLink.run`, which dials again."""


class PeerLink:
    def __init__(
        self,
        peer: NodeId,
        *,
        environment: Environment,
        book: Book,
        buffer: ReceiveBuffer,
        hello: Callable[[], Hello],
        unreachable: Callable[[NodeId], None],
        forwarded_max: int,
        ping_every_ticks: int,
    ) -> None:
        self.peer = peer
        self.rtt_us = 0
        self.last_heard_s: float | None = None
        self._environment = environment
        self._book = book
        self._buffer = buffer
        self._hello = hello
        self._unreachable = unreachable
        self._ping_every_ticks = ping_every_ticks
        self._pulse = Pulse(ping_every_ticks=ping_every_ticks)
        self._sender: FrameSender | None = None
        self._forwarded = ForwardedCalls(forwarded_max)
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

    def forward(self, frame: Frame, back: FrameSender, deadline_s: float) -> Refusal | None:
        """Queue a call for the next flush, unopened, marked as having hopped; its answer goes to `back`.

        Returns why it was not sent, or None: then it is answered exactly once.
        """
        sender = self._sender
        if sender is None:
            return refusals.not_leader(self.peer)
        if self._forwarded.full or sender.pending_bytes > FORWARDING_BYTES_MAX:
            return refusals.overloaded()
        self._last_call_id += 1
        call_id, flags = self._last_call_id, frame.flags | FLAG_HOPPED
        if not sender.push(
            encode_frame(
                FrameKind.REQUEST, frame.method, call_id, frame.body, flags=flags, deadline_ms=frame.deadline_ms
            )
        ):
            return refusals.not_leader(self.peer)
        self._forwarded.add(call_id, ForwardedCall(back, frame.call_id, frame.method, deadline_s))
        return None

    def tick(self, now_s: float) -> None:
        """Ping when it is time, notice silence, answer forwarded calls whose deadline has passed."""
        if self._sender is None:
            return
        match self._pulse.tick():
            case Beat.GIVE_UP:
                self._sender.close()
            case Beat.PING:
                self._ping_sent_s = now_s
                self._sender.push(encode_frame(FrameKind.PING, Method.NONE, 0))
                self._sender.flush()
            case Beat.NOTHING:
                pass
        self._forwarded.expire(now_s)

    # The task

    async def run(self) -> None:
        """Keep the link up until cancelled.

        Cancellation: the connection is closed; calls under way are answered as unknown.
        """
        pause_s = RETRY_S_MIN
        while True:
            began_s = trio.current_time()
            try:
                await self._connect_and_talk()
            except* (
                OSError,
                trio.BrokenResourceError,
                trio.TooSlowError,
                ProtocolError,
                HandshakeRefused,
                SilentPeer,
            ) as group:
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
            receive = self._buffer.receiver(stream)
            with trio.fail_after(CONNECT_S):
                await self._greet(stream, receive, decoder)
            await self._talk(stream, receive, decoder)

    async def _greet(self, stream: trio.abc.Stream, receive: Receive, decoder: FrameDecoder) -> None:
        """Exchange Hellos. What the peer may say right behind its own answers nothing that was asked.

        Raises:
          HandshakeRefused, ProtocolError, BrokenResourceError: dial again.
          MustRefill: this node is an older copy of what the peer has met.
        """
        acquaintances = self._book.acquaintances
        ours = self._hello()
        await stream.send_all(encode_hello(ours))
        frames = await receive_first(receive, decoder)
        if not frames:
            raise trio.BrokenResourceError("closed during the handshake")
        try:
            theirs = decode_hello(frames[0])
        except HandshakeRefused as refused:
            acquaintances.heed(self.peer, refused.refusal, ours)
            raise
        known = acquaintances.known(self.peer)
        refusal = judge_hello(ours, theirs, expected_node_id=self.peer, known=known)
        if refusal is not None:
            raise HandshakeRefused(refusal)
        acquaintances.met(self.peer, theirs.start)

    async def _talk(self, stream: trio.abc.Stream, receive: Receive, decoder: FrameDecoder) -> None:
        sender = FrameSender(stream, bytes_max=OUTBOX_BYTES_MAX)
        self._sender = sender
        self._pulse = Pulse(ping_every_ticks=self._ping_every_ticks)
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
            self._forwarded.lose_all()
            self._unreachable(self.peer)

    async def _receive(self, receive: Receive, decoder: FrameDecoder) -> None:
        while data := await receive():
            frames = decoder.feed(data)
            if not frames:
                # Not heard: a length that was damaged on the way would swallow answers for as long as it says.
                continue
            self._pulse.heard()
            self.last_heard_s = trio.current_time()
            reached = {sender: None for frame in frames if (sender := self._take(frame)) is not None}
            for sender in reached:
                sender.flush()
        raise trio.BrokenResourceError("closed by the peer")

    def _take(self, frame: Frame) -> FrameSender | None:
        """Take one frame in; returns whom it had an answer for."""
        if frame.kind is FrameKind.PONG:
            self.rtt_us = int((trio.current_time() - self._ping_sent_s) * 1e6)
        elif frame.kind in (FrameKind.RESPONSE, FrameKind.ERROR):
            return self._forwarded.answered(frame)
        return None

    def _failed(self, group: BaseExceptionGroup[BaseException]) -> None:
        failure = told(group)
        if failure != self._last_failure:
            address = self._book.address_of(self.peer)
            log.warning("peer_unreachable peer=%s address=%s why=%s", self.peer, address, failure)
            self._last_failure = failure
