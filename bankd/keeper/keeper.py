"""Carry out what a replica asks of snapshots: write its own, read them for followers, keep the leader's.

Lanes of their own, for they must not wait for each other: `taking` lasts as long as a snapshot, `sending` and
`receiving` have one short job for each chunk, the last of which restores the whole; `marking` ends a refill. Their steps
touch the same store, so a driver makes one blocking call at a time, whichever lane it belongs to.

What fails, and what comes of it:
- no room: the draft is given up, the node goes on; its own snapshot is tried later, the leader's when the leader asks again
- a chunk, or the whole, is not what the leader announced: what was received is given up, and the next question begins it anew
- a newer program, or another cluster, wrote it: it is left alone from then on, for the same bytes would fail again
- a snapshot of ours cannot be read: the replica is told, and takes a new one
- one is deleted before any of it was sent: the follower is sent a newer one
- any other failure of the disk ends the node: the log is on the same one

The log on the disk is pruned right after a snapshot is sealed, a received one too, up to where two cover it.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

import attrs

from bankd.errors import DataDirForeign, DiskFull, Refusal
from bankd.keeper.restoring import restore
from bankd.keeper.work import Lane, Work, blocking
from bankd.raft.messages import SnapshotRef
from bankd.raft.ready import ChunkReceived, ChunkWanted
from bankd.replica.effects import Effects, SnapshotDue
from bankd.replica.events import (
    ChunkKept,
    ChunkRead,
    Event,
    LossForgotten,
    SnapshotFailed,
    SnapshotReceived,
    SnapshotSealed,
)
from bankd.status import SnapshotPart
from bankd.storage.snapshot_format import CHUNK_BYTES_MAX, SnapshotDamaged, SnapshotHeader
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.storage.snapshot_receiver import IncomingSnapshot
from bankd.storage.snapshot_store import SnapshotGone, SnapshotStore
from bankd.storage.snapshot_writer import SnapshotWriter
from bankd.types import ClusterId, LogIndex
from bankd.wire.requests import SnapshotReadAsked
from bankd.wire.snapshot_codec import PART_BYTES_MAX, snapshot_damaged, snapshot_not_found, snapshot_offset_wrong
from bankd.wire.snapshot_rows import encode_block

SENT_BYTES: Final = 512 << 10  # of a file in one message: a follower writes and syncs that in some milliseconds
CHUNKS_WAITING_MAX: Final = 16  # one is under way to each follower, and from one leader; the rest are questions again
READERS_MAX: Final = 4  # open snapshots; one that is deleted meanwhile stays readable


class Happening(Enum):
    """What an operator may want to know, beside the events."""

    TAKEN = "snapshot_taken"
    GIVEN_UP = "snapshot_given_up"
    DAMAGED = "snapshot_damaged"
    RECEIVED = "snapshot_received"
    NOT_RECEIVED = "snapshot_not_received"


@attrs.define(eq=False)
class Keeper:
    """`post` hands an event to the replica, `tell` a happening to whoever logs: what, which index, and in words.
    `prune` deletes what of the log is covered up to an index, and returns how many files; `forget_loss` removes
    from the disk that this node is to be refilled. `sent_bytes` of a snapshot go into one message."""

    _store: SnapshotStore
    _cluster_id: ClusterId
    _prune: Callable[[LogIndex], int]
    _forget_loss: Callable[[], None]
    _post: Callable[[Event], None]
    _tell: Callable[[Happening, LogIndex, str], None]
    _sent_bytes: int = attrs.field(kw_only=True, default=SENT_BYTES)
    taking: Lane = attrs.field(init=False, factory=lambda: Lane(jobs_max=1))
    sending: Lane = attrs.field(init=False, factory=lambda: Lane(jobs_max=CHUNKS_WAITING_MAX))
    receiving: Lane = attrs.field(init=False, factory=lambda: Lane(jobs_max=CHUNKS_WAITING_MAX, urgent=True))
    marking: Lane = attrs.field(init=False, factory=lambda: Lane(jobs_max=1))
    sealed_bytes: int = attrs.field(init=False, default=0)  # the room that sealed snapshots take
    _readers: dict[SnapshotRef, SnapshotReader] = attrs.field(init=False, factory=dict)
    _received_index: LogIndex = attrs.field(init=False, default=LogIndex(0))
    _lately_read: set[SnapshotRef] = attrs.field(init=False, factory=set)  # since the last one was sealed
    _left_alone: bytes = attrs.field(init=False, default=b"")  # content id of a snapshot that is of no use here

    def __attrs_post_init__(self) -> None:
        self.sealed_bytes = self._store.size_bytes

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return self.taking, self.sending, self.receiving, self.marking

    def carry_out(self, effects: Effects) -> None:
        """Put what a turn asks of snapshots into the lanes."""
        if effects.snapshot_due is not None:
            self.taking.put(partial(self._take, effects.snapshot_due))
        for wanted in effects.chunks_wanted:
            self.sending.put(partial(self._send, wanted))
        for received in effects.chunks_received:
            self.receiving.put(partial(self._receive, received))

    def refilled(self) -> None:
        """The node has been refilled: forget on the disk that it was to be."""
        self.marking.put(self._end_refill)

    def _end_refill(self) -> Work[None]:
        yield from blocking(self._forget_loss)
        self._post(LossForgotten())

    def close(self) -> None:
        """Close what is open. Drafts stay, for the next start to remove."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    # Taking

    def _take(self, due: SnapshotDue) -> Work[None]:
        header = SnapshotHeader(
            self._cluster_id, due.index, due.term, due.time_ns, due.image.head.digest, due.configuration
        )
        try:
            writer = yield from blocking(lambda: self._store.begin(header))
        except DiskFull as error:
            self._give_up(due, error)
            return
        try:
            yield from _write(due, writer)
            event = yield from blocking(lambda: self._seal(writer))
        except DiskFull as error:
            yield from blocking(writer.abandon)
            self._give_up(due, error)
            return
        pruned = yield from blocking(lambda: self._prune(event.covered_index))
        yield from self._close_deleted()
        self._tell(Happening.TAKEN, due.index, f"{event.snapshot.size_bytes} bytes, {pruned} segments deleted")
        self._post(event)

    def _seal(self, writer: SnapshotWriter) -> SnapshotSealed:
        snapshot = writer.seal().snapshot
        self.sealed_bytes = self._store.size_bytes
        return SnapshotSealed(snapshot, self._store.covered_index)

    def _give_up(self, due: SnapshotDue, error: DiskFull) -> None:
        self._tell(Happening.GIVEN_UP, due.index, str(error))
        self._post(SnapshotFailed(str(error)))

    # Sending

    def _send(self, wanted: ChunkWanted) -> Work[None]:
        try:
            reader = yield from self._reader(wanted.snapshot)
            data = yield from blocking(lambda: reader.pread(self._sent_bytes, wanted.offset))
        except SnapshotDamaged as error:
            yield from self._found_damaged(wanted.snapshot, str(error))
            self._post(ChunkRead(wanted, None))
        except SnapshotGone:  # two newer ones were taken before the first chunk was asked for
            self._post(ChunkRead(wanted, None))
        else:
            self._post(ChunkRead(wanted, data))

    def read(self, asked: SnapshotReadAsked, answer: Callable[[SnapshotPart | Refusal], None]) -> bool:
        """Read a part of a snapshot's file for an operator; `answer` is called with it later. False: too much waits."""
        return self.sending.put(partial(self._read, asked, answer))

    def _read(self, asked: SnapshotReadAsked, answer: Callable[[SnapshotPart | Refusal], None]) -> Work[None]:
        offset, snapshot = asked.offset, self._named(asked)
        if snapshot is None:
            answer(snapshot_not_found(asked.index, asked.term))
        elif offset > snapshot.size_bytes:
            answer(snapshot_offset_wrong(snapshot.index, offset, snapshot.size_bytes))
        else:
            try:
                reader = yield from self._reader(snapshot)
                data = yield from blocking(lambda: reader.pread(PART_BYTES_MAX, offset))
            except SnapshotDamaged as error:
                yield from self._found_damaged(snapshot, str(error))
                answer(snapshot_damaged(snapshot.index, str(error)))
            except SnapshotGone:
                answer(snapshot_not_found(snapshot.index, snapshot.term))
            else:
                answer(
                    SnapshotPart(snapshot.index, snapshot.term, snapshot.size_bytes, snapshot.content_id, offset, data)
                )

    def _named(self, asked: SnapshotReadAsked) -> SnapshotRef | None:
        """The snapshot that was asked for: one that is still being read may have been deleted since."""
        if not asked.index:
            return next(iter(self._store.snapshots), None)
        known = (*self._store.snapshots, *self._readers)
        return next((one for one in known if (one.index, one.term) == (asked.index, asked.term)), None)

    def _found_damaged(self, snapshot: SnapshotRef, why: str) -> Work[None]:
        self._tell(Happening.DAMAGED, snapshot.index, why)
        yield from blocking(lambda: self._store.mark_damaged(snapshot, why))
        yield from self._forget(snapshot)

    def _reader(self, snapshot: SnapshotRef) -> Work[SnapshotReader]:
        """Open a snapshot, and verify all of it once before any of it is sent."""
        self._lately_read.add(snapshot)
        if (reader := self._readers.get(snapshot)) is not None:
            return reader
        reader = yield from blocking(lambda: self._store.open_snapshot(snapshot))
        try:
            steps = reader.verify()
            while (yield from blocking(lambda: next(steps, steps))) is not steps:
                pass
        except SnapshotDamaged:
            yield from blocking(reader.close)
            raise
        if len(self._readers) >= READERS_MAX:
            yield from self._forget(next(iter(self._readers)))
        self._readers[snapshot] = reader
        return reader

    def _close_deleted(self) -> Work[None]:
        """Give back the room of snapshots that were deleted, and that nobody has asked for since the last one was sealed."""
        for snapshot in [*self._readers]:
            if snapshot not in self._store.snapshots and snapshot not in self._lately_read:
                yield from self._forget(snapshot)
        self._lately_read.clear()
        open_still = (snapshot for snapshot in self._readers if snapshot not in self._store.snapshots)
        self.sealed_bytes = self._store.size_bytes + sum(snapshot.size_bytes for snapshot in open_still)

    def _forget(self, snapshot: SnapshotRef) -> Work[None]:
        if (reader := self._readers.pop(snapshot, None)) is not None:
            yield from blocking(reader.close)

    # Receiving

    def _receive(self, chunk: ChunkReceived) -> Work[None]:
        snapshot = chunk.snapshot
        if snapshot.index <= self._received_index or snapshot.content_id == self._left_alone:
            return  # asked while it was being restored, and answered by that; or of no use
        try:
            incoming = yield from blocking(lambda: self._store.receive(snapshot))
        except DiskFull as error:
            self._tell(Happening.NOT_RECEIVED, snapshot.index, str(error))
            return
        try:
            received_bytes = yield from blocking(lambda: incoming.write(chunk.data, chunk.offset))
            self._post(ChunkKept(snapshot, received_bytes))
            if incoming.is_complete:
                yield from self._install(incoming)
        except (DiskFull, SnapshotDamaged, DataDirForeign) as error:
            # Bytes that are right and no state are so again the next time.
            is_no_state = isinstance(error, SnapshotDamaged) and error.offset is None
            self._tell(Happening.DAMAGED if is_no_state else Happening.NOT_RECEIVED, snapshot.index, str(error))
            if is_no_state or isinstance(error, DataDirForeign):
                self._left_alone = snapshot.content_id
            yield from blocking(incoming.abandon)

    def _install(self, incoming: IncomingSnapshot) -> Work[None]:
        snapshot = incoming.snapshot
        state = yield from restore(snapshot, incoming)
        covered_index = yield from blocking(lambda: self._seal_received(incoming))
        yield from blocking(lambda: self._prune(covered_index))
        yield from self._close_deleted()
        self._received_index = snapshot.index
        self._tell(Happening.RECEIVED, snapshot.index, f"{snapshot.size_bytes} bytes")
        self._post(
            SnapshotReceived(snapshot, covered_index, state.ledger, state.configuration, state.header.configuration)
        )

    def _seal_received(self, incoming: IncomingSnapshot) -> LogIndex:
        incoming.seal()
        self.sealed_bytes = self._store.size_bytes
        return self._store.covered_index


def _write(due: SnapshotDue, writer: SnapshotWriter) -> Work[None]:
    """Encode the image block by block, a slice each, and write it in chunks. Joining a chunk takes longer than a slice."""
    blocks: list[bytes] = []
    size = 0
    for block in due.image.blocks():
        encoded = encode_block(block)
        if size + len(encoded) > CHUNK_BYTES_MAX:
            yield from blocking(partial(_add, writer, blocks))
            blocks, size = [], 0
        blocks.append(encoded)
        size += len(encoded)
        yield None
    yield from blocking(partial(_add, writer, blocks))


def _add(writer: SnapshotWriter, blocks: list[bytes]) -> None:
    writer.add(b"".join(blocks))
