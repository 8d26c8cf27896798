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
    assert len(batch) == 512

    data_bytes, sector, nonce, number, running_before, header_crc, mark = struct.unpack_from("<IIQQIII", batch, 0)
    assert (data_bytes, sector, nonce, number) == (36 + 25 + 2 + 25 + 4, 3, PLACE.nonce, 9)
    assert (running_before, header_crc, mark) == (0xCAFEF00D, value(bytes(batch[:28])), 0xFFFFFFFF)

    length, vote_crc, index, term, record_type = struct.unpack_from("<IIQQB", batch, 36)
    assert (length, index, term, record_type, bytes(batch[61:63])) == (2, 0, 5, 64, b"n2")
    assert vote_crc == extend(header_crc, bytes(batch[36:40] + batch[44:63]))

    length, entry_crc, index, term, record_type = struct.unpack_from("<IIQQB", batch, 63)
    assert (length, index, term, record_type, bytes(batch[88:92])) == (4, 7, 5, 1, body)
    assert entry_crc == extend(vote_crc, bytes(batch[63:67] + batch[71:92])) == running_crc

    assert not any(batch[92:500])
    zero_sectors, trailer_crc, mark = struct.unpack_from("<III", batch, 500)
    assert (zero_sectors, trailer_crc, mark) == (0, extend(header_crc, bytes(4)), 0xFFFFFFFF)


def test_segment_header_is_laid_out_as_documented() -> None:
    header = SegmentHeader(2, LogIndex(40), 9, 0x1122334455667788, 4096, 0xCAFEF00D)
    sector = encode_header(header, IDENTITY)
    assert header.name == "0000000002-00000000000000000040.wal"
    assert struct.unpack_from("<8sIQQQQQQQIH2s", sector) == (
        *(b"BANKWAL\n", 1, 7, 0xABCDEF, 2, 40, 9, 0x1122334455667788, 4096, 0xCAFEF00D),
        *(2, b"n1"),
    )
    assert not any(sector[80:508])
    assert struct.unpack_from("<I", sector, 508) == (value(sector[:508]),)


@pytest.mark.parametrize("entry_type", list(EntryType))
def test_every_entry_type_keeps_its_number_and_reads_back(entry_type: EntryType) -> None:
    written = Entry(LogIndex(1), Term(1), entry_type, b"")
    batch, _ = encode_batch(PLACE, [(None, [written])])
    assert batch[36 + 24] == entry_type < 64
    assert read_batch(BEFORE + bytes(batch), PLACE).records == (written,)


def test_seal_takes_one_sector() -> None:
    batch, running_crc = encode_seal(PLACE, LogIndex(8))
    read = read_batch(BEFORE + bytes(batch), PLACE)
    assert (len(batch), read.records, read.running_crc) == (512, (Seal(LogIndex(8)),), running_crc)


@pytest.mark.parametrize(
    ("data_bytes", "size"), [(61, 512), (500, 512), (501, 1024), (1012, 1024), (1013, 1536), (1 << 20, (1 << 20) + 512)]
)
def test_batch_takes_whole_sectors_with_its_trailer(data_bytes: int, size: int) -> None:
    assert padded_size(data_bytes) == size


def test_zero_sectors_by_content_are_counted() -> None:
    batch, _ = encode_batch(PLACE, append(entry(1, body=b"x" + bytes(5 * 512))))
    assert struct.unpack_from("<I", batch, len(batch) - 12) == (4,)


def test_batch_of_an_unknown_record_type_is_refused() -> None:
    batch, _ = encode_batch(PLACE, vote(1))
    batch[36 + 24] = 77
    crc = extend(value(bytes(batch[:28])), bytes(batch[36:40] + batch[44:61]))
    struct.pack_into("<I", batch, 40, crc)
    with pytest.raises(BatchDamaged, match="a record type that this program knows, not 77"):
        read_batch(BEFORE + bytes(batch), PLACE)
