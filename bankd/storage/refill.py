"""Set aside what a node cannot rely on any more, and begin a log for a leader to refill.

A node that lost something it once wrote keeps its identity and its term and vote, and starts. The file REFILL says that it
must not be counted, and why, until a leader has brought it past everything that it may ever have acknowledged.

    REFILL   a framed protobuf `Refill` (framed_file.py, proto/storage.proto)

    1. term and vote are read from the copy (state_file.py); if they are in doubt, everything stays as it is
    2. what an earlier damage set aside is deleted
    3. REFILL is written, durably: it names the number of the segment that the new log will begin with
    4. the snapshots, if the state is void, and all segments get `.damaged` behind their names, durably
    5. the new log appears, in one step, with that term and vote in it

A crash in front of 3 leaves the damage to be found again. From there on `resume` does what is left: everything before 5 may
be done twice, and once the new log's first segment is there nothing is (opening the log makes its name durable). The new
log goes on with the numbers of the old one, so that a segment is never taken for one of the other log, and none of what is
set aside is overwritten.

Invariants:
- A directory without REFILL holds all that its node acknowledged, as far as the node can tell.
- No step deletes, empties or changes what is being set aside.

A marker that is damaged itself still marks: the reason is unknown then, and the state is taken to be void.

Limits: what is set aside takes the room of one log and two snapshots at most. It is kept until the next damage, and may
be removed by hand at any time. A crash in front of 3 may cost what an earlier damage set aside, not what this one does;
a marker that is damaged before 5 costs that too.
"""

from pathlib import Path
from typing import Final

import attrs
from google.protobuf.message import DecodeError

from bankd.errors import DataDirForeign, LogDamaged
from bankd.pb import storage_pb2
from bankd.raft.messages import HardState
from bankd.storage.data_dir import SNAPSHOTS, WAL
from bankd.storage.disk import Disk
from bankd.storage.framed_file import body_of, damage_of, framed, read_if_there, replace_file
from bankd.storage.identity import Identity
from bankd.storage.recovery import segment_names
from bankd.storage.segment import sequence_in
from bankd.storage.snapshot_names import SUFFIX as SNAPSHOT_SUFFIX
from bankd.storage.state_file import read_state
from bankd.storage.wal import WalOptions, begin_log

NAME: Final = "REFILL"
DAMAGED_SUFFIX: Final = ".damaged"
FORMAT_VERSION: Final = 1
REASON_CHARS_MAX: Final = 500  # an error's text with its paths
REFILL_BYTES_MAX: Final = 4096  # a reason of that length in any script, and the rest
UNKNOWN_REASON: Final = f"not known, because {NAME} is damaged"


@attrs.frozen
class Refill:
    """Why a node is to be refilled. `first_sequence`: of the new log's segments; 0: not known. `copied`: the directory is an
    older copy, so that term and vote, though sound, may be old."""

    reason: str
    state_is_void: bool
    first_sequence: int
    copied: bool = False


def marker(disk: Disk, directory: Path) -> Refill | None:
    """Return what REFILL in a data directory says; None: there is none.

    Raises:
      DataDirForeign: a newer program wrote it.
      DiskFailed.
    """
    data = read_if_there(disk, directory / NAME, REFILL_BYTES_MAX)
    return None if data is None else decode_marker(data, directory / NAME)


def set_aside(
    disk: Disk,
    directory: Path,
    identity: Identity,
    options: WalOptions,
    reason: str,
    *,
    state_is_void: bool,
    copied: bool = False,
) -> HardState:
    """Mark a data directory, set its log aside, and begin a new one with the term and vote that are returned.

    For a directory whose log nobody has open. `reason` is for people. `state_is_void`: the snapshots go as well.

    Raises:
      LogDamaged: term and vote are not certain; nothing was changed.
      DataDirForeign: a file is another node's, or a newer program's.
      DiskFailed, DiskFull: `resume` goes on, if a marker is there.
    """
    hard_state = _certain_hard_state(disk, directory, identity, reason)
    _delete_earlier(disk, directory)
    sequences = [sequence_in(name) or 0 for name in segment_names(disk, directory / WAL)]
    refill = Refill(_legible(reason), state_is_void, max(sequences, default=0) + 1, copied)
    replace_file(disk, directory / NAME, encode_marker(refill))
    _finish(disk, directory, identity, options, refill, hard_state)
    return hard_state


