"""Foretell what a node would do if it were started on a data directory, from what was found in it.

The order is that of boot.open_disk, and so is every decision:

    1. without a sound META it does not start
    2. REFILL, if it is damaged or an interrupted start did not get past it: log and snapshots are put aside
    3. a snapshot of another cluster ends it; the newest sound one is taken
    4. the log: it leads on from there; or does not reach it, as after a crash between the two, and begins anew behind it;
       or is damaged, or begins too late, and is put aside
    5. REFILL, if it stands: the node is still to be refilled

What puts the log aside wants others, who can refill this node, and term and vote for certain. A *refilling* node neither
votes nor counts until a leader has refilled it.

A newest snapshot that is damaged loses nothing by itself: the log leads to it, or has a base there, or it came from a leader
and the log had not yet followed; then nothing behind the log was ever acknowledged.

Limits: where there is no sound snapshot, who the voters are is taken from the log's first configuration, where a start
asks the configuration file. If that cannot be read either, it is assumed that there are others.
"""

from collections.abc import Sequence
from enum import Enum, unique
from typing import Final

import attrs

from bankd.errors import ProtocolError
from bankd.offline.fields import counted
from bankd.offline.framed_check import Marker
from bankd.offline.log_check import LogCheck
from bankd.offline.snapshots import SnapshotFound, newest_sound
from bankd.offline.state_check import StateCheck
from bankd.storage.identity import Identity
from bankd.types import LogIndex, NodeId
from bankd.wire.entries import decode_configuration


@unique
class Outcome(Enum):
    """What becomes of it; the values are those of JSON."""

    NEW = "new"  # nothing was ever written
    WHOLE = "whole"
    REFILLING = "refilling"
    REFUSED = "refused"


@attrs.frozen
class Start:
    """`snapshot`: the one that it starts from, if any."""

    outcome: Outcome
    snapshot: SnapshotFound | None
    sentence: str


@attrs.frozen
class Evidence:
    """What was found. `identity`: of a sound META; `snapshots`: all that are there, the newest last."""

    identity: Identity | None
    marker: Marker | None
    log: LogCheck
    state: StateCheck
    snapshots: Sequence[SnapshotFound]

    @property
    def newest(self) -> SnapshotFound | None:
        return newest_sound(self.snapshots)


NEW: Final = Start(Outcome.NEW, None, "as a new node: nothing was ever written here")
_REFILLED: Final = "as a refilling node: it neither votes nor counts until a leader has refilled it"


def leads_on(log: LogCheck, snapshot: SnapshotFound) -> bool:
    """Whether the log holds what comes behind this snapshot, and its last entry, if that is not deleted."""
    last_index = log.outline.next_index - 1
    if not log.base_index <= snapshot.index <= last_index:
        return False
    return log.outline.term_at(snapshot.index) in (None, snapshot.term)


def begins_too_late(log: LogCheck, newest: SnapshotFound | None) -> bool:
    """Whether entries are missing between the newest sound snapshot and the log."""
    return log.base_index > (LogIndex(0) if newest is None else newest.index)


def foretell(found: Evidence) -> Start:
    """Of a directory that something was written to."""
    if found.identity is None:
        return _refused("without a sound META nobody can tell whose directory this is")
    marker = found.marker
    if marker is None:
        return _of_snapshots(found, found.identity.node_id)
    if marker.refill is None:
        return _refused(f"the disk does not give back {marker.file.line.file}")
    first_sequence = marker.refill.first_sequence
    if not first_sequence or found.log.last_sequence < first_sequence:
        return _put_aside(found, state_is_void=marker.refill.state_is_void)
    return _of_snapshots(found, found.identity.node_id)


def _of_snapshots(found: Evidence, node_id: NodeId) -> Start:
    foreign = next((one for one in found.snapshots if one.is_foreign), None)
    if foreign is not None:
        return _refused(f"{foreign.file} belongs to another cluster")
    log, newest = found.log, found.newest
    if log.stops is not None:
        return _refused(log.stops)
    if not log.is_readable or begins_too_late(log, newest):
        voters = _voters(log, newest)
        if voters and 2 * len(voters - {node_id}) <= len(voters):
            who = "is the only voter" if len(voters) == 1 else f"is one of only {len(voters)} voters"
            return _refused(f"{node_id} {who}, so nobody can refill it; put back a backup")
        return _put_aside(found, state_is_void=False)
    if found.state.stops is not None:
        return _refused(found.state.stops)
    sentence = _whole(log, newest, is_newest=newest is (found.snapshots[-1] if found.snapshots else None))
    if found.marker is None:
        return Start(Outcome.WHOLE, newest, sentence)
    return Start(Outcome.REFILLING, newest, f"{sentence}, {_refilled(found.marker)}")


def _put_aside(found: Evidence, *, state_is_void: bool) -> Start:
    if found.state.stops is not None:
        return _refused(found.state.stops)
    if found.state.doubt is not None:
        return _refused(f"term and vote are in doubt (expected {found.state.doubt}), and it could vote twice")
    newest = None if state_is_void else found.newest
    behind = "" if newest is None else f" behind snapshot {newest.index}"
    return Start(Outcome.REFILLING, newest, f"with an empty log{behind}, {_refilled(found.marker)}")


def _refilled(marker: Marker | None) -> str:
    why = None if marker is None or marker.refill is None else marker.refill.reason
    return _REFILLED if why is None else f"{_REFILLED} (why it is to be: {why})"


def _refused(why: str) -> Start:
    return Start(Outcome.REFUSED, None, f"none: {why}")


def _voters(log: LogCheck, newest: SnapshotFound | None) -> frozenset[NodeId]:
    """Empty: not known."""
    header = None if newest is None else newest.header
    body = log.first_configuration if header is None else header.configuration
    try:
        return decode_configuration(body)[0].voters
    except ProtocolError:
        return frozenset()


def _whole(log: LogCheck, newest: SnapshotFound | None, *, is_newest: bool) -> str:
    last_index = LogIndex(log.outline.next_index - 1)
    instead = "" if is_newest else ", since the newest snapshot is damaged: nothing is lost"
    if newest is None:
        return f"from {counted(last_index, 'entry', 'entries')} of the log{instead}"
    if not leads_on(log, newest):
        return f"from snapshot {newest.index}; the log does not reach it and begins anew behind it{instead}"
    return (
        f"from snapshot {newest.index} and {counted(last_index - newest.index, 'entry', 'entries')} of the log{instead}"
    )
