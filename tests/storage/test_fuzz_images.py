"""Logs that were really written, damaged in every way that we could think of: a prefix, or a refusal in words.

Twenty thousand images from a seed. A failure names the image's number; `damaged(number)` makes it again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bankd.errors import DataDirForeign, LogDamaged
from bankd.sim.disk import SimDisk
from bankd.sim.random import Stream
from bankd.storage.records import Write
from bankd.storage.wal import Wal
from tests.storage.histories import (
    DIRECTORY,
    IDENTITY,
    State,
    append,
    append_history,
    entry,
    new_disk,
    recovered_state,
    reopen,
    states,
    tiny,
    vote,
    write_history,
)

SEED: Final = 1
IMAGES: Final = 20_000
LOGS: Final = 40
SECTOR: Final = 512

Files = dict[Path, bytes]


class Log:
    """A log with a drawn history, what each prefix of it amounts to, and where its batches begin."""

    def __init__(self, stream: Stream) -> None:
        history = list(drawn_history(stream))
        disk = new_disk()
        write_history(disk, DIRECTORY, [], tiny())
        wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny(first_nonce=0x2222))
        self.states = states(history)
        self.heads: list[tuple[Path, int]] = []
        self.files: Files = {}
        for batch in history:
            self.files = disk.copy()
            wal.write(batch)
            wal.sync()
            self.heads.append(self._find_head(disk.copy()))
        self.files = disk.copy()

    def _find_head(self, after: Files) -> tuple[Path, int]:
        """Return the first sector behind a header that the last write changed: in the last segment, as a batch
        is written behind the roll that makes room for it."""
        path, content = max(item for item in after.items() if item[0].suffix == ".wal")
        before = self.files.get(path, b"").ljust(len(content), b"\0")
        sectors = range(SECTOR, len(content), SECTOR)
        return path, next(at for at in sectors if content[at : at + SECTOR] != before[at : at + SECTOR])

    def batches_in_place(self, files: Files) -> int:
        """Return the number of the last batch whose first sector stands as it was written; 0 if none does."""
        standing = (
            number
            for number, (path, at) in enumerate(self.heads, start=1)
            if files.get(path, b"")[at : at + SECTOR] == self.files[path][at : at + SECTOR]
        )
        return max(standing, default=0)


def drawn_history(stream: Stream) -> Iterator[Sequence[Write]]:
    """Batches that a Raft node could write: votes, bodies of all sizes, zeros by content, replaced suffixes."""
    term, last = 1, 0
    for _ in range(stream.between(2, 12)):
        batch: list[Write] = []
        first = last + 1
        if stream.chance(300_000):
            term += 1
            batch += vote(term, stream.pick([None, "n1", "n2"]))
            first = stream.between(1, last + 1)
        bodies = [drawn_body(stream) for _ in range(stream.between(0 if batch else 1, 3))]
        if bodies:
            last = first + len(bodies) - 1
            batch += append(*(entry(first + at, term, body) for at, body in enumerate(bodies)))
        yield batch


def drawn_body(stream: Stream) -> bytes:
    size = stream.pick([0, 1, 20, 100, 450, 480, 1200])
    return stream.pick([bytes(size), b"\xff" * size, stream.u64().to_bytes(8, "little") * (size // 8)])


# Damages. Each changes some of the files.

Damage = Callable[[Files, Stream], None]


def some_file(files: Files, stream: Stream) -> Path:
    return stream.pick(sorted(files))


def used_bytes(content: bytes) -> int:
    """Up to a sector behind the last byte that is not zero: damage to zeros teaches little."""
    return min(len(content), len(content.rstrip(b"\0")) + SECTOR)


def sector_of(content: bytes, stream: Stream) -> int:
    return stream.below(-(-used_bytes(content) // SECTOR)) * SECTOR


def put(files: Files, path: Path, at: int, replacement: bytes) -> None:
    content = files[path]
    files[path] = content[:at] + replacement[: len(content) - at] + content[at + len(replacement) :]


def flip_bits(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    flipped = bytearray(files[path])
    for _ in range(stream.between(1, 3)):
        bit = stream.below(used_bytes(files[path]) * 8)
        flipped[bit // 8] ^= 1 << bit % 8
    files[path] = bytes(flipped)


def overwrite_a_byte(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    put(files, path, stream.below(used_bytes(files[path])), bytes([stream.below(256)]))


def cut_a_file(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    files[path] = files[path][: stream.below(len(files[path]))]


def lengthen_a_file(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    files[path] += stream.pick([bytes(700), files[path][:700], b"\xff" * 700])[: stream.between(1, 700)]


def zero_a_range(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    start = stream.below(used_bytes(files[path]))
    put(files, path, start, bytes(stream.pick([1, 2, 64, 511, 512, 513, 2000, len(files[path])])))


def zero_some_sectors(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    for _ in range(stream.between(1, 4)):
        put(files, path, sector_of(files[path], stream), bytes(SECTOR))


def tear_a_sector(files: Files, stream: Stream) -> None:
    path = some_file(files, stream)
    at, kept = sector_of(files[path], stream), stream.between(1, SECTOR - 1)
    torn = files[path][at : at + SECTOR]
    put(files, path, at, stream.pick([torn[:kept].ljust(SECTOR, b"\0"), torn[kept:].rjust(SECTOR, b"\0")]))


def swap_sectors(files: Files, stream: Stream) -> None:
    one, other = some_file(files, stream), some_file(files, stream)
    at, there = sector_of(files[one], stream), sector_of(files[other], stream)
    first, second = files[one][at : at + SECTOR], files[other][there : there + SECTOR]
    put(files, one, at, second)
    put(files, other, there, first)


def copy_sectors_elsewhere(files: Files, stream: Stream) -> None:
    source, target = some_file(files, stream), some_file(files, stream)
    at = sector_of(files[source], stream)
    copied = files[source][at : at + SECTOR * stream.between(1, 3)]
    put(files, target, sector_of(files[target], stream), copied)


def copy_bytes_elsewhere(files: Files, stream: Stream) -> None:
    """A record, or a part of one, where it does not belong."""
    source, target = some_file(files, stream), some_file(files, stream)
    at = stream.below(used_bytes(files[source]))
    put(files, target, stream.below(used_bytes(files[target])), files[source][at : at + stream.between(1, 200)])


def lose_a_segment(files: Files, stream: Stream) -> None:
    del files[some_file(files, stream)]


def copy_a_segment(files: Files, stream: Stream) -> None:
    """Over another one, or under the next name."""
    source = some_file(files, stream)
    segments = sum(path.suffix == ".wal" for path in files)
    next_name = f"{segments + 1:010}-{stream.between(1, 30):020}.wal"
    files[stream.pick([*sorted(files), DIRECTORY / next_name])] = files[source]


def swap_segments(files: Files, stream: Stream) -> None:
    one, other = some_file(files, stream), some_file(files, stream)
    files[one], files[other] = files[other], files[one]


def take_a_segment_of_another_log(files: Files, stream: Stream) -> None:
    """The names and the nonces are the same: only what they continue differs."""
    other = Log(Stream(stream.below(LOGS), "log")).files
    files[some_file(files, stream)] = other[some_file(other, stream)]


DAMAGES: Final[Sequence[Damage]] = (
    flip_bits, overwrite_a_byte, cut_a_file, lengthen_a_file, zero_a_range, zero_some_sectors, tear_a_sector, swap_sectors,
    copy_sectors_elsewhere, copy_bytes_elsewhere, lose_a_segment, copy_a_segment, swap_segments, take_a_segment_of_another_log,
)  # fmt: skip
NEVER_SHORTEN: Final = frozenset(
    {flip_bits, lose_a_segment, copy_a_segment, swap_segments, take_a_segment_of_another_log}
)  # which bring no zeros to where a batch was: the one thing that a last batch, synced, can be lost to


# The judge


class Fuzzer:
    def __init__(self) -> None:
        self.logs = [Log(Stream(number, "log")) for number in range(LOGS)]
        self.disk = SimDisk(Stream(SEED, "disk"))
        self.answers: Counter[str] = Counter()

    def damaged(self, number: int) -> tuple[Log, Files, list[Damage]]:
        stream = Stream(SEED, f"image {number}")
        log = self.logs[number % LOGS]
        files, damages = dict(log.files), [DAMAGES[number // LOGS % len(DAMAGES)]]
        if stream.chance(200_000):
            damages.append(stream.pick(DAMAGES))
        for damage in damages:
            if files:
                damage(files, stream)
        return log, files, damages

    def judge(self, number: int) -> None:
        log, files, damages = self.damaged(number)
        self.disk.restore(files)
        self.disk.mkdir(DIRECTORY)
        try:
            found = recovered_state(reopen(self.disk, DIRECTORY))
        except (LogDamaged, DataDirForeign):
            assert self.disk.copy() == files, "refused, but changed"
            self.answers["refused"] += 1
        else:
            assert found in log.states, "a log that was never written"
            self._judge_found(log, files, found, damages)

    def _judge_found(self, log: Log, files: Files, found: State, damages: list[Damage]) -> None:
        if found == log.states[-1]:
            self.answers["whole"] += 1
        else:
            self.answers["prefix"] += 1
            assert not NEVER_SHORTEN.issuperset(damages), "batches that had been synced are missing"
            assert log.batches_in_place(files) <= log.states.index(found) + 1, "cut in front of a later batch"
            following = append(entry(len(found.entries) + 1, 99))
            append_history(self.disk, DIRECTORY, [following], tiny())
            assert recovered_state(reopen(self.disk, DIRECTORY)) == found.after(following), "it does not go on"


def test_damaged_logs_read_as_a_prefix_or_are_refused() -> None:
    fuzzer = Fuzzer()
    for number in range(IMAGES):
        try:
            fuzzer.judge(number)
        except BaseException as error:
            error.add_note(f"image {number}: {[damage.__name__ for damage in fuzzer.damaged(number)[2]]}")
            raise
    assert fuzzer.answers.total() == IMAGES
    assert min(fuzzer.answers[answer] for answer in ("refused", "whole", "prefix")) > IMAGES // 100, fuzzer.answers
