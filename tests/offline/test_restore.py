"""`bankd restore`: a new cluster with the old one's state, the same on every node; all of it or nothing that starts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import attrs
import pytest

from bankd.boot import cluster_id_of
from bankd.cli import main
from bankd.config import Config, Role, load_config
from bankd.errors import DataDirForeign, DataDirLocked, DataDirUnusable, DiskFailed, DiskFull
from bankd.ledger.state import Ledger
from bankd.offline.verify import verify
from bankd.raft.messages import Configuration, HardState
from bankd.restore import Restored, restore
from bankd.sim.disk import PowerLost, SimDisk
from bankd.sim.random import Stream
from bankd.snapshot.files import open_snapshot, read_state
from bankd.storage.data_dir import DataDir
from bankd.storage.disk import Disk, OsDisk
from bankd.storage.identity import Identity, encode_meta, restored_cluster_id
from bankd.storage.recovery import Recovered
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader
from bankd.storage.snapshot_store import SnapshotStore
from bankd.storage.wal import Wal
from bankd.types import Incarnation, LogIndex, NodeId, Starts, Term
from bankd.wire.entries import decode_batch, decode_configuration
from bankd.wire.hello import Hello, PeerRole, judge_hello
from tests.offline.directories import (
    CLUSTER_ID,
    commands,
    compacted,
    final_entries,
    ledger_after,
    long_history,
    make,
    tiny,
    transfers,
)
from tests.offline.test_snapshots import NEWER
from tests.offline.test_verify import content, flip
from tests.storage.histories import all_subsets

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = {"n1": "127.0.0.1:7401", "n2": "127.0.0.1:7411", "n3": "127.0.0.1:7421"}
FILE = """\
[node]
id = "{node}"
data_dir = "{directory}"
[cluster]
name = "{name}"
bootstrap = [{members}]
[listen]
address = "{address}"
[storage]
segment_size = "64KiB"
"""


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a node with the history of these tests wrote after the entry at index 6."""
    directory = tmp_path_factory.mktemp("backup")
    return Path(shutil.copy(compacted(directory / "n1") / "snap" / NEWER, directory / "backup"))


def config_file(directory: Path, node: str = "n1", *, name: str = "main", data: str = "data") -> Path:
    members = ", ".join(f'"{one}={address}"' for one, address in MEMBERS.items())
    file = directory / f"{node}.toml"
    data_dir = directory / data / node
    file.write_text(FILE.format(node=node, directory=data_dir, name=name, members=members, address=MEMBERS[node]))
    return file


def config_of(directory: Path, node: str = "n1", **changes: str) -> Config:
    return load_config(str(config_file(directory, node, **changes)), overrides=[], environ={}, role=Role.NODE).config


def restored_on(disk: Disk, backup: Path, config: Config) -> Restored:
    """Segments of these tests are small, and nonces can be foretold."""
    drawn = count(0x1111)
    reader = open_snapshot(backup)
    try:
        small = attrs.evolve(config, storage=attrs.evolve(config.storage, segment_size_bytes=2048))
        return restore(reader, small, disk, lambda: next(drawn))
    finally:
        reader.close()


@attrs.frozen
class Found:
    """What a node that starts finds."""

    identity: Identity
    header: SnapshotHeader
    ledger: Ledger
    recovered: Recovered


def opened(disk: Disk, path: Path | str, *, name: str = "main") -> Found:
    """Open a data directory, the newest snapshot and the log, in the order of a node."""
    members = [NodeId(member) for member in MEMBERS]
    data_dir = DataDir.open_or_create(
        path,
        cluster=name,
        cluster_id=cluster_id_of(name, members),
        node_id=NodeId("n1"),
        new_incarnation=lambda: 5,
        disk=disk,
        wal_options=tiny(),
    )
    try:
        store = SnapshotStore.open(disk, data_dir.snapshot_dir, data_dir.identity.cluster_id)
        assert store.snapshots, "there is no snapshot"
        reader = store.open_snapshot(store.snapshots[0])
        ledger = read_state(reader).ledger
        reader.close()
        wal, recovered = Wal.open(disk, data_dir.wal_dir, data_dir.identity, tiny(), reader.header.index)
        wal.close()
        return Found(data_dir.identity, reader.header, ledger, recovered)
    finally:
        data_dir.close()


# The new cluster


def test_state_is_that_of_the_backup_and_the_log_goes_on_behind_it(tmp_path: Path, backup: Path) -> None:
    restored = restored_on(OsDisk(), backup, config_of(tmp_path))
    found = opened(OsDisk(), tmp_path / "data" / "n1")
    before = ledger_after(final_entries(long_history()), 6)
    assert list(found.ledger.freeze().blocks()) == list(before.freeze().blocks())
    assert (found.header.index, found.header.term, found.header.digest) == (6, 3, before.digest)
    assert attrs.evolve(found.recovered, starts=Starts()) == Recovered(HardState(Term(3)), (), None, found.header.index)
    assert found.identity == restored.identity
    assert verify(tmp_path / "data" / "n1").is_sound


