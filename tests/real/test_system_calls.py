"""What a node does when the kernel answers its system calls with errors, late, or with its end."""

import re
import signal
from pathlib import Path

import pytest

from bankd.client import RetryPolicy, SyncBankClient
from bankd.errors import Exit, OutcomeUnknown
from bankd.local import LocalCluster
from tests.real.clusters import N1, SETTINGS, follower, judged, wait_caught_up, wait_other_leader
from tests.real.tracing import tampered, wait_injected
from tests.real.verdict import open_accounts

pytestmark = pytest.mark.real

HANG_US = 60_000_000  # longer than any test waits for
SLOW_US = 1_000_000


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("fdatasync:error=EIO:when=1", "DISK_FAILED"),
        ("pwrite64:error=EIO:when=1", "DISK_FAILED"),
        ("pwrite64:error=ENOSPC:when=1", "DISK_FULL"),
    ],
)
def test_only_copy_on_a_failing_disk_acknowledges_nothing_and_keeps_what_it_did(
    tmp_path: Path, rule: str, reason: str
) -> None:  # D14, D15, S1
    """One node alone: whatever it acknowledged can be nowhere else."""
    with LocalCluster(tmp_path, nodes=1, settings=SETTINGS) as cluster:
        node = cluster.nodes[N1]
        cluster.start()
        with cluster.client() as client:
            open_accounts(client)
            client.transfer("acct0", "acct1", 100, tx_id="before")
        once = SyncBankClient(cluster.endpoints, cluster=cluster.name, retry=RetryPolicy(tries_max=1))
        with tampered(node, rule) as trace, once as client:
            with pytest.raises(OutcomeUnknown):
                client.transfer("acct0", "acct1", 10, tx_id="during")
            assert node.wait() == Exit.UNHEALTHY
            assert trace.used_again() == []
        assert re.search(f"^error: {reason}: ", node.log_path.read_text(), re.MULTILINE), node.log_tail()
        cluster.start()
        with cluster.client() as client:
            balance = client.get_balance("acct1").balance
            assert balance == (1100 if client.get_transfer_status("during") is None else 1110)
            client.transfer("acct0", "acct1", 10, tx_id="during")
            assert client.get_balance("acct1").balance == 1110


def test_failed_disk_of_a_leader_under_load_ends_it_and_is_not_tried_again(cluster: LocalCluster) -> None:  # D14, D2
    with judged(cluster, seed=50) as load:
        for call in ("fdatasync", "pwrite64"):
            leader = cluster.wait_leader()
            with tampered(cluster.nodes[leader], f"{call}:error=EIO:when=5") as trace:
                assert cluster.nodes[leader].wait() == Exit.UNHEALTHY
                assert trace.used_again() == []
            assert "error: DISK_FAILED: " in cluster.nodes[leader].log_path.read_text()
            load.wait_answered(50)
            cluster.nodes[leader].start()


def test_leader_killed_in_the_midst_of_a_write_loses_nothing(cluster: LocalCluster) -> None:  # P01, D01
    with judged(cluster, seed=51) as load:
        for call in ("fdatasync:signal=KILL:when=1", "pwrite64:signal=KILL:when=2", "fdatasync:signal=KILL:when=7"):
            leader = cluster.wait_leader()
            with tampered(cluster.nodes[leader], call):
                assert cluster.nodes[leader].wait() == -signal.SIGKILL
            load.wait_answered(50)
            cluster.nodes[leader].start()


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_leader_whose_disk_hangs_is_replaced_while_it_hangs(cluster: LocalCluster, call: str) -> None:  # D16, V1
    with judged(cluster, seed=52) as load:
        leader = cluster.wait_leader()
        with tampered(cluster.nodes[leader], f"{call}:delay_exit={HANG_US}") as trace:
            wait_injected(trace)
            wait_other_leader(cluster, leader)
            load.wait_answered(200)
            assert cluster.nodes[leader].running
        wait_caught_up(cluster, leader)


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_slow_disk_of_one_follower_slows_nobody(cluster: LocalCluster, call: str) -> None:  # D17
    with judged(cluster, seed=53) as load:
        slow = follower(cluster)
        with tampered(cluster.nodes[slow], f"{call}:delay_exit={SLOW_US}") as trace:
            wait_injected(trace)
            load.wait_healthy()
