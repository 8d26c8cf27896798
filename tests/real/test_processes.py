"""What an operator meets: a process that will not start says why in one line, and what was stored stays.

Every test starts `bankd` as a person would and reads what it prints and how it ends.
"""

import shutil
import signal
import socket
import subprocess
import sys

import pytest

from bankd.errors import Exit
from bankd.local import ClusterFailed, LocalCluster, Process
from bankd.types import NodeId
from tests.real.clusters import N1, wait_refilled
from tests.real.endings import END_S_MAX, expect
from tests.real.verdict import check_digests, open_accounts

pytestmark = pytest.mark.real


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_whole_cluster_comes_back_with_the_same_state(cluster: LocalCluster, how: signal.Signals) -> None:
    cluster.start()
    with cluster.client() as client:
        open_accounts(client)
        client.transfer("acct0", "acct1", 250, tx_id="before")
        before = client.get_balance("acct1")
    for node in cluster.nodes.values():
        node.send(how)
    assert {node.wait() for node in cluster.nodes.values()} == {0 if how is signal.SIGTERM else -how}
    cluster.start()
    with cluster.client() as client:
        assert client.get_balance("acct1").balance == before.balance == 1250
        again = client.transfer("acct0", "acct1", 250, tx_id="before")
        assert again.index <= before.index, "the first outcome, not a second transfer"
        assert client.get_balance("acct1").balance == 1250
        check_digests(client, cluster.endpoints)


def test_second_process_on_a_data_directory_is_refused_and_the_first_unharmed(cluster: LocalCluster) -> None:  # D21
    cluster.start()
    first = cluster.nodes[N1]
    text = first.config_path.read_text().replace(cluster.addresses[N1], cluster.gateway_address)
    second = cluster.directory / "second.toml"
    second.write_text(text)
    process = Process("second", ["serve", str(second)], second, cluster.directory / "second.log", "")
    expect(process, Exit.UNHEALTHY, rf"DATA_DIR_LOCKED: .*{first.pid}.*")
    assert first.running
    with cluster.client() as client:
        open_accounts(client)


def test_data_directory_of_another_node_is_refused(cluster: LocalCluster) -> None:  # D22
    cluster.start()
    cluster.stop()
    shutil.move(cluster.directory / "n1", cluster.directory / "kept")
    shutil.move(cluster.directory / "n2", cluster.directory / "n1")
    expect(cluster.nodes[N1], Exit.UNHEALTHY, r"DATA_DIR_FOREIGN: .*n2.*")


def test_data_directory_of_another_cluster_is_refused(cluster: LocalCluster) -> None:  # D22
    cluster.start()
    cluster.stop()
    node = cluster.nodes[N1]
    node.config_path.write_text(node.config_path.read_text().replace('name = "local"', 'name = "other"'))
    expect(node, Exit.UNHEALTHY, r"DATA_DIR_FOREIGN: .*local.*")


def test_node_with_another_clusters_name_is_refused_by_the_others(cluster: LocalCluster) -> None:  # D22
    stranger = cluster.nodes[NodeId("n3")]
    stranger.config_path.write_text(stranger.config_path.read_text().replace('name = "local"', 'name = "other"'))
    cluster.start()
    for node_id in ("n1", "n2"):
        log = cluster.nodes[NodeId(node_id)].log_path.read_text()
        assert "WRONG_CLUSTER" in log, log
    with cluster.client() as client:
        open_accounts(client)


def test_taken_port_is_named(cluster: LocalCluster) -> None:
    address = cluster.addresses[N1]
    host, _, port = address.partition(":")
    with socket.create_server((host, int(port))):
        expect(cluster.nodes[N1], Exit.UNAVAILABLE, rf"ADDRESS_UNUSABLE: {address} is taken.*")


def test_bad_configuration_names_every_fault_with_its_line(cluster: LocalCluster) -> None:
    node = cluster.nodes[N1]
    node.config_path.write_text(
        node.config_path.read_text() + '\n[limits]\nmax_in_fligth = 3\ndrain_timeout = "soon"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "bankd", *node.arguments], capture_output=True, text=True, timeout=END_S_MAX
    )
    assert done.returncode == Exit.UNHEALTHY
    assert "max_in_fligth" in done.stderr
    assert "did you mean" in done.stderr
    assert "drain_timeout" in done.stderr
    assert "Traceback" not in done.stderr


def test_flipped_bit_in_the_log_is_set_aside_as_it_is_and_the_node_refilled(cluster: LocalCluster) -> None:  # D04, D05
    cluster.start()
    with cluster.client() as client:
        open_accounts(client)
    cluster.stop()
    (segment,) = sorted((cluster.directory / "n1" / "wal").glob("*.wal"))[:1]
    data = bytearray(segment.read_bytes())
    at = data.index(b"acct3")
    data[at] ^= 1
    segment.write_bytes(data)
    cluster.start()
    wait_refilled(cluster, N1)
    assert segment.with_name(f"{segment.name}.damaged").read_bytes() == data
    cluster.nodes[NodeId("n2")].kill()  # now n1 is needed for every commit
    with cluster.client(timeout_s=END_S_MAX) as client:
        client.transfer("acct3", "acct4", 1000)
        assert client.get_balance("acct3").balance == 0


def test_interrupt_ends_a_node_in_order(cluster: LocalCluster) -> None:
    cluster.start()
    node = cluster.nodes[N1]
    node.send(signal.SIGINT)
    assert node.wait() == 0
    assert "node_stopped" in node.log_path.read_text()


def test_second_signal_ends_a_node_at_once(cluster: LocalCluster) -> None:
    for node_id in ("n1", "n2"):
        cluster.nodes[NodeId(node_id)].start()
    cluster.wait_leader()
    leader = cluster.leader()
    assert leader is not None
    other = cluster.nodes[NodeId("n2" if leader == "n1" else "n1")]
    other.send(signal.SIGSTOP)  # so that a hand-over cannot finish
    node = cluster.nodes[leader]
    node.send(signal.SIGTERM)
    node.send(signal.SIGTERM)
    assert node.wait() == 0
    other.send(signal.SIGCONT)


def test_nobody_waits_for_a_leader_among_killed_nodes(cluster: LocalCluster) -> None:
    node = cluster.nodes[N1]
    node.start()
    node.kill()
    with pytest.raises(ClusterFailed, match="no node is running"):
        cluster.wait_leader()
