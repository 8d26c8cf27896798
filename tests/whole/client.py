"""The product's own client in a world, and the history of what it was asked and answered."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

import attrs
import trio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from anyio.abc import ByteStream

from bankd.client import BankClient
from bankd.client.environment import Environment
from bankd.client.results import Transfer, TransferRequest
from bankd.client.retry import RetryPolicy
from bankd.errors import (
    AccountExists,
    AccountNotFound,
    BankError,
    IdConflict,
    InsufficientFunds,
    LimitExceeded,
    OutcomeUnknown,
)
from bankd.history.records import (
    Balance,
    BalanceFound,
    Conflict,
    Move,
    Moved,
    NotFound,
    Open,
    Opened,
    Operation,
    OutcomeFound,
    OutcomeOf,
    Record,
    Refused,
    Result,
)
from bankd.sim.random import Stream
from bankd.types import LINEARIZABLE, ROW_ID_CONFLICT, AccountId, LogIndex, ReadMode, TransferStatus, TxId
from tests.whole.host import EPOCH_NS
from tests.whole.network import End, Network
from tests.whole.scheduler import Process

CLUSTER: Final = "test"

Row = tuple[str, str, int]  # source, target, amount


class WireStream(ByteStream):
    """An end of a wire as the client's driver wants it."""

    def __init__(self, end: End) -> None:
        self._end = end

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            data = await self._end.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            raise BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise ClosedResourceError from error
        if not data:
            raise EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        try:
            await self._end.send_all(item)
        except trio.BrokenResourceError as error:
            raise BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise ClosedResourceError from error

    async def send_eof(self) -> None:
        raise NotImplementedError("the client never half-closes")

    async def aclose(self) -> None:
        await self._end.aclose()


