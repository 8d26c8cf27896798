"""`bankd verify`: every flipped bit is found, everything else that is wrong has its place and its words, nothing is changed."""

import fcntl
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd.cli import main
from bankd.errors import DataDirForeign, DataDirLocked, FileUnusable
from bankd.ledger.state import Ledger
from bankd.offline.findings import NO_MEMORY, NOT_CHECKED
from bankd.offline.log_check import LogCheck
from bankd.offline.progress import Progress
from bankd.offline.replay import Replay
from bankd.offline.report import as_text
from bankd.offline.survivors import Survivors
from bankd.offline.verify import run, verify
from bankd.pb import entry_pb2
from bankd.raft.messages import Entry, EntryType
from bankd.storage.data_dir import DataDir
from bankd.storage.framed_file import framed
from bankd.storage.identity import Identity, encode_meta
from bankd.storage.lock import nodes_kept_away
from bankd.storage.records import SECTOR_BYTES, Write
from bankd.storage.state_file import look_at_state
from bankd.storage.wal import WalOptions
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Term
from bankd.wire.entries import decode_batch
from tests.offline.directories import commands, configuration, make, noop, opening, small_history, tiny, transfers, vote

NOBODY = 65534
NAMES = (
    "0000000001-00000000000000000001.wal",
    "0000000002-00000000000000000004.wal",
    "0000000003-00000000000000000007.wal",
)


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return make(tmp_path / "n1", small_history())


def flip(path: Path, bit: int) -> None:
    """The same once more undoes it."""
    with open(path, "r+b", buffering=0) as file:
        (byte,) = os.pread(file.fileno(), 1, bit // 8)
        os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)


def content(root: Path) -> dict[Path, tuple[bytes, int, int]]:
    """Every file with its bytes, the time of its last change and its mode; directories too."""
    return {
        path: (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns, path.stat().st_mode)
        for path in [root, *sorted(root.rglob("*"))]
    }


def damages(path: Path) -> list[str]:
    return [str(damage) for damage in verify(path).damages]


# What is sound


def test_sound_directory_is_told_with_its_books(bank: Path) -> None:
    report = verify(bank)
    assert report.is_sound
    assert (report.damages, report.notes) == ([], [])
    assert [(line.file, line.state, line.batches, line.indexes) for line in report.files] == [
        ("META", "sound", None, None),
        (NAMES[0], "sealed", 3, (1, 3)),
        (NAMES[1], "sealed", 3, (4, 6)),
        (NAMES[2], "open", 2, (5, 6)),
        ("wal/STATE", "sound", None, None),
        ("LOCK", NO_MEMORY, None, None),
    ]
    assert (report.log.entries, report.log.replaced, report.log.last_index, report.log.last_term) == (8, 2, 6, 3)
    assert report.log.hard_state == vote(3, "n3")
    ledger = report.ledger
    assert (ledger.index, ledger.accounts, ledger.transfers, ledger.imbalance) == (6, 2, 3, 0)


def test_digest_is_that_of_a_node_that_applied_the_final_entries(bank: Path) -> None:
    """t3 was replaced: it is in no node's books."""
    ledger = Ledger()
    final = [
        configuration(1),
        *small_history()[1][0][1],
        *small_history()[2][0][1],
        noop(5, 3),
        small_history()[5][0][1][0],
    ]
    for entry in final:
        if entry.type is EntryType.COMMANDS:
            batch = decode_batch(entry.body)
            ledger.apply(entry.index, batch.time_ns, batch.commands)
        else:
            ledger.skip(entry.index)
    assert verify(bank).ledger.digest == ledger.digest


@pytest.mark.parametrize("as_table", [True, False])
def test_nothing_is_changed(bank: Path, as_table: bool, capsys: pytest.CaptureFixture[str]) -> None:
    flip(bank / "wal" / NAMES[1], 700 * 8)
    before = content(bank)
    assert run(bank, as_table=as_table) == 8
    assert main(["inspect", "wal", str(bank)]) == 8
    assert main(["inspect", "meta", str(bank)]) == 0
    assert content(bank) == before


def test_read_only_directory_can_be_verified_where_no_lock_was_ever_made(bank: Path) -> None:
    """A copy on a medium that cannot be written."""
    (bank / "LOCK").unlink()
    bank.chmod(0o500)
    assert run(bank, as_table=False) == 0
    assert not (bank / "LOCK").exists()


