"""Send a workload from many callers at once, measure it, and check afterwards that it was kept right.

The one part of bankctl that runs on trio. Each caller sends its next transfer when it has the answer to
the last (a closed loop). A caller's outcome that is unknown is settled after the run by sending the same
id again: then it is recorded either way.

Verification: every balance must be what the committed transfers make of it; of the acknowledged ones a
sample (CHECKED_MAX) is looked up, and sent again: a second answer must be the first one.
"""

import signal
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from time import perf_counter
from typing import Final, TypeVar

import attrs
import trio

from bankctl.histogram import Histogram
from bankctl.workload import INITIAL_BALANCE, Sent, Verdict, Workload, compare, sample
from bankd.client import BankClient, Transfer, TransferRequest
from bankd.errors import BankError
from bankd.types import TransferStatus

T = TypeVar("T")

TASKS: Final = 64  # for opening accounts and for verifying
CHECKED_MAX: Final = 10_000
PAGE_ROWS: Final = 1000
SETTLE_S: Final = 30.0  # to settle one unknown outcome: some failovers long


@attrs.frozen
class Plan:
    workload: Workload
    concurrency: int
    batch: int
    duration_s: float


@attrs.frozen
class Interval:
    """`ops` and `latencies` are those of the interval, `errors` and `ops_total` those since the start."""

    elapsed_s: float  # since the start
    length_s: float
    errors: int
    ops: int
    ops_total: int
    latencies: Histogram  # of calls: with batches, a call is many transfers


class Load:
    """One run: `open_accounts`, `run`, and perhaps `verify`, in this order."""

    def __init__(self, client: BankClient, plan: Plan) -> None:
        self.interrupted = False
        self._client = client
        self._plan = plan
        self._sent = [0] * plan.concurrency
        self._refused: set[Sent] = set()  # what the ledger recorded as not done
        self._unsettled: set[Sent] = set()  # sent, and no word from the ledger
        self._ops = 0
        self._errors = 0
        self._latencies = Histogram()  # since the last interval was told

    async def open_accounts(self) -> None:
        """Raises BankError: an account could not be opened."""
        workload = self._plan.workload

        async def open_one(number: int) -> None:
            await self._client.create_account(workload.account(number), initial_balance=INITIAL_BALANCE)

        await each_at_once(range(workload.accounts), open_one)

    async def run(self, tell: Callable[[Interval], None]) -> Interval:
        """Send until the time is up, or until SIGINT (`interrupted`); tell every second, and return the whole."""
        started_at = trio.current_time()
        told = Histogram()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._stop_on_interrupt, nursery.cancel_scope)  # before anything is under way
            nursery.start_soon(self._tell_every_second, started_at, told, tell)
            async with trio.open_nursery() as callers:
                for caller in range(self._plan.concurrency):
                    callers.start_soon(self._call, caller, perf_counter() + self._plan.duration_s)
            nursery.cancel_scope.cancel()
        told.merge(self._latencies)
        elapsed_s = trio.current_time() - started_at
        return Interval(elapsed_s, elapsed_s, self._errors, self._ops, self._ops, told)

    async def _stop_on_interrupt(self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self.interrupted = True
                scope.cancel()

    async def _tell_every_second(self, started_at: float, told: Histogram, tell: Callable[[Interval], None]) -> None:
        ops_told, told_at = 0, started_at
        for second in count(1):
            await trio.sleep_until(started_at + second)
            latencies, self._latencies = self._latencies, Histogram()
            now = trio.current_time()
            tell(Interval(now - started_at, now - told_at, self._errors, self._ops - ops_told, self._ops, latencies))
            told.merge(latencies)
            ops_told, told_at = self._ops, now

    async def _call(self, caller: int, until: float) -> None:
        """One caller's life."""
        number = 0
        while (asked_at := perf_counter()) < until:
            done = await self._send(caller, number)
            self._latencies.add(int((perf_counter() - asked_at) * 1_000_000))
            self._sent[caller] += len(done)
            for row, transfer in enumerate(done, number):
                if transfer.error is None:
                    self._ops += 1
                else:
                    self._note_failure((caller, row), transfer)
            number += len(done)

    async def _send(self, caller: int, number: int) -> list[Transfer]:
        workload, batch = self._plan.workload, self._plan.batch
        if batch == 1:
            return [await self._transfer(workload.transfer(caller, number))]
        rows = [workload.transfer(caller, number + row) for row in range(batch)]
        return await self._client.transfer_many(rows, batch_size=batch)

    async def _transfer(self, row: TransferRequest, timeout_s: float | None = None) -> Transfer:
        return await self._client.try_transfer(row.source, row.target, row.amount, tx_id=row.tx_id, timeout_s=timeout_s)

    def _note_failure(self, sent: Sent, transfer: Transfer) -> None:
        self._errors += 1
        unknown = transfer.status is TransferStatus.UNKNOWN
        (self._unsettled if unknown else self._refused).add(sent)

    async def verify(self) -> Verdict:
        """Raises BankError: an outcome could not be settled, or the cluster does not answer."""
        await each_at_once(sorted(self._unsettled), self._settle)
        lost: list[Sent] = []
        doubled: list[Sent] = []

        async def check(sent: Sent) -> None:
            row = self._plan.workload.transfer(*sent)
            recorded = await self._client.get_transfer_status(row.tx_id or "")
            if recorded is None or recorded.status is not TransferStatus.COMMITTED_OK:
                lost.append(sent)
            elif (await self._transfer(row)).index != recorded.index:
                doubled.append(sent)

        await each_at_once((s for s in sample(self._sent, CHECKED_MAX) if s not in self._refused), check)
        expected = self._plan.workload.balances(self._sent, self._refused)
        return compare(expected, await self._balances(), len(lost), len(doubled))

    async def _settle(self, sent: Sent) -> None:
        """Send it again with its own id: whatever became of it, now the ledger has an answer."""
        transfer = await self._transfer(self._plan.workload.transfer(*sent), SETTLE_S)
        if transfer.status is TransferStatus.UNKNOWN and transfer.error is not None:
            raise transfer.error
        if transfer.error is not None:
            self._refused.add(sent)

    async def _balances(self) -> list[int]:
        """Of the run's accounts, in the order of their numbers."""
        workload = self._plan.workload
        balances: list[int] = []
        after = workload.before_accounts
        while len(balances) < workload.accounts:
            page = await self._client.list_accounts(
                after=after, limit=min(PAGE_ROWS, workload.accounts - len(balances))
            )
            balances += [account.balance for account in page.accounts]
            if not page.accounts:
                break
            after = page.accounts[-1].account
        return balances


async def each_at_once(items: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Do it for every item, TASKS at once. Raises BankError: the first that was raised; the rest is not done."""
    left = iter(items)
    failures: list[BankError] = []

    async def work() -> None:
        try:
            for item in left:  # shared: each item goes to one task
                await act(item)
        except BankError as error:
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(work)
    if failures:
        raise failures[0]
