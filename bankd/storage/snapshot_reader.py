"""Read a snapshot file: its header, its content chunk by chunk, its raw bytes for a peer.

Opening reads both ends of the file, so that a file which was cut, or has something behind it, does not open. What
stands between is verified by reading it all; no length is believed before it was compared with what a chunk and the
file can hold. A place that the disk cannot read is damage like any other: the file was whole when it was sealed, and
reading puts nothing in doubt that was written since.

A reader keeps its file readable when the store deletes it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zstandard

from bankd.errors import DiskFailed
from bankd.raft.messages import SnapshotRef
from bankd.storage.disk import Disk, DiskFile
from bankd.storage.snapshot_format import (
    CHUNK_BYTES_MAX,
    CHUNK_HEADER_BYTES,
    FOOTER_BYTES,
    HEADER_BYTES_MAX,
    Tally,
    damaged,
    decode_footer,
    decode_header,
    stored_bytes,
    stored_bytes_max,
)
from bankd.types import ClusterId

_STORED_BYTES_MAX: Final = stored_bytes_max(CHUNK_BYTES_MAX)


class SnapshotReader:
    """One open snapshot. Owned by one thread at a time."""

    def __init__(self, path: Path, file: DiskFile, cluster_id: ClusterId | None) -> None:
        """Take over an open file; see `open`. `cluster_id` None: whoever's it is."""
        self.path = path
        self._file = file
        self._size = file.size()
        self._end = self._size - FOOTER_BYTES  # of the chunks
        self.header, self._encoded_header = decode_header(self.pread(HEADER_BYTES_MAX, 0), path, cluster_id)
        self._footer = decode_footer(self.pread(FOOTER_BYTES, max(self._end, 0)), path, self._size)

    @classmethod
    def open(cls, disk: Disk, path: Path, cluster_id: ClusterId) -> "SnapshotReader":
        """Open a snapshot whose header and footer are sound. What is between them is not yet verified.

        Raises:
          SnapshotDamaged: they are not.
          DataDirForeign: another cluster or a newer program wrote it.
          DiskFailed: it cannot be opened.
        """
        file = disk.open(path)
        try:
            return cls(path, file, cluster_id)
        except BaseException:
            file.close()
            raise

    @property
    def ref(self) -> SnapshotRef:
        """What the snapshot is known by among nodes."""
        return SnapshotRef(self.header.index, self.header.term, self._size, self._footer.content_id)

    @property
    def content_bytes(self) -> int:
        """How much all chunks hold, before compression."""
        return self._footer.content_bytes

    @property
    def chunk_count(self) -> int:
        """How many `chunks` gives."""
        return self._footer.chunks

    def chunks(self) -> Iterator[bytes]:
        """Give the chunks as they were added, each verified. All of them count only once the iteration has ended:
        the last step verifies that none is missing.

        Raises SnapshotDamaged.
        """
        tally = Tally(self._encoded_header)
        decompressor = zstandard.ZstdDecompressor()
        while tally.size < self._end:
            offset = tally.size
            try:
                content = tally.decode_chunk(decompressor, self._stored_chunk(offset))
            except ValueError as error:
                raise damaged(self.path, offset, str(error)) from error
            yield content
        if tally.footer() != self._footer:
            raise damaged(self.path, self._end, "the footer of the chunks before it")

    def verify(self) -> Iterator[None]:
        """Read everything, one chunk a step. Sound once the iteration has ended.

        Raises SnapshotDamaged.
        """
        for _ in self.chunks():
            yield

    def pread(self, size: int, offset: int) -> bytes:
        """Return up to `size` raw bytes of the file, not verified; fewer only at its end.

        Raises SnapshotDamaged: the disk cannot read them.
        """
        try:
            return self._file.pread(size, offset)
        except DiskFailed as error:
            raise damaged(self.path, offset, f"to be readable ({error})") from error

    def close(self) -> None:
        self._file.close()

    def _stored_chunk(self, offset: int) -> bytes:
        left = self._end - offset - CHUNK_HEADER_BYTES
        header = self.pread(CHUNK_HEADER_BYTES, offset)
        if left < 0 or len(header) < CHUNK_HEADER_BYTES:
            raise ValueError("the header of a chunk, not the end of the file")
        size = stored_bytes(header)
        if size > min(left, _STORED_BYTES_MAX):
            raise ValueError(f"a chunk of at most {min(left, _STORED_BYTES_MAX)} bytes, not {size}")
        return self.pread(CHUNK_HEADER_BYTES + size, offset)