def test_files_that_nothing_is_known_of_are_named_and_counted(bank: Path) -> None:
    (bank / "snap").mkdir()
    (bank / "snap" / "notes.txt").write_bytes(b"x")
    (bank / "snap" / "writing.tmp").write_bytes(b"x")
    (bank / "wal" / "spare.tmp").write_bytes(b"anything")
    report = verify(bank)
    assert [(line.file, line.state) for line in report.files[5:]] == [
        ("LOCK", NO_MEMORY),
        ("snap/notes.txt", NOT_CHECKED),
        ("snap/writing.tmp", NO_MEMORY),
        ("wal/spare.tmp", NO_MEMORY),
    ]
    assert as_text(report, None).endswith("verdict  sound, with 1 file not checked")


# Every bit


def two_segments(tmp_path: Path) -> Path:
    """The smallest complete directory: one segment up to its seal, one that is open, and what a run leaves beside them."""
    options = WalOptions(segment_bytes=1536, short_segment_bytes=1536, new_nonce=tiny().new_nonce)
    history: list[list[Write]] = [
        [(vote(1, "n1"), [configuration(1), commands(2, 1, opening("alice", 10_000), opening("bob", 0))])],
        [(None, [commands(3, 1, transfers(("t1", "alice", "bob", 1_250)))])],
    ]
    path = make(tmp_path / "n1", history, options)
    for leftover in ("wal/spare.tmp", "wal/short.tmp", "META.tmp"):
        (path / leftover).write_bytes(bytes(8))
    return path


def test_every_flipped_bit_is_found_or_means_nothing(tmp_path: Path) -> None:
    """Damage in its own file and sector; in the zeros behind the last batch, the remains of an unfinished write."""
    path = two_segments(tmp_path)
    sound = verify(path)
    assert sound.is_sound
    assert [line.state for line in sound.files[:3]] == ["sound", "sealed", "open"]
    unwritten = 2 * SECTOR_BYTES
    for file in sorted(file for file in path.rglob("*") if file.is_file() and file.name != "STATE"):
        name = str(file.relative_to(path))
        is_segment, is_open = name.endswith(".wal"), name.startswith("wal/0000000002")
        for bit in range(file.stat().st_size * 8):
            flip(file, bit)
            report = verify(path)
            at = bit // 8 // SECTOR_BYTES * SECTOR_BYTES if is_segment else 0
            if is_open and at >= unwritten:
                assert report.is_sound
                assert [(note.file, note.offset) for note in report.notes] == [(name, unwritten)], (
                    f"bit {bit} of {name}"
                )
                assert report.ledger == sound.ledger
            elif is_segment or name == "META":
                assert [(damage.file, damage.offset) for damage in report.damages] == [(name, at)], (
                    f"bit {bit} of {name}"
                )
            else:
                assert report == sound, f"bit {bit} of {name} should mean nothing"
            flip(file, bit)


def test_flipped_bit_far_behind_the_last_batch_looks_like_an_unfinished_write(tmp_path: Path) -> None:
    options = WalOptions(segment_bytes=4096, short_segment_bytes=4096, new_nonce=tiny().new_nonce)
    path = make(tmp_path / "n1", [[(vote(1), [configuration(1)])]], options)
    flip(path / "wal" / NAMES[0], 4095 * 8)
    report = verify(path)
    assert report.is_sound
    assert [(note.offset, note.message[:20]) for note in report.notes] == [(1024, "an unfinished write ")]


def test_flipped_bit_behind_a_seal_is_found_though_no_node_reads_it(bank: Path) -> None:
    options = WalOptions(segment_bytes=2560, short_segment_bytes=2560, new_nonce=tiny().new_nonce)
    big = (None, [commands(2, 1, transfers(*[(f"t{row}", "a", "b", 1) for row in range(90)]))])
    path = make(bank.parent / "roomy", [[(vote(1), [configuration(1)])], [big]], options)
    first = sorted((path / "wal").iterdir())[0]
    assert verify(path).files[1].state == "sealed"
    flip(first, 2559 * 8)
    assert damages(path) == [f"wal/{first.name} at byte 2559: expected zeros behind the seal, not 01..."]


# Damage, and what the words say