def test_members_are_those_of_the_configuration(tmp_path: Path, backup: Path) -> None:
    restored_on(OsDisk(), backup, config_of(tmp_path))
    configuration, addresses = decode_configuration(opened(OsDisk(), tmp_path / "data" / "n1").header.configuration)
    assert configuration == Configuration(voters=frozenset(map(NodeId, MEMBERS)))
    assert addresses == MEMBERS


def test_every_node_gets_the_same_cluster_and_the_same_snapshot(tmp_path: Path, backup: Path) -> None:
    for node in MEMBERS:
        assert main(["restore", str(backup), str(config_file(tmp_path, node))]) == 0
    snapshots = [(tmp_path / "data" / node / "snap" / NEWER).read_bytes() for node in MEMBERS]
    assert len(set(snapshots)) == 1
    reports = [verify(tmp_path / "data" / node) for node in MEMBERS]
    identities = [report.identity for report in reports if report.identity is not None]
    assert len({identity.cluster_id for identity in identities}) == 1
    assert len({identity.incarnation for identity in identities}) == 3


def test_transfer_that_is_sent_again_is_answered_as_it_was_recorded(tmp_path: Path, backup: Path) -> None:
    restored_on(OsDisk(), backup, config_of(tmp_path))
    ledger = opened(OsDisk(), tmp_path / "data" / "n1").ledger
    original = ledger_after(final_entries(long_history()), 6)
    again = decode_batch(commands(7, 4, transfers(("t1", "alice", "bob", 1_250), ("t1", "alice", "bob", 1))).body)
    answers = [one.apply(LogIndex(7), again.time_ns, again.commands) for one in (ledger, original)]
    assert answers[0] == answers[1]
    assert ledger.transfer_count == 3


def test_id_is_another_than_that_of_any_cluster_that_this_could_be_taken_for() -> None:
    members = [NodeId(member) for member in MEMBERS]
    one, other = b"a" * 16, b"b" * 16
    ids = {
        cluster_id_of("main", members),
        cluster_id_of("main", members, one),
        cluster_id_of("main", members, other),
        cluster_id_of("drill", members, one),
        cluster_id_of("main", members[:2], one),
    }
    assert len(ids) == 5
    assert 0 not in ids


def test_ids_of_ordinary_clusters_and_of_restored_ones_never_change() -> None:
    """They stand in data directories."""
    members = [NodeId(member) for member in MEMBERS]
    ordinary = cluster_id_of("main", members)
    assert f"{ordinary:016x}" == "f0f6fc28fc4523fb"
    assert f"{cluster_id_of('main', members, b'a' * 16):016x}" == "11ad6085b737599f"
    assert restored_cluster_id(ordinary, b"") == ordinary
    assert (
        encode_meta(Identity("main", ordinary, NodeId("n1"), Incarnation(1)))[8:].hex()
        == "080112046d61696e19fb2345fc28fcf6f022026e31290100000000000000"
    )


@pytest.mark.parametrize("role", [PeerRole.PEER, PeerRole.CLIENT])
def test_nodes_of_the_old_cluster_and_clients_that_know_its_id_are_refused(
    tmp_path: Path, backup: Path, role: PeerRole
) -> None:
    identity = restored_on(OsDisk(), backup, config_of(tmp_path)).identity
    ours = Hello(PeerRole.PEER, identity.cluster, identity.cluster_id, NodeId("n1"))
    theirs = Hello(role, "main", CLUSTER_ID, NodeId("n2"))
    for one, other in ((ours, theirs), (theirs, ours)):
        refusal = judge_hello(one, other)
        assert refusal is not None
        assert refusal.reason == "WRONG_CLUSTER"


def test_directory_of_a_restored_node_belongs_to_its_cluster_alone(tmp_path: Path, backup: Path) -> None:
    restored_on(OsDisk(), backup, config_of(tmp_path))
    with pytest.raises(DataDirForeign, match="belongs to node n1 of cluster main"):
        opened(OsDisk(), tmp_path / "data" / "n1", name="drill")


def test_snapshot_of_the_old_cluster_is_foreign_to_the_new_one(tmp_path: Path, backup: Path) -> None:
    restored_on(OsDisk(), backup, config_of(tmp_path))
    shutil.copy(backup, tmp_path / "data" / "n1" / "snap" / NEWER)
    with pytest.raises(DataDirForeign, match="belongs to cluster 7f3a9c2055d1e804"):
        opened(OsDisk(), tmp_path / "data" / "n1")


# What is refused


