"""The bytes of a snapshot file. Pure: no files.

A snapshot is one state of the ledger, cut into chunks of at most 1 MiB; what they say is their maker's affair. Each
is compressed by itself, so that reading and writing hold one of them in memory. All numbers are little-endian.

    header   magic · u32 version · u32 bytes of the header · u64 cluster id · u64 index · u64 term · u64 time in ns
             · 16 bytes state digest · configuration, as the body of its log entry · u32 CRC32C of all that
    chunk    u32 stored bytes · u32 CRC32C of that number and the stored bytes · one zstd frame that names its size
    footer   magic · u64 chunks · u64 content bytes, before compression · u64 bytes of the file
             · 16 bytes content id · u32 CRC32C of all that

The CRC of a chunk is seeded with the one before, that of the first with the header's: a sound chunk at another
place, or of another snapshot, does not verify. The content id is a BLAKE2b hash of everything before the footer.

Equal contents give equal files on every node, so that a transfer begun by one leader may go on from another. That
rests on: chunks cut alike; nothing in the header that is a node's own (its time is that of the last entry covered);
one compression level, one thread, and one version of zstd. Where the versions differ, so do the bytes and with them the
content id: a transfer then begins anew, and nothing is mixed.

Limits: the header's layout up to its size, and its CRC at its end, are the same in all versions.
"""

import hashlib
import struct
from pathlib import Path
from typing import Final

import attrs
import zstandard
from google_crc32c import extend, value

from bankd.errors import DataDirForeign, NodeError
from bankd.types import ClusterId, LogIndex, Term, TimeNs

VERSION: Final = 1
CHUNK_BYTES_MAX: Final = 1 << 20  # of content; the unit of work, of memory, and of loss of time when one is slow
CONFIGURATION_BYTES_MAX: Final = 64 << 10  # hundreds of members with their addresses
CONTENT_ID_BYTES: Final = 16
DIGEST_BYTES: Final = 16
# Ids are random, and nothing compresses them below their entropy. 100 MB of rows in chunks of 1 MiB came to 59.2 % at
# level 1; level 3 made it 59.0 % in five times the processor time, level 6 58.9 % in eleven times.
ZSTD_LEVEL: Final = 1

MAGIC: Final = b"BANKSNP\n"
_HEADER: Final = struct.Struct(f"<8sIIQQQQ{DIGEST_BYTES}s")
_HEADER_BEGIN: Final = struct.Struct("<8sII")
_FOOTER_MAGIC: Final = b"SNAPEND\n"
_FOOTER: Final = struct.Struct(f"<8sQQQ{CONTENT_ID_BYTES}s")
_CRC: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<I")
_CHUNK: Final = struct.Struct("<II")

_HEADER_BYTES_MIN: Final = _HEADER.size + _CRC.size
HEADER_BYTES_MAX: Final = _HEADER_BYTES_MIN + CONFIGURATION_BYTES_MAX
FOOTER_BYTES: Final = _FOOTER.size + _CRC.size
CHUNK_HEADER_BYTES: Final = _CHUNK.size


