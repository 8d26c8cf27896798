"""What a node answers operators, as values: its view of itself and its cluster, digests, snapshots."""

import attrs

from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Term


@attrs.frozen
class MemberStatus:
    """A member as one node sees it. `match_index` is 0 unless that node leads."""

    node_id: NodeId
    address: str
    voter: bool
    match_index: LogIndex = LogIndex(0)
    rtt_us: int = 0  # of the last ping, microseconds; 0: none yet
    last_heard_ms: int = 0  # since a frame came from it, milliseconds; 0 while not connected: never heard
    connected: bool = False
    refilling: bool = False  # it counts in no quorum until a leader has refilled it


@attrs.frozen
class NodeStatus:
    cluster: str
    cluster_id: ClusterId
    node_id: NodeId
    incarnation: Incarnation
    role: str  # leader, candidate, pre_candidate, follower
    term: Term
    leader_id: NodeId | None
    last_index: LogIndex
    commit_index: LogIndex
    applied_index: LogIndex
    digest: bytes  # 16 bytes, of the state at applied_index
    imbalance: int  # sum of all balances: 0, or something is very wrong
    accounts: int
    transfers: int
    version: str
    uptime_ms: int
    fsync_p99_us: int  # over the last 1,024 writes; 0: none yet
    waiting_calls: int
    members: tuple[MemberStatus, ...] = ()
    refilling: str = ""  # why this node does not vote until a leader has refilled it; empty: it does
    snapshot_index: LogIndex = LogIndex(0)  # of the newest sound snapshot; 0: there is none
    snapshot_size_bytes: int = 0  # of that one
    snapshot_under_way: bool = False
    log_base_index: LogIndex = LogIndex(0)  # the log begins behind it
    log_bytes: int = 0  # on disk; 0: not told, by a node of an earlier version
    snapshot_bytes: int = 0  # on disk, all snapshots
    disk_free_bytes: int = 0  # of the file system that both are on


@attrs.frozen
class DigestReport:
    """The state digest right after `index`, and the sum of all balances when answered."""

    index: LogIndex
    digest: bytes
    imbalance: int


@attrs.frozen
class LeadershipMoved:
    leader_id: NodeId
    term: Term


@attrs.frozen
class SnapshotTaken:
    """A snapshot of one node's state after the entry at `index`, whose term was `term`; durable on that node.

    Equal `content_id`: equal bytes.
    """

    index: LogIndex
    term: Term
    size_bytes: int
    content_id: bytes
    taken_ms: int = 0  # how long taking it took, milliseconds; 0: not told


@attrs.frozen
class SnapshotPart:
    """Raw bytes of a snapshot's file from `offset` on, not verified; none only at its end."""

    index: LogIndex
    term: Term
    size_bytes: int
    content_id: bytes
    offset: int
    data: bytes
