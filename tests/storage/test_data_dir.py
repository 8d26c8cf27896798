"""Whose directory it is, who uses it, and what a crash while making it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bankd.errors import DataDirForeign, DataDirLocked, DataDirUnusable, LogDamaged
from bankd.raft.messages import Entry, EntryType
from bankd.storage.data_dir import DataDir
from bankd.storage.disk import OsDisk
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, LogIndex, NodeId, Term
from tests.storage.fake_disk import RecordingDisk, file_tree, write_tree

SMALL = WalOptions(segment_bytes=4096, short_segment_bytes=4096)


def open_dir(path: Path, *, node_id: str = "n1", cluster: str = "main", cluster_id: int = 7) -> DataDir:
    return DataDir.open_or_create(
        path,
        cluster=cluster,
        cluster_id=ClusterId(cluster_id),
        node_id=NodeId(node_id),
        new_incarnation=lambda: 0xABCDEF,
        wal_options=SMALL,
    )


def test_new_directory_is_private_and_keeps_its_identity(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "n1"
    first = open_dir(path)
    first.close()
    second = open_dir(path)
    second.close()

    assert (first.is_new, second.is_new) == (True, False)
    assert second.identity == first.identity
    assert second.identity.incarnation == 0xABCDEF
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "META").stat().st_mode & 0o777 == 0o600


def test_directory_in_use_by_another_process_is_refused_by_pid(tmp_path: Path) -> None:
    open_dir(tmp_path).close()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from tests.storage.test_data_dir import open_dir; from pathlib import Path\n"
            "held = open_dir(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdin is not None and holder.stdout is not None
    with holder, holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirLocked, match=f"pid {holder.pid}"):
            open_dir(tmp_path)
    open_dir(tmp_path).close()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"node_id": "n2"}, "belongs to node n1 .* this is n2"),
        ({"cluster": "other"}, "cluster main .* of other"),
        ({"cluster_id": 8}, r"\(0000000000000007\).*\(0000000000000008\)"),
    ],
)
def test_directory_of_another_node_or_cluster_is_refused_by_name(
    tmp_path: Path, changed: dict[str, str], named: str
) -> None:
    open_dir(tmp_path).close()
    before = file_tree(tmp_path)
    with pytest.raises(DataDirForeign, match=named):
        open_dir(tmp_path, **changed)  # type: ignore[arg-type]
    assert file_tree(tmp_path) == before
    open_dir(tmp_path).close()  # the refusal gave the lock back
