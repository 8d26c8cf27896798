"""The bytes of the log, read by hand as docs/storage.md describes them: the format is a promise."""

import struct

import pytest
from google_crc32c import extend, value

from bankd.raft.messages import Entry, EntryType, HardState
from bankd.storage.records import BatchDamaged, Place, Seal, encode_batch, encode_seal, padded_size, read_batch
from bankd.storage.segment import SegmentHeader, encode_header
from bankd.types import LogIndex, NodeId, Term
from tests.storage.histories import IDENTITY, append, entry, vote

PLACE = Place(nonce=0x1122334455667788, sector=3, number=9, running_crc=0xCAFEF00D)
BEFORE = bytes(3 * 512)  # the sectors in front of PLACE


def test_batch_is_laid_out_as_documented() -> None:
    body = b"body"
    batch, running_crc = encode_batch(PLACE, [(HardState(Term(5), NodeId("n2")), [entry(7, 5, body)])])
    assert (len(batch), batch[0], batch[511]) == (512, 0xFF, 0xFF)
    content = bytes(batch[1:511])

    data_bytes, sector, nonce, number, running_before, header_crc = struct.unpack_from("<IIQQII", content)
    assert (data_bytes, sector, nonce, number) == (32 + 25 + 2 + 25 + 4, 3, PLACE.nonce, 9)
    assert (running_before, header_crc) == (0xCAFEF00D, value(content[:28]))

    length, vote_crc, index, term, record_type = struct.unpack_from("<IIQQB", content, 32)
    assert (length, index, term, record_type, content[57:59]) == (2, 0, 5, 64, b"n2")
    assert vote_crc == extend(header_crc, content[32:36] + content[40:59])

    length, entry_crc, index, term, record_type = struct.unpack_from("<IIQQB", content, 59)
    assert (length, index, term, record_type, content[84:88]) == (4, 7, 5, 1, body)
    assert entry_crc == extend(vote_crc, content[59:63] + content[67:88]) == running_crc

    assert not any(content[88:])


def test_batch_of_several_sectors_has_edges_on_each_of_them() -> None:
    body = bytes(range(1, 251)) * 6
    batch, _ = encode_batch(PLACE, append(entry(7, 5, body)))
    assert len(batch) == 4 * 512
    assert batch[::512] == batch[511::512] == b"\xff" * 4
    end = 1 + 32 + 25 + len(body)  # in the fourth sector
    data = bytearray(batch[:end])
    data[511], data[1023], data[1535] = batch[end : end + 3]
    data[512], data[1024], data[1536] = batch[end + 3 : end + 6]
    assert data[1 + 32 + 25 :] == body
    assert not any(batch[end + 6 : -1])


def test_batch_of_any_size_reads_back() -> None:
    """Around one sector, two, and those where what moved off the edges has an edge of its own to step over."""
    for body_bytes in (*range(440, 470), *range(950, 990), *range(257 * 510 - 70, 257 * 510 + 10)):
        written = entry(7, 5, (bytes(range(1, 252)) * 600)[:body_bytes])
        batch, running_crc = encode_batch(PLACE, append(written))
        read = read_batch(BEFORE + bytes(batch), PLACE)
        assert (read.records, read.size, read.running_crc) == ((written,), len(batch), running_crc)
        assert len(batch) == -(-(32 + 25 + body_bytes) // 510) * 512


def test_segment_header_is_laid_out_as_documented() -> None:
    header = SegmentHeader(2, LogIndex(40), 9, 0x1122334455667788, 4096, 0xCAFEF00D)
    sector = encode_header(header, IDENTITY)
    assert header.name == "0000000002-00000000000000000040.wal"
    assert struct.unpack_from("<8sIQQQQQQQIH2s", sector) == (
        *(b"BANKWAL\n", 2, 7, 0xABCDEF, 2, 40, 9, 0x1122334455667788, 4096, 0xCAFEF00D),
        *(2, b"n1"),
    )
    assert not any(sector[80:508])
    assert struct.unpack_from("<I", sector, 508) == (value(sector[:508]),)


@pytest.mark.parametrize("entry_type", list(EntryType))
def test_every_entry_type_keeps_its_number_and_reads_back(entry_type: EntryType) -> None:
    written = Entry(LogIndex(1), Term(1), entry_type, b"")
    batch, _ = encode_batch(PLACE, [(None, [written])])
    assert batch[1 + 32 + 24] == entry_type < 64
    assert read_batch(BEFORE + bytes(batch), PLACE).records == (written,)


def test_seal_takes_one_sector() -> None:
    batch, running_crc = encode_seal(PLACE, LogIndex(8))
    read = read_batch(BEFORE + bytes(batch), PLACE)
    assert (len(batch), read.records, read.running_crc) == (512, (Seal(LogIndex(8)),), running_crc)


@pytest.mark.parametrize(
    ("data_bytes", "size"), [(57, 512), (510, 512), (511, 1024), (1020, 1024), (1021, 1536), (1 << 20, 2057 * 512)]
)
def test_batch_takes_whole_sectors_with_their_edges(data_bytes: int, size: int) -> None:
    assert padded_size(data_bytes) == size


def test_batch_of_an_unknown_record_type_is_refused() -> None:
    batch, _ = encode_batch(PLACE, vote(1))
    batch[1 + 32 + 24] = 77
    crc = extend(value(bytes(batch[1:29])), bytes(batch[33:37] + batch[41:58]))
    struct.pack_into("<I", batch, 37, crc)
    with pytest.raises(BatchDamaged, match="a record type that this program knows, not 77"):
        read_batch(BEFORE + bytes(batch), PLACE)
