"""What operators ask of one node about snapshots, both ways: to take one, and to read its file in parts.

A part is raw bytes of the file. Only the whole proves itself (bankd/storage/snapshot_format.py), so whoever reads parts
verifies the file that comes of them. What is judged here is that a part belongs to the file that was asked for, and
brings the reader on.
"""

from typing import Final

from bankd.errors import Code, ProtocolError, Refusal
from bankd.pb import cluster_pb2 as pb
from bankd.status import SnapshotPart, SnapshotTaken
from bankd.types import LogIndex, Term
from bankd.wire.parsing import parse

PART_BYTES_MAX: Final = 1 << 20  # a quarter of a frame; on its own connection it holds up nobody else's answers


def encode_snapshot_trigger() -> bytes:
    return pb.TriggerSnapshotRequest().SerializeToString()


def encode_snapshot_taken(taken: SnapshotTaken) -> bytes:
    return pb.TriggerSnapshotResponse(
        index=taken.index,
        term=taken.term,
        size_bytes=taken.size_bytes,
        content_id=taken.content_id,
        taken_ms=taken.taken_ms,
    ).SerializeToString()


def decode_snapshot_taken(body: bytes) -> SnapshotTaken:
    """Raises ProtocolError."""
    message = parse(pb.TriggerSnapshotResponse, body)
    place = (LogIndex(message.index), Term(message.term))
    return SnapshotTaken(*place, message.size_bytes, message.content_id, message.taken_ms)


def encode_snapshot_read(index: LogIndex, term: Term, offset: int) -> bytes:
    """Index 0 asks for the newest sound one."""
    return pb.ReadSnapshotRequest(index=index, term=term, offset=offset).SerializeToString()


def encode_snapshot_part(part: SnapshotPart) -> bytes:
    assert len(part.data) <= PART_BYTES_MAX, f"part of {len(part.data)} bytes"
    return pb.ReadSnapshotResponse(
        index=part.index,
        term=part.term,
        size_bytes=part.size_bytes,
        content_id=part.content_id,
        offset=part.offset,
        data=part.data,
    ).SerializeToString()


def decode_snapshot_part(body: bytes, index: LogIndex, term: Term, offset: int) -> SnapshotPart:
    """The part that was asked for with these numbers. Raises ProtocolError: it is not, or leads nowhere."""
    message = parse(pb.ReadSnapshotResponse, body)
    if message.offset != offset or (index and (message.index, message.term) != (index, term)):
        asked, found = f"{index}-{term} at {offset}", f"{message.index}-{message.term} at {message.offset}"
        raise ProtocolError(f"a part of snapshot {found}, asked for was {asked}")
    left = message.size_bytes - offset
    if len(message.data) > min(left, PART_BYTES_MAX) or (left > 0 and not message.data):
        raise ProtocolError(f"a part of {len(message.data)} bytes, where {left} are left")
    place = (LogIndex(message.index), Term(message.term))
    return SnapshotPart(*place, message.size_bytes, message.content_id, offset, message.data)


def snapshot_not_found(index: LogIndex, term: Term) -> Refusal:
    """This node holds no such snapshot, or no more."""
    which = f"snapshot of index {index} and term {term}" if index else "sound snapshot"
    return Refusal(Code.NOT_FOUND, "SNAPSHOT_NOT_FOUND", f"this node holds no {which}", metadata={"index": str(index)})


def snapshot_damaged(index: LogIndex, reason: str) -> Refusal:
    """Its disk did not give the file back as it was written."""
    return Refusal(Code.DATA_LOSS, "SNAPSHOT_DAMAGED", reason, metadata={"index": str(index)})


def snapshot_offset_wrong(index: LogIndex, offset: int, size_bytes: int) -> Refusal:
    """The file ends before that."""
    message = f"the snapshot of index {index} has {size_bytes} bytes, byte {offset} was asked for"
    return Refusal(Code.OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE", message, metadata={"index": str(index)})
