"""Write a snapshot of this node's own state, chunk by chunk.

Each call is one bounded piece of blocking work, so whoever drives it can pace it beside the log. Memory holds one
chunk and its compressed form. Compressing and hashing let other threads run.
"""

from collections.abc import Callable

import zstandard

from bankd.raft.messages import SnapshotRef
from bankd.storage.snapshot_draft import Draft
from bankd.storage.snapshot_format import (
    ZSTD_LEVEL,
    SnapshotHeader,
    Tally,
    encode_footer,
    encode_header,
)
from bankd.storage.snapshot_names import Sealed, file_name


class SnapshotWriter:
    """One snapshot being written; see `SnapshotStore.begin`. Owned by one thread at a time.

    `add` and `seal` raise DiskFull and DiskFailed; then only `abandon` may follow. After DiskFull the node goes on
    without this snapshot.
    """

    def __init__(self, draft: Draft, header: SnapshotHeader, on_published: Callable[[SnapshotRef], Sealed]) -> None:
        encoded = encode_header(header)
        draft.append(encoded)
        self._header = header
        self._draft = draft
        self._on_published = on_published
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._tally = Tally(encoded)

    def add(self, content: bytes) -> None:
        """Append one chunk: 1 byte to `CHUNK_BYTES_MAX`. It is read back as it is, not joined with others."""
        self._draft.append(self._tally.encode_chunk(self._compressor, content))

    def seal(self) -> Sealed:
        """Make the snapshot durable under its name, and delete what it makes needless. The writer is used up."""
        footer = self._tally.footer()
        self._draft.append(encode_footer(footer))
        self._draft.publish(file_name(self._header.index, self._header.term))
        return self._on_published(
            SnapshotRef(self._header.index, self._header.term, footer.file_bytes, footer.content_id)
        )

    def abandon(self) -> None:
        """Remove what was written. Does nothing once the snapshot is sealed or abandoned."""
        self._draft.abandon()
