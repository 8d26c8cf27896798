"""What a process found on its disk when it started, for whoever watches."""

import attrs

from bankd.boot import Opened
from bankd.raft.messages import SnapshotRef
from bankd.storage.disk import Disk
from bankd.storage.recovery import Recovered, segment_names
from bankd.storage.segment import first_index_of
from bankd.types import LogIndex


@attrs.frozen
class Found:
    """The log as it goes on from here, and the snapshots that are not known to be damaged, the newest first.

    `restored`: the one whose state the process begins with. `segments`: the first index of each file of the log.
    `refilling`: the node knows that it has lost something, and is not to be counted until a leader has refilled it.
    """

    recovered: Recovered
    snapshots: tuple[SnapshotRef, ...] = ()
    restored: SnapshotRef | None = None
    segments: tuple[LogIndex, ...] = ()
    refilling: bool = False
    copied: bool = False  # because its directory may be an older copy


def found_in(opened: Opened, disk: Disk) -> Found:
    directory = opened.data_dir.wal_dir
    return Found(
        opened.recovered,
        opened.store.snapshots,
        None if opened.restored is None else opened.restored.snapshot,
        tuple(first_index_of(name) for name in segment_names(disk, directory)),
        refilling=opened.refill is not None,
        copied=opened.copied,
    )
