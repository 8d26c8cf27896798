"""Serve one incoming connection: greet, then take requests from a client or messages from a peer.

Per connection one reader (here) and one writer (`FrameSender`). The reader parses all that one
receive brought, judges what can be judged from each request alone, and hands the loop one batch.
What the other side does wrong closes this connection and touches nothing else (docs/reliability.md, N08, N09).
"""

import logging
from typing import Final

import trio

from bankd.errors import Code, HandshakeRefused, ProtocolError, Refusal
from bankd.node.loop import monotonic_ns
from bankd.node.node import SHUTTING_DOWN, Node, Waiting
from bankd.node.receiver import Receive, receiver
from bankd.node.sender import FrameSender
from bankd.replica import refusals
from bankd.replica.events import Call, Calls, DigestCall, Event, HandOverCall, ReadCall, Received, WriteCall
from bankd.types import NodeId
from bankd.wire.frames import FLAG_HOPPED, FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, decode_hello, encode_hello, judge_hello
from bankd.wire.methods import WRITES, Method
from bankd.wire.raft_codec import decode_message
from bankd.wire.refusals import encode_refusal
from bankd.wire.requests import DigestAsked, Read, StatusAsked, TransferLeadershipAsked, Write, decode_request

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 5.0  # whoever has not said Hello by then is cut off
OUTBOX_BYTES_MAX: Final = 8 * 1024 * 1024  # answers that one connection may leave unread
DEADLINE_S_DEFAULT: Final = 60.0  # for calls that name none, and the most that any gets
CONNECTIONS_MAX: Final = 1024  # clients; peers are let in beyond it
NS_PER_MS: Final = 1_000_000

# These go to the leader when they meet another node; everything else is answered where it arrives.
LEADER_ONLY: Final = WRITES | {Method.TRANSFER_LEADERSHIP}

TOO_MANY_CONNECTIONS: Final = Refusal(
    Code.RESOURCE_EXHAUSTED, "TOO_MANY_CONNECTIONS", "this node has no room for another client", retryable=True
)


class Doors:
    """The incoming connections of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._senders: set[FrameSender] = set()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Own one connection until either side ends it.

        Cancellation: the connection is closed; answers still queued are lost.
        """
        sender = FrameSender(stream, bytes_max=OUTBOX_BYTES_MAX)
        try:
            async with stream:
                await self._greet_and_talk(stream, sender)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side is gone, which is no news
        except* (ProtocolError, HandshakeRefused, trio.TooSlowError) as group:
            log.warning("connection_closed why=%r", _first(group))
        finally:
            self._senders.discard(sender)

    def say_goaway(self) -> None:
        """Ask every connection to send its new requests elsewhere."""
        for sender in self._senders:
            sender.push(encode_frame(FrameKind.GOAWAY, Method.NONE, 0))
            sender.flush()

    def finish(self) -> None:
        """End every connection once its queued answers are sent."""
        for sender in self._senders:
            sender.finish()

    # Handshake

    async def _greet_and_talk(self, stream: trio.abc.Stream, sender: FrameSender) -> None:
        decoder, receive = FrameDecoder(), receiver(stream)
        with trio.fail_after(HANDSHAKE_S):
            theirs = await self._greet(stream, receive, decoder)
        if theirs is None:
            return
        self._senders.add(sender)
        decoder.frame_bytes_max = FRAME_BYTES_MAX
        connection = Connection(self._node, sender, theirs.node_id if theirs.role is PeerRole.PEER else None)
        with sender.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.run)
                await connection.receive(receive, decoder)
                sender.close()

    async def _greet(self, stream: trio.abc.Stream, receive: Receive, decoder: FrameDecoder) -> Hello | None:
        """The other side's Hello, answered; None when it was refused or went away."""
        frames: list[Frame] = []
        while not frames:
            data = await receive()
            if not data:
                return None
            frames = decoder.feed(data)
        ours, theirs = self._node.hello(), decode_hello(frames[0])
        if len(frames) > 1:
            raise ProtocolError("frames behind the Hello before it was answered")
        refusal = self._judge(ours, theirs)
        if refusal is not None:
            log.warning("handshake_refused peer=%s reason=%s why=%r", theirs.node_id, refusal.reason, refusal.message)
            await stream.send_all(encode_frame(FrameKind.ERROR, Method.NONE, 0, encode_refusal(refusal)))
            return None
        await stream.send_all(encode_hello(ours))
        return theirs

    def _judge(self, ours: Hello, theirs: Hello) -> Refusal | None:
        if theirs.role is PeerRole.CLIENT:
            if len(self._senders) >= CONNECTIONS_MAX:
                return TOO_MANY_CONNECTIONS
            return judge_hello(ours, theirs)
        book = self._node.book
        refusal = judge_hello(ours, theirs, expected_incarnation=book.incarnations.get(theirs.node_id))
        if refusal is None and theirs.node_id not in book.addresses:
            return Refusal(Code.FAILED_PRECONDITION, "NOT_A_MEMBER", f"node {theirs.node_id} is not in this cluster")
        if refusal is None:
            book.met(theirs.node_id, theirs.incarnation)
        return refusal


