"""`bankd verify` and `bankd inspect snapshot` where there are snapshots: what they hold, what the log makes of them, what a start would do."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import google_crc32c
import pytest

from bankd.cli import main
from bankd.errors import DataDirForeign
from bankd.ledger.rows import AccountRows, Block, ImageHead
from bankd.offline.findings import Finding
from bankd.offline.log_check import LogCheck
from bankd.offline.progress import Progress
from bankd.offline.replay import Replay
from bankd.offline.report import Report, as_text
from bankd.offline.snapshots import look_at_own
from bankd.offline.start import Outcome
from bankd.offline.verify import verify
from bankd.raft.messages import Configuration
from bankd.storage.records import Base
from bankd.storage.snapshot_format import SnapshotHeader
from bankd.types import ClusterId, LogIndex, NodeId, Term, TimeNs
from bankd.wire.entries import encode_configuration
from tests.offline.directories import (
    CLUSTER_ID,
    compacted,
    final_entries,
    header_of,
    installed,
    ledger_after,
    long_history,
    make,
    noop,
    save,
    small_history,
    take_snapshot,
    vote,
)
from tests.offline.test_verify import content, flip

ROOT = Path(__file__).resolve().parents[2]
OLDER = "00000000000000000004-00000000000000000001.snap"
NEWER = "00000000000000000006-00000000000000000003.snap"
LOG = (
    "0000000002-00000000000000000004.wal",
    "0000000003-00000000000000000007.wal",
    "0000000004-00000000000000000007.wal",
)
REFILLING = "as a refilling node: it neither votes nor counts until a leader has refilled it"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return compacted(tmp_path / "n1")


def told(report: Report, label: str) -> list[str]:
    return [line[9:] for line in as_text(report, None).splitlines() if line[:9].rstrip() == label]


def digest_after(index: int) -> bytes:
    return ledger_after(final_entries(long_history()), index).digest


# What is sound


def test_compacted_directory_is_sound_and_its_state_is_that_of_the_whole_log(bank: Path) -> None:
    report = verify(bank)
    assert (report.damages, report.notes) == ([], [])
    assert [(line.file, line.state, line.indexes) for line in report.files[1:7]] == [
        (LOG[0], "sealed", (4, 6)),
        (LOG[1], "sealed", (5, 6)),
        (LOG[2], "open", (7, 8)),
        ("wal/STATE", "sound", None),
        (OLDER, "sound", (1, 4)),
        (NEWER, "sound", (1, 6)),
    ]
    assert told(report, "snapshot") == [
        "4 of term 1: 2 accounts, 2 transfers",
        "6 of term 3: 2 accounts, 3 transfers; the log leads to it from 4",
    ]
    assert told(report, "log") == ["7 entries behind index 3, 2 of them replaced; the last has index 8 and term 3"]
    assert told(report, "start") == ["from snapshot 6 and 2 entries of the log"]
    assert (report.ledger.index, report.ledger.digest) == (8, digest_after(8))


def test_log_from_its_first_entry_leads_to_every_snapshot(tmp_path: Path) -> None:
    path = make(tmp_path / "n1", long_history())
    for index in (4, 6):
        take_snapshot(path, long_history(), index)
    report = verify(path)
    assert report.is_sound
    assert [line.equal_from for line in report.snapshots] == [0, 4]
    assert told(report, "snapshot")[0].endswith("; the log leads to it from the first entry")


def test_log_that_began_anew_behind_an_installed_snapshot_is_sound(tmp_path: Path) -> None:
    report = verify(installed(tmp_path / "n1"))
    assert (report.damages, report.notes) == ([], [])
    assert told(report, "log") == ["4 entries behind index 6, 3 of them replaced; the last has index 7 and term 3"]
    assert told(report, "start") == ["from snapshot 6 and 1 entry of the log"]
    assert (report.ledger.index, report.ledger.digest) == (7, digest_after(7))


def test_entries_in_front_of_a_base_count_for_nothing_wherever_they_stood(tmp_path: Path) -> None:
    """The log was longer than the snapshot that a later leader sent, and differed from it."""
    history = small_history()[:4]
    path = make(tmp_path / "n1", [*history, [(None, [noop(7, 2), noop(8, 2), noop(9, 2)])]])
    take_snapshot(path, long_history(), 6)
    make(path, [[(vote(3), [Base(LogIndex(6), Term(3)), long_history()[6][0][1][0]])]])
    report = verify(path)
    assert (report.damages, report.notes) == ([], [])
    assert (report.log.last_index, report.log.entries, report.log.replaced) == (7, 10, 9)
    assert (report.ledger.index, report.ledger.digest) == (7, digest_after(7))


def test_digest_of_a_snapshot_is_committed_and_that_of_a_log_may_not_be(tmp_path: Path, bank: Path) -> None:
    at_snapshot = installed(tmp_path / "n2", with_base=False)
    assert told(verify(at_snapshot), "digest") == [f"{digest_after(6).hex()} after index 6"]
    assert told(verify(bank), "digest")[0].endswith(" after index 8, if all of that is committed: a log does not say")


def test_crash_between_an_installed_snapshot_and_the_base_of_its_log_is_a_note(tmp_path: Path) -> None:
    """The log ends in front of the snapshot; or it has other entries there, which no majority had."""
    for name, history in (("shorter", small_history()[:2]), ("other", small_history()[:4])):
        path = make(tmp_path / name, history)
        take_snapshot(path, long_history(), 6)
        report = verify(path)
        assert report.is_sound
        assert [str(note) for note in report.notes] == [
            f"snap/{NEWER}: the log does not hold its last entry; the next start begins it anew behind the snapshot"
        ]
        assert told(report, "start") == ["from snapshot 6; the log does not reach it and begins anew behind it"]
        assert (report.ledger.index, report.ledger.digest) == (6, digest_after(6))


def test_nothing_is_changed_where_there_are_snapshots(bank: Path) -> None:
    (bank / "snap" / "writing.tmp").write_bytes(b"begun")
    before = content(bank)
    assert verify(bank).is_sound
    assert main(["inspect", "snapshot", str(bank)]) == 0
    assert content(bank) == before


# Every bit


def test_every_flipped_bit_of_a_snapshot_is_found(bank: Path) -> None:
    file = bank / "snap" / NEWER
    for bit in range(file.stat().st_size * 8):
        flip(file, bit)
        assert look_at_own(file, NEWER, CLUSTER_ID).damage is not None, f"bit {bit}"
        flip(file, bit)
    assert look_at_own(file, NEWER, CLUSTER_ID).damage is None


def test_flipped_bits_of_a_compacted_directory_are_found_in_their_file(bank: Path) -> None:
    """A sample of all that was written; and every bit of what a pruned log is not compared with: its first header."""
    first = bank / "wal" / LOG[0]
    bits = [(first, bit) for bit in range(70 * 8)]
    chance = random.Random(7)
    for file in (bank / "META", *sorted((bank / "snap").iterdir()), *(bank / "wal" / name for name in LOG)):
        written = len(file.read_bytes().rstrip(b"\0"))
        bits += [(file, chance.randrange(written * 8)) for _ in range(50)]
    for file, bit in bits:
        flip(file, bit)
        name = str(file.relative_to(bank))
        assert [damage.file for damage in verify(bank).damages] == [name], f"bit {bit} of {name}"
        flip(file, bit)
    assert verify(bank).is_sound


def test_snapshot_that_was_cut_or_grew_is_damaged(bank: Path) -> None:
    whole = (bank / "snap" / NEWER).read_bytes()
    for data in (b"", whole[:50], whole[:-1], whole + b"\0"):
        (bank / "snap" / NEWER).write_bytes(data)
        (damage,) = verify(bank).damages
        assert damage.file == f"snap/{NEWER}"


# What is lost, and what is not


def overwritten(path: Path, data: bytes = b"rot") -> None:
    path.write_bytes(data)


def rot_all(directory: Path, *names: str) -> None:
    for name in names:
        overwritten(directory / name)


def remove(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).unlink()


def rot_and_cut(bank: Path) -> None:
    """The log is that of before the snapshot was installed."""
    overwritten(bank / "snap" / NEWER)
    shutil.rmtree(bank / "wal")
    shutil.copytree(make(bank.parent / "before", small_history()[:3]) / "wal", bank / "wal")


def rotten_log(bank: Path) -> None:
    flip(bank / "wal" / LOG[1], 600 * 8)


STARTS: list[tuple[str, Callable[[Path], object], Outcome, str, int]] = [
    (
        "the newest snapshot is damaged",
        lambda bank: overwritten(bank / "snap" / NEWER),
        Outcome.WHOLE,
        "from snapshot 4 and 4 entries of the log, since the newest snapshot is damaged: nothing is lost",
        8,
    ),
    (
        "the older snapshot is damaged",
        lambda bank: overwritten(bank / "snap" / OLDER),
        Outcome.WHOLE,
        "from snapshot 6 and 2 entries of the log",
        8,
    ),
    (
        "both snapshots are damaged",
        lambda bank: rot_all(bank / "snap", OLDER, NEWER),
        Outcome.REFILLING,
        f"with an empty log, {REFILLING}",
        0,
    ),
    (
        "both snapshots are lost",
        lambda bank: shutil.rmtree(bank / "snap"),
        Outcome.REFILLING,
        f"with an empty log, {REFILLING}",
        0,
    ),
    (
        "the newest snapshot is damaged and the log does not reach as far",
        lambda bank: rot_and_cut(bank),
        Outcome.WHOLE,
        "from snapshot 4 and 0 entries of the log, since the newest snapshot is damaged: nothing is lost",
        4,
    ),
    (
        "the log is rotten behind a snapshot",
        rotten_log,
        Outcome.REFILLING,
        f"with an empty log behind snapshot 6, {REFILLING}",
        6,
    ),
    (
        "segments are missing in front of which the newest snapshot ends",
        lambda bank: remove(bank / "wal", *LOG[:2]),
        Outcome.WHOLE,
        "from snapshot 6 and 2 entries of the log",
        8,
    ),
    (
        "META is damaged",
        lambda bank: flip(bank / "META", 100),
        Outcome.REFUSED,
        "none: without a sound META nobody can tell whose directory this is",
        8,
    ),
]


@pytest.mark.parametrize(
    ("wrong", "outcome", "sentence", "told_to"), [row[1:] for row in STARTS], ids=[row[0] for row in STARTS]
)
def test_what_a_start_would_do_is_said_in_words(
    bank: Path, wrong: Callable[[Path], object], outcome: Outcome, sentence: str, told_to: int
) -> None:
    wrong(bank)
    report = verify(bank)
    assert (report.start.outcome, report.start.sentence, report.ledger.index) == (outcome, sentence, told_to)
    assert report.ledger.digest == digest_after(told_to)


def test_damage_in_a_snapshot_alone_is_damage_though_nothing_is_lost(bank: Path) -> None:
    overwritten(bank / "snap" / NEWER)
    assert main(["verify", str(bank)]) == 8
    assert as_text(verify(bank), None).splitlines()[-2:] == [
        f"DAMAGE   snap/{NEWER} at byte 0: expected a snapshot header with a right checksum",
        "verdict  DAMAGED, 1 damage",
    ]


def test_whole_log_makes_good_for_every_snapshot(tmp_path: Path) -> None:
    path = make(tmp_path / "n1", long_history())
    overwritten(take_snapshot(path, long_history(), 6))
    assert told(verify(path), "start") == [
        "from 8 entries of the log, since the newest snapshot is damaged: nothing is lost"
    ]


def test_verdict_says_how_far_a_damaged_log_is_told(bank: Path) -> None:
    flip(bank / "wal" / LOG[0], 600 * 8)
    assert told(verify(bank), "verdict") == ["DAMAGED, 1 damage; the log is told as far as index 3, before the first"]
    assert told(verify(bank), "ledger") == ["2 accounts, 3 transfers; balances add up to 0, none below 0"]


def test_log_that_begins_behind_the_newest_sound_snapshot_is_damage(tmp_path: Path) -> None:
    """The installed snapshot is damaged, and the log was begun anew behind it."""
    path = installed(tmp_path / "n1")
    take_snapshot(path, long_history(), 4)
    overwritten(path / "snap" / NEWER)
    report = verify(path)
    assert [str(damage) for damage in report.damages] == [
        "wal/: expected a log that begins at index 5 or before, as no sound snapshot reaches further, not at 7",
        f"snap/{NEWER} at byte 0: expected a snapshot header with a right checksum",
    ]
    assert told(report, "start") == [f"with an empty log behind snapshot 4, {REFILLING}"]
    assert report.ledger.index == 4


# Snapshots that are not the state that the log leads to

Change = Callable[[SnapshotHeader, Sequence[Block]], tuple[SnapshotHeader, list[Block]]]


def changed_header(**changes: Any) -> Change:
    return lambda header, blocks: (attrs.evolve(header, **changes), list(blocks))


def digest_everywhere(header: SnapshotHeader, blocks: Sequence[Block]) -> tuple[SnapshotHeader, list[Block]]:
    head, *rows = blocks
    assert isinstance(head, ImageHead)
    return attrs.evolve(header, digest=b"d" * 16), [attrs.evolve(head, digest=b"d" * 16), *rows]


def money_moved(header: SnapshotHeader, blocks: Sequence[Block]) -> tuple[SnapshotHeader, list[Block]]:
    """One minor unit from one account to the other: every sum is right."""
    head, accounts, *rows = blocks
    assert isinstance(accounts, AccountRows)
    first, second = accounts.balances
    return header, [head, attrs.evolve(accounts, balances=[first - 1, second + 1]), *rows]


OTHERS = encode_configuration(Configuration(frozenset({NodeId("n1")})), {})
ELSEWHERE = encode_configuration(
    Configuration(frozenset(map(NodeId, ("n1", "n2", "n3")))), {NodeId("n1"): "10.0.0.1:1"}
)

DIVERGED = [
    ("another digest", digest_everywhere, "expected digest 27ab1c48"),
    ("money moved", money_moved, "expected rows to which the log leads: AccountRows that differ from AccountRows in the file"),
    (
        "other members",
        changed_header(configuration=OTHERS),
        "expected the configuration that the log has there, voters n1 n2 n3, not voters n1",
    ),
    ("members that have moved", changed_header(configuration=ELSEWHERE), None),
    ("a digest in the header alone", changed_header(digest=bytes(16)), "expected rows of index, time and digest 6, "),
    ("a time in the header alone", changed_header(time_ns=TimeNs(1)), "expected rows of index, time and digest 6, 1, "),
    ("no configuration", changed_header(configuration=b""), "expected a configuration, not a configuration without voters"),
    ("rows missing", lambda header, blocks: (header, blocks[:-1]), "expected the rows of a ledger, not rows that are missing"),
    ("another cluster", changed_header(cluster_id=ClusterId(9)), "expected a snapshot of cluster 7f3a9c2055d1e804, not of 0000000000000009"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in DIVERGED], ids=[row[0] for row in DIVERGED])
def test_snapshot_that_the_log_does_not_lead_to_is_damage(bank: Path, change: Change, expected: str | None) -> None:
    """Its checksums are right: a fault of a program or of memory made it."""
    entries = final_entries(long_history())
    ledger = ledger_after(entries, 6)
    (bank / "snap" / NEWER).unlink()
    (bank / "snap" / OLDER).rename(bank / "older")
    header, blocks = change(header_of(entries, ledger), list(ledger.freeze().blocks()))
    save(bank, header, blocks)
    (bank / "older").rename(bank / "snap" / OLDER)
    found = verify(bank).damages
    assert [damage.file for damage in found] == ([] if expected is None else [f"snap/{NEWER}"])
    assert expected is None or found[0].message.startswith(expected)


def test_snapshot_under_another_name_is_damage(bank: Path) -> None:
    (bank / "snap" / NEWER).rename(bank / "snap" / "copy.snap")
    assert verify(bank).damages == [
        Finding("snap/copy.snap", 0, f"expected snapshot copy.snap, not {NEWER} under another name")
    ]


def test_snapshot_of_a_newer_program_is_refused_and_not_called_damaged(bank: Path) -> None:
    data = bytearray((bank / "snap" / NEWER).read_bytes())
    size = int.from_bytes(data[12:16], "little")
    data[8] = 2
    data[size - 4 : size] = google_crc32c.value(bytes(data[: size - 4])).to_bytes(4, "little")
    (bank / "snap" / NEWER).write_bytes(data)
    with pytest.raises(DataDirForeign, match="has format 2, this program knows 1: start a matching bankd"):
        verify(bank)


# What stands in a snapshot


def test_snapshots_of_a_directory_are_shown_as_a_promise(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "snapshot", str(bank), "-o", "json"]) == 0
    older, newer = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(newer.pop("content_id")) == 32
    assert newer == {
        "file": str(bank / "snap" / NEWER), "bytes": str((bank / "snap" / NEWER).stat().st_size), "sound": True,
        "cluster_id": "7f3a9c2055d1e804", "index": "6", "term": "3", "time": "2026-02-02T02:40:06.000000000Z",
        "digest": digest_after(6).hex(),
        "voters": ["n1", "n2", "n3"], "voters_outgoing": [], "learners": [],
        "addresses": {"n1": "127.0.0.1:7401", "n2": "127.0.0.1:7411", "n3": "127.0.0.1:7421"},
        "accounts": "2", "transfers": "3", "openings": "0", "chunks": "4", "content_bytes": "159",
    }  # fmt: skip
    assert older["index"] == "4"


def test_snap_directory_and_single_files_under_any_name_say_the_same(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(*words: str) -> list[dict[str, object]]:
        assert main([*words, "-o", "json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    shown = rows("inspect", "snapshot", str(bank))
    assert rows("inspect", "snapshot", str(bank / "snap")) == shown
    backup = Path(shutil.copy(bank / "snap" / NEWER, bank / "backup"))
    for command in (["inspect", "snapshot"], ["verify"]):
        assert [{**row, "file": shown[1]["file"]} for row in rows(*command, str(backup))] == shown[1:]


def test_damaged_snapshot_is_shown_as_far_as_it_reads_and_exits_with_8(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = bank / "snap" / NEWER

    def shown() -> list[str]:
        assert main(["verify", str(file)]) == 8
        return [line.split()[0] for line in capsys.readouterr().out.splitlines()]

    whole = ["cluster_id", "index", "term", "time", "digest", "voters", "addresses"]
    flip(file, 300 * 8)
    assert shown() == ["file", "bytes", "sound", "damage", "damage_offset", *whole]
    os.truncate(file, 300)
    assert shown() == ["file", "bytes", "sound", "damage", "damage_offset", *whole]
    flip(file, 0)
    assert shown() == ["file", "bytes", "sound", "damage", "damage_offset"]


def test_reader_that_leaves_early_changes_no_verdict(bank: Path) -> None:
    flip(bank / "snap" / NEWER, 300 * 8)
    for command in (["verify", str(bank)], ["verify", str(bank / "snap" / NEWER)], ["inspect", "snapshot", str(bank)]):
        reader, writer = os.pipe()
        os.close(reader)
        words = [sys.executable, "-m", "bankd", *command]
        ended = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
        os.close(writer)
        assert (ended.returncode, ended.stderr) == (8, b""), command


def test_full_disk_under_the_output_is_said_and_a_verdict_stands(bank: Path) -> None:
    for code in (2, 8):
        with open("/dev/full", "wb") as full:
            words = [sys.executable, "-m", "bankd", "verify", str(bank)]
            ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False)
        said = b"error: OUTPUT_UNUSABLE: stdout cannot be written: No space left on device\n"
        assert (ended.returncode, ended.stderr) == (code, said)
        flip(bank / "META", 100)


def test_bytes_of_a_snapshot_that_the_disk_does_not_give_back_are_damage(bank: Path) -> None:
    (bank / "snap" / NEWER).unlink()
    (bank / "snap" / NEWER).symlink_to("/proc/self/mem")  # reading its first page is an error of input
    (damage,) = verify(bank).damages
    assert (damage.file, damage.offset) == (f"snap/{NEWER}", 0)
    assert "expected to be readable" in damage.message


def test_what_holds_no_snapshot_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "n1", small_history())
    (tmp_path / "notes.txt").write_text("hello")
    for words, sentence in (
        (
            path,
            "holds no snapshot: there is no file that ends in .snap (name a data directory, its snap/, or a snapshot)",
        ),
        (tmp_path / "notes.txt", "is no snapshot: it does not begin with BANKSNP"),
        (tmp_path / "none", "cannot be read: No such file or directory (check the path)"),
    ):
        assert main(["inspect", "snapshot", str(words)]) == 2
        assert capsys.readouterr() == ("", f"error: FILE_UNUSABLE: {words} {sentence}\n")


# The second reading


def test_disk_that_gives_another_snapshot_at_the_second_reading_is_found_out(bank: Path) -> None:
    older, newer = (look_at_own(bank / "snap" / name, name, CLUSTER_ID) for name in (OLDER, NEWER))
    log = LogCheck(None)
    paths = [bank / "wal" / name for name in LOG]
    log.run(paths, Progress(io.StringIO(), 1))
    replay = Replay(log.whole_batches, log.first_batch)
    replay.begin_with(older)
    for file in (OLDER, NEWER):
        flip(bank / "snap" / file, 300 * 8)
    replay.run(paths, log.survivors, Progress(io.StringIO(), 1), [newer])
    replay.begin_with(older)
    assert [damage.file for damage in replay.damages] == [NEWER, OLDER]
    assert all(damage.message.endswith(": the disk changes its mind") for damage in replay.damages)
    assert replay.ledger.applied_index == 8