def test_damage_names_its_place_what_was_expected_and_what_was_found(bank: Path) -> None:
    flip(bank / "wal" / NAMES[1], (SECTOR_BYTES + 40) * 8)
    (damage,) = damages(bank)
    assert damage.startswith(f"wal/{NAMES[1]} at byte 512: expected a record with checksum ")
    assert damage.endswith("; the batch at byte 1024 proves that it was durable")


def test_books_are_told_up_to_the_first_damage(bank: Path) -> None:
    flip(bank / "wal" / NAMES[1], (SECTOR_BYTES + 40) * 8)
    report = verify(bank)
    assert (report.log.last_index, report.ledger.index, report.ledger.accounts, report.ledger.transfers) == (3, 3, 2, 0)
    assert as_text(report, None).splitlines()[-1] == (
        "verdict  DAMAGED, 1 damage; log and ledger are told as far as index 3, before the first"
    )


def test_every_damage_is_found_and_not_only_the_first(bank: Path) -> None:
    flip(bank / "META", 0)
    flip(bank / "wal" / NAMES[0], 0)
    flip(bank / "wal" / NAMES[0], (SECTOR_BYTES + 80) * 8)
    flip(bank / "wal" / NAMES[1], (2 * SECTOR_BYTES + 80) * 8)
    flip(bank / "wal" / NAMES[2], (2 * SECTOR_BYTES + 80) * 8)
    assert [(damage.file.removeprefix("wal/"), damage.offset) for damage in verify(bank).damages] == [
        ("META", 0),
        (NAMES[0], 0),
        (NAMES[0], 512),
        (NAMES[1], 1024),
        (NAMES[2], 1024),
    ]


def zeroed(path: Path, start: int, end: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])


def put_back_later(wal: Path) -> None:
    """A segment of another history of this node: equal name and owner, another chain."""
    history = small_history()
    history[0] = [(vote(1, "n2"), [configuration(1)])]
    other = make(wal.parent.parent / "other", history)
    shutil.copy(other / "wal" / NAMES[1], wal / NAMES[1])


def of_another_node(wal: Path) -> None:
    other = DataDir.open_or_create(
        wal.parent.parent / "n2", cluster="main", cluster_id=ClusterId(7), node_id=NodeId("n2"),
        new_incarnation=lambda: 5, wal_options=tiny(),
    )  # fmt: skip
    shutil.copy(other.wal_dir / NAMES[0], wal / NAMES[0])
    other.close()


