"""The commands about nodes, against servers that play a cluster."""

from collections.abc import Iterator

import attrs
import pytest

from bankctl.clusterview import Check, checks_of, view_of
from bankd.errors import BankError, Code, Exit, Refusal, Unavailable
from bankd.status import MemberStatus, NodeStatus
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Term
from tests.bankctl.harness import Ran, bankctl
from tests.client.fake_server import FakeBank, FakeServer

Cluster = list[FakeServer]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    bank = FakeBank()
    servers = [FakeServer(bank, node_id=f"n{number}") for number in (1, 2, 3)]
    with servers[0], servers[1], servers[2]:
        bank.open_account("acct1", 1250)
        yield servers


def ask(cluster: Cluster, line: str, *, terminal: bool = False) -> Ran:
    return bankctl(*line.split(), environ={"BANKCTL_ENDPOINTS": cluster[0].address, "NO_COLOR": "1"}, terminal=terminal)


def test_status_shows_the_whole_and_every_node(cluster: Cluster) -> None:
    ran = ask(cluster, "cluster status", terminal=True)
    assert ran.exit is Exit.OK
    head, titles, *nodes = ran.lines
    assert head == "cluster main (7f3a9c20)  leader n1  term 1  commit 1  quorum 3/3  imbalance 0"
    assert titles.split() == ["NODE", "ADDRESS", "ROLE", "APPLIED", "BEHIND", "RTT", "FSYNC", "P99", "VERSION"]
    assert [line.split()[:3:2] for line in nodes] == [["n1", "leader"], ["n2", "follower"], ["n3", "follower"]]
    assert max(map(len, ran.lines)) <= 80


def test_status_in_json(cluster: Cluster) -> None:
    status = ask(cluster, "cluster status -o json").json
    nodes = status.pop("nodes")
    assert status == {
        "cluster": "main",
        "cluster_id": "000000007f3a9c20",
        "leader": "n1",
        "term": "1",
        "commit_index": "1",
        "voters": "3",
        "voters_reached": "3",
        "imbalance": "0",
    }
    assert nodes[1] == {
        "node": "n2",
        "address": cluster[1].address,
        "role": "follower",
        "voter": True,
        "applied_index": "1",
        "behind": "0",
        "fsync_p99_us": "200",
        "version": nodes[1]["version"],
        "disk_bytes": "67108864",
        "snapshot_under_way": False,
        "log_base_index": "0",
        "log_bytes": "67108864",
        "snapshot_bytes": "0",
        "disk_free_bytes": "3221225472",
    }


def test_status_in_json_tells_of_the_newest_snapshot(cluster: Cluster) -> None:
    assert ask(cluster, "snapshot trigger n2").exit is Exit.OK
    nodes = ask(cluster, "cluster status -o json").json["nodes"]
    size = str(cluster[1].snapshots[0].taken.size_bytes)
    assert [node.get("snapshot_index") for node in nodes] == [None, "1", None]
    assert (nodes[1]["snapshot_size_bytes"], nodes[1]["snapshot_bytes"]) == (size, size)
    assert nodes[1]["disk_bytes"] == str(67108864 + int(size))


@pytest.mark.parametrize(("columns", "more"), [("109", []), ("110", ["SNAPSHOT", "DISK"]), ("wide", [])])
def test_a_wide_terminal_has_room_for_snapshots_and_disk_use(cluster: Cluster, columns: str, more: list[str]) -> None:
    environ = {"BANKCTL_ENDPOINTS": cluster[0].address, "NO_COLOR": "1", "COLUMNS": columns}
    ran = bankctl("cluster", "status", environ=environ, terminal=True)
    assert ran.lines[1].split()[9:] == more
    assert ("64.0 MiB" in ran.out) is bool(more)


def test_a_node_that_is_refilled_is_shown_as_such_and_counts_in_no_quorum(cluster: Cluster) -> None:
    cluster[2].refilling = "rot in its log"
    ran = ask(cluster, "cluster status")
    assert "quorum 2/3" in ran.lines[0]
    assert ran.lines[3].split("\t")[2] == "refilling"
    assert ran.err == "n3 is being refilled, and does not vote: rot in its log\n"
    assert ask(cluster, "cluster status -o json").json["nodes"][2]["refilling"] == "rot in its log"


def test_a_node_that_does_not_answer_is_shown_as_such(cluster: Cluster) -> None:
    cluster[2].stop()
    ran = ask(cluster, "cluster status")
    assert ran.exit is Exit.OK
    assert "quorum 2/3" in ran.lines[0]
    assert ran.lines[3].split("\t") == ["n3", cluster[2].address, "unreachable", "-", "-", "-", "-", "-"]
    assert ran.err.startswith("n3 does not answer: ")
    assert "error" in ask(cluster, "cluster status -o json").json["nodes"][2]


def test_without_any_node_there_is_no_status(cluster: Cluster) -> None:
    for server in cluster:
        server.stop()
    ran = ask(cluster, "cluster status --timeout 200ms")
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.out == ""


def test_members_are_named_by_any_node(cluster: Cluster) -> None:
    assert ask(cluster, "cluster members -o csv").lines == [
        "node,address,voter,leader",
        f"n1,{cluster[0].address},true,true",
        f"n2,{cluster[1].address},true,false",
        f"n3,{cluster[2].address},true,false",
    ]


def test_leadership_moves_to_the_node_named(cluster: Cluster) -> None:
    assert ask(cluster, "cluster transfer-leader n3 -o json").out == '{"leader":"n3","term":"2"}\n'
    assert ask(cluster, "cluster status -o json").json["leader"] == "n3"


