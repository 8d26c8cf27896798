"""What the clients of a drawn run do all the time: move money between a few accounts, and look."""

from typing import Final

import trio

from bankd.history.records import Opened
from bankd.sim.random import Stream
from bankd.types import LINEARIZABLE, AtLeast, Bounded, ReadMode, Stale
from tests.whole.client import RecordedClient, Row

ACCOUNTS: Final = tuple(f"a{number}" for number in range(6))
STRANGERS: Final = ("nobody", "nowhere")
OPENING: Final = 100
ROWS_MAX: Final = 12
PAUSE_MS_MAX: Final = 150
AT_ONCE_PPM: Final = 150_000
AT_ONCE_MAX: Final = 6
TIMEOUTS_S: Final = (0.3, 1.0, 4.0)
TRIES_MAX: Final = 5
IDS_KEPT: Final = 8


class Workload:
    """One client's calls, one after the other and some at once, all drawn from one stream.

    `ids` are shared by the clients of a world.
    """

    def __init__(self, client: RecordedClient, stream: Stream, ids: list[tuple[str, Row]]) -> None:
        self._client = client
        self._stream = stream
        self._ids = ids

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            await self._pause()
            if self._stream.chance(AT_ONCE_PPM):
                await self._call_at_once()
            else:
                await self._call()

    async def open_accounts(self) -> None:
        """Until each account is there."""
        for account in ACCOUNTS:
            while not isinstance(await self._client.open(account, OPENING), Opened):
                await self._pause()

    async def _call(self) -> None:
        calls = (self._move, self._move, self._move, self._move_many, self._look, self._look, self._ask, self._repeat)
        await self._stream.pick(calls)()

    async def _call_at_once(self) -> None:
        """Several, which share the client's connection and its batches."""
        async with trio.open_nursery() as nursery:
            for _ in range(self._stream.between(2, AT_ONCE_MAX)):
                nursery.start_soon(self._call)

    async def _move(self) -> None:
        tx_id, row = self._client.bank.make_tx_id(), self._row()
        self._ids.append((tx_id, row))
        del self._ids[:-IDS_KEPT]
        for _ in range(TRIES_MAX):
            if await self._client.move(*row, tx_id=tx_id, timeout_s=self._timeout_s()) is not None:
                return

    async def _repeat(self) -> None:
        """An id of before, on purpose: sometimes with another amount."""
        if self._ids:
            tx_id, (source, target, amount) = self._stream.pick(self._ids)
            await self._client.move(source, target, amount + self._stream.below(2), tx_id=tx_id)

    async def _move_many(self) -> None:
        rows = [self._row() for _ in range(self._stream.between(2, ROWS_MAX))]
        await self._client.move_many(rows, timeout_s=self._timeout_s())

    async def _look(self) -> None:
        account = self._stream.pick((*ACCOUNTS, *STRANGERS))
        await self._client.balance(account, self._mode(), timeout_s=self._timeout_s())

    async def _ask(self) -> None:
        if self._ids:
            tx_id, _ = self._stream.pick(self._ids)
            await self._client.outcome(tx_id, self._mode(), timeout_s=self._timeout_s())

    async def _pause(self) -> None:
        await trio.sleep(self._stream.between(1, PAUSE_MS_MAX) / 1000)

    def _row(self) -> Row:
        source = self._stream.pick(ACCOUNTS if self._stream.chance(950_000) else STRANGERS)
        target = self._stream.pick([account for account in ACCOUNTS if account != source])
        return source, target, self._stream.between(1, OPENING)

    def _mode(self) -> ReadMode:
        weaker: tuple[ReadMode, ...] = (Stale(), Bounded(500), AtLeast(self._client.seen_index))
        return LINEARIZABLE if self._stream.chance(600_000) else self._stream.pick(weaker)

    def _timeout_s(self) -> float:
        return self._stream.pick(TIMEOUTS_S)
