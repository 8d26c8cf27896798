"""Let connections in: greet each, give it a place, run it, and close it when it is over.

Per connection one reader (`Connection`) and one writer (`FrameSender`). What the other side does
wrong closes this connection and touches nothing else (docs/reliability.md, N08, N09).
"""

import logging
import math
from typing import Final

import trio

from bankd.errors import Code, HandshakeRefused, ProtocolError, Refusal
from bankd.node.causes import quoted, told
from bankd.node.connection import Connection
from bankd.node.descriptors import Room
from bankd.node.handshake import receive_first
from bankd.node.logs import RationedLog
from bankd.node.node import Node
from bankd.node.pulse import UNANSWERED_PINGS_MAX
from bankd.node.receiver import Receive
from bankd.node.roster import Roster, say_goaway
from bankd.node.sender import FrameSender
from bankd.wire.frames import FRAME_BYTES_MAX, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, decode_hello, encode_hello, judge_hello
from bankd.wire.methods import Method
from bankd.wire.refusals import encode_refusal

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 5.0  # whoever has not said Hello by then is cut off
OUTBOX_BYTES_MAX: Final = 8 * 1024 * 1024  # answers that one connection may leave unread
ROUND_S: Final = 1.0

TOO_MANY_CONNECTIONS: Final = Refusal(
    Code.RESOURCE_EXHAUSTED, "TOO_MANY_CONNECTIONS", "this node has no room for another client", retryable=True
)


class Doors:
    """The incoming connections of one node."""

    def __init__(self, node: Node, room: Room, *, ping_every_s: float) -> None:
        quiet_rounds_max = math.ceil(UNANSWERED_PINGS_MAX * ping_every_s / ROUND_S)
        self.roster = Roster(room, peer_quiet_rounds_max=quiet_rounds_max)
        self._node = node
        self._warn = RationedLog(log, trio.current_time).warning

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Own one connection until either side ends it.

        Cancellation: the connection is closed; answers still queued are lost.
        """
        try:
            async with stream:
                await self._greet_and_talk(stream)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side is gone, which is no news
        except* (ProtocolError, HandshakeRefused) as group:
            self._warn("connection_closed why=%s", told(group))

    async def make_rounds(self) -> None:
        """Once a second, close whoever is gone without a word or takes nothing, until cancelled."""
        while True:
            await trio.sleep(ROUND_S)
            self.roster.make_round()

    def say_goaway(self) -> None:
        """Ask every connection to send its new requests elsewhere."""
        for guest in self.roster:
            say_goaway(guest.sender)

    def finish(self) -> None:
        """End every connection once its queued answers are sent."""
        for guest in self.roster:
            guest.sender.finish()

    async def _greet_and_talk(self, stream: trio.abc.Stream) -> None:
        decoder, receive = FrameDecoder(), self._node.buffer.receiver(stream)
        connection: Connection | None = None
        with self.roster.ungreeted(HANDSHAKE_S) as place:
            connection = await self._greet(stream, receive, decoder)
        if place.cancelled_caught:
            raise ProtocolError("no Hello came while there was time and room to wait for it")
        if connection is None:
            return
        try:
            await _talk(connection, receive, decoder)
        finally:
            self.roster.left(connection)

    async def _greet(self, stream: trio.abc.Stream, receive: Receive, decoder: FrameDecoder) -> Connection | None:
        """Wait for a Hello and answer it. None when it was refused or never came."""
        frames = await receive_first(receive, decoder)
        if not frames:
            return None
        theirs = decode_hello(frames[0])
        if len(frames) > 1:
            raise ProtocolError("frames behind the Hello before it was answered")
        ours = self._node.view.hello()
        refusal = self._judge(ours, theirs)
        if refusal is not None:
            peer, reason, why = quoted(theirs.node_id), refusal.reason, quoted(refusal.message)
            self._warn("handshake_refused peer=%s reason=%s why=%s", peer, reason, why)
            await stream.send_all(encode_frame(FrameKind.ERROR, Method.NONE, 0, encode_refusal(refusal)))
            return None
        decoder.frame_bytes_max = FRAME_BYTES_MAX
        return self._let_in(stream, ours, theirs)

    def _judge(self, ours: Hello, theirs: Hello) -> Refusal | None:
        if theirs.role is PeerRole.CLIENT:
            refusal = judge_hello(ours, theirs)
            if refusal is None and not self.roster.make_room_for_client():
                return TOO_MANY_CONNECTIONS
            return refusal
        book = self._node.book
        refusal = judge_hello(ours, theirs, known=book.acquaintances.known(theirs.node_id))
        if refusal is None and theirs.node_id not in book.addresses:
            return Refusal(Code.FAILED_PRECONDITION, "NOT_A_MEMBER", f"node {theirs.node_id!r} is not in this cluster")
        return refusal

    def _let_in(self, stream: trio.abc.Stream, ours: Hello, theirs: Hello) -> Connection:
        """Give it its place, and make our Hello the first that it hears: nothing is awaited since it was judged."""
        peer = None
        if theirs.role is PeerRole.PEER:
            peer = theirs.node_id
            self._node.book.acquaintances.met(peer, theirs.start)
        sender = FrameSender(stream, bytes_max=OUTBOX_BYTES_MAX)
        sender.push(encode_hello(ours))
        sender.flush()
        connection = Connection(self._node, sender, peer)
        self.roster.entered(connection)
        return connection


async def _talk(connection: Connection, receive: Receive, decoder: FrameDecoder) -> None:
    sender = connection.sender
    with sender.scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            await connection.receive(receive, decoder)
            sender.close()
