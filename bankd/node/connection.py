"""Take in what one greeted connection brings: requests from a client or a peer, messages from a peer.

The frames of one receive are judged one by one by what can be seen in each alone, and handed to the
loop as one batch. Answers leave through the connection's `FrameSender`; while that is crowded no
further request is taken in, so what one connection can ask for at a time is bounded by what it takes:
a client is not read any further; a peer is, and refused, because the very messages that let its calls
be answered come on the same connection.

Limits: while a client's connection is crowded its pings wait, too.
"""

from typing import Final

import trio

from bankd.errors import ProtocolError, Refusal
from bankd.node.calls import PendingCall, answer_bytes
from bankd.node.links import PeerLink
from bankd.node.loop import monotonic_ns
from bankd.node.node import SHUTTING_DOWN, Node
from bankd.node.receiver import Receive
from bankd.node.sender import FrameSender
from bankd.replica import refusals
from bankd.replica.events import Call, DigestCall, Event, HandOverCall, ReadCall, Received, SnapshotCall, WriteCall
from bankd.types import NodeId
from bankd.wire.frames import FLAG_HOPPED, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.methods import WRITES, Method
from bankd.wire.raft_codec import decode_message
from bankd.wire.requests import (
    DigestAsked,
    Read,
    SnapshotReadAsked,
    SnapshotTriggerAsked,
    StatusAsked,
    TransferLeadershipAsked,
    Write,
    decode_request,
)

DEADLINE_S_DEFAULT: Final = 60.0  # for calls that name none, and the most that any gets

# These go to the leader when they meet another node; everything else is answered where it arrives.
LEADER_ONLY: Final = WRITES | {Method.TRANSFER_LEADERSHIP}


class Connection:
    """`peer` is None for a client. `heard` and `quiet_rounds` are for the roster."""

    def __init__(self, node: Node, sender: FrameSender, peer: NodeId | None) -> None:
        self.sender = sender
        self.peer = peer
        self.heard = True
        self.quiet_rounds = 0
        self._node = node
        self._calls: list[Call] = []  # taken in, to be handed to the loop with the rest of their receive
        self._messages: list[Event] = []
        self._used_links: dict[PeerLink, None] = {}

    async def receive(self, receive: Receive, decoder: FrameDecoder) -> None:
        """Take in frames until the other side ends the stream.

        Raises:
          ProtocolError: the other side broke the protocol.
        """
        while data := await receive():
            self.heard = True
            for frame in decoder.feed(data):
                if self.sender.crowded and self.peer is None:
                    self._hand_in()
                    await self.sender.wait_room()
                self._take(frame)
            self._hand_in()

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case FrameKind.REQUEST:
                self._take_request(frame)
            case FrameKind.ITEM if self.peer is not None and frame.method == Method.RAFT:
                message = decode_message(frame.body, sender=self.peer, to=self._node.identity.node_id)
                self._messages.append(Received(message))
            case FrameKind.PING:
                self.sender.push(encode_frame(FrameKind.PONG, Method.NONE, frame.call_id, frame.body))
            case FrameKind.CANCEL | FrameKind.PONG | FrameKind.GOAWAY:
                pass  # a cancelled call is answered all the same; the caller drops the answer
            case _:
                raise ProtocolError(f"a {frame.kind.name} frame has no place here")

    def _hand_in(self) -> None:
        """Give the loop what was gathered, and send what needed no loop: pongs, refusals, forwarded calls."""
        if self._calls or self._messages:
            messages, self._messages = self._messages, []
            calls, self._calls = self._calls, []
            self._node.take(messages, calls)
        self.sender.flush()
        while self._used_links:
            self._used_links.popitem()[0].flush()

    def _take_request(self, frame: Frame) -> None:
        node = self._node
        if node.draining:
            self._refuse(frame, SHUTTING_DOWN)
        elif self.peer is not None and self.sender.crowded:
            self._refuse(frame, refusals.overloaded())
        elif frame.method in LEADER_ONLY and not node.replica.leads:
            self._forward(frame)
        else:
            self._take_call(frame)

    def _forward(self, frame: Frame) -> None:
        """Pass a call on to the leader, at most once; otherwise say who leads and let the client go there."""
        link = self._node.leader_link
        if link is None or frame.flags & FLAG_HOPPED:
            self._refuse(frame, refusals.not_leader(self._node.replica.raft.leader_id))
            return
        refusal = link.forward(frame, self.sender, trio.current_time() + _deadline_s(frame))
        if refusal is not None:
            self._refuse(frame, refusal)
        else:
            self._used_links[link] = None

    def _take_call(self, frame: Frame) -> None:
        request = decode_request(frame.method, frame.body)
        if isinstance(request, Refusal):
            self._refuse(frame, request)
            return
        room = answer_bytes(request)
        self.sender.expected_bytes += room
        call = PendingCall(self.sender, frame.call_id, frame.method, request, room)
        deadline_ns = monotonic_ns() + int(_deadline_s(frame) * 1e9)
        match request:
            case Write():
                self._calls.append(WriteCall(call, request.command, request.raw, deadline_ns))
            case Read():
                self._calls.append(ReadCall(call, request.query, request.mode, deadline_ns))
            case DigestAsked():
                self._calls.append(DigestCall(call, request.index, deadline_ns))
            case TransferLeadershipAsked():
                self._calls.append(HandOverCall(call, request.target, deadline_ns))
            case SnapshotTriggerAsked():
                self._calls.append(SnapshotCall(call, deadline_ns))
            case SnapshotReadAsked():
                self._node.read_snapshot(call, request)
            case StatusAsked():
                self._node.answer(call, self._node.view.status())

    def _refuse(self, frame: Frame, refusal: Refusal) -> None:
        self._node.refuse(self.sender, frame.call_id, frame.method, refusal)


def _deadline_s(frame: Frame) -> float:
    return min(frame.deadline_ms / 1000, DEADLINE_S_DEFAULT) if frame.deadline_ms else DEADLINE_S_DEFAULT
