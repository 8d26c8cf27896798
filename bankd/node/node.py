"""What the tasks of one node share: who it is, its loop, its links, and how calls enter and leave.

`Node` is the one owner. The loop hands it effects (it is the loop's `Outside`), doors hand it calls.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, assert_never

import trio

from bankd import __version__
from bankd.errors import Code, Refusal
from bankd.node.book import Book
from bankd.node.environment import Environment
from bankd.node.links import PeerLink
from bankd.node.loop import ReplicaLoop
from bankd.node.sender import FrameSender
from bankd.raft.messages import Message
from bankd.raft.ready import LeadershipTransferAborted, LogTruncated, MessageIgnored, RaftEvent, RoleChanged
from bankd.replica.core import Replica
from bankd.replica.effects import ReadDone, Reply, Result
from bankd.replica.events import PeerUnreachable
from bankd.status import MemberStatus, NodeStatus
from bankd.storage.data_dir import Identity
from bankd.types import LogIndex, NodeId
from bankd.wire.frames import FrameKind, encode_frame
from bankd.wire.hello import Endpoint, Hello, PeerRole
from bankd.wire.methods import Method
from bankd.wire.raft_codec import encode_message
from bankd.wire.refusals import encode_refusal
from bankd.wire.requests import Request
from bankd.wire.responses import encode_response

log = logging.getLogger(__name__)

SHUTTING_DOWN: Final = Refusal(
    Code.UNAVAILABLE, "SHUTTING_DOWN", "this node is shutting down; nothing was written", retryable=True
)


class Waiting(NamedTuple):  # one per call on the hot path, hence a plain tuple
    """Where the answer of one call goes, and what was asked."""

    sender: FrameSender
    call_id: int
    method: int
    request: Request


class OwnCall:
    """A call of the node itself; it only wants to know when it is answered."""

    def __init__(self) -> None:
        self._answered = trio.Event()

    def answer(self, result: Result) -> None:
        log.info("own_call_answered result=%s", result)
        self._answered.set()

    async def wait_answered(self) -> None:
        await self._answered.wait()


class Node:
    def __init__(
        self,
        *,
        identity: Identity,
        replica: Replica,
        book: Book,
        environment: Environment,
        forwarded_max: int,
        ping_every_s: float,
    ) -> None:
        self.identity = identity
        self.replica = replica
        self.book = book
        self.loop = ReplicaLoop(replica, self, wall_ns=environment.wall_ns)
        self.draining = False  # new calls are refused
        self.drained = trio.Event()  # set once it drains and nobody waits any more
        self._began_s = trio.current_time()
        self.links: Mapping[NodeId, PeerLink] = {
            peer: PeerLink(
                peer,
                environment=environment,
                book=book,
                hello=self.hello,
                unreachable=self._unreachable,
                forwarded_max=forwarded_max,
                ping_every_s=ping_every_s,
            )
            for peer in sorted(book.addresses)
            if peer != identity.node_id
        }

    # Effects out: the loop's `Outside`

    def send(self, messages: Sequence[Message]) -> None:
        reached: set[PeerLink] = set()
        for message in messages:
            link = self.links.get(message.to)
            if link is not None and link.connected:
                link.push(encode_frame(FrameKind.ITEM, Method.RAFT, 0, encode_message(message)))
                reached.add(link)
        for link in reached:
            link.flush()

    def reply(self, replies: Sequence[Reply]) -> None:
        reached: set[FrameSender] = set()
        for waiting, result in replies:
            if isinstance(waiting, Waiting):
                self.answer(waiting, result)
                reached.add(waiting.sender)
            else:
                assert isinstance(waiting, OwnCall), f"an answer for {waiting!r}"
                waiting.answer(result)
        for sender in reached:
            sender.flush()

    def answer(self, waiting: Waiting, result: Result | NodeStatus) -> None:
        """Put one answer into its connection's outbox, for the next flush."""
        if isinstance(result, Refusal):
            self.refuse(waiting.sender, waiting.call_id, waiting.method, result)
            return
        if isinstance(result, ReadDone):
            answer, index, age_ms = result.answer, result.index, result.age_ms
            body = encode_response(waiting.method, waiting.request, answer, index=index, age_ms=age_ms)
        else:
            body = encode_response(waiting.method, waiting.request, result)
        if isinstance(body, Refusal):
            self.refuse(waiting.sender, waiting.call_id, waiting.method, body)
        else:
            waiting.sender.push(encode_frame(FrameKind.RESPONSE, waiting.method, waiting.call_id, body))

    def refuse(self, sender: FrameSender, call_id: int, method: int, refusal: Refusal) -> None:
        body = encode_refusal(self.book.with_address(refusal))
        sender.push(encode_frame(FrameKind.ERROR, method, call_id, body))

    def observe(self, events: Sequence[RaftEvent]) -> None:
        for event in events:
            match event:
                case RoleChanged():
                    log.info(
                        "role_changed node=%s role=%s term=%d leader=%s last_index=%d why=%s",
                        self.identity.node_id, event.role.name.lower(), event.term, event.leader_id,
                        event.last_index, event.reason,
                    )  # fmt: skip
                case LogTruncated():
                    log.warning("log_truncated node=%s from_index=%d", self.identity.node_id, event.from_index)
                case LeadershipTransferAborted():
                    log.warning("transfer_aborted node=%s target=%s", self.identity.node_id, event.target)
                case MessageIgnored():
                    log.error(
                        "message_ignored node=%s peer=%s why=%s", self.identity.node_id, event.sender, event.reason
                    )
                case _:
                    assert_never(event)

    def _unreachable(self, peer: NodeId) -> None:
        self.loop.post(PeerUnreachable(peer))

    # Views

    @property
    def leader_link(self) -> PeerLink | None:
        """The link to the leader; None when this node leads or knows of none."""
        leader_id = self.replica.raft.leader_id
        return self.links.get(leader_id) if leader_id is not None else None

    @property
    def waiting_calls(self) -> int:
        return self.replica.waiting_calls + sum(link.waiting_calls for link in self.links.values())

    def hello(self) -> Hello:
        """How this node introduces itself, to peers and to clients alike."""
        leader_id = self.replica.raft.leader_id
        return Hello(
            role=PeerRole.PEER,
            cluster=self.identity.cluster,
            cluster_id=self.identity.cluster_id,
            node_id=self.identity.node_id,
            incarnation=self.identity.incarnation,
            software=f"bankd {__version__}",
            leader_id=leader_id or NodeId(""),
            leader_address=self.book.address_of(leader_id),
            endpoints=tuple(Endpoint(node_id, address) for node_id, address in sorted(self.book.addresses.items())),
        )

    def status(self) -> NodeStatus:
        raft, ledger = self.replica.raft, self.replica.ledger
        return NodeStatus(
            cluster=self.identity.cluster,
            cluster_id=self.identity.cluster_id,
            node_id=self.identity.node_id,
            incarnation=self.identity.incarnation,
            role=raft.role.name.lower(),
            term=raft.term,
            leader_id=raft.leader_id,
            last_index=raft.last_index,
            commit_index=raft.commit_index,
            applied_index=ledger.applied_index,
            digest=ledger.digest,
            imbalance=ledger.imbalance(),
            accounts=ledger.account_count,
            transfers=ledger.transfer_count,
            version=__version__,
            uptime_ms=int((trio.current_time() - self._began_s) * 1000),
            fsync_p99_us=self.loop.disk.fsync_p99_us(),
            waiting_calls=self.waiting_calls,
            members=tuple(self._member(node_id) for node_id in sorted(self.book.addresses)),
        )

    def _member(self, node_id: NodeId) -> MemberStatus:
        raft, link = self.replica.raft, self.links.get(node_id)
        voter = node_id in raft.configuration.voters
        progress = raft.progress.get(node_id) if self.replica.leads else None
        match_index = progress.match_index if progress is not None else LogIndex(0)
        address = self.book.addresses[node_id]
        if link is None:
            return MemberStatus(node_id, address, voter, match_index, connected=True)
        heard_ms = int((trio.current_time() - link.last_heard_s) * 1000) if link.last_heard_s is not None else 0
        return MemberStatus(node_id, address, voter, match_index, link.rtt_us, heard_ms, link.connected)
