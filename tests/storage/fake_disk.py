"""Disks for tests: one that records what happens and can fail, and directories as values.

`RecordingDisk` stands between storage/ and a real directory. Before each operation that changes
the disk it calls `before`, which may look at the directory, or raise what a failing disk would raise.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from bankd.storage.disk import DiskFile, OsDisk

Tree = dict[str, bytes | None]  # path below the root -> content; None: a directory


def file_tree(root: Path) -> Tree:
    """Return a directory's content as a value (without LOCK, whose pid changes)."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if path.name != "LOCK"
    }


def write_tree(root: Path, tree: Tree) -> None:
    """Make a directory hold exactly `tree`."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, content in tree.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)


class RecordingFile:
    """A real file whose changes are announced."""

    def __init__(self, file: DiskFile, name: str, before: Callable[[str, str], None]) -> None:
        self._file = file
        self._name = name
        self._before = before
        self.pread = file.pread
        self.size = file.size
        self.close = file.close

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        self._before("pwrite", self._name)
        self._file.pwrite(data, offset)

    def sync(self) -> None:
        self._before("sync", self._name)
        self._file.sync()

    def truncate(self, size: int) -> None:
        self._before("truncate", self._name)
        self._file.truncate(size)


class RecordingDisk:
    """A real disk whose changes are announced to `before(operation, file name)`."""

    def __init__(self, before: Callable[[str, str], None]) -> None:
        self._disk = OsDisk()
        self._before = before
        self.listdir = self._disk.listdir

    def open(self, path: Path) -> DiskFile:
        return RecordingFile(self._disk.open(path), path.name, self._before)

    def create(self, path: Path) -> DiskFile:
        self._before("create", path.name)
        return RecordingFile(self._disk.create(path), path.name, self._before)

    def mkdir(self, path: Path) -> None:
        self._before("mkdir", path.name)
        self._disk.mkdir(path)

    def rename(self, source: Path, target: Path) -> None:
        self._before("rename", target.name)
        self._disk.rename(source, target)

    def unlink(self, path: Path) -> None:
        self._before("unlink", path.name)
        self._disk.unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self._before("fsync_dir", path.name)
        self._disk.fsync_dir(path)
