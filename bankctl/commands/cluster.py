"""`cluster status`, `members`, `health`, `transfer-leader`."""

from typing import Final

import attrs

from bankctl.clusterview import Check, ClusterView, NodeView, checks_of, silence, view_of
from bankctl.columns import BYTES, INT, MICROS, MONEY, TEXT, YES_NO, Column, Row
from bankctl.money import format_money
from bankctl.output import Listing, Record
from bankctl.session import Session, Stopwatch, writing
from bankd.errors import BankError, Exit
from bankd.status import NodeStatus

CLUSTER: Final = (
    Column("cluster", TEXT),
    Column("cluster_id", TEXT),
    Column("leader", TEXT),
    Column("term", INT),
    Column("commit_index", INT),
    Column("voters", INT),
    Column("voters_reached", INT),
    Column("imbalance", MONEY),
)
NODES: Final = (
    Column("node", TEXT),
    Column("address", TEXT),
    Column("role", TEXT),
    Column("voter", YES_NO, in_table=False),
    Column("applied_index", INT, "APPLIED"),
    Column("behind", INT),
    Column("rtt_us", MICROS, "RTT"),
    Column("fsync_p99_us", MICROS, "FSYNC P99"),
    Column("version", TEXT),
    Column("last_heard_ms", INT, in_table=False),
    Column("error", TEXT, in_table=False),
    Column("refilling", TEXT, in_table=False),  # why; absent: it is not
    Column("snapshot_index", INT, "SNAPSHOT", in_table=False),
    Column("disk_bytes", BYTES, "DISK", in_table=False),  # of the log and all snapshots
    Column("snapshot_size_bytes", BYTES, in_table=False),
    Column("snapshot_under_way", YES_NO, in_table=False),
    Column("log_base_index", INT, in_table=False),
    Column("log_bytes", BYTES, in_table=False),
    Column("snapshot_bytes", BYTES, in_table=False),
    Column("disk_free_bytes", BYTES, in_table=False),
)
WHERE_ROOM: Final = frozenset({"snapshot_index", "disk_bytes"})
WIDE: Final = 110  # columns of a terminal in which those fit as well
MEMBERS: Final = (
    Column("node", TEXT),
    Column("address", TEXT),
    Column("voter", YES_NO),
    Column("leader", YES_NO),
)
HEALTH: Final = (Column("healthy", YES_NO),)
CHECKS: Final = (Column("check", TEXT), Column("ok", YES_NO), Column("detail", TEXT))
LEADER: Final = (Column("leader", TEXT), Column("term", INT))

NODE_S_MAX: Final = 2.0  # a living node answers for itself at once, without any quorum
ID_DIGITS_SHOWN: Final = 8  # of a cluster's id: enough to tell clusters apart by eye
CHECK_NAME_WIDTH: Final = 8


def status(session: Session) -> Exit:
    view = ask_nodes(session)
    rows = [node_row(view, node) for node in view.nodes]
    columns = node_columns(wide=session.printer.columns >= WIDE)
    session.printer.listing(Listing("nodes", columns, rows, head=summary(view)))
    for node in view.silent:
        session.printer.note(f"{node.name} {silence(node)}")
    for node in view.nodes:
        if node.refilling:
            session.printer.note(f"{node.name} is being refilled, and does not vote: {node.refilling}")
    return Exit.OK


def node_columns(*, wide: bool) -> list[Column]:
    return [attrs.evolve(column, in_table=column.in_table or (wide and column.key in WHERE_ROOM)) for column in NODES]


def ask_nodes(session: Session) -> ClusterView:
    """Raises BankError: no node answers."""
    left_s = session.left_s()
    limit_s = (
        NODE_S_MAX if left_s is None else min(left_s / 2, NODE_S_MAX)
    )  # a silent node must leave time for the rest
    return view_of(session.bank.cluster.statuses(timeout_s=limit_s))


