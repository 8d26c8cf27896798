"""The async client, on trio and on asyncio.

One connection carries the calls of every task that shares the client; transfers that arrive while
others are under way travel together, as columns of one request, without any caller noticing. The
decisions are the session core's, the sockets the driver's; this module is the public face.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import anyio

from bankd.client import calls
from bankd.client.aio_driver import AioDriver
from bankd.client.environment import SYSTEM, Environment
from bankd.client.options import BATCH_SIZE, DEFAULT_ENDPOINT, IN_FLIGHT_MAX, TIMEOUT_S, ClientOptions, parse_endpoints
from bankd.client.pending import Call
from bankd.client.results import Account, AccountsPage, Balance, Transfer, TransferRequest
from bankd.client.retry import RetryPolicy
from bankd.errors import AccountNotFound, BankError
from bankd.status import DigestReport, LeadershipMoved, NodeStatus, SnapshotTaken
from bankd.types import LINEARIZABLE, ReadMode

T = TypeVar("T")


class BankClient:
    """A client of one cluster. Use it in an `async with` block; many tasks may share it.

    `endpoints`: host:port, several with commas or in a sequence; any node will do, the client finds
    the leader. `cluster`: refuse to speak to a cluster of another name. `timeout_s` covers all tries
    of a call and can be given for each. `max_in_flight` calls wait for answers at once, more wait
    for their turn. `environment` is for programs that make connections in a way of their own.

    Every call raises a `BankError`: `InvalidArgument` (nothing was sent), `Unavailable` or
    `DeadlineExceeded` (surely no effect), and for writes `OutcomeUnknown` (sent, and the answer never
    came: ask `get_transfer_status`, or send again with the same id).

    Cancellation: a cancelled call is forgotten and its answer dropped; a write may still take effect,
    once. Give `tx_id` yourself to ask later.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = DEFAULT_ENDPOINT,
        *,
        cluster: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        read: ReadMode = LINEARIZABLE,
        max_in_flight: int = IN_FLIGHT_MAX,
        environment: Environment = SYSTEM,
    ) -> None:
        """Raises ValueError when an endpoint or a bound cannot be. Nothing is connected yet."""
        options = ClientOptions(parse_endpoints(endpoints), cluster, timeout_s, retry, read, max_in_flight)
        self._options = options
        self._driver = AioDriver(options, environment)
        self.cluster = ClusterAdmin(self._driver, options)

    @classmethod
    def from_url(cls, url: str, **overrides: object) -> Self:
        """A client from "bank://h1:7401,h2:7401/main?timeout=2s"; keywords win over the URL.

        Raises:
          ValueError: the URL is none of ours.
        """
        from bankd.client.url import parse_url

        return cls(**{**parse_url(url), **overrides})  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        await self._driver.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._driver.shut()

    async def aclose(self) -> None:
        """End every waiting call and close the connections. Never hangs; a second time does nothing."""
        self._driver.close()

    def make_tx_id(self) -> str:
        """A fresh id (UUIDv7), for callers that must know it before they send."""
        return self._driver.make_id()

    async def create_account(
        self, account: str, *, initial_balance: int = 0, request_id: str | None = None, timeout_s: float | None = None
    ) -> Account:
        """Open an account. `request_id` is made when it is not given; the same one answers alike again.

        Raises:
          AccountExists: another request opened it.
          LimitExceeded: all opening balances together would leave 64 bits (K9); the request id is burned.
          IdConflict: the request id was used with another account or balance.
        """
        call = calls.create_account(account, initial_balance, self._id(request_id))
        return await self._run(call, timeout_s)

    async def get_account(
        self, account: str, *, read: ReadMode | None = None, at_least: int | None = None, timeout_s: float | None = None
    ) -> Account:
        """One account with its opening data. Raises AccountNotFound."""
        return await self._run(calls.get_account(account, self._mode(read, at_least)), timeout_s)

    async def get_balance(
        self, account: str, *, read: ReadMode | None = None, at_least: int | None = None, timeout_s: float | None = None
    ) -> Balance:
        """One balance. `at_least` asks for an index already seen and wins over `read`. Raises AccountNotFound."""
        return await self._run(calls.get_balance(account, self._mode(read, at_least)), timeout_s)

    async def list_accounts(
        self,
        *,
        after: str = "",
        limit: int = 100,
        system: bool = False,
        read: ReadMode | None = None,
        timeout_s: float | None = None,
    ) -> AccountsPage:
        """A page of at most `limit` accounts (1 to 1,000) behind `after`; `system` includes those that begin with "@"."""
        return await self._run(calls.list_accounts(after, limit, system, self._mode(read, None)), timeout_s)

    async def transfer(
        self, source: str, target: str, amount: int, *, tx_id: str | None = None, timeout_s: float | None = None
    ) -> Transfer:
        """Move money, once, however often it is sent.

        Raises:
          InsufficientFunds, InvalidAccount, LimitExceeded: the ledger refused, and the id is burned.
          IdConflict: the id is recorded with other fields; that first outcome stands.
        """
        row = calls.transfer_row(source, target, amount, self._id(tx_id))
        return calls.demand(await self._driver.run_row(row, self._options.limit_s(timeout_s)))

    async def try_transfer(
        self, source: str, target: str, amount: int, *, tx_id: str | None = None, timeout_s: float | None = None
    ) -> Transfer:
        """As `transfer`, but what would be raised comes back as `Transfer.error`; only InvalidArgument is raised."""
        row = calls.transfer_row(source, target, amount, self._id(tx_id))
        return await self._driver.run_row(row, self._options.limit_s(timeout_s))

    async def get_transfer_status(
        self, tx_id: str, *, read: ReadMode | None = None, at_least: int | None = None, timeout_s: float | None = None
    ) -> Transfer | None:
        """What became of a transfer; None means not committed as of now."""
        try:
            return await self._run(calls.get_transfer_status(tx_id, self._mode(read, at_least)), timeout_s)
        except AccountNotFound:
            return None

    async def transfer_many(
        self, transfers: Iterable[TransferRequest], *, batch_size: int = BATCH_SIZE, timeout_s: float | None = None
    ) -> list[Transfer]:
        """Move money many times; one result per row, in order, its failure in `Transfer.error`.

        Rows travel in requests of `batch_size`, several at once; `timeout_s` is for each request.
        Rows of one request take effect in order; a retried request may come after a later one.

        Raises:
          InvalidArgument: a row cannot be, its number from 0 in `metadata["row"]`. Nothing was sent if
            `transfers` is a sequence. What is drawn from an iterator is judged request by request, and
            earlier ones may have been sent.
        """
        batches = calls.batches(transfers, batch_size, self._driver.make_ids)
        return await self._driver.run_many(batches, self._options.limit_s(timeout_s))

    def _id(self, given: str | None) -> str:
        return self._driver.make_id() if given is None else given

    def _mode(self, read: ReadMode | None, at_least: int | None) -> ReadMode:
        return calls.read_mode(read, at_least, self._options.read)

    async def _run(self, call: Call[T], timeout_s: float | None) -> T:
        return await self._driver.run(call, self._options.limit_s(timeout_s))