WRONGS: list[tuple[str, Callable[[Path], object], list[str]]] = [
    (
        "a segment is missing",
        lambda wal: (wal / NAMES[1]).unlink(),
        [f"wal/{NAMES[2]} at byte 0: expected segment 2, not 3"],
    ),
    (
        "the first segment is missing",
        lambda wal: (wal / NAMES[0]).unlink(),
        ["wal/: expected a log that begins at index 1 or before, as no sound snapshot reaches further, not at 4"],
    ),
    (
        "the last segment is missing",
        lambda wal: (wal / NAMES[2]).unlink(),
        [f"wal/{NAMES[1]}: expected a segment after this one, which is sealed"],
    ),
    ("all segments are missing", lambda wal: shutil.rmtree(wal), ["wal/: expected at least one segment: a log was begun here"]),
    (
        "a segment under the name of a next one",
        lambda wal: shutil.copy(wal / NAMES[2], wal / "0000000004-00000000000000000007.wal"),
        [
            f"wal/0000000004-00000000000000000007.wal at byte 0: expected segment 0000000004-00000000000000000007.wal, "
            f"not {NAMES[2]} under another name",
            f"wal/{NAMES[2]} at byte 1536: expected a seal: 0000000004-00000000000000000007.wal goes on after it",
        ],
    ),
    (
        "a name that is none",
        lambda wal: (wal / "copy.wal").write_bytes(b""),
        [
            "wal/copy.wal at byte 0: expected a name of the form <sequence>-<first index>.wal",
            "wal/copy.wal at byte 0: expected a segment header of 512 bytes, not 0",
            f"wal/{NAMES[2]} at byte 1536: expected a seal: copy.wal goes on after it",
        ],
    ),
    (
        "a segment that was cut",
        lambda wal: os.truncate(wal / NAMES[0], 1536),
        [
            f"wal/{NAMES[0]} at byte 1536: expected 2048 bytes in this file, not 1536: it was cut after it was written",
            f"wal/{NAMES[0]} at byte 1536: expected a seal: {NAMES[1]} goes on after it",
        ],
    ),
    (
        "a batch that became zeros",
        lambda wal: zeroed(wal / NAMES[1], 512, 1024),
        [
            f"wal/{NAMES[1]} at byte 512: expected the header of batch 4, not zeros; "
            "the batch at byte 1024 proves that it was durable"
        ],
    ),
    (
        "META is missing",
        lambda wal: (wal.parent / "META").unlink(),
        ["META: expected the name of this log's owner, not no such file"],
    ),
    (
        "a segment of another node",
        of_another_node,
        [
            f"wal/{NAMES[0]} at byte 0: expected a segment of node n1 (incarnation 0000000000abcdef) of cluster "
            "7f3a9c2055d1e804, not of node n2 (incarnation 0000000000000005) of cluster 0000000000000007",
            f"wal/{NAMES[0]} at byte 512: expected a seal: {NAMES[1]} goes on after it",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "sentences"), [row[1:] for row in WRONGS], ids=[row[0] for row in WRONGS])
def test_wrong_directory_is_described_in_words(
    bank: Path, wrong: Callable[[Path], object], sentences: list[str]
) -> None:
    wrong(bank / "wal")
    assert damages(bank) == sentences


def test_segment_of_another_history_does_not_go_on_where_the_one_before_ended(bank: Path) -> None:
    put_back_later(bank / "wal")
    (damage, *_) = damages(bank)
    assert damage.startswith(
        f"wal/{NAMES[1]} at byte 0: expected a segment that goes on at index 4, batch 4, checksum "
    )


def test_sound_sector_in_another_place_is_damage(bank: Path) -> None:
    """A misdirected write: within a segment, and across segments."""
    for source, source_at in ((NAMES[1], 1024), (NAMES[0], 512)):
        shutil.copytree(bank, bank.parent / "hit", dirs_exist_ok=True)
        target = bank.parent / "hit" / "wal" / NAMES[1]
        sector = (bank / "wal" / source).read_bytes()[source_at : source_at + SECTOR_BYTES]
        data = target.read_bytes()
        target.write_bytes(data[:512] + sector + data[1024:])
        (damage,) = damages(bank.parent / "hit")
        assert f"{NAMES[1]} at byte 512: expected batch 4 in sector 1 after checksum " in damage


def test_bytes_that_the_disk_does_not_give_back_are_damage_in_their_file(bank: Path) -> None:
    (bank / "wal" / NAMES[1]).unlink()
    (bank / "wal" / NAMES[1]).symlink_to("/proc/self/mem")  # reading its first page is an error of input
    assert damages(bank) == [
        f"wal/{NAMES[1]} at byte 0: expected readable bytes, not an error of the disk (Input/output error)"
    ]
    assert [line.state for line in verify(bank).files[1:4]] == ["sealed", "unreadable", "open"]


def test_entry_that_cannot_be_applied_is_damage(tmp_path: Path) -> None:
    newer = entry_pb2.CommandBatch(version=2).SerializeToString()
    odd = Entry(LogIndex(2), Term(1), EntryType.COMMANDS, newer)
    assert damages(make(tmp_path / "n1", [[(vote(1), [configuration(1), odd, noop(3, 1)])]])) == [
        "wal/0000000001-00000000000000000001.wal at byte 512: expected an entry at index 2 that can be applied, "
        "not a log entry has format 2, this program knows 1: install the newer version"
    ]
    empty = Entry(LogIndex(1), Term(1), EntryType.CONFIG, b"")
    (damage,) = damages(make(tmp_path / "n2", [[(vote(1), [empty])]]))
    assert "at index 1 that can be applied, not a configuration without voters" in damage


def test_books_that_do_not_add_up_are_damage() -> None:
    """No log can bring that about: a fault of the memory, or a bug."""
    replay = Replay(0)
    batch = decode_batch(commands(1, 1, opening("alice", 5), opening("bob", 5)).body)
    replay.ledger.apply(LogIndex(1), batch.time_ns, batch.commands)
    assert replay.summary().imbalance == 0
    assert replay.damages == []
    replay.ledger._accounts.balances[1] = -2
    found = replay.summary()
    assert (found.imbalance, found.negative_accounts) == (-7, 1)
    assert [str(damage) for damage in replay.damages] == [
        "ledger: expected balances that add up to 0, none below 0, not to -7, 1 below 0"
    ]


def vanish(wal: Path) -> None:
    (wal / NAMES[1]).write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "read"),
    [
        (lambda wal: flip(wal / NAMES[1], 560 * 8), 3),
        (lambda wal: flip(wal / NAMES[1], 0), 3),
        (lambda wal: flip(wal / NAMES[1], 1030 * 8), 4),
        (vanish, 3),
        (lambda wal: zeroed(wal / NAMES[2], 512, 2048), 6),
    ],
)
def test_disk_that_gives_other_bytes_at_the_second_reading_is_found_out(
    bank: Path, change: Callable[[Path], object], read: int
) -> None:
    log = LogCheck(None)
    paths = [bank / "wal" / name for name in NAMES]
    progress = Progress(io.StringIO(), 1)
    log.run(paths, progress)
    change(bank / "wal")
    replay = Replay(log.whole_batches)
    replay.run(paths, log.survivors, progress)
    assert [str(damage) for damage in replay.damages] == [
        f"wal/: expected 8 whole batches as at the first reading, not {read}: the disk changes its mind"
    ]


