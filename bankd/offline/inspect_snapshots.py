"""`bankd inspect snapshot`, and `bankd verify` of a single one: what a snapshot holds, and whether it is sound.

A snapshot is read whole: checksums, content id, rows, sums, and that its header says of them what is so. A backup is such
a file, under any name. Of a data directory all are shown, the oldest first, each with its own name and owner required.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from bankd.errors import Exit, FileUnusable
from bankd.offline.fields import Json, field_lines
from bankd.offline.files import first_bytes, is_directory, list_names, read_file
from bankd.offline.rows import held_configuration, rfc3339
from bankd.offline.snapshots import SnapshotFound, look_at_own, look_at_snapshot
from bankd.storage.data_dir import META, SNAPSHOTS
from bankd.storage.identity import look_at_meta
from bankd.storage.snapshot_format import MAGIC
from bankd.storage.snapshot_names import SUFFIX
from bankd.types import ClusterId


def run_snapshots(path: Path, *, as_table: bool, show: Callable[[str], object]) -> int:
    """Show one snapshot, or those of a directory; returns exit code 8 if one is damaged.

    Raises:
      FileUnusable: there is none, or it cannot be read.
      DataDirForeign: a newer program wrote it.
    """
    damaged = False
    for position, found in enumerate(_snapshots(path)):
        damaged = damaged or found.damage is not None
        fields = _fields(found)
        gap = "\n" if position else ""
        show(gap + "\n".join(field_lines(fields)) if as_table else json.dumps(fields))
    return Exit.UNHEALTHY if damaged else Exit.OK


def _snapshots(path: Path) -> Iterator[SnapshotFound]:
    if not is_directory(path):
        _require_snapshot(path)
        yield look_at_snapshot(path, str(path))
        return
    directory = path / SNAPSHOTS if is_directory(path / SNAPSHOTS) else path
    found = [directory / name for name in list_names(directory) if name.endswith(SUFFIX)]
    if not found:
        raise FileUnusable(
            f"{path} holds no snapshot: there is no file that ends in {SUFFIX} "
            f"(name a data directory, its {SNAPSHOTS}/, or a snapshot)"
        )
    owner = _owner(directory.parent / META)
    for file in found:
        yield look_at_own(file, str(file), owner)


def _owner(meta: Path) -> ClusterId | None:
    identity = look_at_meta(read_file(meta)).identity if meta.is_file() else None
    return None if identity is None else identity.cluster_id


def _require_snapshot(path: Path) -> None:
    """A file that is not named like a snapshot must at least begin like one: it may be anything."""
    begins = first_bytes(path, len(MAGIC))
    if begins != MAGIC and path.suffix != SUFFIX:
        raise FileUnusable(f"{path} is no snapshot: it does not begin with {MAGIC.decode().strip()}")


def _fields(found: SnapshotFound) -> Json:
    """The promise of `-o json`; a table has the same."""
    fields: Json = {"file": found.file, "bytes": str(found.size), "sound": found.damage is None}
    if found.damage is not None:
        fields["damage"] = found.damage.message
        fields["damage_offset"] = None if found.damage.offset is None else str(found.damage.offset)
    if (header := found.header) is not None:
        fields |= {
            "cluster_id": f"{header.cluster_id:016x}",
            "index": str(header.index),
            "term": str(header.term),
            "time": rfc3339(header.time_ns),
            "digest": header.digest.hex(),
            **held_configuration(header.configuration)[1],
        }
    if (content := found.content) is not None:
        fields |= {
            "accounts": str(content.accounts),
            "transfers": str(content.transfers),
            "openings": str(content.openings),
            "chunks": str(content.chunks),
            "content_bytes": str(content.content_bytes),
            "content_id": content.content_id.hex(),
        }
    return fields
