"""Damage to what was durable: every bit, every byte, every file. The answer is the whole log, or a refusal with words.

The one exception is stated where it is tested: a last batch that is gone sector by sector, or at the edges of one,
looks like one that was never written in full.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bankd.errors import DataDirForeign, LogDamaged
from bankd.storage.damage import later_batch
from bankd.storage.identity import Identity
from bankd.storage.records import SECTOR_BYTES, Place, Write, encode_batch
from bankd.storage.recovery import Recovered
from bankd.storage.wal import Wal
from bankd.types import ClusterId, Incarnation, NodeId
from tests.storage.histories import (
    DIRECTORY,
    append,
    entry,
    long_history,
    new_disk,
    recovered_state,
    reopen,
    segments,
    states,
    tiny,
    vote,
    write_history,
)

SHORT_HISTORY: list[list[Write]] = [
    [*vote(1, "n1"), *append(entry(1))],
    append(entry(2), entry(3, body=b"")),
    append(entry(4)),
    append(entry(3, 2, b"z" * 30)),
    append(entry(4, 2)),
]


class Log:
    """A durable log that can be damaged, read, and put right again."""

    def __init__(self, history: Sequence[Sequence[Write]]) -> None:
        self.states = states(history)
        self.disk = new_disk()
        write_history(self.disk, DIRECTORY, history, tiny())
        self.sound = self.disk.copy()
        self.segments = list(segments(self.disk))

    def read(self, contents: dict[Path, bytes]) -> Recovered | None:
        """Return what is recovered from these files, or None for a refusal that changed nothing."""
        self.disk.restore(contents)
        self.disk.mkdir(DIRECTORY)
        try:
            return reopen(self.disk, DIRECTORY)
        except LogDamaged as error:
            refusal = str(error)
        assert "expected" in refusal
        assert self.disk.copy() == contents
        return None

    def read_with(self, path: Path, content: bytes) -> Recovered | None:
        return self.read(self.sound | {path: content})

    def is_whole(self, recovered: Recovered) -> bool:
        return recovered_state(recovered) == self.states[-1]

    def prefix_length(self, recovered: Recovered) -> int:
        """Return how many batches the log amounts to; fail if it is no prefix."""
        assert recovered_state(recovered) in self.states, "a log that was never written"
        return self.states.index(recovered_state(recovered))


@pytest.fixture(scope="module")
def log() -> Log:
    log = Log(SHORT_HISTORY)
    assert len(log.segments) == 3
    return log


def flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_any_flipped_bit_leaves_the_whole_log_or_a_refusal(log: Log, segment: int) -> None:
    path = log.segments[segment]
    data = log.sound[path]
    refused = 0
    for bit in range(len(data) * 8):
        recovered = log.read_with(path, flip(data, bit))
        refused += recovered is None
        assert recovered is None or log.is_whole(recovered), f"bit {bit} of {path.name} lost batches silently"
    assert refused >= 8 * 2 * SECTOR_BYTES, "flips in batches were expected to be refused"


def test_flipped_bit_in_a_last_batch_with_zero_sectors_is_refused() -> None:
    """Zeros by content never pass for sectors that were not written: they have their edges."""
    log = Log([append(entry(1, body=b"q" * 500 + bytes(2000)))])
    (path,) = log.segments
    data = log.sound[path]
    for bit in range(SECTOR_BYTES * 8, len(data) * 8):
        recovered = log.read_with(path, flip(data, bit))
        assert recovered is None or log.is_whole(recovered)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_segment_cut_at_any_byte_is_refused(log: Log, segment: int) -> None:
    """A file of zeros was durable before use, so no crash of ours can shorten it."""
    path = log.segments[segment]
    for size in range(len(log.sound[path])):
        assert log.read_with(path, log.sound[path][:size]) is None


def test_batch_beyond_the_zeros_cut_at_any_byte_is_an_unfinished_write() -> None:
    log = Log([append(entry(1)), append(entry(2, body=b"y" * 3000))])
    path = log.segments[-1]
    data = log.sound[path]
    assert len(data) > 2048
    for size in range(2048, len(data)):
        recovered = log.read_with(path, data[:size])
        assert recovered is not None
        assert recovered.torn is not None
        assert log.prefix_length(recovered) == 1


def test_last_segment_zeroed_from_any_byte_on_loses_only_what_the_zeros_cover() -> None:
    history = long_history()[:2]
    log = Log(history)
    (path,) = log.segments
    data = log.sound[path]
    starts = (SECTOR_BYTES, 2 * SECTOR_BYTES, 3 * SECTOR_BYTES)
    for start in range(SECTOR_BYTES, len(data)):
        recovered = log.read_with(path, data[:start].ljust(len(data), b"\0"))
        if start < starts[1]:
            assert recovered is None, "the copy knows of the vote that is gone"
            continue
        assert recovered is not None
        assert log.prefix_length(recovered) == sum(end <= start for end in starts[1:])
        torn_at = recovered.torn.offset if recovered.torn else None
        assert torn_at == (None if start in starts or start > starts[-1] else starts[(start // SECTOR_BYTES) - 1])


def test_segment_with_a_next_one_zeroed_from_any_byte_on_is_refused_or_whole(log: Log) -> None:
    for path in log.segments[:-1]:
        data = log.sound[path]
        for start in range(len(data)):
            recovered = log.read_with(path, data[:start].ljust(len(data), b"\0"))
            assert recovered is None or log.is_whole(recovered)


def test_zeroed_sector_in_front_of_a_later_batch_is_refused() -> None:
    log = Log(long_history())
    last = log.segments[-1]
    for path in log.segments:
        data = log.sound[path]
        for start in range(0, len(data), SECTOR_BYTES):
            damaged = data[:start] + bytes(SECTOR_BYTES) + data[start + SECTOR_BYTES :]
            recovered = log.read_with(path, damaged)
            if recovered is not None and not log.is_whole(recovered):
                assert path == last
                assert log.prefix_length(recovered) == len(log.states) - 2
                assert recovered.torn is not None or not any(damaged[start:])


def test_zeroed_byte_is_refused_except_on_an_edge_of_the_last_batch(log: Log) -> None:
    for path in log.segments:
        data = log.sound[path]
        for at in range(len(data)):
            recovered = log.read_with(path, data[:at] + b"\0" + data[at + 1 :])
            if recovered is not None and not log.is_whole(recovered):
                assert path == log.segments[-1]
                assert at in (SECTOR_BYTES, 2 * SECTOR_BYTES - 1)


def test_any_sector_in_the_place_of_any_other_is_refused_or_changes_nothing() -> None:
    """Valid records at the wrong place: a misdirected write, within a segment and across segments."""
    log = Log(long_history())
    for source in log.segments:
        for target in log.segments:
            for source_at in range(0, 2048, SECTOR_BYTES):
                for target_at in range(0, 2048, SECTOR_BYTES):
                    data = log.sound[target]
                    sector = log.sound[source][source_at : source_at + SECTOR_BYTES]
                    damaged = data[:target_at] + sector + data[target_at + SECTOR_BYTES :]
                    recovered = log.read_with(target, damaged)
                    if recovered is not None and not log.is_whole(recovered):
                        assert target == log.segments[-1]
                        assert not any(sector), "lost to more than zeros"
                        assert log.prefix_length(recovered) == len(log.states) - 2


def test_missing_segment_is_refused_whichever_it_is(log: Log) -> None:
    for path in log.segments:
        assert log.read({other: log.sound[other] for other in log.segments if other != path}) is None


def test_missing_segment_is_refused_by_its_number(log: Log) -> None:
    first, _, third = log.segments
    log.disk.restore({first: log.sound[first], third: log.sound[third]})
    with pytest.raises(LogDamaged, match="expected segment 2, not 3"):
        reopen(log.disk, DIRECTORY)


def test_emptied_segment_with_another_behind_it_is_refused(log: Log) -> None:
    """It looks like one that a roll began, but a roll begins one at a time."""
    first, second, _ = log.segments
    unsealed = log.sound[first][: 3 * SECTOR_BYTES].ljust(2048, b"\0")
    emptied = log.sound[second][:SECTOR_BYTES].ljust(2048, b"\0")
    assert log.read(log.sound | {first: unsealed, second: emptied}) is None


def test_missing_end_of_the_log_is_refused_however_much_is_missing() -> None:
    log = Log(long_history())
    for kept in range(len(log.segments)):
        assert log.read({path: log.sound[path] for path in log.segments[:kept]}) is None


def test_segment_under_another_name_is_refused(log: Log) -> None:
    names = [
        "0000000004-00000000000000000005.wal",  # the next one, copied
        "0000000003-00000000000000000004.wal",  # a twin with another first index
        "0000000004.wal",
    ]
    for path in log.segments:
        for name in names:
            if (DIRECTORY / name) not in log.sound:
                assert log.read(log.sound | {DIRECTORY / name: log.sound[path]}) is None


def test_segment_whose_name_says_another_first_index_is_refused(log: Log) -> None:
    *others, last = log.segments
    renamed = last.with_name("0000000003-00000000000000000099.wal")
    assert log.read({path: log.sound[path] for path in others} | {renamed: log.sound[last]}) is None


def test_segments_that_changed_names_are_refused(log: Log) -> None:
    first, second, third = log.segments
    assert log.read({first: log.sound[second], second: log.sound[first], third: log.sound[third]}) is None


def test_segment_of_another_history_of_this_node_is_refused(log: Log) -> None:
    """Equal name and identity, another chain."""
    other = Log([*SHORT_HISTORY[:1], append(entry(2), entry(3, body=b"other")), *SHORT_HISTORY[2:]])
    assert other.segments == log.segments
    assert log.read_with(log.segments[1], other.sound[other.segments[1]]) is None


@pytest.mark.parametrize(
    "owner",
    [
        Identity("main", ClusterId(7), NodeId("n2"), Incarnation(0xABCDEF)),
        Identity("main", ClusterId(8), NodeId("n1"), Incarnation(0xABCDEF)),
        Identity("main", ClusterId(7), NodeId("n1"), Incarnation(0xABCDE0)),
    ],
)
def test_log_of_another_node_is_refused_by_its_name(log: Log, owner: Identity) -> None:
    log.disk.restore(log.sound)
    with pytest.raises(DataDirForeign, match=r"belongs to node n1 \(incarnation 0000000000abcdef\)"):
        Wal.open(log.disk, DIRECTORY, owner, tiny())


@pytest.mark.parametrize(
    ("place", "proof"),
    [
        (Place(nonce=5, sector=3, number=8, running_crc=0), True),
        (Place(nonce=5, sector=3, number=7, running_crc=0), False),  # not written after it
        (Place(nonce=5, sector=2, number=8, running_crc=0), False),  # not in its own place
        (Place(nonce=6, sector=3, number=8, running_crc=0), False),  # not of this segment: a body that poses as one
    ],
)
def test_only_a_later_batch_in_its_own_place_proves_that_an_earlier_one_was_durable(place: Place, proof: bool) -> None:
    batch, _ = encode_batch(place, append(entry(1)))
    data = bytes(3 * SECTOR_BYTES) + bytes(batch)
    assert later_batch(data, Place(nonce=5, sector=1, number=7, running_crc=0)) == (3 * SECTOR_BYTES if proof else None)


def test_refusal_names_the_file_the_place_and_what_was_expected(log: Log) -> None:
    path = log.segments[1]
    log.disk.restore(log.sound | {path: flip(log.sound[path], (SECTOR_BYTES + 50) * 8)})
    with pytest.raises(LogDamaged) as refusal:
        reopen(log.disk, DIRECTORY)
    text = str(refusal.value)
    assert f"{path} at byte {SECTOR_BYTES}: expected a record with checksum" in text
    assert "the batch at byte 1024 proves that it was durable" in text