def test_directory_that_is_not_empty_is_left_as_it_is(
    tmp_path: Path, backup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config_file(tmp_path)
    node = make(tmp_path / "data" / "n1", long_history())
    for path in (node, restored_then(tmp_path, backup), tmp_path / "notes"):
        path.mkdir(exist_ok=True)
        (path / "notes.txt").write_text("mine")
        before = {name: data[0] for name, data in content(path).items() if name.name != "LOCK"}
        assert main(["restore", str(backup), str(file), "--set", f"node.data_dir={path}"]) == 8
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"error: DATA_DIR_UNUSABLE: the data directory {path} is not empty (it holds ")
        assert {name: data[0] for name, data in content(path).items() if name.name != "LOCK"} == before


def restored_then(tmp_path: Path, backup: Path) -> Path:
    restored_on(OsDisk(), backup, config_of(tmp_path, data="before"))
    return tmp_path / "before" / "n1"


def test_directory_in_use_is_refused(tmp_path: Path, backup: Path) -> None:
    lock = OsDisk().lock(tmp_path / "data" / "n1")
    with pytest.raises(DataDirLocked):
        restored_on(OsDisk(), backup, config_of(tmp_path))
    lock.close()
    restored_on(OsDisk(), backup, config_of(tmp_path))


def test_damaged_backup_leaves_no_trace(tmp_path: Path, backup: Path) -> None:
    copy = Path(shutil.copy(backup, tmp_path / "copy"))
    config = config_of(tmp_path)
    for bit in range(0, copy.stat().st_size * 8, 97):
        flip(copy, bit)
        with pytest.raises(SnapshotDamaged):
            restored_on(OsDisk(), copy, config)
        flip(copy, bit)
    assert not (tmp_path / "data").exists()


