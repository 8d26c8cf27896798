"""Whose directory it is, who uses it, and what a crash while making it leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

from bankd.errors import DataDirForeign, DataDirLocked, DataDirUnusable, DiskFull, LogDamaged
from bankd.pb import entry_pb2
from bankd.sim.disk import PowerLost
from bankd.storage.data_dir import DataDir
from bankd.storage.disk import Disk, OsDisk
from bankd.storage.framed_file import framed
from bankd.storage.wal import Wal
from bankd.types import ClusterId, NodeId
from tests.storage.histories import DIRECTORY, append, entry, new_disk, tiny

SOURCE_ROOT = Path(__file__).parents[2]


def file_tree(root: Path) -> dict[str, bytes]:
    """Return a directory's content as a value, without LOCK: its pid changes."""
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "LOCK")
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def open_dir(
    path: Path,
    *,
    node_id: str = "n1",
    cluster: str = "main",
    cluster_id: int = 7,
    incarnation: int = 0xABCDEF,
    disk: Disk | None = None,
) -> DataDir:
    return DataDir.open_or_create(
        path,
        cluster=cluster,
        cluster_id=ClusterId(cluster_id),
        node_id=NodeId(node_id),
        new_incarnation=lambda: incarnation,
        disk=disk,
        wal_options=tiny(),
    )


def test_new_directory_is_private_and_keeps_its_identity(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "n1"
    first = open_dir(path)
    first.close()
    second = open_dir(path, incarnation=2)
    second.close()

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
        cwd=SOURCE_ROOT,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder, holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataDirLocked, match=f"pid {holder.pid}"):
            open_dir(tmp_path)
    open_dir(tmp_path).close()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("n2", "main", 7), "belongs to node n1 .* this is n2"),
        (("n1", "other", 7), "cluster main .* of other"),
        (("n1", "main", 8), r"\(0000000000000007\).*\(0000000000000008\)"),
    ],
)
def test_directory_of_another_node_or_cluster_is_refused_by_name(
    tmp_path: Path, changed: tuple[str, str, int], named: str
) -> None:
    open_dir(tmp_path).close()
    before = file_tree(tmp_path)
    node_id, cluster, cluster_id = changed
    with pytest.raises(DataDirForeign, match=named):
        open_dir(tmp_path, node_id=node_id, cluster=cluster, cluster_id=cluster_id)
    assert file_tree(tmp_path) == before
    open_dir(tmp_path).close()  # the refusal gave the lock back


def test_directory_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    body = entry_pb2.Meta(format_version=2, cluster="main", cluster_id=7, node_id="n1").SerializeToString()
    (tmp_path / "META").write_bytes(framed(body))
    with pytest.raises(DataDirForeign, match="format 2, this program knows 1"):
        open_dir(tmp_path)


def test_power_lost_at_every_operation_of_the_making_is_completed_by_the_next_start() -> None:
    for survives in (True, False):
        operation = 1
        while True:
            disk = new_disk()
            disk.crash_in(operation)
            try:
                open_dir(DIRECTORY, disk=disk).close()
            except PowerLost:
                disk.lose_power(lambda survives=survives: survives)  # type: ignore[misc]
            else:
                break
            opened = open_dir(DIRECTORY, disk=disk)
            wal, recovered = Wal.open(disk, opened.wal_dir, opened.identity, tiny())
            assert recovered.is_empty
            wal.close()
            opened.close()
            operation += 1
        assert operation > 10


def test_process_killed_at_every_operation_of_the_making_loses_nothing_that_the_next_one_writes() -> None:
    """The next one finds META in the page cache; that alone does not make it durable."""
    operation, killed = 1, True
    while killed:
        disk = new_disk()
        disk.crash_in(operation)
        try:
            open_dir(DIRECTORY, disk=disk)
        except PowerLost:
            pass
        else:
            killed = False
        disk.end_process()
        opened = open_dir(DIRECTORY, disk=disk)
        wal, _ = Wal.open(disk, opened.wal_dir, opened.identity, tiny())
        wal.write(append(entry(1)))
        wal.sync()
        disk.lose_power(lambda: False)
        found = open_dir(DIRECTORY, disk=disk)
        assert Wal.open(disk, found.wal_dir, found.identity, tiny())[1].entries == (entry(1),)
        operation += 1
    assert operation > 10


def test_directory_that_was_made_is_there_after_a_power_loss() -> None:
    disk = new_disk()
    made = open_dir(DIRECTORY, disk=disk)
    made.close()
    disk.lose_power(lambda: False)
    found = open_dir(DIRECTORY, disk=disk, incarnation=2)
    found.close()
    assert found.identity == made.identity
    assert Wal.open(disk, found.wal_dir, found.identity, tiny())[1].is_empty


def test_flipped_or_cut_meta_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_dir(tmp_path).close()
    meta = tmp_path / "META"
    sound = meta.read_bytes()
    damages = [sound[:size] for size in range(len(sound))]
    damages += [
        sound[: bit // 8] + bytes([sound[bit // 8] ^ 1 << bit % 8]) + sound[bit // 8 + 1 :]
        for bit in range(len(sound) * 8)
    ]
    for damaged in damages:
        meta.write_bytes(damaged)
        with pytest.raises(DataDirUnusable, match="META is damaged"):
            open_dir(tmp_path)
        assert meta.read_bytes() == damaged


def test_log_without_meta_is_refused_and_left_alone(tmp_path: Path) -> None:
    opened = open_dir(tmp_path)
    wal, _ = Wal.open(OsDisk(), opened.wal_dir, opened.identity, tiny())
    wal.write(append(entry(1)))
    wal.close()
    opened.close()
    (tmp_path / "META").unlink()
    before = file_tree(tmp_path)
    with pytest.raises(LogDamaged, match="no META"):
        open_dir(tmp_path)
    assert file_tree(tmp_path) == before


def test_meta_without_log_is_refused(tmp_path: Path) -> None:
    """A node that once voted must not come back without its memory."""
    opened = open_dir(tmp_path)
    for path in opened.wal_dir.iterdir():
        path.unlink()
    with pytest.raises(LogDamaged, match="at least one segment"):
        Wal.open(OsDisk(), opened.wal_dir, opened.identity, tiny())
    opened.close()


def test_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataDirUnusable, match="cannot be used"):
            open_dir(path)


def test_directory_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(DataDirUnusable, match="/proc/n1 cannot be used"):
        open_dir(Path("/proc/n1"))


def test_full_disk_makes_the_directory_unusable_and_gives_the_lock_back() -> None:
    disk = new_disk()
    disk.fail_next("pwrite", DiskFull("no room"))
    with pytest.raises(DataDirUnusable, match="no room"):
        open_dir(DIRECTORY, disk=disk)
    open_dir(DIRECTORY, disk=disk).close()
