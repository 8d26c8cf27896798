"""Snapshots of a ledger in memory: the bytes of the very file that a node would have."""

import attrs
import zstandard

from bankd.ledger.state import Ledger
from bankd.raft.messages import Configuration
from bankd.status import SnapshotPart, SnapshotTaken
from bankd.storage.snapshot_format import ZSTD_LEVEL, SnapshotHeader, Tally, encode_footer, encode_header
from bankd.types import ClusterId, NodeId, Term
from bankd.wire.entries import encode_configuration
from bankd.wire.snapshot_rows import encode_block

TERM = Term(1)
MEMBERS = ("n1", "n2", "n3")


@attrs.frozen
class SnapshotFile:
    taken: SnapshotTaken
    data: bytes

    def part(self, offset: int, bytes_max: int) -> SnapshotPart:
        taken = self.taken
        data = self.data[offset : offset + bytes_max]
        return SnapshotPart(taken.index, taken.term, taken.size_bytes, taken.content_id, offset, data)


def snapshot_of(ledger: Ledger, cluster_id: ClusterId, **changes: object) -> SnapshotFile:
    """The file of its state, one block a chunk. `changes` make a header that says something else."""
    configuration = Configuration(voters=frozenset(map(NodeId, MEMBERS)))
    header = SnapshotHeader(
        cluster_id=cluster_id,
        index=ledger.applied_index,
        term=TERM,
        time_ns=ledger.last_time_ns,
        digest=ledger.digest,
        configuration=encode_configuration(configuration, {}),
    )
    chunks = [encode_block(block) for block in ledger.freeze().blocks()]
    return sealed(attrs.evolve(header, **changes), chunks)  # type: ignore[arg-type]


def sealed(header: SnapshotHeader, chunks: list[bytes]) -> SnapshotFile:
    encoded = encode_header(header)
    tally = Tally(encoded)
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    data = encoded + b"".join([tally.encode_chunk(compressor, chunk) for chunk in chunks])
    footer = tally.footer()
    taken = SnapshotTaken(header.index, header.term, footer.file_bytes, footer.content_id)
    return SnapshotFile(taken, data + encode_footer(footer))