def test_wrong_words_are_one_line(tmp_path: Path, backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(config_file(tmp_path))
    damaged = Path(shutil.copy(backup, tmp_path / "damaged.snap"))
    flip(damaged, 2400)
    for words, code, line in (
        ([str(tmp_path / "none"), file], 2, f"FILE_UNUSABLE: {tmp_path / 'none'} cannot be read: No such file or directory (check the path)"),
        ([str(tmp_path), file], 2, f"FILE_UNUSABLE: {tmp_path} is no file (check the path)"),
        ([str(damaged), file], 8, f"SNAPSHOT_DAMAGED: {damaged} at byte 256: expected chunk 3 with checksum "),
        ([str(backup), str(tmp_path / "no.toml")], 8, f"CONFIG_INVALID: {tmp_path / 'no.toml'}: cannot be read"),
    ):  # fmt: skip
        assert main(["restore", *words]) == code
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(f"error: {line}")
        assert (words[0] == str(damaged)) == err.endswith(" (nothing was made; restore from another backup)\n")


# What interrupts it


def sim(seed: int = 7) -> SimDisk:
    return SimDisk(Stream(seed, "disk"))


DIRECTORY = Path("n1")  # on a SimDisk


def sim_config(directory: Path) -> Config:
    config = config_of(directory)
    return attrs.evolve(config, node=attrs.evolve(config.node, data_dir=str(DIRECTORY)))


def starts(disk: SimDisk) -> bool:
    """Judge what is there: a whole directory; or one in which no node starts; or nothing at all, as before."""
    names = [path.relative_to(DIRECTORY) for path in disk.copy()]
    if Path("META") in names:
        found = opened(disk, DIRECTORY)
        assert found.ledger.digest == ledger_after(final_entries(long_history()), 6).digest
        assert attrs.evolve(found.recovered, starts=Starts()) == Recovered(
            HardState(Term(3)), (), None, found.header.index
        )
        return True
    if Path("META.restoring") in names:
        with pytest.raises(DataDirUnusable, match="a restore into the data directory n1 was interrupted: run the same"):
            opened(disk, DIRECTORY)
        disk.end_process()
    else:
        assert set(names) <= {Path("LOCK")}
    return False


def interrupted(backup: Path, config: Config, operation: int, seed: int = 7) -> tuple[SimDisk, bool]:
    """A disk on which power was lost at that operation; and whether there was one."""
    disk = sim(seed)
    disk.crash_in(operation)
    try:
        restored_on(disk, backup, config)
    except PowerLost:
        return disk, True
    disk.disarm()
    return disk, False


def every_power_loss(backup: Path, config: Config, operation: int) -> Iterator[SimDisk]:
    """All subsets of what was not synced where these are few; and drawn losses, which tear sectors."""
    questions = count()
    interrupted(backup, config, operation)[0].lose_power(lambda: next(questions) >= 0)
    asked = next(questions)
    for subset in all_subsets(asked) if asked <= 6 else ():
        disk, _ = interrupted(backup, config, operation)
        disk.lose_power(iter(subset).__next__)
        yield disk
    for seed in range(8):
        disk, _ = interrupted(backup, config, operation, seed)
        disk.lose_power()
        yield disk


def test_power_lost_at_every_operation_leaves_all_of_it_or_nothing_that_starts(tmp_path: Path, backup: Path) -> None:
    config = sim_config(tmp_path)
    operation, whole, losses = 0, 0, 0
    while True:
        operation += 1
        if not interrupted(backup, config, operation)[1]:
            break
        for disk in every_power_loss(backup, config, operation):
            losses += 1
            if starts(disk):
                whole += 1
                continue
            restored_on(disk, backup, config)
            disk.lose_power(lambda: False)
            assert starts(disk), f"repeated after a loss at operation {operation}"
    assert operation > 30
    assert losses > 10 * operation
    assert whole > 0


def test_command_that_ended_is_durable(tmp_path: Path, backup: Path) -> None:
    disk = sim()
    restored_on(disk, backup, sim_config(tmp_path))
    disk.lose_power(lambda: False)
    assert starts(disk)


def test_process_killed_at_every_operation_and_again_when_it_is_repeated(tmp_path: Path, backup: Path) -> None:
    config = sim_config(tmp_path)
    for first in range(1, 60, 3):
        disk, reached = interrupted(backup, config, first)
        for second in range(1, 60, 3):
            disk.end_process()
            if not reached or DIRECTORY / "META" in disk.copy():
                break
            disk.crash_in(second)
            try:
                restored_on(disk, backup, config)
            except PowerLost:
                continue
            disk.disarm()
            break
        disk.lose_power(lambda: False)
        if not starts(disk):
            restored_on(disk, backup, config)
            assert starts(disk)


@pytest.mark.parametrize("failure", [DiskFailed("EIO"), DiskFull("ENOSPC")], ids=["failed", "full"])
def test_disk_that_fails_at_any_operation_leaves_what_can_be_repeated(
    tmp_path: Path, backup: Path, failure: DiskFailed
) -> None:
    config = sim_config(tmp_path)
    operation = 0
    while True:
        operation += 1
        disk = sim()
        disk.fail_in(operation, failure)
        try:
            restored_on(disk, backup, config)
        except (DiskFailed, DataDirUnusable):
            disk.end_process()
            if DIRECTORY / "META" not in disk.copy():
                restored_on(disk, backup, config)
            assert starts(disk)
        else:
            break
    assert operation > 30


def test_another_backup_may_follow_an_interrupted_one(tmp_path: Path, backup: Path) -> None:
    config = sim_config(tmp_path)
    older = compacted(tmp_path / "old") / "snap" / "00000000000000000004-00000000000000000001.snap"
    disk, _ = interrupted(older, config, 20)
    disk.end_process()
    restored_on(disk, backup, config)
    assert starts(disk)


def test_interrupted_restore_is_told_by_verify(
    tmp_path: Path, backup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "n1"
    path.mkdir()
    (path / "META.restoring").write_bytes(b"")
    assert main(["verify", str(path)]) == 8
    assert capsys.readouterr().err == (
        f"error: DATA_DIR_UNUSABLE: a restore into {path} was interrupted: run the same `bankd restore` again\n"
    )


# What it says


def test_what_was_made_and_what_comes_next_is_told(
    tmp_path: Path, backup: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["restore", str(backup), str(config_file(tmp_path)), "--set", "node.data_dir=data/n1"]) == 0
    digest = ledger_after(final_entries(long_history()), 6).digest.hex()
    told = verify(Path("data/n1")).identity
    assert told is not None
    assert capsys.readouterr().out.splitlines() == [
        f"data/n1: node n1 of cluster main, restored from {backup}",
        f"cluster  {told.cluster_id:016x}, a new one: nodes of cluster 7f3a9c2055d1e804 refuse it",
        "members  n1 n2 n3",
        "ledger   2 accounts, 3 transfers, as after index 6",
        f"digest   {digest}",
        "next     run it on n2, n3, each with its own configuration, then start each with `bankd serve CONFIG`",
    ]


def test_json_is_a_promise(tmp_path: Path, backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", str(backup), str(config_file(tmp_path, "n2")), "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told.pop("cluster_id")) == 16
    assert len(told.pop("restored_from")) == 32
    assert told == {
        "file": str(backup), "data_dir": str(tmp_path / "data" / "n2"), "cluster": "main", "node_id": "n2",
        "members": MEMBERS, "backup_cluster_id": "7f3a9c2055d1e804", "index": "6", "term": "3",
        "digest": ledger_after(final_entries(long_history()), 6).digest.hex(), "accounts": "2", "transfers": "3",
    }  # fmt: skip


def test_reader_that_leaves_early_hinders_nothing(tmp_path: Path, backup: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "bankd", "restore", str(backup), str(config_file(tmp_path))]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert verify(tmp_path / "data" / "n1").is_sound