def summary(view: ClusterView) -> Record:
    speaker, leader = view.speaker, view.leader
    row: Row = {
        "cluster": speaker.cluster,
        "cluster_id": f"{speaker.cluster_id:016x}",
        "leader": leader.node_id if leader else None,
        "term": speaker.term,
        "commit_index": speaker.commit_index,
        "voters": view.voters,
        "voters_reached": view.voters_reached,
        "imbalance": view.imbalance,
    }
    id_begin = f"{speaker.cluster_id:x}"[:ID_DIGITS_SHOWN]
    parts = [
        f"cluster {speaker.cluster} ({id_begin})",
        f"leader {leader.node_id if leader else 'none'}",
        f"term {speaker.term}",
        f"commit {speaker.commit_index}",
        f"quorum {view.voters_reached}/{view.voters}",
        f"imbalance {format_money(view.imbalance) if view.imbalance else 0}",
    ]
    return Record(CLUSTER, row, "  ".join(parts))


def node_row(view: ClusterView, node: NodeView) -> Row:
    row = {
        "node": node.name,
        "address": node.address,
        "role": role_of(node),
        "voter": node.member.voter if node.member else None,
        "rtt_us": (node.member.rtt_us or None) if node.member else None,
        "last_heard_ms": (node.member.last_heard_ms or None) if node.member else None,
        "error": str(node.error) if node.error else None,
        "refilling": node.refilling or None,
    }
    if node.status is None:
        return row
    behind = view.leader.applied_index - node.status.applied_index if view.leader else None
    return row | {
        "applied_index": node.status.applied_index,
        "behind": None if node.status.role == "leader" or behind is None else max(0, behind),
        "fsync_p99_us": node.status.fsync_p99_us or None,
        "version": node.status.version,
        **disk_row(node.status),
    }


def role_of(node: NodeView) -> str:
    if node.status is None:
        return "unreachable"
    return "refilling" if node.refilling else node.status.role


def disk_row(status: NodeStatus) -> Row:
    """What it keeps on its disk. Nodes of an earlier version do not tell."""
    if not status.log_bytes:
        return {}
    return {
        "snapshot_index": status.snapshot_index or None,
        "disk_bytes": status.log_bytes + status.snapshot_bytes,
        "snapshot_size_bytes": status.snapshot_size_bytes or None,
        "snapshot_under_way": status.snapshot_under_way,
        "log_base_index": status.log_base_index,
        "log_bytes": status.log_bytes,
        "snapshot_bytes": status.snapshot_bytes,
        "disk_free_bytes": status.disk_free_bytes,
    }


def members(session: Session) -> Exit:
    known = session.bank.cluster.node_status(timeout_s=session.left_s())
    rows: list[Row] = [
        {"node": m.node_id, "address": m.address, "voter": m.voter, "leader": m.node_id == known.leader_id}
        for m in sorted(known.members, key=lambda member: member.node_id)
    ]
    session.printer.listing(Listing("members", MEMBERS, rows))
    return Exit.OK


def health(session: Session) -> Exit:
    view = ask_nodes(session)
    checks = [*checks_of(view), check_quorum(session)]
    healthy = all(check.good for check in checks)
    word = "healthy" if healthy else "not healthy"
    head = Record(HEALTH, {"healthy": healthy}, f"cluster {view.speaker.cluster} is {word}")
    rows: list[Row] = [{"check": check.name, "ok": check.good, "detail": check.detail} for check in checks]
    session.printer.listing(Listing("checks", CHECKS, rows, check_line, head))
    return Exit.OK if healthy else Exit.UNHEALTHY


def check_quorum(session: Session) -> Check:
    """A linearizable read: only a leader whom a quorum follows can answer it."""
    stopwatch = Stopwatch()
    try:
        page = session.bank.list_accounts(limit=1, timeout_s=session.left_s())
    except BankError as error:
        return Check("quorum", False, f"a read through it failed: {error}")
    return Check("quorum", True, f"a read through it took {stopwatch} (index {page.index})")


def check_line(row: Row) -> str:
    return f"{'ok  ' if row['ok'] else 'FAIL'}  {row['check']:{CHECK_NAME_WIDTH}}  {row['detail']}"


def transfer_leader(session: Session, *, node: str | None) -> Exit:
    admin = session.bank.cluster
    stopwatch = Stopwatch()
    with writing("handing leadership over", ask="bankctl cluster status", metadata={"target": node or ""}):
        moved = admin.transfer_leader(node, timeout_s=session.left_s())
    text = f"{moved.leader_id} leads in term {moved.term}   {stopwatch}"
    session.printer.record(Record(LEADER, {"leader": moved.leader_id, "term": moved.term}, text))
    return Exit.OK
