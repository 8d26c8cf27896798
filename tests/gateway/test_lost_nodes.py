"""The gateway in front of real nodes that die: every transfer is still answered, and applied once."""

from pathlib import Path

import grpc
import pytest

from bankd.local import LocalCluster
from bankd.pb import bank_pb2
from tests.gateway.calls import Bank

TRANSFERS_EACH = 20


@pytest.mark.real
def test_transfers_go_on_through_the_loss_of_the_leader_and_of_a_follower(tmp_path: Path) -> None:
    with LocalCluster(tmp_path, name="main") as cluster:
        cluster.start()
        cluster.start_gateway()
        with grpc.insecure_channel(cluster.gateway_address) as channel:
            bank = Bank(channel)
            bank.create("a", 1000)
            bank.create("b")
            pay(bank, "before")
            leader = cluster.wait_leader()
            cluster.nodes[leader].kill()
            pay(bank, "without-leader")
            cluster.nodes[leader].start()
            follower = next(node for node in sorted(cluster.nodes) if node not in (leader, cluster.wait_leader()))
            cluster.nodes[follower].kill()
            pay(bank, "without-follower")
            assert (bank.balance("a").balance, bank.balance("b").balance) == (
                1000 - 3 * TRANSFERS_EACH,
                3 * TRANSFERS_EACH,
            )


def pay(bank: Bank, prefix: str) -> None:
    """Move 1 from a to b TRANSFERS_EACH times, one call after another."""
    for number in range(TRANSFERS_EACH):
        assert bank.transfer("a", "b", 1, f"{prefix}-{number}").status == bank_pb2.COMMITTED_OK
