"""Backups: taken, fetched, verified, and shown; and what is left when something goes wrong."""

import os
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path

import pytest

from bankctl.commands import snapshot
from bankctl.errors import CommandFailed
from bankctl.output import Host, Printer
from bankctl.parser import Invocation, parse
from bankctl.session import Session
from bankctl.table import GRAMMAR
from bankd.errors import Code, Exit, Refusal
from bankd.replica.refusals import snapshot_under_way
from bankd.types import TimeNs
from bankd.wire.methods import Method
from tests.bankctl.harness import Ran, bankctl
from tests.client.fake_server import (
    CLUSTER_ID,
    WAITED_OUT_S,
    Answer,
    Die,
    DropBefore,
    FakeBank,
    FakeServer,
    NeverAnswer,
    Refuse,
)
from tests.client.snapshots import SnapshotFile, snapshot_of

Cluster = list[FakeServer]

DISK_FULL = Refusal(Code.RESOURCE_EXHAUSTED, "DISK_FULL", "no room")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """n2 leads; the first answers to bankctl are those of n1."""
    bank = FakeBank(leader_id="n2")
    servers = [FakeServer(bank, node_id=f"n{number}") for number in (1, 2, 3)]
    with servers[0], servers[1], servers[2]:
        bank.open_account("acct1", 1250)
        bank.open_account("acct2", 0)
        yield servers


def ask(cluster: Cluster, *argv: str, terminal: bool = False) -> Ran:
    return bankctl(*argv, environ={"BANKCTL_ENDPOINTS": cluster[0].address, "NO_COLOR": "1"}, terminal=terminal)


def asked_for_parts(server: FakeServer) -> int:
    return sum(method == Method.READ_SNAPSHOT for method, _ in server.requests)


def of_many_parts(cluster: Cluster) -> None:
    for server in cluster:
        server.part_bytes_max = 100


def at_the_third_part(server: FakeServer, *steps: object) -> None:
    """Statuses twice from the leader, who serves the session, then a snapshot and two parts."""
    server.script(*[Answer()] * 5, *steps)  # type: ignore[arg-type]


def damaged(file: SnapshotFile) -> SnapshotFile:
    """Flipped under the footer, so that only reading all of it tells."""
    middle = len(file.data) - 100
    return SnapshotFile(file.taken, file.data[:middle] + bytes([file.data[middle] ^ 1]) + file.data[middle + 1 :])


# trigger


def test_the_leader_takes_a_snapshot_unless_a_node_is_named(cluster: Cluster) -> None:
    assert ask(cluster, "snapshot", "trigger").exit is Exit.OK
    assert [len(server.snapshots) for server in cluster] == [0, 1, 0]
    assert ask(cluster, "snapshot", "trigger", "n3").exit is Exit.OK
    assert [len(server.snapshots) for server in cluster] == [0, 1, 1]


def test_a_snapshot_is_told_with_its_place_and_size(cluster: Cluster) -> None:
    ran = ask(cluster, "snapshot", "trigger", "n1", "-o", "json")
    taken = cluster[0].snapshots[0].taken
    assert ran.json == {
        "node": "n1",
        "index": "2",
        "term": "1",
        "size_bytes": str(taken.size_bytes),
        "content_id": taken.content_id.hex(),
        "taken_ms": "15",
    }
    again = ask(cluster, "snapshot", "trigger", "n1")
    assert again.out.startswith(f"n1  index 2  term 1  {taken.size_bytes} B   ")


def test_a_snapshot_that_takes_longer_than_a_call_may_is_asked_for_again(cluster: Cluster) -> None:
    cluster[1].script(Answer(), Answer(), *[Refuse(snapshot_under_way())] * 2)
    assert ask(cluster, "snapshot", "trigger").exit is Exit.OK
    assert len(cluster[1].requests) == 5
    cluster[1].script(Answer(), Answer(), *[Refuse(snapshot_under_way())] * snapshot.TAKES_MAX)
    ran = ask(cluster, "snapshot", "trigger")
    assert (ran.exit, len(cluster[1].requests)) == (Exit.UNAVAILABLE, 5 + 2 + snapshot.TAKES_MAX)


