"""What a node says of itself: its Hello, to whoever connects, and its status, to whoever asks."""

from collections.abc import Callable, Mapping
from typing import Final

import attrs
import trio

from bankd import __version__
from bankd.node.book import Book
from bankd.node.disk import DiskWriter
from bankd.node.links import PeerLink
from bankd.replica.core import Replica
from bankd.status import MemberStatus, NodeStatus
from bankd.storage.data_dir import Identity
from bankd.storage.refill import Refill
from bankd.types import LogIndex, NodeId, Starts
from bankd.wire.hello import Endpoint, Hello, PeerRole

IMBALANCE_EVERY_S: Final = 1.0  # adding up a million accounts takes 5 ms, which nobody may ask for at will


@attrs.frozen
class DiskUse:
    """Bytes on the disk and free there, and why the node does not count, if so."""

    log_bytes: int
    snapshot_bytes: int
    free_bytes: int
    refill: Refill | None


@attrs.define
class NodeView:
    identity: Identity
    starts: Starts
    copied: bool  # it began as an older copy
    replica: Replica
    book: Book
    disk: DiskWriter
    links: Mapping[NodeId, PeerLink]
    waiting_calls: Callable[[], int]
    disk_use: Callable[[], DiskUse]
    _began_s: float = attrs.field(factory=trio.current_time, init=False)
    _imbalance: int = attrs.field(default=0, init=False)
    _imbalance_index: LogIndex | None = attrs.field(default=None, init=False)
    _imbalance_s: float = attrs.field(default=0.0, init=False)

    def hello(self) -> Hello:
        """How this node introduces itself, to peers and to clients alike."""
        leader_id = self.replica.raft.leader_id
        return Hello(
            role=PeerRole.PEER,
            cluster=self.identity.cluster,
            cluster_id=self.identity.cluster_id,
            node_id=self.identity.node_id,
            incarnation=self.identity.incarnation,
            boots=self.starts.boots,
            nonces=self.starts.nonces,
            refilling=self.replica.raft.is_refilling,
            copied=self.copied and self.replica.raft.is_refilling,
            software=f"bankd {__version__}",
            leader_id=leader_id or NodeId(""),
            leader_address=self.book.address_of(leader_id),
            endpoints=tuple(Endpoint(node_id, address) for node_id, address in sorted(self.book.addresses.items())),
        )

    def status(self) -> NodeStatus:
        """All as of now, but the imbalance may be that of up to IMBALANCE_EVERY_S ago."""
        raft, ledger, snapshots = self.replica.raft, self.replica.ledger, self.replica.snapshots
        use, newest = self.disk_use(), snapshots.newest
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
            imbalance=self._recent_imbalance(),
            accounts=ledger.account_count,
            transfers=ledger.transfer_count,
            version=__version__,
            uptime_ms=int((trio.current_time() - self._began_s) * 1000),
            fsync_p99_us=self.disk.fsync_p99_us(),
            waiting_calls=self.waiting_calls(),
            refilling="" if use.refill is None else use.refill.reason,
            snapshot_index=LogIndex(0) if newest is None else newest.index,
            snapshot_size_bytes=0 if newest is None else newest.size_bytes,
            snapshot_under_way=snapshots.under_way,
            log_base_index=raft.base_index,
            log_bytes=use.log_bytes,
            snapshot_bytes=use.snapshot_bytes,
            disk_free_bytes=use.free_bytes,
            members=tuple(self._member(node_id) for node_id in sorted(self.book.addresses)),
        )

    def _recent_imbalance(self) -> int:
        ledger, now_s = self.replica.ledger, trio.current_time()
        index = ledger.applied_index
        known = self._imbalance_index
        if known is None or (known != index and now_s - self._imbalance_s >= IMBALANCE_EVERY_S):
            self._imbalance, self._imbalance_index, self._imbalance_s = ledger.imbalance(), index, now_s
        return self._imbalance

    def _member(self, node_id: NodeId) -> MemberStatus:
        raft, link = self.replica.raft, self.links.get(node_id)
        voter = node_id in raft.configuration.voters
        progress = raft.progress.get(node_id) if self.replica.leads else None
        match_index = progress.match_index if progress is not None else LogIndex(0)
        refilling = raft.is_refilling if link is None else progress is not None and progress.refilling
        address = self.book.addresses[node_id]
        if link is None:
            return MemberStatus(node_id, address, voter, match_index, connected=True, refilling=refilling)
        heard_ms = int((trio.current_time() - link.last_heard_s) * 1000) if link.last_heard_s is not None else 0
        return MemberStatus(node_id, address, voter, match_index, link.rtt_us, heard_ms, link.connected, refilling)
