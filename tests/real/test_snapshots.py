"""Real processes that take, send and install snapshots, while they are killed and run out of room."""

import random
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from bankd.client import SyncBankClient, TransferRequest
from bankd.local import LocalCluster
from bankd.types import NodeId, TransferStatus
from tests.real.book import OPENING
from tests.real.clusters import (
    N1,
    SETTINGS,
    follower,
    judged,
    keep_data_in,
    leads,
    start_missing,
    status_of,
    wait_caught_up,
)
from tests.real.disks import small_disk
from tests.real.verdict import check_digests, open_accounts
from tests.real.waiting import GIVE_UP_S, wait_until

pytestmark = pytest.mark.real

SNAPSHOT_EVERY = 10
SEGMENT_BYTES = 64 * 1024
ROWS = 100
ROW_BYTES = 130  # of the log, with an id of 100 letters
BURSTS = 12  # of SNAPSHOT_EVERY entries
ALL_KILLED = 6
STORAGE = f'min_free = "0B"\nsnapshot_every = {SNAPSHOT_EVERY}\nsegment_size = "64KiB"'


@pytest.fixture
def snapshotting(tmp_path: Path) -> Iterator[LocalCluster]:
    """Not started."""
    with LocalCluster(tmp_path / "cluster", settings={**SETTINGS, "storage": STORAGE}) as cluster:
        yield cluster


def write_entries(client: SyncBankClient, name: str, count: int) -> None:
    """Entries of ROWS transfers each, every one of a cent from acct2 to acct3, refused once acct2 has no more."""
    for number in range(count):
        ids = [f"{name}-{number}-{row}-".ljust(100, "x") for row in range(ROWS)]
        client.transfer_many([TransferRequest("acct2", "acct3", 1, tx_id) for tx_id in ids], batch_size=ROWS)


def first_index_kept(cluster: LocalCluster, node_id: NodeId) -> int:
    """What the log on a node's disk begins with, at the earliest."""
    return min(int(path.stem.partition("-")[2]) for path in wal_of(cluster, node_id).glob("*.wal"))


def wal_of(cluster: LocalCluster, node_id: NodeId) -> Path:
    return cluster.directory / node_id / "wal"


def is_short(cluster: LocalCluster, node_id: NodeId, bytes_max: int) -> bool:
    """Whether a node's log takes no more than that on its disk, spare segments included."""
    found = 0
    for path in wal_of(cluster, node_id).iterdir():
        with suppress(FileNotFoundError):  # deleted meanwhile
            found += path.stat().st_size
    return found <= bytes_max


def said(cluster: LocalCluster, node_id: NodeId, event: str) -> int:
    """How often a node has logged that."""
    return len(re.findall(rf" {event} ", cluster.nodes[node_id].log_path.read_text()))


def test_follower_that_was_away_for_long_comes_back_by_snapshot_and_knows_every_outcome(
    snapshotting: LocalCluster,
) -> None:  # C04, R08, R16
    cluster = snapshotting
    cluster.start()
    away = follower(cluster)
    with cluster.client(timeout_s=GIVE_UP_S) as client:
        open_accounts(client)
        first = client.transfer("acct0", "acct1", 250, tx_id="old")
        refused = client.try_transfer("acct0", "acct1", 10 * OPENING, tx_id="old and refused")
        wait_caught_up(cluster, away)
        status = status_of(cluster, away)
        assert status is not None
        cluster.nodes[away].kill()
        leader = cluster.wait_leader()
        for burst in range(BURSTS):
            write_entries(client, f"burst-{burst}", SNAPSHOT_EVERY)
        wait_until(
            f"the log of {leader} begins behind what {away} has",
            lambda: first_index_kept(cluster, leader) > status.last_index,
        )
        cluster.nodes[away].start()
        wait_caught_up(cluster, away)
        assert said(cluster, away, "snapshot_received")
        with SyncBankClient(cluster.addresses[away], cluster=cluster.name, timeout_s=GIVE_UP_S) as there:
            assert there.get_balance("acct1").balance == OPENING + 250
            assert there.get_transfer_status("old") == first
        for node_id in [away, *cluster.nodes]:  # each decides as the leader
            client.cluster.transfer_leader(node_id)
            wait_until(f"{node_id} leads", partial(leads, cluster, node_id))
            assert client.transfer("acct0", "acct1", 250, tx_id="old").index == first.index
            again = client.try_transfer("acct0", "acct1", 10 * OPENING, tx_id="old and refused")
            assert (again.status, again.index) == (TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, refused.index)
        assert client.get_balance("acct1").balance == OPENING + 250
        check_digests(client, cluster.endpoints)


def test_all_nodes_killed_again_and_again_beside_snapshots_lose_nothing(snapshotting: LocalCluster) -> None:  # P01, D20
    cluster, moments = snapshotting, random.Random(40)
    with judged(cluster, seed=40) as load:
        for _ in range(ALL_KILLED):
            load.wait_answered(moments.randint(1, 100))
            for node in cluster.nodes.values():
                node.kill()
            start_missing(cluster)
    assert all(said(cluster, node_id, "snapshot_taken") for node_id in cluster.nodes)


def test_disk_without_room_for_a_snapshot_stops_nothing_and_the_next_is_taken_when_there_is_room(
    cluster: LocalCluster, tmp_path: Path
) -> None:  # D15
    with small_disk(tmp_path / "small", "64m") as disk:
        keep_data_in(cluster, N1, disk.path)
        config = cluster.nodes[N1].config_path
        config.write_text(config.read_text().replace("[storage]", "[storage]\nsnapshot_every = 100"))
        with judged(cluster, seed=41) as load:
            wait_until("a segment is spare", lambda: (disk.path / N1 / "wal" / "spare.tmp").exists())
            taken = said(cluster, N1, "snapshot_taken")
            disk.fill()
            wait_until("a snapshot is given up", lambda: said(cluster, N1, "snapshot_given_up") > 0)
            load.wait_answered(100)
            disk.free()
            wait_until("a snapshot is taken", lambda: said(cluster, N1, "snapshot_taken") > taken)
            assert cluster.nodes[N1].running
        cluster.stop()


def test_log_on_disk_stays_within_two_snapshots_worth_under_endless_traffic(snapshotting: LocalCluster) -> None:
    cluster = snapshotting
    # From the last snapshot but one on, what has gathered since the last, and segments: the last one, one partly
    # covered, a spare.
    bytes_max = 3 * SNAPSHOT_EVERY * ROWS * ROW_BYTES + 3 * SEGMENT_BYTES
    assert 2 * bytes_max < BURSTS * SNAPSHOT_EVERY * ROWS * ROW_BYTES
    cluster.start()
    with cluster.client(timeout_s=GIVE_UP_S) as client:
        open_accounts(client)
        for burst in range(BURSTS):
            write_entries(client, f"burst-{burst}", SNAPSHOT_EVERY)
            for node_id in cluster.nodes:
                wait_until(f"the log of {node_id} is short again", partial(is_short, cluster, node_id, bytes_max))
        check_digests(client, cluster.endpoints)
