"""Snapshot files, as backups are: what is called sound was replayed, and whatever is wrong is told as damage, never raised."""

import os
import random
import sys
from pathlib import Path

import pytest

from bankd.errors import DataDirForeign, FileUnusable
from bankd.ledger.rows import ImageHead
from bankd.snapshot import files
from bankd.snapshot.files import Found
from bankd.storage.snapshot_format import FOOTER_BYTES, SnapshotHeader
from bankd.types import ClusterId, LogIndex, Term, TimeNs
from bankd.wire.snapshot_rows import encode_block
from tests.client.snapshots import SnapshotFile, sealed, snapshot_of
from tests.ledger.images import eventful_bank

CLUSTER = ClusterId(0x7F3A9C20)


def eventful(**changes: object) -> SnapshotFile:
    return snapshot_of(eventful_bank().ledger, CLUSTER, **changes)


def look(directory: Path, data: bytes) -> Found:
    path = directory / "bank.snap"
    path.write_bytes(data)
    return files.look(path)


def test_sound_backup_says_what_it_holds(tmp_path: Path) -> None:
    ledger = eventful_bank().ledger
    file = snapshot_of(ledger, CLUSTER)
    found = look(tmp_path, file.data)
    assert found.damage is None
    assert found.header
    assert found.configuration
    assert found.content
    assert (found.header.cluster_id, found.header.index, found.header.digest) == (CLUSTER, 6, ledger.digest)
    assert (sorted(found.configuration.voters), found.configuration.learners) == (["n1", "n2", "n3"], frozenset())
    assert (found.size_bytes, found.content.content_id) == (file.taken.size_bytes, file.taken.content_id)
    assert (found.content.accounts, found.content.transfers) == (ledger.account_count, ledger.transfer_count)


def test_how_far_it_has_come_adds_up_to_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    path.write_bytes(eventful().data)
    seen: list[tuple[int, int]] = []
    found = files.look(path, lambda size, total: seen.append((size, total)))
    assert len(seen) > 1
    assert found.content
    assert sum(size for size, _ in seen) == found.content.content_bytes
    assert {total for _, total in seen} == {found.content.content_bytes}


def test_no_flipped_bit_passes(tmp_path: Path) -> None:
    data = eventful().data
    draw = random.Random(7)
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << draw.randrange(8)
        try:
            assert look(tmp_path, bytes(flipped)).damage, f"byte {place} of {len(data)}"
        except DataDirForeign:
            pytest.fail(f"byte {place}: damage is no newer version")


@pytest.mark.parametrize("kept", [0, 1, 50, -FOOTER_BYTES, -1])
def test_backup_that_was_cut_is_damaged(tmp_path: Path, kept: int) -> None:
    found = look(tmp_path, eventful().data[:kept])
    assert (found.damage is not None, found.content) == (True, None)


def test_damage_behind_the_header_leaves_the_header_told(tmp_path: Path) -> None:
    data = eventful().data
    middle = len(data) - FOOTER_BYTES - 1
    found = look(tmp_path, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert found.header is not None
    assert (found.header.index, found.content) == (6, None)
    assert "checksum" in str(found.damage)


@pytest.mark.parametrize(
    "changes", [{"digest": bytes(16)}, {"index": LogIndex(7)}, {"configuration": b""}, {"configuration": b"\xff"}]
)
def test_sound_checksums_do_not_make_up_for_a_header_that_lies(tmp_path: Path, changes: dict[str, object]) -> None:
    found = look(tmp_path, eventful(**changes).data)
    assert (found.damage is not None, found.content) == (True, None)


def test_sound_checksums_do_not_make_up_for_rows_that_are_no_bank(tmp_path: Path) -> None:
    header = SnapshotHeader(CLUSTER, LogIndex(1), Term(1), TimeNs(1), bytes(16), b"\x0a\x04\x0a\x02n1")
    head = ImageHead(LogIndex(1), TimeNs(1), bytes(16), 0, 5, 0, 0, 0)  # five accounts, and none follows
    assert "missing" in str(look(tmp_path, sealed(header, [encode_block(head)]).data).damage)
    assert "bytes that are no" in str(look(tmp_path, sealed(header, [b"\xff"]).data).damage)


def test_rows_of_a_newer_program_are_no_damage(tmp_path: Path) -> None:
    header = SnapshotHeader(CLUSTER, LogIndex(1), Term(1), TimeNs(1), bytes(16), b"\x0a\x04\x0a\x02n1")
    head = b"\x0a\x04\x0a\x02\x08\x02"  # a head of version 2
    with pytest.raises(DataDirForeign, match="start a matching bankd"):
        look(tmp_path, sealed(header, [head]).data)


def test_what_is_no_file_is_the_users_mistake(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileUnusable, match="check the path"):
            files.look(path)


def test_file_that_may_only_be_read_is_read() -> None:
    """Nobody may write a program that runs, not even root."""
    assert "a snapshot header" in str(files.look(Path(sys.executable).resolve()).damage)


def test_nothing_has_the_real_name_before_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    path.write_bytes(b"before")
    draft = files.begin(path)
    draft.append(b"new")
    assert (path.read_bytes(), draft.path.read_bytes()) == (b"before", b"new")
    draft.publish(path.name)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("bank.snap", b"new")]


def test_two_that_write_to_one_path_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    first, second = files.begin(path), files.begin(path)
    first.append(b"first")
    first.publish(path.name)
    second.append(b"half of the sec")
    assert path.read_bytes() == b"first"
    second.abandon()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("bank.snap", b"first")]


def test_directory_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match=r"bank\.snap cannot be written: No such file or directory \(check the path"):
        files.begin(tmp_path / "nowhere" / "bank.snap")
