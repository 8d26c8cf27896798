"""Small file systems of a node's own: one that runs full, one that turns read-only under open files.

Rules: leaving the block unmounts them, in whatever way it is left; a process that still has files
open there keeps what it has and nobody else sees it. Needs root.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from tests.needs import lacks, needs, needs_root

LOOP_BYTES: Final = 512 * 1024 * 1024  # most of it never written


FILLER: Final = "filler"


@attrs.frozen
class SmallDisk:
    path: Path

    def fill(self) -> None:
        """Take all the room that is left."""
        with (self.path / FILLER).open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024 * 1024))

    def free(self) -> None:
        (self.path / FILLER).unlink()

    def resize(self, size: str) -> None:
        """`size` as mount takes it: 8m."""
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)


@attrs.frozen
class JournalledDisk:
    """ext4 on a file, `image`, by way of a loop device."""

    path: Path
    image: Path

    def mount(self) -> None:
        _mount("-o", "loop,errors=remount-ro", str(self.image), str(self.path))

    def fail(self) -> None:
        """Have the kernel find a fault in the file system, upon which it turns read-only under whoever uses it.

        A remount would be refused while files are open for writing.
        """
        source = subprocess.check_output(["findmnt", "--noheadings", "--output", "SOURCE", self.path], text=True)
        device = Path(source.strip()).name
        assert device.startswith("loop"), f"{device} is no disk of ours"
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("planted by a test")

    def repair(self) -> None:
        """What an operator does: unmount, check, mount again. No process may use it."""
        subprocess.run(["umount", self.path], check=True)
        found = subprocess.run(["e2fsck", "-f", "-y", self.image], capture_output=True, text=True)
        assert found.returncode in (0, 1), found.stdout  # 1: faults were found and mended
        self.mount()


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[SmallDisk]:
    """A tmpfs at `path`, which is made."""
    needs_root()
    path.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@contextmanager
def journalled_disk(path: Path) -> Iterator[JournalledDisk]:
    """An ext4 file system at `path`, which is made. It is on the real disk, so its syncs are real."""
    needs_root()
    needs("mkfs.ext4", package="e2fsprogs")
    image = path.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(LOOP_BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    path.mkdir()
    disk = JournalledDisk(path, image)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        lacks(f"this machine does not let us mount: {done.stderr.strip()}")
