"""Run a session core on plain sockets, in the thread of the caller.

Sockets do not block; one selector waits for all of them until the core's `wake_at`. Nothing happens
between calls: an idle client costs nothing, and learns at its next call that a connection broke.
"""

import time
from collections import deque
from collections.abc import Iterable
from os import urandom
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection, socket
from threading import RLock
from types import TracebackType
from typing import Final, Self, TypeVar

from bankd.client.connector import OpenLink
from bankd.client.link import CONNECT_S_MAX, Link
from bankd.client.options import ONE_TRY, ClientOptions, split_address
from bankd.client.pending import Call, Pending
from bankd.client.results import Transfer
from bankd.client.retry import RetryPolicy
from bankd.client.session import Session
from bankd.client.transfers import TransferBatch
from bankd.client.verdicts import describe
from bankd.errors import BankError

T = TypeVar("T")

RECEIVE_BYTES_MAX: Final = 256 * 1024
BATCHES_AHEAD_MAX: Final = 8  # requests of one run_many under way at once
WAIT_S_MAX: Final = 3600.0  # a selector takes no infinite wait; the core wants to be woken long before


class SyncDriver:
    """One caller at a time; others wait for the lock."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._session = Session(options, random_bytes=urandom, clock_ns=time.time_ns)
        self._sockets: dict[Link, socket] = {}
        self._unsent: dict[Link, memoryview] = {}
        self._selector = DefaultSelector()
        self._lock = RLock()  # making a batch makes ids, inside run_many

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._session.close()
            self._act()
            self._selector.close()

    def pinned_to(self, address: str, retry: RetryPolicy = ONE_TRY) -> "SyncDriver":
        """A driver of its own for exactly the node at `address`, of the cluster that this one knows."""
        return SyncDriver(self._options.pinned_to(address, self._session.cluster_id, retry))

    def make_ids(self, count: int) -> list[str]:
        with self._lock:
            return self._session.ids.make_many(count)

    def known_addresses(self) -> tuple[str, ...]:
        return self._session.known_addresses

    def run(self, call: Call[T], timeout_s: float) -> T:
        """Make one call and wait for its result."""
        with self._lock:
            pending = self._submit(call, timeout_s)
            try:
                self._drive(pending)
            except BaseException:
                self._abort([pending])
                raise
        return pending.take()

    def run_many(self, batches: Iterable[TransferBatch], timeout_s: float) -> list[Transfer]:
        """Send batches, BATCHES_AHEAD_MAX of them at once, and put their rows in order."""
        results: list[Transfer] = []
        under_way: deque[tuple[TransferBatch, Pending[list[Transfer]]]] = deque()
        with self._lock:
            try:
                for batch in batches:
                    under_way.append((batch, self._submit(batch.call(), timeout_s)))
                    self._act()
                    self._wait(0.0)
                    if len(under_way) == BATCHES_AHEAD_MAX:
                        results += self._batch_rows(*under_way.popleft())
                while under_way:
                    results += self._batch_rows(*under_way.popleft())
            except BaseException:
                self._abort([pending for _batch, pending in under_way])
                raise
        return results

    def _batch_rows(self, batch: TransferBatch, pending: Pending[list[Transfer]]) -> list[Transfer]:
        self._drive(pending)
        try:
            return pending.take()
        except BankError as error:
            return batch.failed(error)

    def _submit(self, call: Call[T], timeout_s: float) -> Pending[T]:
        now = time.monotonic()
        return self._session.submit(call, now + timeout_s, now)

    def _abort(self, pendings: Iterable[Pending[T]]) -> None:
        """Let go of calls that an exception cut short: Ctrl-C, or a faulty row behind good ones.

        An interrupt may have hit in the middle of a frame, so the connections go too. To the nodes that
        also means that nobody waits any more.
        """
        now = time.monotonic()
        for pending in pendings:
            self._session.forget(pending, now)
        for link in list(self._sockets):
            self._session.disconnected(link, "interrupted", now)
        self._act()

    def _drive(self, pending: Pending[T]) -> None:
        while True:
            self._act()
            if pending.done:
                return
            self._wait(WAIT_S_MAX)

    def _act(self) -> None:
        """Write and connect until there is nothing left to do but wait."""
        while True:
            for link in list(self._sockets):
                self._write(link)
            self._session.finished.clear()  # whoever waits looks at its own pending
            wishes = self._session.take_wishes()
            if not wishes:
                return
            for wish in wishes:
                if isinstance(wish, OpenLink):
                    self._connect(wish.link)
                elif wish.link in self._sockets:
                    self._drop(wish.link)

    def _wait(self, wait_s_max: float) -> None:
        """Wait for a socket, the core's `wake_at` or `wait_s_max` seconds, whichever comes first."""
        wait_s = min(self._session.wake_at - time.monotonic(), wait_s_max)
        for key, _events in self._selector.select(max(wait_s, 0.0)):
            self._read(key.data)
        now = time.monotonic()
        if now >= self._session.wake_at:
            self._session.sweep(now)

    def _connect(self, link: Link) -> None:
        try:
            connection = create_connection(split_address(link.address), timeout=CONNECT_S_MAX)
        except (OSError, ValueError) as error:
            self._session.disconnected(link, describe(error), time.monotonic())
            return
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        connection.setblocking(False)
        self._sockets[link] = connection
        self._unsent[link] = memoryview(b"")
        self._selector.register(connection, EVENT_READ, link)
        self._session.connected(link)

    def _drop(self, link: Link) -> None:
        connection = self._sockets.pop(link)
        del self._unsent[link]
        self._selector.unregister(connection)
        connection.close()

    def _write(self, link: Link) -> None:
        """Send until nothing is left or the socket is full; then its room is waited for too."""
        connection, unsent = self._sockets[link], self._unsent[link]
        try:
            while unsent or self._session.has_output(link):
                unsent = unsent or memoryview(self._session.bytes_to_send(link, time.monotonic()))
                unsent = unsent[connection.send(unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._session.disconnected(link, describe(error), time.monotonic())
            return
        if bool(unsent) != bool(self._unsent[link]):
            self._selector.modify(connection, EVENT_READ | EVENT_WRITE if unsent else EVENT_READ, link)
        self._unsent[link] = unsent

    def _read(self, link: Link) -> None:
        try:
            data = self._sockets[link].recv(RECEIVE_BYTES_MAX)
        except BlockingIOError:
            return  # only its room to write was there
        except OSError as error:
            self._session.disconnected(link, describe(error), time.monotonic())
            return
        if data:
            self._session.received(link, data, time.monotonic())
        else:
            self._session.disconnected(link, "closed the connection", time.monotonic())
