"""The edges to the operating system: what a hung disk, a taken lock or a strange file system does to a node."""

import socket
import threading
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from bankd.errors import AddressUnusable, DiskFailed, LogDamaged
from bankd.node.causes import innermost
from bankd.node.environment import close_in_thread, free_bytes_in_thread, listen_tcp
from bankd.raft.ready import Persist
from bankd.types import NodeId
from tests.whole.network import Network
from tests.whole.scheduler import Process
from tests.whole.world import World, run_world

SPEED = 1000.0  # a second of the node's life in a millisecond
N1 = NodeId("n1")


class HungCommitter:
    """Closes when it is let go, as a log does whose disk has hung."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.closed = threading.Event()

    def submit(self, persist: Persist) -> None: ...

    def commit_now(self, persist: Persist) -> float | None:
        return None

    def close(self) -> None:
        self.let_go.wait()
        self.closed.set()


def test_log_whose_disk_hangs_does_not_keep_the_process_for_ever() -> None:  # P06
    committer = HungCommitter()
    with pytest.raises(DiskFailed, match="did not finish its last write"):
        trio.run(close_in_thread, committer, clock=MockClock(rate=SPEED))
    assert not committer.closed.is_set(), "it was waited for, or this test tests nothing"
    committer.let_go.set()


def test_log_is_closed_although_everything_is_cancelled() -> None:
    committer = HungCommitter()
    committer.let_go.set()

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await close_in_thread(committer)

    trio.run(main)
    assert committer.closed.is_set()


def test_directory_stays_locked_while_the_last_write_may_be_under_way() -> None:  # D21
    async def scenario(world: World) -> None:
        host = world.hosts[N1]
        await world.start("n1")
        await host.shut_down()
        assert host.let_go_of_its_directory
        host.may_fail, host.close_fails_with = True, DiskFailed("the disk did not finish its last write")
        await world.start("n1")
        await host.shut_down()
        assert isinstance(innermost(host.failure or Exception()), DiskFailed)
        assert not host.let_go_of_its_directory

    run_world(scenario)


def test_node_that_cannot_listen_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken(_network: Network, _address: str, *, process: Process) -> list[trio.abc.Listener[trio.abc.Stream]]:
        raise AddressUnusable("taken")

    async def scenario(world: World) -> None:
        host = world.hosts[N1]
        host.may_fail = True
        with monkeypatch.context() as patch:
            patch.setattr(Network, "listen", taken)
            await world.start("n1")
        assert isinstance(host.failure, AddressUnusable)
        assert host.let_go_of_its_directory
        await world.start("n1")
        assert host.running

    run_world(scenario)


def test_node_that_finds_its_log_damaged_and_its_vote_in_doubt_leaves_nothing_open() -> None:
    async def scenario(world: World) -> None:
        host = world.hosts[N1]
        await world.start("n1")
        await world.crash(N1)
        sound = host.disk.copy()
        host.disk.restore(
            {path: content if path.parent.name != "wal" else turned(content) for path, content in sound.items()}
        )
        host.may_fail = True
        await world.start("n1")
        assert isinstance(host.failure, LogDamaged)
        assert host.let_go_of_its_directory
        host.disk.restore(sound)
        await world.start("n1")
        assert host.running

    run_world(scenario)


def turned(content: bytes) -> bytes:
    """With a bit flipped in the first half of each of its sectors."""
    return bytes(byte ^ (1 if place % 512 == 100 else 0) for place, byte in enumerate(content))


def test_file_system_that_does_not_say_its_free_space_ends_the_node_with_words() -> None:
    async def scenario(world: World) -> None:
        host = world.hosts[N1]
        host.may_fail = True
        await world.start("n1")
        host.free_bytes = DiskFailed("data: free_bytes failed")
        await host.stopped.wait()
        assert isinstance(innermost(host.failure or Exception()), DiskFailed)

    run_world(scenario)


async def test_missing_directory_is_a_failed_disk(tmp_path: Path) -> None:
    assert await free_bytes_in_thread(str(tmp_path)) > 0
    with pytest.raises(DiskFailed, match="free_bytes failed"):
        await free_bytes_in_thread(str(tmp_path / "missing"))


async def test_accepted_connections_are_probed_by_the_system() -> None:  # N06
    (listener,) = await listen_tcp("127.0.0.1:0")
    assert isinstance(listener, trio.SocketListener)
    port = listener.socket.getsockname()[1]
    async with listener, await trio.open_tcp_stream("127.0.0.1", port), await listener.accept() as accepted:
        assert accepted.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
