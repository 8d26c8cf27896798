"""What the tasks of one node share: who it is, its loop, its links, and how calls enter and leave.

`Node` is the one owner. The loop hands it effects (it is the loop's `Outside`), connections hand it calls.

Invariant: `calls_under_way` is the number of calls that were handed to the loop and not answered yet;
the loop answers each exactly once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, assert_never

import trio

from bankd.errors import Code, Refusal
from bankd.keeper.keeper import Happening, Keeper
from bankd.node.book import Book
from bankd.node.calls import OwnCall, PendingCall
from bankd.node.environment import Environment
from bankd.node.links import PeerLink
from bankd.node.logs import RationedLog
from bankd.node.loop import ReplicaLoop, monotonic_ns
from bankd.node.memory import keep_from_garbage_collector
from bankd.node.receiver import ReceiveBuffer
from bankd.node.sender import FrameSender
from bankd.node.view import DiskUse, NodeView
from bankd.raft.ready import (
    LeadershipTransferAborted,
    LogForgotten,
    LogTruncated,
    MessageIgnored,
    Refilled,
    RoleChanged,
)
from bankd.replica import refusals
from bankd.replica.comparison import DigestsDiffer
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, ReadDone, ReplicaEvent, Reply, Result
from bankd.replica.events import (
    TICKED,
    Call,
    Calls,
    Event,
    HandOverCall,
    LossForgotten,
    PeerMessage,
    PeerUnreachable,
    SnapshotReceived,
)
from bankd.status import NodeStatus, SnapshotPart
from bankd.storage.data_dir import Identity
from bankd.storage.refill import Refill
from bankd.storage.snapshot_store import SnapshotStore
from bankd.storage.wal import Wal
from bankd.types import LogIndex, NodeId, Starts
from bankd.wire.frames import FrameKind, encode_frame
from bankd.wire.methods import Method
from bankd.wire.raft_codec import encode_message
from bankd.wire.refusals import encode_refusal
from bankd.wire.requests import SnapshotReadAsked
from bankd.wire.responses import encode_response

log = logging.getLogger(__name__)

_LEVELS: Final = {
    Happening.TAKEN: logging.INFO,
    Happening.GIVEN_UP: logging.WARNING,
    Happening.DAMAGED: logging.ERROR,
    Happening.RECEIVED: logging.INFO,
}

SHUTTING_DOWN: Final = Refusal(
    Code.UNAVAILABLE, "SHUTTING_DOWN", "this node is shutting down; nothing was written", retryable=True
)


class Node:
    def __init__(
        self,
        *,
        identity: Identity,
        starts: Starts,
        copied: bool,
        replica: Replica,
        store: SnapshotStore,
        wal: Wal,
        forget_loss: Callable[[], None],
        refill: Refill | None,
        book: Book,
        environment: Environment,
        forwarded_max: int,
        ping_every_ticks: int,
    ) -> None:
        self.identity = identity
        self.replica = replica
        self.book = book
        self.buffer = ReceiveBuffer()
        self.loop = ReplicaLoop(replica, self, wall_ns=environment.wall_ns)
        self.keeper = Keeper(store, identity.cluster_id, wal.prune, forget_loss, self._kept, self._tell)
        self.refill = refill  # why this node does not count; None once it does
        self.calls_under_way = 0
        self.draining = False  # new calls are refused
        self.drained = trio.Event()  # set once it drains and nobody waits any more
        self.links: Mapping[NodeId, PeerLink] = {
            peer: PeerLink(
                peer,
                environment=environment,
                book=book,
                buffer=self.buffer,
                hello=lambda: self.view.hello(),
                unreachable=self._unreachable,
                forwarded_max=forwarded_max,
                ping_every_ticks=ping_every_ticks,
            )
            for peer in sorted(book.addresses)
            if peer != identity.node_id
        }
        self.free_bytes = 0  # of the disk, when it was last asked
        self.view = NodeView(
            identity,
            starts,
            copied,
            replica,
            book,
            self.loop.disk,
            self.links,
            lambda: self.waiting_calls,
            lambda: self.disk_use(wal),
        )
        self._ignored = RationedLog(log, trio.current_time)
        self._not_received = RationedLog(log, trio.current_time, lines_max=1)

    # Calls in

    def take(self, messages: list[Event], calls: Sequence[Call]) -> None:
        """Hand the loop what one receive brought: messages of a peer, calls, or both. `messages` is given away."""
        if calls:
            self.calls_under_way += len(calls)
            messages.append(Calls(calls))
        self.loop.post_now(messages)

    def tick(self) -> None:
        """One tick of the clock has passed: tell the replica and the links."""
        self.loop.post(TICKED)
        now_s = trio.current_time()
        for link in self.links.values():
            link.tick(now_s)
        if self.draining and not self.waiting_calls:
            self.drained.set()

    def read_snapshot(self, call: PendingCall, asked: SnapshotReadAsked) -> None:
        """Answer with a part of a snapshot's file, when it is read."""

        def answer(result: SnapshotPart | Refusal) -> None:
            self.calls_under_way -= 1
            self.answer(call, result)
            call.sender.flush()

        self.calls_under_way += 1
        if not self.keeper.read(asked, answer):
            answer(refusals.overloaded())

    async def hand_over(self, patience_s: float) -> None:
        """Try to make another node the leader; return when that is decided, at the latest after `patience_s`."""
        call = OwnCall()
        self.take([], (HandOverCall(call, None, monotonic_ns() + int(patience_s * 1e9)),))
        with trio.move_on_after(patience_s):
            await call.wait_answered()

    # Effects out: the loop's `Outside`

    def send(self, messages: Sequence[PeerMessage]) -> None:
        reached: dict[PeerLink, None] = {}
        for message in messages:
            link = self.links.get(message.to)
            if link is not None and link.connected:
                link.push(encode_frame(FrameKind.ITEM, Method.RAFT, 0, encode_message(message)))
                reached[link] = None
        for link in reached:
            link.flush()

    def reply(self, replies: Sequence[Reply]) -> None:
        self.calls_under_way -= len(replies)
        reached: dict[FrameSender, None] = {}
        for call, result in replies:
            if isinstance(call, PendingCall):
                self.answer(call, result)
                reached[call.sender] = None
            else:
                assert isinstance(call, OwnCall), f"an answer for {call!r}"
                call.answer(result)
        for sender in reached:
            sender.flush()

    def answer(self, call: PendingCall, result: Result | NodeStatus | SnapshotPart) -> None:
        """Put one answer into its connection's outbox, for the next flush."""
        call.sender.expected_bytes -= call.answer_bytes
        if isinstance(result, Refusal):
            self.refuse(call.sender, call.call_id, call.method, result)
            return
        if isinstance(result, ReadDone):
            answer, index, age_ms = result.answer, result.index, result.age_ms
            body = encode_response(call.method, call.request, answer, index=index, age_ms=age_ms)
        else:
            body = encode_response(call.method, call.request, result)
        if isinstance(body, Refusal):
            self.refuse(call.sender, call.call_id, call.method, body)
        else:
            call.sender.push(encode_frame(FrameKind.RESPONSE, call.method, call.call_id, body))

    def refuse(self, sender: FrameSender, call_id: int, method: int, refusal: Refusal) -> None:
        body = encode_refusal(self.book.with_address(refusal))
        sender.push(encode_frame(FrameKind.ERROR, method, call_id, body))

    def observe(self, events: Sequence[ReplicaEvent]) -> None:
        node_id = self.identity.node_id
        for event in events:
            match event:
                case RoleChanged():
                    log.info(
                        "role_changed node=%s role=%s term=%d leader=%s last_index=%d why=%s",
                        node_id, event.role.name.lower(), event.term, event.leader_id, event.last_index, event.reason,
                    )  # fmt: skip
                case LogTruncated():
                    log.warning("log_truncated node=%s from_index=%d", node_id, event.from_index)
                case LeadershipTransferAborted():
                    log.warning("transfer_aborted node=%s target=%s", node_id, event.target)
                case MessageIgnored():
                    self._ignored.warning("message_ignored node=%s peer=%s why=%s", node_id, event.sender, event.reason)
                case DigestsDiffer():
                    nodes = ",".join(event.nodes)
                    log.error("digests_differ node=%s index=%d others=%s", node_id, event.index, nodes)
                case LogForgotten():
                    log.error("log_forgotten node=%s leader=%s index=%d", node_id, event.leader_id, event.index)
                case Refilled():
                    log.info("refilled node=%s index=%d", node_id, event.index)
                    self.keeper.refilled()
                case _:
                    assert_never(event)

    def keep(self, effects: Effects) -> None:
        self.keeper.carry_out(effects)

    def _kept(self, event: Event) -> None:
        """Take in what became of a snapshot."""
        if isinstance(event, SnapshotReceived):
            keep_from_garbage_collector()
        elif isinstance(event, LossForgotten):
            self.refill = None
        self.loop.post(event)

    def _tell(self, happening: Happening, index: LogIndex, words: str) -> None:
        if happening is Happening.NOT_RECEIVED:  # as often as a leader asks
            self._not_received.warning("%s index=%d what=%r", happening.value, index, words)
        else:
            log.log(_LEVELS[happening], "%s index=%d what=%r", happening.value, index, words)

    def _unreachable(self, peer: NodeId) -> None:
        self.loop.post(PeerUnreachable(peer))

    # Views

    def disk_use(self, wal: Wal) -> DiskUse:
        return DiskUse(wal.size_bytes, self.keeper.sealed_bytes, self.free_bytes, self.refill)

    @property
    def leader_link(self) -> PeerLink | None:
        """The link to the leader; None when this node leads or knows of none."""
        leader_id = self.replica.raft.leader_id
        return self.links.get(leader_id) if leader_id is not None else None

    @property
    def waiting_calls(self) -> int:
        """Calls that somebody waits for here, those forwarded to the leader included."""
        return self.calls_under_way + sum(link.waiting_calls for link in self.links.values())
