"""One node's view of itself and its cluster, as values: what `GetNodeStatus` and `GetDigest` carry."""

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


@attrs.frozen
class DigestReport:
    """The state digest right after `index`, and the sum of all balances when answered."""

    index: LogIndex
    digest: bytes
    imbalance: int


@attrs.frozen
class SnapshotTaken:
    """A snapshot of one node's state as of `index`, durable on that node."""

    index: LogIndex
    term: Term
    size_bytes: int
    content_id: bytes


@attrs.frozen
class LeadershipMoved:
    leader_id: NodeId
    term: Term
