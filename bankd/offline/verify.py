"""`bankd verify`: is everything in this data directory as it was written, and does the money add up?

The directory is locked for readers, so that no node changes it meanwhile. Every file in it is named: checked, or with
the words that say why not: "not memory" is what no start reads back, "set aside" what a start could not rely on and kept
as it was, "not checked" is what nothing is known of here, and the verdict counts those.

Snapshots are read first, row by row. Then the log is checked, and then replayed: from the oldest snapshot that it leads
on from, to the newest, and to its end.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from bankd.errors import DataDirForeign, DataDirUnusable, FileUnusable
from bankd.offline.books import LedgerSummary
from bankd.offline.files import Unreadable, list_names, read_file
from bankd.offline.findings import (
    DAMAGED,
    NO_MEMORY,
    NOT_CHECKED,
    SET_ASIDE,
    SOUND,
    UNREADABLE,
    FileLine,
    Finding,
)
from bankd.offline.framed_check import FramedFile, Marker, check_marker, check_peers
from bankd.offline.inspect_snapshots import run_snapshots
from bankd.offline.log_check import LogCheck
from bankd.offline.progress import Progress, width_of
from bankd.offline.replay import Replay
from bankd.offline.report import LogSummary, Report, SnapshotLine, as_json, as_text
from bankd.offline.snapshots import SnapshotFound, look_at_own, newest_sound
from bankd.offline.start import NEW, Evidence, begins_too_late, foretell, leads_on
from bankd.offline.state_check import FILE as STATE_FILE
from bankd.offline.state_check import StateCheck, check_state
from bankd.storage.data_dir import META, META_RESTORING, SNAPSHOTS, WAL
from bankd.storage.identity import FORMAT_VERSION, Identity, look_at_meta
from bankd.storage.lock import nodes_kept_away
from bankd.storage.peers import NAME as PEERS
from bankd.storage.refill import DAMAGED_SUFFIX
from bankd.storage.refill import NAME as REFILL
from bankd.storage.segment import Owner
from bankd.storage.snapshot_names import SUFFIX
from bankd.types import LogIndex

# Files that are made anew, or written again in full, before anybody reads them.
_NO_MEMORY: Final = frozenset(
    {
        "LOCK",
        "META.tmp",
        "STATE.tmp",
        "REFILL.tmp",
        "PEERS.tmp",
        "spare.tmp",
        "short.tmp",
        "writing.tmp",
        "receiving.tmp",
    }
)


def run(data_dir: Path, *, as_table: bool, show: Callable[[str], object] = print) -> int:
    """Verify a data directory, or a snapshot by its file; show what was found, and return the exit code.

    Raises:
      FileUnusable: this is no data directory, or it cannot be read.
      DataDirLocked: a node is running on it.
      DataDirForeign: a newer program wrote it.
      DataDirUnusable: it cannot be locked, or a restore into it was interrupted.
    """
    if data_dir.is_file():
        return run_snapshots(data_dir, as_table=as_table, show=show)
    _require_data_dir(data_dir)
    with nodes_kept_away(data_dir):
        report = verify(data_dir)
    if as_table:
        show(as_text(report, width_of(sys.stdout) if sys.stdout.isatty() else None))
    else:
        show(json.dumps(as_json(report)))
    return report.exit_code


def verify(data_dir: Path) -> Report:
    """Check a data directory that nobody uses. Raises as `run` does."""
    identity, files, damages = _check_meta(data_dir)
    read = _read(data_dir, identity)
    log, snapshots = read.log, read.snapshots
    if identity is None and not damages and (log.batches or log.damages or read.state.files):
        damages = [Finding(META, None, "expected the name of this log's owner, not no such file")]
    is_new = identity is None and not damages
    evidence = Evidence(identity, read.marker, log, read.state, snapshots)
    return Report(
        data_dir=str(data_dir),
        identity=identity,
        files=[
            *files,
            *(framed.line for framed in read.framed),
            *log.files,
            *read.state.files,
            *map(_snapshot_file, snapshots),
            *_others(data_dir),
        ],
        snapshots=[SnapshotLine(found, read.replay.equal_from.get(found.file)) for found in snapshots],
        log=_summary(log),
        start=NEW if is_new else foretell(evidence),
        ledger=read.ledger,
        notes=[*log.notes, *_notes(log, snapshots)],
        damages=[*damages, *read.damages],
        log_damaged=bool(log.damages),
    )


@attrs.frozen
class _Read:
    """What the files were found to hold, META excepted."""

    snapshots: Sequence[SnapshotFound]
    log: LogCheck
    state: StateCheck
    marker: Marker | None
    peers: FramedFile | None
    replay: Replay
    ledger: LedgerSummary

    @property
    def framed(self) -> list[FramedFile]:
        marker = None if self.marker is None else self.marker.file
        return [file for file in (marker, self.peers) if file is not None]

    @property
    def damages(self) -> Iterator[Finding]:
        yield from (file.damage for file in self.framed if file.damage is not None)
        yield from self.log.damages
        yield from self.state.damages
        yield from _unreached(self.log, self.snapshots)
        yield from (found.damage for found in self.snapshots if found.damage is not None)
        yield from self.replay.damages


def _read(data_dir: Path, identity: Identity | None) -> _Read:
    segments, snapshot_files = _files(data_dir / WAL, ".wal"), _files(data_dir / SNAPSHOTS, SUFFIX)
    # The log is read twice, to check and to replay it.
    progress = Progress(sys.stderr, sum(path.stat().st_size for path in (*segments, *segments, *snapshot_files)))
    try:
        snapshots = _look_at(snapshot_files, identity, progress)
        owner = None if identity is None else Owner.of(identity)
        log = LogCheck(owner)
        log.run(segments, progress)
        state = check_state(data_dir / WAL, log, owner)
        replay = Replay(log.whole_batches, log.first_batch)
        _replay(replay, segments, log, snapshots, progress)
        marker, peers = check_marker(data_dir), check_peers(data_dir)
        return _Read(snapshots, log, state, marker, peers, replay, replay.summary())
    finally:
        progress.hide()


def _files(directory: Path, suffix: str) -> list[Path]:
    names = list_names(directory) if directory.is_dir() else []
    return [directory / name for name in names if name.endswith(suffix)]


def _look_at(paths: Sequence[Path], identity: Identity | None, progress: Progress) -> list[SnapshotFound]:
    """The snapshots, the newest last."""
    snapshots = []
    for path in paths:
        snapshots.append(
            look_at_own(path, f"{SNAPSHOTS}/{path.name}", None if identity is None else identity.cluster_id)
        )
        progress.advance("checked", path.stat().st_size)
    return snapshots


def _replay(
    replay: Replay, segments: Sequence[Path], log: LogCheck, snapshots: Sequence[SnapshotFound], progress: Progress
) -> None:
    """Replay from the first entry or the oldest snapshot that the log leads on from; end with the newest state."""
    sound = [found for found in snapshots if found.damage is None]
    on_the_way = [found for found in sound if leads_on(log, found)]
    if log.base_index and on_the_way:
        replay.begin_with(on_the_way.pop(0))
    if not log.base_index or replay.ledger.applied_index:
        replay.run(segments, log.survivors, progress, on_the_way)
    if sound and not leads_on(log, sound[-1]):
        replay.begin_with(sound[-1])  # a start would go on from it


def _unreached(log: LogCheck, snapshots: Sequence[SnapshotFound]) -> list[Finding]:
    """What is wrong with a log that begins too late."""
    newest = newest_sound(snapshots)
    if not begins_too_late(log, newest):
        return []
    reached = f"at index {newest.index + 1 if newest else 1} or before, as no sound snapshot reaches further"
    return [Finding(f"{WAL}/", None, f"expected a log that begins {reached}, not at {log.base_index + 1}")]


def _notes(log: LogCheck, snapshots: Sequence[SnapshotFound]) -> list[Finding]:
    newest = newest_sound(snapshots)
    if log.damages or newest is None or begins_too_late(log, newest) or leads_on(log, newest):
        return []
    return [
        Finding(
            newest.file, None, "the log does not hold its last entry; the next start begins it anew behind the snapshot"
        )
    ]


def _require_data_dir(path: Path) -> None:
    names = list_names(path)
    if META_RESTORING in names:
        raise DataDirUnusable(f"a restore into {path} was interrupted: run the same `bankd restore` again")
    if META not in names and WAL not in names:
        raise FileUnusable(
            f"{path} is no data directory: it holds neither {META} nor {WAL}/ (name what node.data_dir names)"
        )


def _check_meta(data_dir: Path) -> tuple[Identity | None, list[FileLine], list[Finding]]:
    path = data_dir / META
    if not path.exists():
        return None, [], []
    try:
        data = read_file(path)
    except Unreadable as unreadable:
        return _wrong_meta(path, UNREADABLE, Finding(META, unreadable.offset, f"expected {unreadable.expected}"))
    found = look_at_meta(data)
    if found.damage is not None:
        return _wrong_meta(path, DAMAGED, Finding(META, 0, f"expected {found.damage}"))
    if found.format_version != FORMAT_VERSION:
        raise DataDirForeign(
            f"{path} has format {found.format_version}, this program knows {FORMAT_VERSION}: verify it with a matching bankd"
        )
    return found.identity, [FileLine(META, len(data), SOUND)], []


def _wrong_meta(path: Path, state: str, damage: Finding) -> tuple[None, list[FileLine], list[Finding]]:
    return None, [FileLine(META, path.stat().st_size, state)], [damage]


def _summary(log: LogCheck) -> LogSummary:
    outline = log.outline
    last_index = LogIndex(outline.next_index - 1)
    entries = log.survivors.entries
    replaced = entries - (last_index - log.base_index)
    return LogSummary(entries, replaced, log.base_index, last_index, outline.last_term, outline.hard_state)


def _snapshot_file(found: SnapshotFound) -> FileLine:
    state = SOUND if found.damage is None else DAMAGED
    indexes = (LogIndex(1), found.index) if found.header else None
    return FileLine(found.path.name, found.size, state, indexes=indexes)


def _others(data_dir: Path) -> list[FileLine]:
    """The files that are not checked."""
    paths = (path for path in sorted(data_dir.rglob("*")) if path.is_file())
    return [
        FileLine(str(path.relative_to(data_dir)), path.stat().st_size, _why_not(path, data_dir))
        for path in paths
        if not _is_checked(path, data_dir)
    ]


def _why_not(path: Path, data_dir: Path) -> str:
    if path.name in _NO_MEMORY:
        return NO_MEMORY
    is_kept = path.parent in (data_dir / WAL, data_dir / SNAPSHOTS) and path.name.endswith(DAMAGED_SUFFIX)
    return SET_ASIDE if is_kept else NOT_CHECKED


def _is_checked(path: Path, data_dir: Path) -> bool:
    kinds = ((WAL, ".wal"), (SNAPSHOTS, SUFFIX))
    return path in (data_dir / META, data_dir / REFILL, data_dir / PEERS, data_dir / STATE_FILE) or any(
        path.parent == data_dir / directory and path.name.endswith(suffix) for directory, suffix in kinds
    )
