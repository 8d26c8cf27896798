"""Foretell what a node would do if it were started on a data directory, from what was found in it.

It starts from the newest sound snapshot that the log leads on from, or from the first entry. A log that does not reach
the newest snapshot (a crash came between the two) begins anew behind it. What was lost or is rotten makes it start as a
refilling node: one that neither votes nor counts until a leader has refilled it. Without a sound META it does not start.

Limits: whether term and vote are certain, and whether there are others to refill it, is for the node to find out.
"""

from collections.abc import Sequence
from enum import Enum, unique
from typing import Final

import attrs

from bankd.offline.fields import counted
from bankd.offline.log_check import LogCheck
from bankd.offline.snapshots import SnapshotFound
from bankd.storage.snapshot_names import place_in_log
from bankd.types import LogIndex


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


_REFILLED: Final = "as a refilling node: it neither votes nor counts until a leader has refilled it"


def leads_on(log: LogCheck, snapshot: SnapshotFound) -> bool:
    """Whether the log holds what comes behind this snapshot, and its last entry, if that is not deleted."""
    last_index = log.outline.next_index - 1
    if not log.base_index <= snapshot.index <= last_index:
        return False
    return log.outline.term_at(snapshot.index) in (None, snapshot.term)


def foretell(*, has_meta: bool, is_new: bool, log: LogCheck, snapshots: Sequence[SnapshotFound]) -> Start:
    """`has_meta`: a sound one. `is_new`: without any, nothing is wrong. `snapshots`: all that are there, the newest last."""
    if is_new:
        return Start(Outcome.NEW, None, "as a new node: nothing was ever written here")
    sound = [found for found in snapshots if found.damage is None]
    newest = sound[-1] if sound else None
    if not has_meta:
        return Start(Outcome.REFUSED, None, "none: without a sound META nobody can tell whose directory this is")
    if not log.is_readable or _is_gap(log, snapshots, LogIndex(0) if newest is None else newest.index):
        behind = "" if newest is None else f" behind snapshot {newest.index}"
        return Start(Outcome.REFILLING, newest, f"with an empty log{behind}, {_REFILLED}")
    return Start(Outcome.WHOLE, newest, _whole(log, newest, is_newest=newest is (snapshots[-1] if snapshots else None)))


def _is_gap(log: LogCheck, snapshots: Sequence[SnapshotFound], newest: LogIndex) -> bool:
    """Whether something is neither in the newest sound snapshot nor in the log: in between, or in a damaged snapshot."""
    places = [place_in_log(found.path.name) for found in snapshots if found.damage is not None]
    held = max((place[0] for place in places if place is not None), default=LogIndex(0))
    return log.base_index > newest or held > max(newest, log.outline.next_index - 1)


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
