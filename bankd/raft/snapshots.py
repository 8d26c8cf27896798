"""Send a snapshot to a follower whose next entry is no longer in the log: the leader's side (paper section 7).

    leader                                    follower
    how much of snapshot S have you?  ------>
                                      <------ so many bytes, from the start (0, or where an earlier try ended)
    the next chunk, from there on     ------>
                                      <------ so many bytes
    ...                                       all here: verified, made durable, installed
                                      <------ my log is equal up to S (an AppendResponse)

The follower says where to go on, so nothing depends on what the leader remembers: after a lost message, a broken
connection or a change of leader the question is put again, and a snapshot with the same content id goes on where it
stopped. One chunk is under way to a follower, so that a snapshot takes no more of the link and of the disks than that.

Chunks are read by the driver (`ChunkWanted`, then `send_chunk`): nothing here does I/O. A snapshot that was begun
is sent to its end, even when a newer one is there: the driver keeps it readable, and `compactable_index` the
entries behind it in the log, so that a follower never has to begin anew because it was slow (R16). One that takes
nothing for long, because its disk is full, holds nothing up (B1): it is sent a newer one later.

Source: paper section 7, InstallSnapshot RPC; offsets that the receiver names follow thesis 5.1.
"""

from collections.abc import Mapping
from typing import Final

from bankd.raft.messages import SnapshotRequest, SnapshotResponse
from bankd.raft.progress import Progress, ProgressState
from bankd.raft.ready import ChunkWanted
from bankd.raft.state import State
from bankd.types import LogIndex, NodeId

PATIENCE_ELECTION_TIMEOUTS: Final = 30  # without a byte more: restoring the whole at its end takes seconds


def begin(state: State, peer: NodeId, progress: Progress) -> None:
    """Send the newest snapshot to a follower that needs what the log has dropped."""
    snapshot = state.snapshot
    assert snapshot is not None, "the log has dropped entries, and no snapshot covers them"
    assert snapshot.index >= state.log.base_index, f"snapshot {snapshot.index} before the log's base"
    progress.become_snapshot(snapshot, state.now_tick)
    ask(state, peer, progress)


def ask(state: State, peer: NodeId, progress: Progress) -> None:
    """Ask how much of its snapshot a follower has: to begin, and whenever an answer stays away."""
    assert progress.snapshot is not None, f"{peer} is sent no snapshot"
    progress.asked_for_receipt(state.now_tick)
    state.send(SnapshotRequest(peer, state.node_id, state.term, progress.snapshot))


def on_response(state: State, progress: Progress, message: SnapshotResponse) -> None:
    """Have the next chunk read, if there is one. All there: the follower installs it, and says so later."""
    snapshot = progress.snapshot
    if snapshot is None or message.content_id != snapshot.content_id:
        return  # of a snapshot that is no longer being sent
    if progress.chunk_due(message.received_bytes, state.now_tick):
        state.outbox.chunks_wanted.append(ChunkWanted(message.sender, snapshot, message.received_bytes))


def send_chunk(state: State, progress: Progress, wanted: ChunkWanted, data: bytes) -> None:
    """Send what was read, unless something else became due meanwhile."""
    if progress.snapshot == wanted.snapshot and progress.chunk_offset == wanted.offset:
        progress.chunk_sent(state.now_tick)
        state.send(SnapshotRequest(wanted.to, state.node_id, state.term, wanted.snapshot, wanted.offset, data))


def compactable_index(state: State, followers: Mapping[NodeId, Progress], active: set[NodeId]) -> LogIndex:
    """Up to where the log may be dropped: a durable snapshot covers it, and no follower that is being sent
    an older one will need it right after. A follower that is not heard, or takes no more of it, holds nothing up."""
    if state.snapshot is None:
        return state.log.base_index
    moved_after = state.now_tick - PATIENCE_ELECTION_TIMEOUTS * state.options.election_ticks
    sent = [
        progress.snapshot.index
        for peer, progress in followers.items()
        if progress.state is ProgressState.SNAPSHOT
        and progress.snapshot is not None
        and peer in active
        and progress.snapshot_moved_tick > moved_after
    ]
    log = state.log
    return max(log.base_index, min([state.snapshot.index, log.delivered_index, log.stable_index, *sent]))