def client_environment(network: Network, process: Process, seed: int) -> Environment:
    stream = Stream(seed, f"client {process.name}")

    async def connect(host: str, port: int) -> ByteStream:
        return WireStream(await network.connect(f"{host}:{port}", process=process))

    def random_bytes(count: int) -> bytes:
        return b"".join(stream.u64().to_bytes(8, "little") for _ in range(-(-count // 8)))[:count]

    return Environment(connect, random_bytes, lambda: EPOCH_NS + _now_ns())


@attrs.define
class History:
    """What all clients of a world were asked and answered."""

    records: list[Record] = attrs.field(factory=list)
    spans_s: list[tuple[float, float]] = attrs.field(
        factory=list
    )  # when each call began and ended, whatever came of it

    @property
    def acknowledged(self) -> int:
        return sum(record.result is not None and not isinstance(record.result, Refused) for record in self.records)


class RecordedClient:
    """Calls of one `BankClient`, none of which raises for what the world did. Use it in an `async with` block."""

    def __init__(
        self,
        number: int,
        network: Network,
        history: History,
        seed: int,
        endpoints: Sequence[str],
        *,
        retry: RetryPolicy,
        max_in_flight: int,
    ) -> None:
        self.number = number
        self.process = Process(f"c{number}")
        self.seen_index = LogIndex(0)
        self.bank = BankClient(
            endpoints,
            cluster=CLUSTER,
            timeout_s=4.0,
            retry=retry,
            max_in_flight=max_in_flight,
            environment=client_environment(network, self.process, seed),
        )
        self._history = history

    async def open(self, account: str, balance: int = 0, *, timeout_s: float | None = None) -> Result | None:
        request_id = TxId(self.bank.make_tx_id())
        operation = Open(AccountId(account), balance, request_id)
        call = partial(
            self.bank.create_account, account, initial_balance=balance, request_id=request_id, timeout_s=timeout_s
        )

        async def ask() -> Result:
            try:
                return Opened(True, LogIndex((await call()).index))
            except AccountExists:
                return Opened(False, None)
            except LimitExceeded:
                return Opened(False, None, limit_exceeded=True)
            except IdConflict as error:
                return Conflict(error.differs)

        return await self._record(operation, ask)

    async def move(
        self, source: str, target: str, amount: int, *, tx_id: str | None = None, timeout_s: float | None = None
    ) -> Result | None:
        tx_id = tx_id or self.bank.make_tx_id()

        async def ask() -> Result:
            done = await self.bank.try_transfer(source, target, amount, tx_id=tx_id, timeout_s=timeout_s)
            return _moved([done])

        return await self._record(_move([tx_id], [(source, target, amount)]), ask)

    async def move_many(self, rows: Sequence[Row], *, timeout_s: float | None = None) -> Result | None:
        """As one request."""
        tx_ids = [self.bank.make_tx_id() for _ in rows]
        requests = [TransferRequest(*row, tx_id=tx_id) for row, tx_id in zip(rows, tx_ids, strict=True)]

        async def ask() -> Result:
            return _moved(await self.bank.transfer_many(requests, batch_size=len(rows), timeout_s=timeout_s))

        return await self._record(_move(tx_ids, rows), ask)

    async def balance(
        self, account: str, mode: ReadMode = LINEARIZABLE, *, timeout_s: float | None = None
    ) -> Result | None:
        index = LogIndex(0)

        async def ask() -> Result:
            nonlocal index
            try:
                found = await self.bank.get_balance(account, read=mode, timeout_s=timeout_s)
            except AccountNotFound:
                return NotFound()
            index = LogIndex(found.index)
            return BalanceFound(found.balance)

        return await self._record(Balance(AccountId(account), mode), ask, lambda: index or None)

    async def outcome(
        self, tx_id: str, mode: ReadMode = LINEARIZABLE, *, timeout_s: float | None = None
    ) -> Result | None:
        async def ask() -> Result:
            done = await self.bank.get_transfer_status(tx_id, read=mode, timeout_s=timeout_s)
            return NotFound() if done is None else _outcome(done)

        return await self._record(OutcomeOf(TxId(tx_id), mode), ask)

    async def _record(
        self,
        operation: Operation,
        ask: Callable[[], Awaitable[Result]],
        index: Callable[[], LogIndex | None] = lambda: None,
    ) -> Result | None:
        call_ns, began_s = _now_ns(), trio.current_time()
        result: Result | None = None
        try:
            result = await ask()
        except OutcomeUnknown:
            pass
        except BankError as error:
            result = Refused(error.reason)
        finally:
            return_ns = _now_ns() if result is not None else None
            self._history.spans_s.append((began_s, trio.current_time()))
            self._history.records.append(Record(self.number, operation, call_ns, return_ns, result, index()))
            self.seen_index = max(self.seen_index, index() or LogIndex(0), *_decided(result))
        return result


def _move(tx_ids: Sequence[str], rows: Sequence[Row]) -> Move:
    return Move(
        tuple(TxId(tx_id) for tx_id in tx_ids),
        tuple(AccountId(source) for source, _, _ in rows),
        tuple(AccountId(target) for _, target, _ in rows),
        tuple(amount for _, _, amount in rows),
    )


def _moved(rows: Sequence[Transfer]) -> Moved:
    """The answer to a request of all these rows. Raises what kept the answer away: it is the same for each."""
    statuses: list[int] = []
    decided: dict[int, LogIndex] = {}
    available: dict[int, int] = {}
    differs: dict[int, tuple[str, ...]] = {}
    for number, row in enumerate(rows):
        if isinstance(row.error, IdConflict):
            statuses.append(ROW_ID_CONFLICT)
            differs[number] = row.error.differs
        elif row.status is TransferStatus.UNKNOWN:
            assert row.error is not None, "neither outcome nor error"
            raise row.error
        else:
            statuses.append(row.status)
            decided[number] = LogIndex(row.index)
            if isinstance(row.error, InsufficientFunds):
                available[number] = row.error.available
    return Moved(bytes(statuses), decided, available, differs)


def _decided(result: Result | None) -> Iterable[LogIndex]:
    match result:
        case Moved(decided=decided):
            return decided.values()
        case Opened(decided=index) | OutcomeFound(decided=index) if index is not None:
            return (index,)
        case _:
            return (LogIndex(0),)


def _outcome(done: Transfer) -> OutcomeFound:
    return OutcomeFound(
        AccountId(done.source), AccountId(done.target), done.amount, done.status, LogIndex(done.index), done.available
    )


def _now_ns() -> int:
    return int(trio.current_time() * 1e9)
