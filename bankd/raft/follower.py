"""Take a leader's appends and heartbeats: the follower's side of replication.

`core` has seen to it that the message is of this node's term and from the leader it follows. Every
answer to an append waits for the disk, a refusal too, so that answers leave in the order in which
they were decided; answers to heartbeats promise nothing durable and leave at once.

What a correct leader never asks: committed entries with other terms, entries out of order, a commit
index beyond what this node acknowledged. It proves that a program or a disk is broken: its own, or
ours that lost its tail (`LogForgotten`). A peer must not be able to end this process, so such a message
is left aside and reported (`MessageIgnored`); the log stays as it is. Because entries at or below the commit
index are never looked at, no message can make the log truncate there.

Source: paper 5.3 and figure 2, AppendEntries RPC, receiver rules 2 to 5.
"""

from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Configuration,
    HeartbeatRequest,
    HeartbeatResponse,
    SnapshotRef,
    SnapshotRequest,
    SnapshotResponse,
)
from bankd.raft.ready import ChunkReceived, LogForgotten
from bankd.raft.state import State
from bankd.types import LogIndex, NodeId


def accept_append(state: State, message: AppendRequest) -> None:
    """Append what is missing, replace what conflicts, learn the commit index, and answer.

    A disk that hangs is given no more to do: what relies on it could not leave, and would pile up with every heartbeat
    for as long as that lasts (B1). The leader asks again.
    """
    if state.is_disk_stalled:
        return
    log = state.log
    prev_index = message.prev_index
    if not _is_well_formed(message):
        state.ignore(message.sender, "append_malformed")
    elif prev_index > log.commit_index:
        if log.matches(prev_index, message.prev_term):
            _take_entries(state, message)
        else:
            _refuse(state, message)
    elif prev_index >= log.base_index and not log.matches(prev_index, message.prev_term):
        state.ignore(message.sender, "committed_entry_contradicted")
    elif prev_index == log.commit_index:
        _take_entries(state, message)
    else:
        # An old append, or a probe of a leader that does not know yet how far this node is.
        # Committed entries are every leader's (paper 5.4), so the logs agree up to there.
        _acknowledge(state, message.sender, log.commit_index)


def accept_heartbeat(state: State, message: HeartbeatRequest) -> None:
    """Learn the commit index, and confirm the leader's read round."""
    log, refill = state.log, state.refill
    if refill is not None:
        # This one may have been sent before the loss: it commits nothing beyond what was found to match since.
        refill.heard(message)
        log.commit_to(min(message.commit_index, refill.match_index(state.term), log.last_index))
    elif message.commit_index <= log.last_index:
        log.commit_to(message.commit_index)
    else:
        state.outbox.events.append(LogForgotten(message.sender, message.commit_index))
    state.send(HeartbeatResponse(message.sender, state.node_id, state.term, message.read_round, state.refilling))


def accept_snapshot(state: State, message: SnapshotRequest) -> None:
    """Hand a chunk to the driver, unless this log has all that the snapshot stands for.

    Not while the disk hangs, as in `accept_append`: the leader asks again, and the chunk goes on from what is here.
    """
    if state.is_disk_stalled:
        return
    log, snapshot = state.log, message.snapshot
    if snapshot.term > message.term or message.offset + len(message.data) > snapshot.size_bytes:
        state.ignore(message.sender, "snapshot_malformed")
    elif snapshot.index <= log.commit_index:
        _acknowledge(state, message.sender, log.commit_index)
    elif log.matches(snapshot.index, snapshot.term):
        log.commit_to(snapshot.index)
        _acknowledge(state, message.sender, snapshot.index)
    else:
        state.outbox.chunks_received.append(ChunkReceived(snapshot, message.offset, message.data))


def chunk_kept(state: State, snapshot: SnapshotRef, received_bytes: int) -> None:
    """Tell the leader how much is here now, whoever leads by now."""
    if state.leader_id not in (None, state.node_id):
        node_id, term, content_id = state.node_id, state.term, snapshot.content_id
        state.send(SnapshotResponse(state.leader_id, node_id, term, content_id, received_bytes, state.refilling))


def install(state: State, snapshot: SnapshotRef, configuration: Configuration) -> bool:
    """Begin the log anew behind a durable snapshot; return whether it was needed.

    It is not where the log came to hold its last entry while it was on its way: what follows that entry stays (R15).
    """
    log = state.log
    needed = snapshot.index > log.commit_index and not log.matches(snapshot.index, snapshot.term)
    if needed:
        state.configuration = configuration
        state.restarted(snapshot)
    else:
        log.commit_to(max(log.commit_index, snapshot.index))
    if state.leader_id not in (None, state.node_id):
        _acknowledge(state, state.leader_id, snapshot.index if needed else log.commit_index)
    return needed


def _is_well_formed(message: AppendRequest) -> bool:
    term = message.prev_term
    for index, entry in enumerate(message.entries, message.prev_index + 1):
        if entry.index != index or entry.term < term:
            return False
        term = entry.term
    return term <= message.term


def _take_entries(state: State, message: AppendRequest) -> None:
    log = state.log
    replaced_from = log.merge(message.entries)
    if replaced_from is not None:
        state.truncated(replaced_from)
    # Not log.last_index: what stands behind the last entry of this message may be another leader's.
    match_index = LogIndex(message.prev_index + len(message.entries))
    log.commit_to(min(message.commit_index, match_index))
    _acknowledge(state, message.sender, match_index)


def _acknowledge(state: State, leader_id: NodeId, match_index: LogIndex) -> None:
    if state.refill is not None:
        state.refill.matched(state.term, match_index)
    answer = AppendResponse(leader_id, state.node_id, state.term, True, match_index, refilling=state.refilling)
    state.send_durable(answer)


def _refuse(state: State, message: AppendRequest) -> None:
    log = state.log
    hint_index = log.agree_index(message.prev_index, message.prev_term)
    state.send_durable(
        AppendResponse(
            message.sender,
            state.node_id,
            state.term,
            False,
            message.prev_index,
            hint_index,
            log.term_at(hint_index),
            state.refilling,
        )
    )
