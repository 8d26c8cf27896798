"""One node's place in the world: its machine, its disk, and the process that runs on it or does not.

The process is the product's own `serve`, whole, in an `Environment` of in-memory wires and a simulated disk.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from bankd.config import Config
from bankd.node.causes import innermost
from bankd.node.disk import Committer, OnDurable, OnFailed
from bankd.node.environment import Environment
from bankd.node.node import Node
from bankd.node.serve import serve
from bankd.sim.disk import SimDisk
from bankd.sim.plan import DiskOdds
from bankd.sim.random import Stream
from bankd.storage.wal import Wal
from bankd.types import NodeId
from tests.whole.committer import NS_PER_S, LoopCommitter
from tests.whole.network import Network
from tests.whole.scheduler import Process

EPOCH_NS: Final = 1_700_000_000_000_000_000
FREE_BYTES: Final = 2**40


class SideLoop:
    """In the place of a thread: the event loop itself, in the time that the disk takes."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        self._one_at_a_time = trio.Lock()

    async def run(self, call: Callable[[], None]) -> None:
        async with self._one_at_a_time:
            call()
            await trio.sleep(self._disk.take_elapsed() / NS_PER_S)

    async def close(self) -> None:
        """There is no call under way when the process ends: the loop itself would be in it."""


class Host:
    """`network` and the clock are the world's, the rest is this machine's own.

    Attributes that a test sets:
      wall_offset_ns: how far its wall clock is off.
      inline: on this disk small writes are made in the event loop's own task.
      free_bytes: what its file system says; an exception is raised instead.
      may_fail: a node that ends by an error does not fail the test; see `failure`.
      close_fails_with: what closing the log raises.
    """

    def __init__(self, config: Config, network: Network, seed: int, disk_odds: DiskOdds) -> None:
        self.config = config
        self.name: NodeId = config.node.id
        self.disk = SimDisk(Stream(seed, f"disk {self.name}"), disk_odds)
        self.node: Node | None = None
        self.down = True  # no process runs
        self.process = Process(self.name)
        self.shutdown = trio.Event()
        self.stopped = trio.Event()
        self.failure: BaseException | None = None
        self.wall_offset_ns = 0
        self.inline = False
        self.free_bytes: int | Exception = FREE_BYTES
        self.open_files_max = 10_000
        self.may_fail = False
        self.close_fails_with: Exception | None = None
        self.let_go_of_its_directory = False  # the last process did, before its end
        self._network = network
        self._committer: LoopCommitter | None = None
        self._random = Stream(seed, f"node {self.name}")
        self._scopes: list[tuple[Process, trio.CancelScope]] = []
        self._up = trio.Event()  # it serves, or has ended

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self.node is not None

    @property
    def runs_on_a_failed_disk(self) -> bool:
        """Whether its process goes on, and is not held up, although the disk failed under it."""
        committer = self._committer
        failed = committer is not None and committer.failed and committer.process is self.process
        return failed and not self.down and self.process.loop_runs

    @property
    def committer(self) -> LoopCommitter:
        assert self._committer is not None, f"{self.name} never ran"
        return self._committer

    # What the world does with it

    async def start(self, nursery: trio.Nursery) -> None:
        """Start the process, if none runs, and wait until it serves or has ended."""
        if not self.down:
            await self._up.wait()
            return
        self.down = False
        self._network.power_back(self.name)
        self.process = Process(self.name)
        self.shutdown, self.stopped, self._up, self.failure = trio.Event(), trio.Event(), trio.Event(), None
        nursery.start_soon(self._run, self.process, self.stopped, name=f"node {self.name}")
        await self._up.wait()

    def started(self, node: Node) -> None:
        """Called by the node itself once it serves, and again when it began anew."""
        self.node = node
        self._up.set()

    async def kill(self) -> None:
        """SIGKILL: its files stay as written, and the kernel closes its connections."""
        await self._end()
        self.disk.end_process()
        self._network.process_died(self.process)

    async def lose_power(self) -> None:
        """Its disk keeps what was synced and any part of the rest, and nobody is told."""
        await self._end()
        self.disk.lose_power()
        self._network.power_lost(self.process)

    async def shut_down(self) -> None:
        """SIGTERM; returns when the process has ended, in whatever way."""
        self.shutdown.set()
        await self.stopped.wait()

    def clear_away(self) -> None:
        """The world ends: let every process that ever ran here unwind."""
        for process, scope in self._scopes:
            process.clear_away()
            scope.cancel()

    async def _end(self) -> None:
        self.process.kill()
        self.down = True
        if self._committer is not None:
            self._committer.abandon()
        self.node = None
        self._up.set()
        await trio.lowlevel.checkpoint()  # the pass under way is the last in which it gets time
        self.stopped.set()

    # The process

    async def _run(self, process: Process, stopped: trio.Event) -> None:
        process.enter()
        try:
            with trio.CancelScope() as scope:
                self._scopes.append((process, scope))
                await serve(self.config, self._environment(process), self.shutdown, on_started=self.started)
        except* Exception as failures:  # maybe beside the Cancelled of a world that ends
            if process is self.process:
                self.failure = innermost(failures)
                if not self.may_fail:
                    raise
        finally:
            if process is self.process:
                self.node, self.down = None, True
                self._up.set()
                self.let_go_of_its_directory = not self.disk.locked
                self.disk.end_process()
                self._network.process_died(process)
            stopped.set()

    def _environment(self, process: Process) -> Environment:
        return Environment(
            listen=partial(self._network.listen, process=process),
            connect=partial(self._network.connect, process=process),
            disk=self.disk,
            commit=partial(self._commit, process),
            side_thread=partial(SideLoop, self.disk),
            close=partial(self._close, process),
            free_bytes=self._free_bytes,
            wall_ns=self._wall_ns,
            random=self._random,
            new_u64=self._random.u64,
            open_files_max=lambda: self.open_files_max,
        )

    def _commit(self, process: Process, wal: Wal, on_durable: OnDurable, on_failed: OnFailed) -> Committer:
        self._committer = LoopCommitter(
            wal, on_durable, on_failed,
            process=process, disk=self.disk, timers=self._network.timers, inline=self.inline,
        )  # fmt: skip
        return self._committer

    async def _close(self, process: Process, committer: Committer) -> None:
        if process is not self.process:
            return  # killed long ago, and cleared away only now
        if self.close_fails_with is not None:
            raise self.close_fails_with
        committer.close()

    async def _free_bytes(self, _path: str) -> int:
        if isinstance(self.free_bytes, Exception):
            raise self.free_bytes
        return self.free_bytes

    def _wall_ns(self) -> int:
        return EPOCH_NS + self.wall_offset_ns + int(trio.current_time() * 1e9)
