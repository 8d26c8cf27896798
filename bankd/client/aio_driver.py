"""Run a session core on an event loop: sockets, tasks and the clock, through anyio.

Tasks: per connection one reader and one writer, and one sweeper for every deadline of the client. A call
itself costs no task, no timeout scope and no channel: its caller parks on one waiter.

Rules
- Every task does the same: tell the core what happened, then `_settle` what it now wants.
- One writer per connection: a cancelled send may have left half a frame, so a connection whose send did
  not finish is closed.
- Nothing here decides anything about calls.
"""

from collections import deque
from collections.abc import Iterable
from math import inf
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from bankd.client.connector import OpenLink, Wish
from bankd.client.environment import SYSTEM, Environment
from bankd.client.link import Link
from bankd.client.options import ONE_TRY, ClientOptions, split_address
from bankd.client.pending import Call, Pending
from bankd.client.results import Transfer
from bankd.client.retry import RetryPolicy
from bankd.client.session import Session
from bankd.client.transfers import TransferBatch, TransferRow, failed_transfer
from bankd.client.verdicts import describe
from bankd.client.waiters import AioWaiter, Loop, Wire, running_loop
from bankd.errors import BankError, InvalidArgument

T = TypeVar("T")

BATCHES_AHEAD_MAX: Final = 8  # requests of one transfer_many under way at once

_BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class _Connection:
    """A link's tasks, as the driver sees them."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.scope = anyio.CancelScope()
        self.idle_writer: AioWaiter | None = None  # set while the writer has nothing to do
        self.wire: Wire | None = None  # once connected
        self.left_over = b""  # of what was written at once: the writer's next bytes


class AioDriver:
    """Owns the tasks. `open` and `shut` belong to one task; calls may come from any task in between."""

    def __init__(self, options: ClientOptions, environment: Environment = SYSTEM) -> None:
        self._options = options
        self._environment = environment
        self._session = Session(options, random_bytes=environment.random_bytes, clock_ns=environment.clock_ns)
        self.make_id = self._session.ids.make
        self.make_ids = self._session.ids.make_many
        self._connections: dict[Link, _Connection] = {}
        self._loop: Loop | None = None
        self._tasks: TaskGroup | None = None
        self._sweeper: AioWaiter | None = None
        self._sweep_at = inf
        self._sweeping: anyio.CancelScope | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shut()

    async def open(self) -> None:
        """Start the sweeper. No connection is made before the first call."""
        assert self._tasks is None, "a client is opened once"
        self._loop = running_loop()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._sweeping = anyio.CancelScope()  # made before its task runs: `close` may come first
        self._tasks.start_soon(self._sweep, self._sweeping)

    async def shut(self) -> None:
        """Close, and wait for our tasks, which all end at once."""
        assert self._tasks is not None, "never opened"
        self.close()
        # Without the body's exception: it is the caller's own and must not come out wrapped in a group.
        await self._tasks.__aexit__(None, None, None)

    def close(self) -> None:
        """End every waiting call and let our tasks end. Does not wait."""
        self._session.close()
        self._settle()
        # Not the task group's own scope: the body of `async with` is inside it too.
        if self._sweeping is not None:
            self._sweeping.cancel()

    def pinned_to(self, address: str, retry: RetryPolicy = ONE_TRY) -> "AioDriver":
        """A driver of its own, not open yet, for exactly the node at `address`, of the cluster that this one knows."""
        return AioDriver(self._options.pinned_to(address, self._session.cluster_id, retry), self._environment)

    def known_addresses(self) -> tuple[str, ...]:
        return self._session.known_addresses

    # Calls

    async def run(self, call: Call[T], timeout_s: float) -> T:
        """Make one call and wait for its result."""
        loop = self._running()
        now = loop.now()
        pending = self._session.submit(call, now + timeout_s, now)
        await self._wait(pending, loop)
        return pending.take()

    async def run_row(self, row: TransferRow, timeout_s: float) -> Transfer:
        """Send one transfer with whatever others travel; its failure is in the result."""
        loop = self._running()
        now = loop.now()
        row.deadline = now + timeout_s
        self._session.gather(row, now)
        await self._wait(row, loop)
        if row.result is not None:
            return row.result
        assert row.error is not None, "neither result nor error"
        if isinstance(row.error, InvalidArgument):
            raise row.error
        return failed_transfer(row.intent_id, row.source, row.target, row.amount, row.error)

    async def run_many(self, batches: Iterable[TransferBatch], timeout_s: float) -> list[Transfer]:
        """Send batches, BATCHES_AHEAD_MAX of them at once, and put their rows in order."""
        loop = self._running()
        results: list[Transfer] = []
        under_way: deque[tuple[TransferBatch, Pending[list[Transfer]]]] = deque()
        try:
            for batch in batches:
                now = loop.now()
                under_way.append((batch, self._session.submit(batch.call(), now + timeout_s, now)))
                self._settle()
                if len(under_way) == BATCHES_AHEAD_MAX:
                    results += await self._batch_rows(*under_way.popleft(), loop)
            while under_way:
                results += await self._batch_rows(*under_way.popleft(), loop)
        finally:
            for _batch, pending in under_way:
                self._session.forget(pending, loop.now())
            self._settle()
        return results

    async def _batch_rows(self, batch: TransferBatch, pending: Pending[list[Transfer]], loop: Loop) -> list[Transfer]:
        await self._wait(pending, loop)
        try:
            return pending.take()
        except BankError as error:
            return batch.failed(error)

    async def _wait(self, pending: Pending[T], loop: Loop) -> None:
        if pending.done:  # before it began: the client is closed
            return
        waiter = pending.waiter = loop.new_waiter()
        self._settle()
        try:
            await waiter.wait()
        except BaseException:  # cancelled: the call is forgotten, what was sent is not undone
            self._session.forget(pending, loop.now())
            self._settle()
            raise

    def _running(self) -> Loop:
        if self._loop is None:
            raise RuntimeError("use the client inside `async with`")
        return self._loop

    # What the core wants

    def _settle(self) -> None:
        session = self._session
        if session.finished:
            self._wake_finished()
        if wishes := session.take_wishes():
            self._grant(wishes)
        for connection in self._connections.values():
            if connection.idle_writer is not None and session.has_output(connection.link):
                self._send(connection)
        if session.wake_at < self._sweep_at and self._sweeper is not None:
            self._sweeper.wake()

    def _send(self, connection: _Connection) -> None:
        """Write at once for a lone caller; under load leave it to the writer, for whom more will have gathered."""
        loop, wire, writer = self._running(), connection.wire, connection.idle_writer
        assert wire is not None and writer is not None, "the writer is idle, so there is a connection"  # noqa: PT018
        if self._session.has_lone_caller:
            data = self._session.bytes_to_send(connection.link, loop.now())
            connection.left_over = data[wire.send_now(data) :]
            if self._session.finished:  # rows that must not be sent
                self._wake_finished()
            if not connection.left_over:
                return
        connection.idle_writer = None
        writer.wake()

    def _wake_finished(self) -> None:
        finished, self._session.finished = self._session.finished, []
        for pending in finished:
            if pending.waiter is not None:
                pending.waiter.wake()

    def _grant(self, wishes: list[Wish]) -> None:
        assert self._tasks is not None, "only calls make wishes, and calls need an open client"
        for wish in wishes:
            if isinstance(wish, OpenLink):
                connection = self._connections[wish.link] = _Connection(wish.link)
                self._tasks.start_soon(self._connect, connection)
            elif wish.link in self._connections:
                self._connections.pop(wish.link).scope.cancel()

    # Tasks

    async def _sweep(self, scope: anyio.CancelScope) -> None:
        loop = self._running()
        with scope:
            while True:
                self._sweeper = loop.new_waiter()
                self._sweep_at = self._session.wake_at
                with anyio.CancelScope(deadline=self._sweep_at):
                    await self._sweeper.wait()
                if loop.now() >= self._session.wake_at:
                    self._session.sweep(loop.now())
                    self._settle()

    async def _connect(self, connection: _Connection) -> None:
        link, loop = connection.link, self._running()
        with connection.scope:
            try:
                host, port = split_address(link.address)
                stream = await self._environment.connect(host, port)
            except (OSError, ValueError) as error:
                self._session.disconnected(link, describe(error), loop.now())
            else:
                try:
                    connection.wire = loop.new_wire(stream)
                    self._session.connected(link)
                    await self._converse(connection, connection.wire, loop)
                finally:
                    await anyio.aclose_forcefully(stream)
        self._settle()

    async def _converse(self, connection: _Connection, wire: Wire, loop: Loop) -> None:
        try:
            async with anyio.create_task_group() as pair:
                pair.start_soon(self._write, connection, wire, loop)
                await self._read(connection.link, wire, loop)
        except* _BROKEN as broken:
            error = broken.exceptions[0]
            why = "closed the connection" if isinstance(error, anyio.EndOfStream) else describe(error)
            self._session.disconnected(connection.link, why, loop.now())

    async def _read(self, link: Link, wire: Wire, loop: Loop) -> None:
        while True:
            data = await wire.receive()
            self._session.received(link, data, loop.now())
            self._settle()

    async def _write(self, connection: _Connection, wire: Wire, loop: Loop) -> None:
        while True:
            data, connection.left_over = connection.left_over, b""
            data = data or self._session.bytes_to_send(connection.link, loop.now())
            if data:
                await wire.send(data)
                continue
            writer = connection.idle_writer = loop.new_waiter()
            self._settle()  # rows may have been refused; and the core may want to be woken by now
            await writer.wait()
