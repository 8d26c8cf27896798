"""`bankd inspect`: what stands in the files, up to damage, in its place and behind it."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import pytest

from bankd.cli import main
from bankd.pb import entry_pb2
from bankd.raft.messages import Entry, EntryType
from bankd.storage.records import SECTOR_BYTES
from bankd.types import LogIndex, Term
from tests.offline.directories import commands, configuration, make, opening, small_history, transfers, vote
from tests.offline.test_verify import NAMES, flip, zeroed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return make(tmp_path / "n1", small_history())


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> "Say":
    return Say(capsys)


class Say:
    """Run `bankd inspect` and take what it says."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str | Path) -> tuple[int, str, str]:
        return self.whole("inspect", *words)

    def whole(self, *words: str | Path) -> tuple[int, str, str]:
        code = main([*map(str, words)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def rows(self, *words: str | Path) -> list[dict[str, object]]:
        _, out, _ = self("wal", *words, "-o", "json")
        return [json.loads(line) for line in out.splitlines()]


def kinds(rows: Sequence[dict[str, object]]) -> list[object]:
    return [row["type"] for row in rows]


def test_every_record_has_a_line_in_the_order_of_the_files(bank: Path, say: Say) -> None:
    code, out, err = say("wal", bank)
    assert (code, err) == (0, "")
    assert out.splitlines()[:7] == [
        "SEG    OFFSET   BATCH    INDEX  TERM  TYPE         BYTES  HOLDS",
        "  1         0       -        -     -  header         512  of n1, from index 1",
        "  1       512       1        -     1  hard_state       2  vote for n1",
        "  1       512       1        1     1  config          66  voters n1 n2 n3",
        "  1      1024       2        2     1  noop             0",
        "  1      1024       2        3     1  commands        38  2 accounts",
        "  1      1536       3        -     -  seal             0  next is index 4",
    ]
    assert len(out.splitlines()) == 19


def test_directory_its_wal_and_its_segments_one_by_one_say_the_same(bank: Path, say: Say) -> None:
    rows = say.rows(bank)
    assert say.rows(bank / "wal") == rows
    assert [row for name in NAMES for row in say.rows(bank / "wal" / name)] == rows


def test_segment_under_any_name_is_shown_by_its_header(bank: Path, say: Say) -> None:
    copy = Path(shutil.copy(bank / "wal" / NAMES[1], bank / "evidence"))
    assert [{**row, "file": NAMES[1]} for row in say.rows(copy)] == say.rows(bank / "wal" / NAMES[1])


def test_json_rows_are_a_promise(bank: Path, say: Say) -> None:
    rows = say.rows(bank)
    assert rows[0] == {
        "file": NAMES[0], "segment": "1", "offset": "0", "batch": None, "type": "header", "index": None, "term": None, "bytes": 512,
        "holds": {
            "node_id": "n1", "cluster_id": "7f3a9c2055d1e804", "incarnation": "0000000000abcdef",
            "first_index": "1", "first_batch": "1", "capacity": "2048",
        },
    }  # fmt: skip
    by_type = {row["type"]: row["holds"] for row in rows}
    assert by_type["hard_state"] == {"voted_for": "n3"}
    assert by_type["seal"] == {"next_index": "7"}
    assert by_type["noop"] == {}
    assert by_type["config"] == {
        "voters": ["n1", "n2", "n3"],
        "voters_outgoing": [],
        "learners": [],
        "addresses": {"n1": "127.0.0.1:7401", "n2": "127.0.0.1:7411", "n3": "127.0.0.1:7421"},
    }
    assert rows[4] == {
        "file": NAMES[0], "segment": "1", "offset": "1024", "batch": "2", "type": "commands", "index": "3", "term": "1", "bytes": 38,
        "holds": {"time": "2026-02-02T02:40:03.000000000Z", "commands": 2, "accounts": 2, "transfers": 0, "unreadable": 0},
    }  # fmt: skip


def test_range_shows_the_entries_in_it_replaced_ones_too(bank: Path, say: Say) -> None:
    def shown(*words: str) -> list[tuple[object, object]]:
        return [(row["index"], row["term"]) for row in say.rows(bank, *words)]

    assert shown("--from", "5") == [("5", "2"), ("6", "2"), ("5", "3"), ("6", "3")]
    assert shown("--to", "2") == [("1", "1"), ("2", "1")]
    assert shown("--from", "3", "--to", "4") == [("3", "1"), ("4", "1")]
    assert shown("--from", "7") == []


def test_damage_stands_in_its_place_with_what_is_readable_before_and_behind(bank: Path, say: Say) -> None:
    """The second record of a batch of three: the first is still shown, and the next batch."""
    rows = say.rows(bank / "wal" / NAMES[1])
    assert kinds(rows) == ["header", "hard_state", "commands", "hard_state", "noop", "commands", "seal"]
    flip(bank / "wal" / NAMES[1], (1024 + 1 + 32 + 27 + 4) * 8)
    damaged = say.rows(bank / "wal" / NAMES[1])
    assert kinds(damaged) == ["header", "hard_state", "commands", "hard_state", "damage", "seal"]
    assert damaged[3] == rows[3]
    assert damaged[4]["offset"] == "1024"
    assert str(damaged[4]["holds"]).startswith("{'message': 'expected a record with checksum ")


def test_flipped_back_edge_or_padding_hides_no_record(bank: Path, say: Say) -> None:
    for byte in (1535, 1534):
        flip(bank / "wal" / NAMES[1], byte * 8)
        assert kinds(say.rows(bank / "wal" / NAMES[1])) == [
            "header", "hard_state", "commands", "hard_state", "noop", "commands", "damage", "seal",
        ]  # fmt: skip
        flip(bank / "wal" / NAMES[1], byte * 8)


def test_damaged_header_hides_nothing_behind_it(bank: Path, say: Say) -> None:
    rows = say.rows(bank)
    for bit in (0, 8 * 60, 8 * 511):  # magic, capacity, checksum
        flip(bank / "wal" / NAMES[1], bit)
        damaged = say.rows(bank)
        assert kinds(damaged[6:7]) == ["damage"]
        assert damaged[:6] + damaged[7:] == rows[:6] + rows[7:]
        flip(bank / "wal" / NAMES[1], bit)


def test_damage_is_never_left_out_by_a_range_and_makes_exit_code_8(bank: Path, say: Say) -> None:
    flip(bank / "wal" / NAMES[0], 600 * 8)
    code, out, _ = say("wal", bank, "--from", "6", "--to", "6")
    assert code == 8
    assert [line.split()[5] for line in out.splitlines()[1:]] == ["DAMAGE", "commands", "commands"]


def test_unfinished_write_is_shown_with_what_is_readable_of_it_and_is_no_damage(bank: Path, say: Say) -> None:
    zeroed(bank / "wal" / NAMES[2], 2 * SECTOR_BYTES + 511, 3 * SECTOR_BYTES)
    code, out, _ = say("wal", bank)
    assert code == 0
    assert out.splitlines()[-2:] == [
        "  3      1024       8        6     3  commands        35  1 transfer",
        "  3      1024       8        -     -  unfinished       -  some of its sectors were not written whole",
    ]


def test_segment_of_zeros_says_that_it_has_no_header(bank: Path, say: Say) -> None:
    (bank / "wal" / NAMES[2]).write_bytes(bytes(2048))
    code, out, _ = say("wal", bank / "wal" / NAMES[2])
    assert code == 8
    assert "expected a segment header with a right checksum" in out.splitlines()[1]


def test_bytes_that_the_disk_does_not_give_back_are_damage_and_the_next_segment_is_shown(bank: Path, say: Say) -> None:
    (bank / "wal" / NAMES[1]).unlink()
    (bank / "wal" / NAMES[1]).symlink_to("/proc/self/mem")
    rows = say.rows(bank)
    assert [row["segment"] for row in rows] == ["1"] * 6 + ["2"] + ["3"] * 5
    assert rows[6]["holds"] == {"message": "expected readable bytes, not an error of the disk (Input/output error)"}


def test_entries_that_this_program_cannot_read_say_so(tmp_path: Path, say: Say) -> None:
    newer = Entry(LogIndex(2), Term(1), EntryType.COMMANDS, entry_pb2.CommandBatch(version=2).SerializeToString())
    garbled = commands(3, 1, opening("alice", 1), b"\x1a\x02\xff\xff", transfers(("t", "a", "b", 1)))
    odd = Entry(LogIndex(4), Term(1), EntryType.CONFIG, b"")
    path = make(tmp_path / "n1", [[(vote(1), [configuration(1), newer, garbled, odd, commands(5, 1)])]])
    _, out, _ = say("wal", path, "--from", "2")
    assert [line[58:] for line in out.splitlines()[1:]] == [
        "a log entry has format 2, this program knows 1: install the newer version",
        "1 account, 1 transfer, 1 unreadable",
        "a configuration without voters, or a member without an id",
        "no commands",
    ]


def test_running_node_is_no_hindrance(bank: Path, say: Say) -> None:
    with open(bank / "LOCK") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert say("wal", bank)[0] == 0
        assert say("meta", bank)[0] == 0


def test_reader_that_leaves_early_ends_it_in_silence(bank: Path) -> None:
    """As `| head` does: the pipe is closed before the first line is written."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "bankd", "inspect", "wal", str(bank)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


# META


def test_meta_is_shown_by_its_file_and_by_its_directory(bank: Path, say: Say) -> None:
    code, out, _ = say("meta", bank / "META", "-o", "json")
    assert code == 0
    assert json.loads(out) == {
        "file": str(bank / "META"),
        "bytes": 38,
        "sound": True,
        "format_version": 1,
        "cluster": "main",
        "cluster_id": "7f3a9c2055d1e804",
        "node_id": "n1",
        "incarnation": "0000000000abcdef",
    }
    assert say("meta", bank, "-o", "json") == (0, out, "")


def test_damaged_meta_is_shown_as_far_as_it_reads(bank: Path, say: Say) -> None:
    flip(bank / "META", (38 - 1) * 8)  # in the incarnation, which stands last
    code, out, _ = say("meta", bank)
    assert code == 8
    assert "sound           NO" in out
    assert "damage          expected a checksum of " in out
    assert "node_id         n1" in out
    (bank / "META").write_bytes(b"hello")
    assert say("meta", bank) == (
        8,
        f"file            {bank / 'META'}\nbytes           5\nsound           NO\n"
        "damage          expected 8 bytes or more, not 5\n",
        "",
    )


# What cannot be shown


def test_what_is_no_log_is_refused_in_one_line(bank: Path, say: Say) -> None:
    (bank / "empty").mkdir()
    (bank / "notes.txt").write_text("hello")
    (bank / "big").write_bytes(bytes(5000))
    for words, reason, sentence in (
        (("wal", bank / "empty"), "FILE_UNUSABLE", "holds no log: there is no file that ends in .wal (name a data directory, its wal/, or a segment)"),
        (("wal", bank / "notes.txt"), "FILE_UNUSABLE", "is no segment of a log: it does not begin with BANKWAL"),
        (("wal", bank / "none"), "FILE_UNUSABLE", "cannot be read: No such file or directory (check the path)"),
        (("meta", bank / "none"), "FILE_UNUSABLE", "cannot be read: No such file or directory (check the path)"),
        (("meta", bank / "big"), "FILE_UNUSABLE", "is no META: it has more than 4096 bytes"),
    ):  # fmt: skip
        assert say(*words) == (2, "", f"error: {reason}: {words[1]} {sentence}\n")


def test_pipe_is_refused_and_not_waited_for(bank: Path, say: Say) -> None:
    os.mkfifo(bank / "pipe")
    for what in ("wal", "meta", "snapshot"):
        assert say(what, bank / "pipe") == (
            2,
            "",
            f"error: FILE_UNUSABLE: {bank / 'pipe'} is no file (check the path)\n",
        )


def test_directory_that_is_closed_to_us_is_told_in_one_line(bank: Path, say: Say) -> None:
    closed = bank / ("n" * 300)  # to root as well, as one without permission is not
    for what in ("wal", "meta", "snapshot"):
        assert say(what, closed) == (
            2,
            "",
            f"error: FILE_UNUSABLE: {closed} cannot be read: File name too long (check the path)\n",
        )


def test_range_of_meta_makes_no_sense_and_is_refused(bank: Path, say: Say) -> None:
    assert say("meta", bank, "--to", "3") == (2, "", "error: USAGE: --to is for the log (see bankd inspect --help)\n")


def test_segment_of_a_newer_format_is_refused_and_not_called_damaged(bank: Path, say: Say) -> None:
    file = bank / "wal" / NAMES[0]
    data = bytearray(file.read_bytes())
    data[8] += 1
    data[508:512] = google_crc32c.value(bytes(data[:508])).to_bytes(4, "little")
    file.write_bytes(data)
    for command in (["inspect", "wal"], ["verify"]):
        code, out, err = say.whole(*command, bank)
        assert (code, out) == (8, "")
        assert err == f"error: DATA_DIR_FOREIGN: {file} has format 3, this program knows 2: start a matching bankd\n"