class SnapshotDamaged(NodeError):
    """A snapshot is not what was written. Raised by whatever reads one; caught by the store, which takes the older
    one, and by whoever sends or receives it. The file is left as it is, and reading it again is of no use.

    `expected`, and the `offset` at which, are for those who list damage; None: it has no one place.
    """

    reason = "SNAPSHOT_DAMAGED"

    def __init__(self, message: str, expected: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.expected = expected or message
        self.offset = offset


@attrs.frozen
class SnapshotHeader:
    """Which state this is: that after the entry at `index`, whose term was `term` and whose time was `time_ns`."""

    cluster_id: ClusterId
    index: LogIndex
    term: Term
    time_ns: TimeNs
    digest: bytes
    configuration: bytes  # the newest one at `index`, as the body of its entry; opaque here


@attrs.frozen
class Footer:
    chunks: int
    content_bytes: int
    file_bytes: int
    content_id: bytes


def damaged(path: Path, offset: int, expected: str) -> SnapshotDamaged:
    """Name the file, the place and what should be there."""
    return SnapshotDamaged(f"{path} at byte {offset}: expected {expected}", expected, offset)


def stored_bytes_max(content_bytes: int) -> int:
    """Return the most that zstd makes of that much content: its own bound, rounded up."""
    return content_bytes + (content_bytes >> 8) + 64


def encode_header(header: SnapshotHeader) -> bytes:
    assert len(header.digest) == DIGEST_BYTES, f"digest of {len(header.digest)} bytes"
    assert len(header.configuration) <= CONFIGURATION_BYTES_MAX, f"configuration of {len(header.configuration)} bytes"
    fixed = _HEADER.pack(
        MAGIC,
        VERSION,
        _HEADER_BYTES_MIN + len(header.configuration),
        header.cluster_id,
        header.index,
        header.term,
        header.time_ns,
        header.digest,
    )
    return _with_crc(fixed + header.configuration)


def decode_header(data: bytes, path: Path, cluster_id: ClusterId | None) -> tuple[SnapshotHeader, bytes]:
    """Return the header of the snapshot `path`, whose bytes begin with `data`, and those bytes that it takes.

    `cluster_id` None: whoever's it is.

    Raises:
      SnapshotDamaged: it is broken.
      DataDirForeign: another cluster or a newer program wrote it.
    """
    encoded = _sound_header(data)
    if encoded is None:
        raise damaged(path, 0, "a snapshot header with a right checksum")
    magic, version, _ = _HEADER_BEGIN.unpack_from(encoded)
    if magic != MAGIC:
        raise damaged(path, 0, "a snapshot of this program")
    if version != VERSION:
        raise DataDirForeign(f"{path} has format {version}, this program knows {VERSION}: start a matching bankd")
    *_, found_id, index, term, time_ns, digest = _HEADER.unpack_from(encoded)
    if cluster_id is not None and found_id != cluster_id:
        raise DataDirForeign(
            f"{path} belongs to cluster {found_id:016x}, this is {cluster_id:016x}: put back its own snapshots"
        )
    configuration = encoded[_HEADER.size : -_CRC.size]
    header = SnapshotHeader(ClusterId(found_id), LogIndex(index), Term(term), TimeNs(time_ns), digest, configuration)
    return header, encoded


def encode_footer(footer: Footer) -> bytes:
    return _with_crc(
        _FOOTER.pack(_FOOTER_MAGIC, footer.chunks, footer.content_bytes, footer.file_bytes, footer.content_id)
    )


def decode_footer(data: bytes, path: Path, file_bytes: int) -> Footer:
    """Return the footer that `data`, the last bytes of the snapshot `path`, must be.

    Raises SnapshotDamaged: the snapshot is not sealed, was cut, or has something behind it.
    """
    offset = max(file_bytes - FOOTER_BYTES, 0)
    if len(data) != FOOTER_BYTES or not _crc_is_right(data):
        raise damaged(path, offset, "a footer with a right checksum")
    magic, *fields = _FOOTER.unpack_from(data)
    footer = Footer(*fields)
    if magic != _FOOTER_MAGIC or footer.file_bytes != file_bytes:
        raise damaged(path, offset, f"the footer of a file of {file_bytes} bytes, not of {footer.file_bytes}")
    return footer


def stored_bytes(chunk_header: bytes) -> int:
    """Return how many bytes follow a chunk's header, as it says: to be checked before they are read."""
    (size,) = _LENGTH.unpack_from(chunk_header)
    return int(size)


class Tally:
    """What a snapshot amounts to so far: the chain of its checksums, and what its footer must say.

    Writing and reading both count with it, so a file reads well only if both have seen the same.
    """

    def __init__(self, header: bytes) -> None:
        """Begin with an encoded header."""
        self.size = len(header)
        self._chunks = 0
        self._content_bytes = 0
        (self._crc,) = _CRC.unpack_from(header, len(header) - _CRC.size)
        self._hash = hashlib.blake2b(header, digest_size=CONTENT_ID_BYTES)

    def encode_chunk(self, compressor: zstandard.ZstdCompressor, content: bytes) -> bytes:
        """Return the next chunk's bytes, and count it."""
        assert 0 < len(content) <= CHUNK_BYTES_MAX, f"chunk of {len(content)} bytes"
        stored = compressor.compress(content)
        length = _LENGTH.pack(len(stored))
        chunk = length + _CRC.pack(extend(extend(self._crc, length), stored)) + stored
        self._count(chunk, len(content))
        return chunk

    def decode_chunk(self, decompressor: zstandard.ZstdDecompressor, chunk: bytes) -> bytes:
        """Return the content of the chunk that comes next, and count it.

        Raises ValueError: it is not; the message says what was expected.
        """
        length, crc = _CHUNK.unpack_from(chunk)
        stored = chunk[CHUNK_HEADER_BYTES:]
        found = extend(extend(self._crc, chunk[: _LENGTH.size]), stored)
        if length != len(stored) or crc != found:
            raise ValueError(f"chunk {self._chunks + 1} with checksum {found:08x}, not {crc:08x}")
        content = _decompress(decompressor, stored)
        self._count(chunk, len(content))
        return content

    def footer(self) -> Footer:
        """Return the footer that seals what was counted."""
        return Footer(self._chunks, self._content_bytes, self.size + FOOTER_BYTES, self._hash.digest())

    def _count(self, chunk: bytes, content_bytes: int) -> None:
        _, self._crc = _CHUNK.unpack_from(chunk)
        self._hash.update(chunk)
        self._chunks += 1
        self._content_bytes += content_bytes
        self.size += len(chunk)


def _decompress(decompressor: zstandard.ZstdDecompressor, stored: bytes) -> bytes:
    # A sound checksum says that a peer sent these bytes, not that they are sane: the frame's own size is what zstd
    # allocates, so it is judged first. More than it says is never written.
    try:
        content_bytes = zstandard.frame_content_size(stored)
        if not 0 < content_bytes <= CHUNK_BYTES_MAX:
            raise ValueError(f"a chunk of 1 to {CHUNK_BYTES_MAX} bytes of content, not {content_bytes}")
        return decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"one zstd frame ({error})") from error


def _sound_header(data: bytes) -> bytes | None:
    if len(data) < _HEADER_BEGIN.size:
        return None
    _, _, size = _HEADER_BEGIN.unpack_from(data)
    if not _HEADER_BYTES_MIN <= size <= min(len(data), HEADER_BYTES_MAX):
        return None
    return data[:size] if _crc_is_right(data[:size]) else None


def _with_crc(covered: bytes) -> bytes:
    return covered + _CRC.pack(value(covered))


def _crc_is_right(data: bytes) -> bool:
    (crc,) = _CRC.unpack_from(data, len(data) - _CRC.size)
    return bool(crc == value(data[: -_CRC.size]))