def test_a_healthy_cluster_ends_with_ok(cluster: Cluster) -> None:
    ran = ask(cluster, "cluster health")
    assert ran.exit is Exit.OK
    assert ran.lines[0] == "cluster main is healthy"
    assert all(line.startswith("ok ") for line in ran.lines[1:])
    assert ask(cluster, "cluster health -o json").json["healthy"] is True


def test_a_silent_node_is_not_healthy(cluster: Cluster) -> None:
    cluster[2].stop()
    ran = ask(cluster, "cluster health -o json")
    assert ran.exit is Exit.UNHEALTHY
    assert [check["check"] for check in ran.json["checks"] if not check["ok"]] == ["n3"]


def test_an_audit_passes_when_sum_and_states_agree(cluster: Cluster) -> None:
    ran = ask(cluster, "audit")
    assert ran.exit is Exit.OK
    assert ran.lines[0] == "audit of main at index 1: 3 of 3 nodes sum up to 0 and agree: PASS"


def test_audit_in_json(cluster: Cluster) -> None:
    audit = ask(cluster, "audit -o json").json
    assert {key: audit[key] for key in ("passed", "cluster", "index")} == {
        "passed": True,
        "cluster": "main",
        "index": "1",
    }
    assert audit["nodes"][0] == {
        "node": "n1",
        "address": cluster[0].address,
        "digest": cluster[0].bank.ledger.digest.hex(),
        "imbalance": "0",
        "result": "ok",
    }


def test_an_audit_that_misses_a_node_does_not_pass(cluster: Cluster) -> None:
    cluster[1].stop()
    ran = ask(cluster, "audit -o json")
    assert ran.exit is Exit.UNHEALTHY
    assert ran.json["passed"] is False
    assert ran.json["nodes"][1]["result"].startswith("does not answer")


def test_an_audit_finds_the_node_whose_state_differs(cluster: Cluster) -> None:
    other = FakeBank(addresses=cluster[0].bank.addresses)
    other.open_account("acct1", 1251)
    cluster[2].bank = other
    ran = ask(cluster, "audit -o json")
    assert ran.exit is Exit.UNHEALTHY
    assert [node["result"] for node in ran.json["nodes"]] == ["ok", "ok", "its state differs"]


# What health concludes, by table

MEMBERS = tuple(
    MemberStatus(NodeId(f"n{number}"), f"h{number}:1", voter=True, last_heard_ms=3200) for number in (1, 2, 3)
)
GONE = Unavailable(Refusal(Code.UNAVAILABLE, "NO_ENDPOINT", "refused", retryable=True))


def node(number: int, **changes: object) -> tuple[str, NodeStatus | BankError]:
    status = NodeStatus(
        cluster="main",
        cluster_id=ClusterId(1),
        node_id=NodeId(f"n{number}"),
        incarnation=Incarnation(1),
        role="leader" if number == 1 else "follower",
        term=Term(7),
        leader_id=NodeId("n1"),
        last_index=LogIndex(10),
        commit_index=LogIndex(10),
        applied_index=LogIndex(10),
        digest=b"same",
        imbalance=0,
        accounts=1,
        transfers=0,
        version="0.1.0",
        uptime_ms=1,
        fsync_p99_us=0,
        waiting_calls=0,
        members=MEMBERS,
    )
    return f"h{number}:1", attrs.evolve(status, **changes)  # type: ignore[arg-type]


HEALTHY = [node(1), node(2), node(3)]


@pytest.mark.parametrize(
    ("answers", "faults"),
    [
        (HEALTHY, []),
        ([node(1), node(2), node(3, applied_index=LogIndex(9), digest=b"old")], []),
        ([node(1), node(2), ("h3:1", GONE)], ["n3: does not answer, last seen 3.2 s ago: refused"]),
        ([node(1), node(2), node(3, digest=b"evil")], ["state: differs at index 10: n2, n3"]),
        ([node(1), node(2, imbalance=-5), node(3)], ["sum: of all balances is -0.05"]),
        (
            [node(1), node(2), node(3, refilling="an older copy was put back")],
            ["n3: is being refilled, and does not vote: an older copy was put back"],
        ),
        (
            [node(1, role="follower", leader_id=None), node(2, leader_id=None), node(3, leader_id=None)],
            ["leader: none (term 7)"],
        ),
        ([node(1), node(2, leader_id=NodeId("n3")), node(3)], ["leader: n1 leads term 7, but n2 see it otherwise"]),
        ([node(1), node(2, term=Term(8)), node(3)], ["leader: n1 leads term 7, but n2 see it otherwise"]),
    ],
)
def test_health_names_what_is_not_as_it_should_be(
    answers: list[tuple[str, NodeStatus | BankError]], faults: list[str]
) -> None:
    def told(check: Check) -> str:
        return f"{check.name}: {check.detail}"

    assert [told(check) for check in checks_of(view_of(answers)) if not check.good] == faults


def test_the_leader_of_the_highest_term_speaks() -> None:
    old, new = node(1, term=Term(6)), node(2, role="leader", leader_id=NodeId("n2"))
    leader = view_of([old, new, node(3)]).leader
    assert leader is not None
    assert leader.node_id == "n2"


def test_a_view_without_any_answer_is_the_first_error() -> None:
    with pytest.raises(Unavailable):
        view_of([("h1:1", GONE)])
