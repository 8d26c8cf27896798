"""What operators ask of one node, both ways: status, digest, leadership."""

from bankd.pb import cluster_pb2 as pb
from bankd.status import DigestReport, LeadershipMoved, MemberStatus, NodeStatus
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Term
from bankd.wire.parsing import parse


def encode_node_status(status: NodeStatus) -> bytes:
    return pb.NodeStatus(
        cluster=status.cluster,
        cluster_id=status.cluster_id,
        node_id=status.node_id,
        incarnation=status.incarnation,
        role=status.role,
        term=status.term,
        leader_id=status.leader_id or "",
        last_index=status.last_index,
        commit_index=status.commit_index,
        applied_index=status.applied_index,
        digest=status.digest,
        imbalance=status.imbalance,
        accounts=status.accounts,
        transfers=status.transfers,
        version=status.version,
        uptime_ms=status.uptime_ms,
        fsync_p99_us=status.fsync_p99_us,
        waiting_calls=status.waiting_calls,
        members=[_encode_member(member) for member in status.members],
        refilling=status.refilling,
        snapshot_index=status.snapshot_index,
        snapshot_size_bytes=status.snapshot_size_bytes,
        snapshot_under_way=status.snapshot_under_way,
        log_base_index=status.log_base_index,
        log_bytes=status.log_bytes,
        snapshot_bytes=status.snapshot_bytes,
        disk_free_bytes=status.disk_free_bytes,
    ).SerializeToString()


def _encode_member(member: MemberStatus) -> pb.Member:
    return pb.Member(
        node_id=member.node_id,
        address=member.address,
        voter=member.voter,
        match_index=member.match_index,
        rtt_us=member.rtt_us,
        last_heard_ms=member.last_heard_ms,
        connected=member.connected,
        refilling=member.refilling,
    )


def decode_node_status(body: bytes) -> NodeStatus:
    """Raises ProtocolError."""
    message = parse(pb.NodeStatus, body)
    return NodeStatus(
        cluster=message.cluster,
        cluster_id=ClusterId(message.cluster_id),
        node_id=NodeId(message.node_id),
        incarnation=Incarnation(message.incarnation),
        role=message.role,
        term=Term(message.term),
        leader_id=NodeId(message.leader_id) if message.leader_id else None,
        last_index=LogIndex(message.last_index),
        commit_index=LogIndex(message.commit_index),
        applied_index=LogIndex(message.applied_index),
        digest=message.digest,
        imbalance=message.imbalance,
        accounts=message.accounts,
        transfers=message.transfers,
        version=message.version,
        uptime_ms=message.uptime_ms,
        fsync_p99_us=message.fsync_p99_us,
        waiting_calls=message.waiting_calls,
        members=tuple(_decode_member(member) for member in message.members),
        refilling=message.refilling,
        snapshot_index=LogIndex(message.snapshot_index),
        snapshot_size_bytes=message.snapshot_size_bytes,
        snapshot_under_way=message.snapshot_under_way,
        log_base_index=LogIndex(message.log_base_index),
        log_bytes=message.log_bytes,
        snapshot_bytes=message.snapshot_bytes,
        disk_free_bytes=message.disk_free_bytes,
    )


def _decode_member(member: pb.Member) -> MemberStatus:
    return MemberStatus(
        node_id=NodeId(member.node_id),
        address=member.address,
        voter=member.voter,
        match_index=LogIndex(member.match_index),
        rtt_us=member.rtt_us,
        last_heard_ms=member.last_heard_ms,
        connected=member.connected,
        refilling=member.refilling,
    )


def encode_digest_report(report: DigestReport) -> bytes:
    return pb.GetDigestResponse(
        index=report.index, digest=report.digest, imbalance=report.imbalance
    ).SerializeToString()


def decode_digest_report(body: bytes) -> DigestReport:
    """Raises ProtocolError."""
    message = parse(pb.GetDigestResponse, body)
    return DigestReport(LogIndex(message.index), message.digest, message.imbalance)


def encode_leadership_moved(moved: LeadershipMoved) -> bytes:
    return pb.TransferLeadershipResponse(leader_id=moved.leader_id, term=moved.term).SerializeToString()


def decode_leadership_moved(body: bytes) -> LeadershipMoved:
    """Raises ProtocolError."""
    message = parse(pb.TransferLeadershipResponse, body)
    return LeadershipMoved(NodeId(message.leader_id), Term(message.term))
