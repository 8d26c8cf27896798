"""File systems that fail under a node: full, read-only; and what its operator does then."""

import re
from pathlib import Path

import pytest

from bankd.client import TransferRequest
from bankd.errors import Exit
from bankd.local import LocalCluster, Process
from tests.real.book import OPENING
from tests.real.clusters import N1, judged, keep_data_in
from tests.real.disks import journalled_disk, small_disk
from tests.real.endings import expect
from tests.real.waiting import GIVE_UP_S

pytestmark = pytest.mark.real

BATCH = 1000
BATCHES_MAX = 100  # far more than the small disk holds


def fill(cluster: LocalCluster, node: Process) -> None:
    """Make the log long, with transfers that move nothing, until `node` ends."""
    with cluster.client(timeout_s=GIVE_UP_S) as client:
        for number in range(BATCHES_MAX):
            ids = [f"fill-{number}-{row}-{'x' * 90}" for row in range(BATCH)]
            client.transfer_many([TransferRequest("acct0", "acct1", 100 * OPENING, tx_id) for tx_id in ids])
            if not node.running:
                return
    raise AssertionError("the disk never ran full")


def test_full_disk_ends_the_node_with_words_and_it_starts_again_once_there_is_room(
    cluster: LocalCluster, tmp_path: Path
) -> None:  # D15, K13
    with small_disk(tmp_path / "small", "2600k") as disk:
        node = cluster.nodes[N1]
        keep_data_in(cluster, N1, disk.path)
        with judged(cluster, seed=30) as load:
            fill(cluster, node)
            assert node.wait() == Exit.UNHEALTHY
            assert re.search(r"^error: DISK_FULL: ", node.log_path.read_text(), re.MULTILINE), node.log_tail()
            load.wait_answered(100)
            disk.resize("64m")
        cluster.stop()


def test_file_system_that_turns_read_only_ends_the_node_and_nothing_is_lost(
    cluster: LocalCluster, tmp_path: Path
) -> None:  # D18
    with journalled_disk(tmp_path / "journalled") as disk:
        node = cluster.nodes[N1]
        keep_data_in(cluster, N1, disk.path)
        with judged(cluster, seed=31) as load:
            disk.fail()
            assert node.wait() == Exit.UNHEALTHY
            assert re.search(r"^error: DISK_FAILED: .*read-only", node.log_path.read_text(), re.MULTILINE | re.I)
            load.wait_answered(100)
            expect(node, Exit.UNHEALTHY, "DATA_DIR_UNUSABLE: .*[Rr]ead-only.*")
            disk.repair()
        cluster.stop()