def test_a_node_that_is_not_there_is_named_with_those_that_are(cluster: Cluster) -> None:
    ran = ask(cluster, "snapshot", "trigger", "n9")
    assert ran.exit is Exit.NOT_FOUND
    assert ran.err == "error: NODE_NOT_FOUND: no node n9 is in this cluster (there are n1, n2, n3)\n"


# save


def test_a_backup_is_the_leaders_snapshot_byte_by_byte(cluster: Cluster, tmp_path: Path) -> None:
    of_many_parts(cluster)
    path = tmp_path / "bank.snap"
    ran = ask(cluster, "snapshot", "save", str(path), "-o", "json")
    assert (ran.exit, ran.err) == (Exit.OK, "")
    assert (ran.json["node"], ran.json["sound"], ran.json["accounts"]) == ("n2", True, "2")
    assert [file.name for file in tmp_path.iterdir()] == ["bank.snap"]
    assert path.read_bytes() == cluster[1].snapshots[0].data
    assert path.stat().st_mode & 0o777 == 0o600  # it holds every balance


def test_a_backup_can_be_anothers(cluster: Cluster, tmp_path: Path) -> None:
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"), "--node", "n3")
    size = f"{cluster[2].snapshots[0].taken.size_bytes} B"
    assert ran.out.endswith(f"bank.snap  index 2  term 1  {size}  from n3  verified: 2 accounts, 0 transfers\n")
    assert ran.err == f"fetching {size}, index 2, from n3\nverifying it: all of it is replayed\n"