def resume(disk: Disk, directory: Path, identity: Identity, options: WalOptions) -> Refill | None:
    """Do what a crash left undone of `set_aside`, and return the marker; without one do nothing.

    To be called at each start, when the data directory is open, and its log and snapshots are not yet. Raises as
    `set_aside` does.
    """
    refill = marker(disk, directory)
    if refill is None:
        return None
    if not refill.first_sequence:
        is_void, copied = refill.state_is_void, refill.copied
        set_aside(disk, directory, identity, options, refill.reason, state_is_void=is_void, copied=copied)
        return marker(disk, directory)
    if not _has_begun(disk, directory, refill):
        hard_state = _certain_hard_state(disk, directory, identity, refill.reason)
        _finish(disk, directory, identity, options, refill, hard_state)
    return refill


def clear(disk: Disk, directory: Path) -> None:
    """Remove the marker, durably: the node has been refilled. What was set aside stays.

    Raises DiskFailed.
    """
    disk.unlink(directory / NAME)
    disk.fsync_dir(directory)


def encode_marker(refill: Refill) -> bytes:
    message = storage_pb2.Refill(
        format_version=FORMAT_VERSION,
        reason=refill.reason,
        state_is_void=refill.state_is_void,
        first_sequence=refill.first_sequence,
        copied=refill.copied,
    )
    return framed(message.SerializeToString())


def decode_marker(data: bytes, path: Path) -> Refill:
    """Return what the marker's bytes say, sound or not: a marker that cannot be read marks all the same.

    Raises DataDirForeign: a newer program wrote them.
    """
    unknown = Refill(UNKNOWN_REASON, state_is_void=True, first_sequence=0, copied=True)
    if damage_of(data) is not None:
        return unknown
    try:
        found = storage_pb2.Refill.FromString(body_of(data))
    except DecodeError:
        return unknown
    if found.format_version != FORMAT_VERSION:
        raise DataDirForeign(
            f"{path} has format {found.format_version}, this program knows {FORMAT_VERSION}: start a matching bankd"
        )
    return Refill(found.reason, found.state_is_void, found.first_sequence, found.copied)


def _legible(reason: str) -> str:
    """Cut a reason to what the marker takes; of a path that is no text, question marks are left."""
    return reason[:REASON_CHARS_MAX].encode(errors="replace").decode()


def _certain_hard_state(disk: Disk, directory: Path, identity: Identity, reason: str) -> HardState:
    found = read_state(disk, directory / WAL, identity)
    if found.newest is None or found.doubt is not None:
        raise LogDamaged(
            f"this node lost a part of what it wrote ({reason}), and its term and vote with it: expected {found.doubt}; "
            "it must not start again as it is, for it could vote twice in one term; everything is left in place, look "
            f"at it with `bankd verify {directory}`. The others go on without this node while they are a majority"
        )
    return found.newest.hard_state


def _has_begun(disk: Disk, directory: Path, refill: Refill) -> bool:
    names = segment_names(disk, directory / WAL)
    return any((sequence_in(name) or 0) >= refill.first_sequence for name in names)


def _finish(
    disk: Disk, directory: Path, identity: Identity, options: WalOptions, refill: Refill, hard_state: HardState
) -> None:
    if refill.state_is_void and SNAPSHOTS in disk.listdir(directory):
        snapshots = directory / SNAPSHOTS
        names = [name for name in disk.listdir(snapshots) if name.endswith(SNAPSHOT_SUFFIX)]
        _rename_all(disk, snapshots, names)
    _rename_all(disk, directory / WAL, segment_names(disk, directory / WAL))
    begin_log(disk, directory / WAL, identity, options, sequence=refill.first_sequence, hard_state=hard_state)


def _rename_all(disk: Disk, directory: Path, names: list[str]) -> None:
    for name in names:
        disk.rename(directory / name, directory / (name + DAMAGED_SUFFIX))
    disk.fsync_dir(directory)


def _delete_earlier(disk: Disk, directory: Path) -> None:
    for below in (directory / WAL, directory / SNAPSHOTS):
        if below.name not in disk.listdir(directory):
            continue
        earlier = [name for name in disk.listdir(below) if name.endswith(DAMAGED_SUFFIX)]
        for name in earlier:
            disk.unlink(below / name)
        if earlier:
            disk.fsync_dir(below)
