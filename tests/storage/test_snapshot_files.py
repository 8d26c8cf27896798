"""Snapshot files: what was added is read back, and no damage to one passes unseen.

The damage tests know no exception: every byte of the file is covered by a checksum and by the content id.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import DataDirForeign, DiskFailed
from bankd.raft.messages import SnapshotRef
from bankd.sim.disk import SimDisk, SimFile
from bankd.sim.random import Stream
from bankd.storage import snapshot_format
from bankd.storage.disk import Disk, OsDisk
from bankd.storage.snapshot_format import (
    CHUNK_BYTES_MAX,
    FOOTER_BYTES,
    Footer,
    SnapshotDamaged,
    SnapshotHeader,
    Tally,
    encode_footer,
    encode_header,
)
from bankd.storage.snapshot_names import file_name
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import ClusterId, LogIndex, Term, TimeNs
from tests.storage.histories import new_disk

CLUSTER = ClusterId(7)
SNAP = Path("snap")  # on a SimDisk
CONTENT = [b"accounts " * 20, b"x", bytes(range(256)), b"transfers " * 30]


def header_of(index: int, *, cluster_id: ClusterId = CLUSTER, configuration: bytes = b"n1 n2 n3") -> SnapshotHeader:
    digest = index.to_bytes(16, "little")
    return SnapshotHeader(cluster_id, LogIndex(index), Term(2), TimeNs(index * 1000), digest, configuration)


def content_of(index: int) -> list[bytes]:
    return [*CONTENT, b"state %d" % index]


def name_of(index: int) -> str:
    return file_name(LogIndex(index), Term(2))


def save(store: SnapshotStore, index: int, content: Sequence[bytes] | None = None) -> SnapshotRef:
    writer = store.begin(header_of(index))
    for chunk in content_of(index) if content is None else content:
        writer.add(chunk)
    return writer.seal().snapshot


def read_file(disk: Disk, path: Path) -> list[bytes]:
    reader = SnapshotReader.open(disk, path, CLUSTER)
    try:
        return list(reader.chunks())
    finally:
        reader.close()


def stored(content: Sequence[bytes], index: int = 5) -> bytes:
    """Return the bytes of a snapshot file with that content."""
    disk = new_disk()
    save(SnapshotStore.open(disk, SNAP, CLUSTER), index, content)
    return disk.copy()[SNAP / name_of(index)]


def reading(data: bytes) -> list[bytes]:
    """Return the content of a snapshot file with these bytes."""
    disk = new_disk()
    disk.restore({SNAP / name_of(5): data})
    return read_file(disk, SNAP / name_of(5))


def chunk_places(data: bytes) -> list[slice]:
    """Return where the chunks of a sound file stand."""
    at = len(encode_header(header_of(5)))
    places = []
    while at < len(data) - FOOTER_BYTES:
        end = at + 8 + int.from_bytes(data[at : at + 4], "little")
        places.append(slice(at, end))
        at = end
    return places


# What was written


@settings(deadline=None, max_examples=40)
@given(content=st.lists(st.binary(min_size=1, max_size=3000), max_size=6), configuration=st.binary(max_size=300))
def test_any_chunks_are_read_back_as_they_were_added(content: list[bytes], configuration: bytes) -> None:
    disk = new_disk()
    store = SnapshotStore.open(disk, SNAP, CLUSTER)
    header = header_of(5, configuration=configuration)
    writer = store.begin(header)
    for chunk in content:
        writer.add(chunk)
    ref = writer.seal().snapshot
    reader = SnapshotReader.open(disk, SNAP / name_of(5), CLUSTER)
    assert list(reader.chunks()) == content
    assert (reader.header, reader.ref, reader.content_bytes) == (header, ref, sum(map(len, content)))
    assert ref.size_bytes == len(disk.copy()[reader.path]) == len(reader.pread(1 << 20, 0))


def test_bytes_of_header_and_footer_are_those_of_version_1() -> None:
    """Files outlive programs, and go to nodes of other versions."""
    assert encode_header(header_of(5)).hex() == (
        "42414e4b534e500a" "01000000" "4c000000"  # magic, version, bytes of the header
        "0700000000000000" "0500000000000000" "0200000000000000" "8813000000000000"  # cluster, index, term, time
        "05000000000000000000000000000000" "6e31206e32206e33" "26d7571d"  # digest, configuration, CRC
    )  # fmt: skip
    assert encode_footer(Footer(3, 1000, 700, bytes(range(16)))).hex() == (
        "534e4150454e440a" "0300000000000000" "e803000000000000" "bc02000000000000"  # magic, chunks, content, file bytes
        "000102030405060708090a0b0c0d0e0f" "3e3b8c18"  # content id, CRC
    )  # fmt: skip


def test_chunk_of_the_largest_size_is_read_back_from_a_real_disk(tmp_path: Path) -> None:
    store = SnapshotStore.open(OsDisk(), tmp_path / "snap", CLUSTER)
    content = [bytes(range(256)) * (CHUNK_BYTES_MAX // 256), b"end"]
    ref = save(store, 5, content)
    path = tmp_path / "snap" / name_of(5)
    assert read_file(OsDisk(), path) == content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size == ref.size_bytes
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", bytes(CHUNK_BYTES_MAX + 1)])
def test_chunk_of_a_size_that_no_reader_takes_is_not_written(content: bytes) -> None:
    writer = SnapshotStore.open(new_disk(), SNAP, CLUSTER).begin(header_of(5))
    with pytest.raises(AssertionError, match="chunk of"):
        writer.add(content)


def test_equal_contents_give_equal_files() -> None:
    """Whatever disk, and whatever was compressed before: a transfer may go on from another leader."""
    disk = new_disk(seed=99)
    store = SnapshotStore.open(disk, SNAP, CLUSTER)
    save(store, 4, [b"other " * 50])
    save(store, 5, content_of(5))
    assert disk.copy()[SNAP / name_of(5)] == stored(content_of(5))


def test_content_id_tells_any_two_contents_apart() -> None:
    contents = [CONTENT, CONTENT[:-1], CONTENT[::-1], [b"".join(CONTENT)], []]
    ids = {stored(content)[-20:-4] for content in contents}
    ids.add(stored(CONTENT, index=6)[-20:-4])
    assert len(ids) == len(contents) + 1


# What became of it

SMALL = [b"abc" * 9, b"d" * 40, b"ef"]


def refused(data: bytes) -> str:
    with pytest.raises(SnapshotDamaged, match=r"snap.* at byte \d+: expected") as caught:
        reading(data)
    return str(caught.value)


def test_any_flipped_bit_is_found() -> None:
    data = stored(SMALL)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        refused(bytes(flipped))


def test_any_cut_is_found() -> None:
    data = stored(SMALL)
    for size in range(len(data)):
        refused(data[:size])


def test_anything_behind_the_end_is_found() -> None:
    data = stored(SMALL)
    for garbage in (b"\0", b"x", bytes(512), data[-FOOTER_BYTES:], data[chunk_places(data)[-1].start :], data):
        assert "footer" in refused(data + garbage)


def test_any_byte_that_is_missing_or_too_many_inside_is_found() -> None:
    data = stored(SMALL)
    for at in range(len(data)):
        refused(data[:at] + data[at + 1 :])
        refused(data[:at] + b"\0" + data[at:])


def test_any_sector_of_zeros_is_found() -> None:
    data = stored(SMALL)
    for at in range(0, len(data), 64):
        zeros = bytes(len(data[at : at + 64]))
        assert data[at : at + 64] != zeros
        refused(data[:at] + zeros + data[at + 64 :])


def test_swapped_repeated_and_missing_chunks_are_found() -> None:
    data = stored([b"same size 1", b"same size 2", b"same size 3"])
    places = chunk_places(data)
    first, second, third = (data[place] for place in places)
    assert len(first) == len(second) == len(third)
    head, tail = data[: places[0].start], data[places[-1].stop :]
    assert reading(head + first + second + third + tail)
    for chunks in (
        [second, first, third],
        [first, third, second],
        [first, second, second],
        [first, first, third],
        [first, second],
        [first, second, third, third],
        [],
    ):
        refused(head + b"".join(chunks) + tail)


def test_chunk_header_or_footer_of_another_snapshot_is_found() -> None:
    mine, others = stored(SMALL), stored(SMALL, index=6)
    assert len(mine) == len(others)
    header_bytes = chunk_places(mine)[0].start
    for place in [*chunk_places(mine), slice(0, header_bytes), slice(len(mine) - FOOTER_BYTES, len(mine))]:
        assert mine[place] != others[place]
        refused(mine[: place.start] + others[place] + mine[place.stop :])


def crafted(chunk: bytes, header: bytes | None = None) -> bytes:
    """Return a file with right checksums everywhere and one chunk whose stored bytes are these."""
    header = encode_header(header_of(5)) if header is None else header
    tally = Tally(header)

    class _As:
        def compress(self, content: bytes) -> bytes:
            return chunk

    encoded = tally.encode_chunk(_As(), b"content")  # type: ignore[arg-type]
    return header + encoded + encode_footer(tally.footer())


def claiming(content_bytes: int) -> bytes:
    """Return the beginning of a frame that promises so much."""
    frame = zstandard.ZstdCompressor().compressobj(size=content_bytes)
    return frame.compress(b"content") + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


FRAME = zstandard.ZstdCompressor().compress(b"content")
NO_CHUNKS = {
    "no frame": (b"no frame at all", "one zstd frame"),
    "nothing": (b"", "one zstd frame"),
    "a frame that is cut": (FRAME[:-1], "one zstd frame"),
    "a frame and a byte": (FRAME + b"x", "one zstd frame"),
    "two frames": (FRAME * 2, "one zstd frame"),
    "a frame that hides its size": (zstandard.ZstdCompressor(write_content_size=False).compress(b"content"), "not -1"),
    "a frame of nothing": (zstandard.ZstdCompressor().compress(b""), "not 0"),
    "a promise that is not kept": (claiming(1000), "one zstd frame"),
    "a byte too much": (zstandard.ZstdCompressor().compress(bytes(CHUNK_BYTES_MAX + 1)), f"not {CHUNK_BYTES_MAX + 1}"),
    "a gigabyte": (claiming(1 << 30), f"not {1 << 30}"),
    "another length": (zstandard.ZstdCompressor().compress(b"short"), "the footer of the chunks before it"),
}


@pytest.mark.parametrize(("chunk", "expected"), NO_CHUNKS.values(), ids=NO_CHUNKS)
def test_chunk_that_a_peer_sealed_but_that_is_no_chunk_is_refused(chunk: bytes, expected: str) -> None:
    assert expected in refused(crafted(chunk))


def test_crafted_file_is_taken_when_its_chunk_is_one() -> None:
    assert reading(crafted(FRAME)) == [b"content"]


class WatchedFile(SimFile):
    """A file whose disk counts what is asked of it, and may be unable to read."""

    def pread(self, size: int, offset: int) -> bytes:
        assert isinstance(self._disk, WatchedDisk)
        self._disk.most_bytes = max(self._disk.most_bytes, size)
        if offset >= self._disk.readable_bytes:
            raise DiskFailed(f"{self.path}: pread failed: Input/output error")
        return super().pread(size, offset)


class WatchedDisk(SimDisk):
    def __init__(self, data: bytes) -> None:
        super().__init__(Stream(7, "disk"))
        self.most_bytes = 0  # read at once
        self.readable_bytes = 1 << 40
        self.restore({SNAP / name_of(5): data})

    def open(self, path: Path) -> SimFile:
        return WatchedFile(self, path, super().open(path)._inode)


def test_no_length_is_read_or_allocated_before_it_was_judged() -> None:
    """A flipped bit in a length must not cost gigabytes."""
    data, most_bytes = stored(SMALL), 0
    lengths = [12, *(place.start for place in chunk_places(data))]
    for at in lengths:
        for bit in range(32):
            flipped = bytearray(data)
            flipped[at + bit // 8] ^= 1 << bit % 8
            disk = WatchedDisk(bytes(flipped))
            with pytest.raises(SnapshotDamaged):
                read_file(disk, SNAP / name_of(5))
            most_bytes = max(most_bytes, disk.most_bytes)
    assert 0 < most_bytes <= CHUNK_BYTES_MAX * 1.01


def test_place_that_the_disk_cannot_read_is_damage() -> None:
    data = stored(SMALL)
    for readable_bytes in (0, 1, chunk_places(data)[1].start, len(data) - FOOTER_BYTES):
        disk = WatchedDisk(data)
        disk.readable_bytes = readable_bytes
        with pytest.raises(SnapshotDamaged, match=r"expected to be readable .*Input/output error"):
            read_file(disk, SNAP / name_of(5))


# Whose it is


def test_snapshot_of_another_cluster_is_foreign() -> None:
    header = encode_header(header_of(5, cluster_id=ClusterId(8)))
    with pytest.raises(DataDirForeign, match=r"belongs to cluster 0000000000000008, this is 0000000000000007"):
        reading(crafted(FRAME, header))


def test_snapshot_of_a_newer_format_is_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(snapshot_format, "VERSION", 2)
        data = stored(SMALL)
    with pytest.raises(DataDirForeign, match="has format 2, this program knows 1"):
        reading(data)


def test_file_of_another_program_is_damage() -> None:
    with pytest.raises(SnapshotDamaged, match="a snapshot header with a right checksum"):
        reading(b"something else" * 50)