# Term and vote beside the log


def test_flipped_bit_in_the_copy_of_term_and_vote_is_found_unless_no_start_reads_it(bank: Path) -> None:
    copy = bank / "wal" / "STATE"
    newest = look_at_state(copy.read_bytes(), copy).newest
    assert newest is not None
    for bit in range(0, copy.stat().st_size * 8, 11):
        flip(copy, bit)
        found = [damage.file for damage in verify(bank).damages]
        is_newest = bit // 8 // SECTOR_BYTES == newest.sequence % 2
        assert found == (["wal/STATE"] if is_newest else []), f"bit {bit}"
        flip(copy, bit)


def test_log_that_has_forgotten_a_vote_is_convicted_by_the_copy(bank: Path) -> None:
    """An older copy of the log alone, sound by itself."""
    older = make(bank.parent / "older", small_history()[:4])
    for name in NAMES:
        (bank / "wal" / name).unlink()
    for file in (older / "wal").glob("*.wal"):
        shutil.copy(file, bank / "wal")
    report = verify(bank)
    assert [str(damage) for damage in report.damages] == [
        "wal/STATE: expected a log with term 3 and a vote for n3, as STATE has it, not one with term 2 and a vote for n2"
    ]
    assert report.start.sentence.startswith("with an empty log, as a refilling node")


# What a crash leaves is no damage


def test_unfinished_write_is_a_note_and_not_damage(bank: Path) -> None:
    last = bank / "wal" / NAMES[2]
    zeroed(last, 2 * SECTOR_BYTES + 511, 3 * SECTOR_BYTES)
    report = verify(bank)
    assert report.exit_code == 0
    assert [str(note) for note in report.notes] == [
        f"wal/{NAMES[2]} at byte 1024: an unfinished write (some of its sectors were not written whole); "
        "the next start cuts it off"
    ]
    assert report.log.last_index == 5


def test_segment_of_an_interrupted_roll_is_a_note(bank: Path) -> None:
    zeroed(bank / "wal" / NAMES[2], SECTOR_BYTES, 2048)
    zeroed(bank / "wal" / NAMES[1], 3 * SECTOR_BYTES, 2048)
    (bank / "wal" / "STATE").unlink()  # it knows of the vote of then
    report = verify(bank)
    assert report.is_sound
    assert [line.state for line in report.files[1:4]] == ["sealed", "open", "unused"]
    assert report.notes[0].message == "a roll made this segment and was interrupted; the next start removes it"


def test_directory_whose_making_was_interrupted_is_sound(bank: Path) -> None:
    path = make(bank.parent / "young", [])
    (path / "META").unlink()
    (path / "wal" / "STATE").unlink()  # made when the log is first opened, which is after META
    assert verify(path).is_sound


# Who may not be verified


