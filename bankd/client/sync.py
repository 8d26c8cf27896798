"""The blocking client: plain sockets, no event loop, no async library.

The calls are those of `BankClient` without await; their effects, errors and bounds are documented
there. One call at a time is under way: threads that share a client take turns.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from types import TracebackType
from typing import Self, TypeVar

from bankd.client import calls
from bankd.client.options import BATCH_SIZE, DEFAULT_ENDPOINT, IN_FLIGHT_MAX, TIMEOUT_S, ClientOptions, parse_endpoints
from bankd.client.pending import Call
from bankd.client.results import Account, AccountsPage, Balance, Transfer, TransferRequest
from bankd.client.retry import RetryPolicy
from bankd.client.sync_driver import SyncDriver
from bankd.errors import AccountNotFound, BankError
from bankd.status import DigestReport, LeadershipMoved, NodeStatus, SnapshotTaken
from bankd.types import LINEARIZABLE, ReadMode

T = TypeVar("T")


class SyncBankClient:
    """A client of one cluster on blocking sockets. Connects at the first call; use it in a `with` block."""

    def __init__(
        self,
        endpoints: str | Sequence[str] = DEFAULT_ENDPOINT,
        *,
        cluster: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        read: ReadMode = LINEARIZABLE,
        max_in_flight: int = IN_FLIGHT_MAX,
    ) -> None:
        options = ClientOptions(parse_endpoints(endpoints), cluster, timeout_s, retry, read, max_in_flight)
        self._options = options
        self._driver = SyncDriver(options)
        self.cluster = SyncClusterAdmin(self._driver, options)

    @classmethod
    def from_url(cls, url: str, **overrides: object) -> Self:
        """As `BankClient.from_url`."""
        from bankd.client.url import parse_url

        return cls(**{**parse_url(url), **overrides})  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, once no other thread is in a call. A second time does nothing."""
        self._driver.close()

    def make_tx_id(self) -> str:
        """A fresh id (UUIDv7), for callers that must know it before they send."""
        return self._driver.make_ids(1)[0]

    def create_account(
        self, account: str, *, initial_balance: int = 0, request_id: str | None = None, timeout_s: float | None = None
    ) -> Account:
        return self._run(calls.create_account(account, initial_balance, self._id(request_id)), timeout_s)

    def get_account(
        self, account: str, *, read: ReadMode | None = None, at_least: int | None = None, timeout_s: float | None = None
    ) -> Account:
        return self._run(calls.get_account(account, self._mode(read, at_least)), timeout_s)

    def get_balance(
        self, account: str, *, read: ReadMode | None = None, at_least: int | None = None, timeout_s: float | None = None
    ) -> Balance:
        return self._run(calls.get_balance(account, self._mode(read, at_least)), timeout_s)

    def list_accounts(
        self,
        *,
        after: str = "",
        limit: int = 100,
        system: bool = False,
        read: ReadMode | None = None,
        timeout_s: float | None = None,
    ) -> AccountsPage:
        return self._run(calls.list_accounts(after, limit, system, self._mode(read, None)), timeout_s)

    def transfer(
        self, source: str, target: str, amount: int, *, tx_id: str | None = None, timeout_s: float | None = None
    ) -> Transfer:
        return calls.demand(self.try_transfer(source, target, amount, tx_id=tx_id, timeout_s=timeout_s))

    def try_transfer(
        self, source: str, target: str, amount: int, *, tx_id: str | None = None, timeout_s: float | None = None
    ) -> Transfer:
        request = TransferRequest(source, target, amount, tx_id)
        return self.transfer_many([request], timeout_s=timeout_s)[0]

    def get_transfer_status(
        self, tx_id: str, *, read: ReadMode | None = None, at_least: int | None = None, timeout_s: float | None = None
    ) -> Transfer | None:
        try:
            return self._run(calls.get_transfer_status(tx_id, self._mode(read, at_least)), timeout_s)
        except AccountNotFound:
            return None

    def transfer_many(
        self, transfers: Iterable[TransferRequest], *, batch_size: int = BATCH_SIZE, timeout_s: float | None = None
    ) -> list[Transfer]:
        batches = calls.batches(transfers, batch_size, self._driver.make_ids)
        return self._driver.run_many(batches, self._options.limit_s(timeout_s))

    def _id(self, given: str | None) -> str:
        return self.make_tx_id() if given is None else given

    def _mode(self, read: ReadMode | None, at_least: int | None) -> ReadMode:
        return calls.read_mode(read, at_least, self._options.read)

    def _run(self, call: Call[T], timeout_s: float | None) -> T:
        return self._driver.run(call, self._options.limit_s(timeout_s))


class SyncClusterAdmin:
    """What operators ask. Calls with an `endpoint` go to exactly that node, over a connection of their own."""

    def __init__(self, driver: SyncDriver, options: ClientOptions) -> None:
        self._driver = driver
        self._options = options

    def node_status(self, endpoint: str | None = None, *, timeout_s: float | None = None) -> NodeStatus:
        return self._run(calls.node_status(), endpoint, timeout_s)

    def digest(self, index: int, *, endpoint: str | None = None, timeout_s: float | None = None) -> DigestReport:
        return self._run(calls.digest(index), endpoint, timeout_s)

    def transfer_leader(self, target: str | None = None, *, timeout_s: float | None = None) -> LeadershipMoved:
        return self._run(calls.transfer_leader(target), None, timeout_s)

    def snapshot(self, endpoint: str | None = None, *, timeout_s: float | None = None) -> SnapshotTaken:
        return self._run(calls.trigger_snapshot(), endpoint, timeout_s)

    def fetch_snapshot(
        self,
        snapshot: SnapshotTaken,
        write: Callable[[bytes], object],
        *,
        endpoint: str,
        offset: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        limit_s = self._options.limit_s(timeout_s)
        with self._driver.pinned_to(endpoint, self._options.retry) as driver:
            while offset < snapshot.size_bytes:
                part = driver.run(calls.read_snapshot(snapshot, offset), limit_s)
                write(part.data)
                offset += len(part.data)

    def statuses(self, *, timeout_s: float | None = None) -> list[tuple[str, NodeStatus | BankError]]:
        limit_s = self._options.limit_s(timeout_s)
        give_up_at = time.monotonic() + limit_s
        addresses = self._member_addresses(limit_s)
        found: dict[str, NodeStatus | BankError] = {}
        left_s = max(give_up_at - time.monotonic(), calls.TIMEOUT_S_MIN)
        threads = [Thread(target=self._ask, args=(address, left_s, found), daemon=True) for address in addresses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [(address, found[address]) for address in addresses]

    def _member_addresses(self, limit_s: float) -> tuple[str, ...]:
        try:
            status = self.node_status(timeout_s=limit_s / 2)
        except BankError:
            return self._driver.known_addresses()
        return calls.member_addresses(status) or self._driver.known_addresses()

    def _ask(self, address: str, limit_s: float, found: dict[str, NodeStatus | BankError]) -> None:
        try:
            found[address] = self.node_status(address, timeout_s=limit_s)
        except BankError as error:
            found[address] = error

    def _run(self, call: Call[T], endpoint: str | None, timeout_s: float | None) -> T:
        limit_s = self._options.limit_s(timeout_s)
        if endpoint is None:
            return self._driver.run(call, limit_s)
        with self._driver.pinned_to(endpoint) as driver:
            return driver.run(call, limit_s)