def test_a_file_that_is_there_is_replaced_only_by_force(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    path.write_bytes(b"precious")
    ran = ask(cluster, "snapshot", "save", str(path))
    assert (ran.exit, path.read_bytes()) == (Exit.USAGE, b"precious")
    assert ran.err.endswith("is there already (choose another name, or replace it with --force)\n")
    assert [server.requests for server in cluster] == [[], [], []]
    assert ask(cluster, "snapshot", "save", str(path), "--force").exit is Exit.OK
    assert path.read_bytes() == cluster[1].snapshots[0].data


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_no_file_is_never_replaced(cluster: Cluster, tmp_path: Path, force: list[str]) -> None:
    """A device, for one: it would be gone for all who use it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    ran = ask(cluster, "snapshot", "save", str(path), *force)
    assert (ran.exit, ran.err) == (Exit.USAGE, f"error: USAGE: {path} is no file (choose another name)\n")
    assert path.is_fifo()


def test_a_place_that_is_closed_to_us_is_the_users_mistake(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / ("n" * 300)  # refused to root as well, as a directory without permission is not
    ran = ask(cluster, "snapshot", "save", str(path))
    assert ran.exit is Exit.USAGE
    assert ran.err.startswith(f"error: FILE_UNUSABLE: {path} cannot be written: File name too long (check the path")


@pytest.mark.parametrize(
    ("leader", "refilling", "words"),
    [
        ("n2", "", None),
        ("", "", "no leader is known: what n1 has may lack the last of what was acknowledged"),
        ("", "rot", "n1 is being refilled: this may lack much of what was acknowledged"),
    ],
)
def test_a_backup_that_is_not_the_leaders_comes_with_a_warning(
    cluster: Cluster, tmp_path: Path, leader: str, refilling: str, words: str | None
) -> None:
    cluster[1].bank.leader_id = leader
    for server in cluster:
        server.refilling = refilling
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"))
    assert ran.exit is Exit.OK
    assert [line for line in ran.err.splitlines() if "warning" in line] == ([f"warning: {words}"] if words else [])
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank2.snap"), "-o", "json")
    assert ran.json.get("warning") == words


@pytest.mark.parametrize("name", ["", "nowhere/bank.snap"])
def test_a_place_where_no_file_can_be_is_the_users_mistake(cluster: Cluster, tmp_path: Path, name: str) -> None:
    assert ask(cluster, "snapshot", "save", str(tmp_path / name)).exit is Exit.USAGE
    assert cluster[1].snapshots == []


def test_a_lost_connection_resumes_where_it_was(cluster: Cluster, tmp_path: Path) -> None:
    of_many_parts(cluster)
    at_the_third_part(cluster[1], DropBefore(), DropBefore())
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"))
    parts = -(-cluster[1].snapshots[0].taken.size_bytes // 100)
    assert (ran.exit, asked_for_parts(cluster[1])) == (Exit.OK, parts + 2)
    assert "anew" not in ran.err


def test_a_node_that_dies_is_given_up_for_the_next(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PART_S", WAITED_OUT_S)
    of_many_parts(cluster)
    at_the_third_part(cluster[1], Die())
    cluster[0].refilling = "rot"  # the last choice
    path = tmp_path / "bank.snap"
    ran = ask(cluster, "snapshot", "save", str(path))
    assert ran.exit is Exit.OK
    assert "; beginning anew on n3\n" in ran.err
    assert "from n3  verified" in ran.out
    assert path.read_bytes() == cluster[2].snapshots[0].data


def test_a_file_that_is_gone_in_the_midst_is_taken_anew(cluster: Cluster, tmp_path: Path) -> None:
    of_many_parts(cluster)
    gone = Refusal(Code.NOT_FOUND, "SNAPSHOT_NOT_FOUND", "newer ones have replaced it")
    at_the_third_part(cluster[1], Refuse(gone))
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"), "--node", "n2")
    assert ran.exit is Exit.OK
    assert "n2: newer ones have replaced it; beginning anew on n2\n" in ran.err


def test_what_arrives_damaged_never_gets_the_name(cluster: Cluster, tmp_path: Path) -> None:
    for server in cluster:
        server.snapshots = [damaged(snapshot_of(server.bank.ledger, CLUSTER_ID))]
    path = tmp_path / "bank.snap"
    path.write_bytes(b"the last good one")
    ran = ask(cluster, "snapshot", "save", str(path), "--force")
    assert ran.exit is Exit.UNHEALTHY
    assert ran.err.splitlines()[-1].startswith("error: SNAPSHOT_DAMAGED: what it sent is damaged: ")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("bank.snap", b"the last good one")]


def test_a_damaged_one_is_given_up_for_another_nodes(cluster: Cluster, tmp_path: Path) -> None:
    cluster[1].snapshots = [damaged(snapshot_of(cluster[1].bank.ledger, CLUSTER_ID))]
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"))
    assert ran.exit is Exit.OK
    assert "from n1  verified" in ran.out
    assert "\nwarning: the leader's cannot be had: what n1 has may lack the last of what was acknowledged\n" in ran.err


def test_when_no_node_can_do_it_the_last_ones_error_is_told(cluster: Cluster, tmp_path: Path) -> None:
    cluster[1].script(Answer())  # it serves the session, and so tells its status once more than the others
    for server in cluster:
        server.script(Answer(), *[Refuse(DISK_FULL)] * 2)
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"))
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.err.splitlines()[-1].startswith("error: DISK_FULL: no room")
    asked = [[method for method, _ in server.requests].count(Method.TRIGGER_SNAPSHOT) for server in cluster]
    assert asked == [2, 2, 2]
    assert list(tmp_path.iterdir()) == []


def test_the_time_given_covers_all_of_it(cluster: Cluster, tmp_path: Path) -> None:
    of_many_parts(cluster)
    cluster[1].script(*[Answer()] * 3, NeverAnswer())
    ran = ask(cluster, "snapshot", "save", str(tmp_path / "bank.snap"), "--node", "n2", "--timeout", "1s")
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.err.splitlines()[-1].startswith("error: DEADLINE_EXCEEDED: ")
    assert list(tmp_path.iterdir()) == []


class Hourglass(Session):
    """The time of the command is up when the second part has come."""

    server: FakeServer

    def left_s(self) -> float | None:
        if asked_for_parts(self.server) == 2:
            raise self.out_of_time()
        return super().left_s()


def test_time_that_is_up_between_two_parts_ends_it(cluster: Cluster, tmp_path: Path) -> None:
    of_many_parts(cluster)
    line = ["snapshot", "save", str(tmp_path / "bank.snap"), "--timeout", "1h", "--endpoints", cluster[0].address]
    asked = parse(GRAMMAR, line, {})
    assert isinstance(asked, Invocation)
    with Hourglass(asked.options, Printer(Host(BytesIO(), StringIO(), StringIO(), {}))) as session:
        session.server = cluster[1]
        with pytest.raises(CommandFailed, match="did not end within 3600 s"):
            snapshot.save(session, **asked.values)  # type: ignore[arg-type]
    assert (asked_for_parts(cluster[1]), list(tmp_path.iterdir())) == (2, [])


def test_progress_is_shown_on_a_terminal_only(cluster: Cluster, tmp_path: Path) -> None:
    of_many_parts(cluster)
    path = str(tmp_path / "bank.snap")
    shown = ask(cluster, "snapshot", "save", path, terminal=True).err
    assert shown.count("100%") == 2  # fetched, verified
    size = f"{cluster[1].snapshots[0].taken.size_bytes} B"
    assert f"{size}/{size}  100%" in shown
    assert "%" not in ask(cluster, "snapshot", "save", path, "--force").err
    assert "%" not in ask(cluster, "snapshot", "save", path, "--force", "-q", terminal=True).err


# show


def saved(cluster: Cluster, path: Path, **changes: object) -> SnapshotFile:
    file = snapshot_of(cluster[0].bank.ledger, CLUSTER_ID, **changes)
    path.write_bytes(file.data)
    return file


def test_a_sound_backup_is_shown_without_any_node(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    file = saved(cluster, path)
    ran = bankctl("snapshot", "show", str(path))
    digest = cluster[0].bank.ledger.digest.hex()
    assert ran.exit is Exit.OK
    assert ran.lines == [
        f"backup   {path}, {len(file.data)} B",
        "cluster  000000007f3a9c20; voters n1, n2, n3",
        "state    after index 2, term 1, 2023-11-14T22:13:22.000Z",
        f"digest   {digest}",
        f"content  {file.taken.content_id.hex()}, {ran.lines[4].split(', ')[1]}",
        "ledger   2 accounts, 0 transfers; balances add up to 0, none below 0",
        "verdict  sound",
    ]


def test_a_backup_in_json(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    file = saved(cluster, path)
    shown = bankctl("snapshot", "show", str(path), "-o", "json").json
    assert shown == {
        "file": str(path),
        "sound": True,
        "cluster_id": "000000007f3a9c20",
        "index": "2",
        "term": "1",
        "time": "2023-11-14T22:13:22.000000000Z",
        "accounts": "2",
        "transfers": "0",
        "size_bytes": str(len(file.data)),
        "content_bytes": shown["content_bytes"],
        "digest": cluster[0].bank.ledger.digest.hex(),
        "content_id": file.taken.content_id.hex(),
        "voters": "n1,n2,n3",
    }


def test_a_damaged_backup_is_shown_and_ends_with_8(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    file = saved(cluster, path)
    path.write_bytes(damaged(file).data)
    ran = bankctl("snapshot", "show", str(path))
    assert (ran.exit, ran.lines[-1], ran.err) == (Exit.UNHEALTHY, "verdict  DAMAGED", "")
    assert [line.split()[0] for line in ran.lines[-2:]] == ["DAMAGE", "verdict"]
    shown = bankctl("snapshot", "show", str(path), "-o", "json").json
    assert (shown["sound"], shown["index"], "accounts" in shown) == (False, "2", False)
    assert str(path) in shown["damage"]


def test_what_is_no_backup_at_all_is_damaged_too(tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    path.write_bytes(b"")
    ran = bankctl("snapshot", "show", str(path))
    assert (ran.exit, ran.lines[0]) == (Exit.UNHEALTHY, f"backup   {path}, 0 B")


def test_a_file_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    ran = bankctl("snapshot", "show", os.path.join(tmp_path, "nothing"))
    assert ran.exit is Exit.USAGE
    assert ran.err.startswith("error: FILE_UNUSABLE: ")


def test_a_backup_of_a_moment_long_ago_is_told_without_a_time(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "bank.snap"
    saved(cluster, path, time_ns=TimeNs(0))
    assert bankctl("snapshot", "show", str(path)).lines[2] == "state    after index 2, term 1"