class ClusterAdmin:
    """What operators ask. Calls with an `endpoint` go to exactly that node, over a connection of their own."""

    def __init__(self, driver: AioDriver, options: ClientOptions) -> None:
        self._driver = driver
        self._options = options

    async def node_status(self, endpoint: str | None = None, *, timeout_s: float | None = None) -> NodeStatus:
        """One node's own view; without `endpoint`, that of the node that serves this client."""
        return await self._run(calls.node_status(), endpoint, timeout_s)

    async def digest(self, index: int, *, endpoint: str | None = None, timeout_s: float | None = None) -> DigestReport:
        """The state digest right after `index`; waits until the node has applied it. 0: as far as it has applied."""
        return await self._run(calls.digest(index), endpoint, timeout_s)

    async def transfer_leader(self, target: str | None = None, *, timeout_s: float | None = None) -> LeadershipMoved:
        """Hand leadership to the voter `target`, or to the most up-to-date one; answers when it leads.

        Raises:
          OutcomeUnknown: the connection broke meanwhile; `node_status` tells who leads.
        """
        return await self._run(calls.transfer_leader(target), None, timeout_s)

    async def snapshot(self, endpoint: str | None = None, *, timeout_s: float | None = None) -> SnapshotTaken:
        """Have one node, whatever its role, take a snapshot of what it has applied; answers when it is durable.

        Where nothing was applied since the last one, answers with that. Give it time: a million transfers take
        seconds. A call that ends before its answer leaves the node to go on.
        """
        return await self._run(calls.trigger_snapshot(), endpoint, timeout_s)

    async def fetch_snapshot(
        self,
        snapshot: SnapshotTaken,
        write: Callable[[bytes], Awaitable[object]],
        *,
        endpoint: str,
        offset: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        """Read the file of a snapshot from the node at `endpoint`, in order, from `offset` on, and hand it to `write`.

        `timeout_s` is for each part of 1 MiB or less. Within it a lost connection is made anew, also to a node that
        was restarted, and the reading goes on where it was. The bytes are not verified.

        Raises:
          SnapshotNotFound: the node holds that very file no more; take another snapshot.
        """
        limit_s = self._options.limit_s(timeout_s)
        async with self._driver.pinned_to(endpoint, self._options.retry) as driver:
            while offset < snapshot.size_bytes:
                part = await driver.run(calls.read_snapshot(snapshot, offset), limit_s)
                await write(part.data)
                offset += len(part.data)

    async def statuses(self, *, timeout_s: float | None = None) -> list[tuple[str, NodeStatus | BankError]]:
        """Every known member's address with its own view, or with what kept it away. Asked all at once.

        The members are those that the serving node names; when none answers within half the time,
        the endpoints that the client knows.
        """
        limit_s = self._options.limit_s(timeout_s)
        give_up_at = anyio.current_time() + limit_s
        addresses = await self._member_addresses(limit_s)
        found: dict[str, NodeStatus | BankError] = {}
        left_s = max(give_up_at - anyio.current_time(), calls.TIMEOUT_S_MIN)
        async with anyio.create_task_group() as asking:
            for address in addresses:
                asking.start_soon(self._ask, address, left_s, found)
        return [(address, found[address]) for address in addresses]

    async def _member_addresses(self, limit_s: float) -> tuple[str, ...]:
        try:
            status = await self.node_status(timeout_s=limit_s / 2)
        except BankError:
            return self._driver.known_addresses()
        return calls.member_addresses(status) or self._driver.known_addresses()

    async def _ask(self, address: str, limit_s: float, found: dict[str, NodeStatus | BankError]) -> None:
        try:
            found[address] = await self.node_status(address, timeout_s=limit_s)
        except BankError as error:
            found[address] = error

    async def _run(self, call: Call[T], endpoint: str | None, timeout_s: float | None) -> T:
        limit_s = self._options.limit_s(timeout_s)
        if endpoint is None:
            return await self._driver.run(call, limit_s)
        async with self._driver.pinned_to(endpoint) as driver:
            return await driver.run(call, limit_s)
