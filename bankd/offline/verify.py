"""`bankd verify`: is everything in this data directory as it was written, and does the money add up?

The directory is locked for readers, so that no node changes it meanwhile. Every file in it is named: checked, or with
the words that say why not: "not memory" is what no start reads back, "not checked" is what nothing is known of here, and
the verdict counts those. Snapshots are among them.
"""

import json
import sys
from pathlib import Path
from typing import Final

from bankd.errors import DataDirForeign, FileUnusable
from bankd.offline.files import META, WAL, Unreadable, list_names, read_file
from bankd.offline.log_check import LogCheck
from bankd.offline.progress import Progress, width_of
from bankd.offline.replay import Replay
from bankd.offline.report import (
    DAMAGED,
    NO_MEMORY,
    NOT_CHECKED,
    SOUND,
    UNREADABLE,
    FileLine,
    Finding,
    LogSummary,
    Report,
    as_json,
    as_text,
)
from bankd.storage.identity import FORMAT_VERSION, Identity, look_at_meta
from bankd.storage.lock import nodes_kept_away
from bankd.storage.segment import Owner
from bankd.types import LogIndex

# Files that are made anew, or written again in full, before anybody reads them.
_NO_MEMORY: Final = frozenset({"LOCK", "META.tmp", "spare.tmp", "short.tmp"})


def run(data_dir: Path, *, as_table: bool) -> int:
    """Verify, print what was found, and return the exit code.

    Raises:
      FileUnusable: this is no data directory, or it cannot be read.
      DataDirLocked: a node is running on it.
      DataDirForeign: a newer program wrote it.
      DataDirUnusable: it cannot be locked.
    """
    _require_data_dir(data_dir)
    with nodes_kept_away(data_dir):
        report = verify(data_dir)
    if as_table:
        print(as_text(report, width_of(sys.stdout) if sys.stdout.isatty() else None))
    else:
        print(json.dumps(as_json(report)))
    return report.exit_code


def verify(data_dir: Path) -> Report:
    """Check a data directory that nobody uses. Raises as `run` does."""
    identity, files, damages = _check_meta(data_dir)
    directory = data_dir / WAL
    names = list_names(directory) if directory.is_dir() else []
    paths = [directory / name for name in names if name.endswith(".wal")]
    progress = Progress(sys.stderr, 2 * sum(path.stat().st_size for path in paths))
    try:
        log = LogCheck(None if identity is None else Owner.of(identity))
        log.run(paths, progress)
        replay = Replay(log.whole_batches)
        replay.run(paths, log.survivors, progress)
        ledger = replay.summary()
    finally:
        progress.hide()
    if identity is None and not damages and (log.batches or log.damages):
        damages = [Finding(META, None, "expected the name of this log's owner, not no such file")]
    return Report(
        data_dir=str(data_dir),
        identity=identity,
        files=[*files, *log.files, *_others(data_dir)],
        log=_summary(log),
        ledger=ledger,
        notes=log.notes,
        damages=[*damages, *log.damages, *replay.damages],
    )


def _require_data_dir(path: Path) -> None:
    names = list_names(path)
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
    return LogSummary(entries, entries - last_index, last_index, outline.last_term, outline.hard_state)


def _others(data_dir: Path) -> list[FileLine]:
    """The files that are not checked."""
    paths = (path for path in sorted(data_dir.rglob("*")) if path.is_file())
    return [
        FileLine(
            str(path.relative_to(data_dir)), path.stat().st_size, NO_MEMORY if path.name in _NO_MEMORY else NOT_CHECKED
        )
        for path in paths
        if not _is_checked(path, data_dir)
    ]


def _is_checked(path: Path, data_dir: Path) -> bool:
    return path == data_dir / META or (path.parent == data_dir / WAL and path.name.endswith(".wal"))
