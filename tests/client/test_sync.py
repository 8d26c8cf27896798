"""The blocking client against a real socket."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from bankd.client import SyncBankClient, TransferRequest
from bankd.client.sync_driver import SyncDriver
from bankd.errors import (
    AccountExists,
    AccountNotFound,
    BankError,
    DeadlineExceeded,
    InsufficientFunds,
    InvalidArgument,
    OutcomeUnknown,
    SnapshotNotFound,
    Unavailable,
)
from bankd.status import NodeStatus, SnapshotTaken
from bankd.types import ClusterId, TimeNs
from bankd.wire.methods import Method
from bankd.wire.requests import SnapshotReadAsked, decode_request
from tests.client.fake_server import (
    CLUSTER_ID,
    WAITED_OUT_S,
    Answer,
    DropAfter,
    DropBefore,
    FakeBank,
    FakeServer,
    Garbage,
    Hang,
    NeverAnswer,
    Refuse,
)
from tests.client.snapshots import snapshot_of

OTHER_ID = ClusterId(CLUSTER_ID + 1)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.bank.open_account("a", 1000)
        server.bank.open_account("b", 0)
        yield server


@pytest.fixture
def client(server: FakeServer) -> Iterator[SyncBankClient]:
    with SyncBankClient(server.address) as client:
        yield client


def test_calls_do_what_their_async_namesakes_do(client: SyncBankClient) -> None:
    assert client.create_account("c", initial_balance=7).balance == 7
    with pytest.raises(AccountExists):
        client.create_account("c")
    moved = client.transfer("a", "b", 5)
    assert client.get_transfer_status(moved.tx_id) == moved
    assert client.get_transfer_status("never-heard-of") is None
    assert (client.get_balance("a").balance, client.get_account("b").balance) == (995, 5)
    assert [account.account for account in client.list_accounts().accounts] == ["a", "b", "c"]
    with pytest.raises(AccountNotFound):
        client.get_balance("z")
    with pytest.raises(InsufficientFunds):
        client.transfer("b", "a", 6)
    with pytest.raises(InvalidArgument):
        client.transfer("a", "a", 6)


@pytest.mark.parametrize("step", [DropBefore(), DropAfter(), Garbage(), Refuse()])
def test_transfer_survives_what_a_server_can_do_to_it_and_takes_effect_once(
    server: FakeServer, client: SyncBankClient, step: DropBefore | DropAfter | Garbage | Refuse
) -> None:
    server.script(step)
    moved = client.transfer("a", "b", 5)
    assert server.tx_id_counts[moved.tx_id] == 2
    assert client.get_balance("b").balance == 5


def test_opening_survives_a_lost_answer_and_is_no_stranger_to_itself(
    server: FakeServer, client: SyncBankClient
) -> None:  # K8
    server.script(DropAfter())
    assert client.create_account("c", initial_balance=7).balance == 7
    assert list(server.tx_id_counts.values()) == [2]


def test_broken_idle_connection_is_replaced_at_the_next_call(server: FakeServer, client: SyncBankClient) -> None:
    client.get_balance("a")
    server.drop_connections()
    assert client.get_balance("a").balance == 1000
    assert server.connections == 2


def test_time_covers_the_whole_call(server: FakeServer, client: SyncBankClient) -> None:
    server.script(NeverAnswer(), NeverAnswer())
    with pytest.raises(DeadlineExceeded):
        client.get_balance("a", timeout_s=WAITED_OUT_S)
    with pytest.raises(OutcomeUnknown) as unknown:
        client.transfer("a", "b", 1, tx_id="t1", timeout_s=WAITED_OUT_S)
    assert unknown.value.tx_id == "t1"


def test_interrupted_call_leaves_a_client_that_works(
    server: FakeServer, client: SyncBankClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get_balance("a")

    def interrupted(_driver: SyncDriver, _wait_s_max: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SyncDriver, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.transfer("a", "b", 1)
    assert client.get_balance("a").balance in (999, 1000)
    assert server.connections == 2


def test_faulty_row_of_a_sequence_stops_transfer_many_before_anything_is_sent(
    server: FakeServer, client: SyncBankClient
) -> None:
    with pytest.raises(InvalidArgument, match=r"^row 1: "):
        client.transfer_many([TransferRequest("a", "b", 1), TransferRequest("a", "b", 0)], batch_size=1)
    assert server.requests == []


def test_faulty_row_of_an_iterator_stops_transfer_many_and_the_client_still_works(client: SyncBankClient) -> None:
    rows = [TransferRequest("a", "b", 1), TransferRequest("a", "b", 0)]
    with pytest.raises(InvalidArgument, match=r"^row 1: "):
        client.transfer_many(iter(rows), batch_size=1)
    assert client.get_balance("b").balance in (0, 1)


def test_transfer_many_gives_each_row_its_result_in_order(server: FakeServer, client: SyncBankClient) -> None:
    rows = [TransferRequest("a", "b", 1, f"{number:0100}") for number in range(9000)]
    results = client.transfer_many(rows, batch_size=500)
    assert [result.tx_id for result in results] == [row.tx_id for row in rows]
    assert sum(result.error is None for result in results) == 1000
    assert server.connections == 1


def test_threads_take_turns(server: FakeServer, client: SyncBankClient) -> None:
    def pay() -> None:
        for _ in range(20):
            client.transfer("a", "b", 1)

    threads = [threading.Thread(target=pay) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get_balance("b").balance == 100
    assert server.connections == 1


def test_statuses_tell_of_every_member_also_of_the_dead_and_the_stopped() -> None:
    bank = FakeBank()
    dead = FakeServer(bank, node_id="n2")
    dead.stop()
    with FakeServer(bank, node_id="n1") as alive, FakeServer(bank, node_id="n3") as stopped:
        stopped.script(Hang())
        with SyncBankClient(alive.address) as client:
            statuses = dict(client.cluster.statuses(timeout_s=2 * WAITED_OUT_S))
    assert list(statuses) == [alive.address, dead.address, stopped.address]
    assert isinstance(statuses[alive.address], NodeStatus)
    assert isinstance(statuses[dead.address], Unavailable)
    assert isinstance(statuses[stopped.address], Unavailable | DeadlineExceeded)  # silent for long enough, or too long


def test_statuses_fall_back_on_the_endpoints_given() -> None:
    dead = FakeServer()
    dead.stop()
    with SyncBankClient(dead.address) as client:
        [(address, error)] = client.cluster.statuses(timeout_s=WAITED_OUT_S)
    assert (address, type(error)) == (dead.address, Unavailable)


# Snapshots


def taken_in_parts(server: FakeServer, client: SyncBankClient) -> SnapshotTaken:
    """A snapshot that takes six requests to read."""
    taken = client.cluster.snapshot(server.address)
    server.part_bytes_max = -(-taken.size_bytes // 6)
    return taken


def offsets(server: FakeServer) -> list[int]:
    """Of the parts that were asked for."""
    asked = [decode_request(method, body) for method, body in server.requests if method == Method.READ_SNAPSHOT]
    return [request.offset for request in asked if isinstance(request, SnapshotReadAsked)]


def test_snapshot_is_taken_once_where_nothing_is_new(server: FakeServer, client: SyncBankClient) -> None:
    taken = client.cluster.snapshot(server.address)
    assert (taken.index, taken.taken_ms, client.cluster.node_status().snapshot_index) == (2, 15, 2)
    assert client.cluster.snapshot() == server.snapshots[0].taken
    client.transfer("a", "b", 1)
    assert client.cluster.snapshot().index == 3


def test_snapshot_is_read_part_by_part_over_one_connection(server: FakeServer, client: SyncBankClient) -> None:
    taken = taken_in_parts(server, client)
    before, parts = server.connections, list[bytes]()
    client.cluster.fetch_snapshot(taken, parts.append, endpoint=server.address)
    assert (len(parts), b"".join(parts)) == (6, server.snapshots[0].data)
    assert server.connections == before + 1


@pytest.mark.parametrize("step", [DropBefore(), DropAfter(), Garbage(), Refuse()])
def test_reading_goes_on_where_it_was_when_a_connection_is_lost(
    server: FakeServer, client: SyncBankClient, step: DropBefore | DropAfter | Garbage | Refuse
) -> None:
    taken = taken_in_parts(server, client)
    server.script(Answer(), Answer(), step)
    parts: list[bytes] = []
    client.cluster.fetch_snapshot(taken, parts.append, endpoint=server.address)
    assert b"".join(parts) == server.snapshots[0].data
    size = server.part_bytes_max
    assert offsets(server) == [0, size, 2 * size, 2 * size, 3 * size, 4 * size, 5 * size]


def test_reading_can_begin_in_the_middle(server: FakeServer, client: SyncBankClient) -> None:
    taken, parts = client.cluster.snapshot(server.address), list[bytes]()
    client.cluster.fetch_snapshot(taken, parts.append, endpoint=server.address, offset=100)
    client.cluster.fetch_snapshot(taken, parts.append, endpoint=server.address, offset=taken.size_bytes)
    assert parts == [server.snapshots[0].data[100:]]


def test_snapshot_that_is_gone_or_another_by_now_is_not_mixed_with_the_old(
    server: FakeServer, client: SyncBankClient
) -> None:
    taken, parts = taken_in_parts(server, client), list[bytes]()

    def take_and_replace(data: bytes) -> None:
        parts.append(data)
        server.snapshots = [snapshot_of(server.bank.ledger, CLUSTER_ID, time_ns=TimeNs(1))]

    with pytest.raises(SnapshotNotFound):
        client.cluster.fetch_snapshot(taken, take_and_replace, endpoint=server.address)
    assert len(parts) == 1
    server.snapshots = []
    with pytest.raises(SnapshotNotFound, match="holds no snapshot of index 2"):
        client.cluster.fetch_snapshot(taken, parts.append, endpoint=server.address)


def test_closed_client_refuses_calls(server: FakeServer) -> None:
    client = SyncBankClient(server.address)
    client.get_balance("a")
    client.close()
    client.close()
    with pytest.raises(Unavailable, match="closed"):
        client.get_balance("a")


def test_client_from_a_url(server: FakeServer) -> None:
    with SyncBankClient.from_url(f"bank://{server.address}/main?timeout=2s") as client:
        assert client.get_balance("a").balance == 1000
    with (
        SyncBankClient.from_url(f"bank://{server.address}/other") as client,
        pytest.raises(Exception, match="cluster") as refused,
    ):
        client.get_balance("a")
    assert getattr(refused.value, "reason", "") == "WRONG_CLUSTER"


def test_client_refuses_a_cluster_of_the_same_name_that_is_not_the_one_it_has_spoken_to(server: FakeServer) -> None:
    """As one that was restored from a backup of the first."""
    with (
        FakeServer(cluster_id=OTHER_ID) as restored,
        SyncBankClient([server.address, restored.address]) as client,
    ):
        restored.bank.open_account("a", 900)
        assert client.get_balance("a").balance == 1000
        with pytest.raises(BankError, match=f"{restored.address}: two clusters are called 'main'") as refused:
            client.cluster.node_status(restored.address)
        assert (refused.value.reason, refused.value.retryable) == ("WRONG_CLUSTER", False)
        server.stop()
        with pytest.raises(BankError, match="this is 000000007f3a9c21, the other side means 000000007f3a9c20"):
            client.get_balance("a")
        assert restored.requests == []
        with SyncBankClient(restored.address) as newcomer:  # nobody told it of another
            assert newcomer.get_balance("a").balance == 900


def test_blocking_client_loads_no_async_library() -> None:
    script = "import sys; from bankd.client import SyncBankClient; SyncBankClient(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"trio", "anyio", "asyncio", "grpc"} & set(loaded)