class Connection:
    """Takes in what one greeted connection brings. `peer` is None for a client."""

    def __init__(self, node: Node, sender: FrameSender, peer: NodeId | None) -> None:
        self._node = node
        self._sender = sender
        self._peer = peer

    async def receive(self, receive: Receive, decoder: FrameDecoder) -> None:
        """Take in frames until the other side ends the stream.

        Raises:
          ProtocolError: the other side broke the protocol.
        """
        while True:
            data = await receive()
            if not data:
                return
            calls: list[Call] = []
            events: list[Event] = []
            for frame in decoder.feed(data):
                match frame.kind:
                    case FrameKind.REQUEST:
                        self._take_request(frame, calls)
                    case FrameKind.ITEM if self._peer is not None and frame.method == Method.RAFT:
                        message = decode_message(frame.body, sender=self._peer, to=self._node.identity.node_id)
                        events.append(Received(message))
                    case FrameKind.PING:
                        self._sender.push(encode_frame(FrameKind.PONG, Method.NONE, frame.call_id, frame.body))
                    case FrameKind.CANCEL | FrameKind.PONG | FrameKind.GOAWAY:
                        pass  # a cancelled call is answered all the same; the caller drops the answer
                    case _:
                        raise ProtocolError(f"a {frame.kind.name} frame has no place here")
            if calls:
                events.append(Calls(calls))
            if events:
                self._node.loop.post_now(events)
            self._sender.flush()  # pongs, refusals and what needed no loop
            if self._node.leader_link is not None:
                self._node.leader_link.flush()  # what was forwarded

    def _take_request(self, frame: Frame, calls: list[Call]) -> None:
        node = self._node
        if node.draining:
            node.refuse(self._sender, frame.call_id, frame.method, SHUTTING_DOWN)
        elif frame.method in LEADER_ONLY and not node.replica.leads:
            self._forward(frame)
        else:
            self._take_call(frame, calls)

    def _forward(self, frame: Frame) -> None:
        """Pass a call on to the leader, at most once; otherwise say who leads and let the client go there."""
        node = self._node
        link = node.leader_link
        hopped = frame.flags & FLAG_HOPPED
        deadline_s = trio.current_time() + _deadline_s(frame)
        if hopped or link is None or not link.forward(frame, self._sender, deadline_s):
            node.refuse(self._sender, frame.call_id, frame.method, refusals.not_leader(node.replica.raft.leader_id))

    def _take_call(self, frame: Frame, calls: list[Call]) -> None:
        node = self._node
        request = decode_request(frame.method, frame.body)
        if isinstance(request, Refusal):
            node.refuse(self._sender, frame.call_id, frame.method, request)
            return
        waiting = Waiting(self._sender, frame.call_id, frame.method, request)
        deadline_ns = monotonic_ns() + int(_deadline_s(frame) * 1e9)
        match request:
            case Write():
                calls.append(WriteCall(waiting, request.command, request.raw, deadline_ns))
            case Read():
                calls.append(ReadCall(waiting, request.query, request.mode, deadline_ns))
            case DigestAsked():
                calls.append(DigestCall(waiting, request.index, deadline_ns))
            case TransferLeadershipAsked():
                calls.append(HandOverCall(waiting, request.target, deadline_ns))
            case StatusAsked():
                node.answer(waiting, node.status())


def _deadline_s(frame: Frame) -> float:
    return min(frame.deadline_ms / 1000, DEADLINE_S_DEFAULT) if frame.deadline_ms else DEADLINE_S_DEFAULT


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    cause: BaseException = group
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return f"{type(cause).__name__}: {cause}"