def test_directory_in_use_is_refused_by_pid_and_left_alone(bank: Path) -> None:
    with open(bank / "LOCK", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(b"4711\n")
        lock.flush()
        with pytest.raises(
            DataDirLocked, match="in use by the process with pid 4711, which changes it: stop that one first"
        ):
            run(bank, as_table=True)


def test_no_node_starts_while_its_directory_is_verified(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Others may look at the same time."""
    with nodes_kept_away(bank):
        assert run(bank, as_table=False) == 0
        with pytest.raises(DataDirLocked):
            make(bank, [])
    make(bank, [])


def test_newer_formats_are_refused_and_not_called_damaged(bank: Path, tmp_path: Path) -> None:
    meta = encode_meta(Identity("main", ClusterId(7), NodeId("n1"), Incarnation(1)))
    newer = entry_pb2.Meta.FromString(meta[8:])
    newer.format_version = 2
    (bank / "META").write_bytes(framed(newer.SerializeToString()))
    with pytest.raises(DataDirForeign, match="format 2, this program knows 1: verify it with a matching bankd"):
        verify(bank)


def test_what_is_no_data_directory_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("hello")
    for path, sentence in (
        ("other", "is no data directory: it holds neither META nor wal/ (name what node.data_dir names)"),
        ("none", "cannot be read: No such file or directory (check the path)"),
        ("other/notes.txt", "is no snapshot: it does not begin with BANKSNP"),
    ):
        assert main(["verify", str(tmp_path / path)]) == 2
        assert capsys.readouterr() == ("", f"error: FILE_UNUSABLE: {tmp_path / path} {sentence}\n")


def test_file_without_permission_is_refused_in_one_line(bank: Path) -> None:
    with as_ordinary_user(bank) as mine:
        (mine / "wal" / NAMES[0]).chmod(0)
        with pytest.raises(FileUnusable, match=r"Permission denied \(check its owner and its mode\)"):
            verify(mine)


@contextmanager
def as_ordinary_user(directory: Path) -> Iterator[Path]:
    """A copy of a directory, and the rights of its owner alone: root may read everything."""
    if os.geteuid() != 0:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="verify-") as parent:
        mine = shutil.copytree(directory, Path(parent) / "bank")
        for path in (Path(parent), mine, *mine.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield mine
        finally:
            os.seteuid(0)


# The promise of JSON


def test_json_has_every_fact_as_a_promise(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(bank / "wal" / NAMES[2], (SECTOR_BYTES * 2 + 60) * 8)
    assert main(["verify", str(bank), "-o", "json"]) == 8
    told = json.loads(capsys.readouterr().out)
    assert told.pop("damages")[0].keys() == {"file", "offset", "message"}
    assert told.pop("files")[3] == {
        "file": NAMES[2], "bytes": "2048", "state": "damaged", "batches": "1", "first_index": "5", "last_index": "5",
    }  # fmt: skip
    assert len(told["ledger"].pop("digest")) == 32
    assert told == {
        "data_dir": str(bank),
        "sound": False,
        "identity": {
            "cluster": "main",
            "cluster_id": "7f3a9c2055d1e804",
            "node_id": "n1",
            "incarnation": "0000000000abcdef",
        },
        "snapshots": [],
        "log": {
            "entries": "7", "replaced": "2", "base_index": "0", "last_index": "5", "last_term": "3",
            "term": "3", "voted_for": "n3",
        },
        "ledger": {"index": "5", "accounts": "2", "transfers": "2", "imbalance": "0", "negative_accounts": "0"},
        "start": {
            "outcome": "refilling",
            "snapshot_index": None,
            "message": "with an empty log, as a refilling node: it neither votes nor counts until a leader has refilled it",
        },
        "notes": [],
    }  # fmt: skip


# Which entries are part of the log in the end


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 4)), max_size=12))
def test_survivors_are_the_entries_that_no_later_one_replaced(appends: list[tuple[int, int]]) -> None:
    written: list[Entry] = []
    log: list[Entry] = []
    survivors = Survivors()
    for start, size in appends:
        for index in range(min(start, len(log) + 1), min(start, len(log) + 1) + size):
            entry = Entry(LogIndex(index), Term(len(written) + 1), EntryType.NOOP, b"")
            survivors.note(entry.index, LogIndex(len(log) + 1))
            written.append(entry)
            log[index - 1 :] = [entry]
    passed = list(survivors.among(enumerate(written)))
    assert [entry for _, entry in passed] == log
    assert all(before[0] < after[0] for before, after in pairwise(passed))
