"""The figures of the whole path: what callers of one client see from a real three-node cluster.

Every function runs one workload once, against a cluster that is up, through the public client.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import attrs
import trio

from bankd.client import BankClient, TransferRequest
from bankd.local import LocalCluster

ACCOUNTS: Final = 1000
BATCH: Final = 1000
BATCH_CALLERS: Final = 8  # enough to keep both cores busy: some on their way, some at the disk, some being answered
OPENING: Final = 10**12

_numbers = count()


@attrs.frozen
class Rate:
    """`latencies_s` is sorted; `per_second` counts transfers or reads, not calls."""

    per_second: float
    latencies_s: Sequence[float]

    def quantile_s(self, share: float) -> float:
        return self.latencies_s[min(int(len(self.latencies_s) * share), len(self.latencies_s) - 1)]


def account(number: int) -> str:
    return f"acct{number % ACCOUNTS}"


async def open_accounts(client: BankClient) -> None:
    async with trio.open_nursery() as nursery:
        limiter = trio.CapacityLimiter(64)

        async def create(number: int) -> None:
            async with limiter:
                await client.create_account(account(number), initial_balance=OPENING)

        for number in range(ACCOUNTS):
            nursery.start_soon(create, number)


async def run_callers(call: Callable[[int], Awaitable[int]], *, callers: int, seconds: float) -> Rate:
    """`callers` tasks, each with one call under way, for so long. `call` returns how much it did."""
    latencies: list[float] = []
    done = 0
    began = time.perf_counter()
    ends = began + seconds

    async def repeat() -> None:
        nonlocal done
        while (start := time.perf_counter()) < ends:
            did = await call(next(_numbers))
            done += did  # not in one line: that would read `done` before the wait
            latencies.append(time.perf_counter() - start)

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(repeat)
    return Rate(done / (time.perf_counter() - began), sorted(latencies))


async def transfers(client: BankClient, *, callers: int, seconds: float) -> Rate:
    """One transfer a call."""

    async def call(number: int) -> int:
        await client.transfer(account(number), account(number * 7 + 1), 1)
        return 1

    return await run_callers(call, callers=callers, seconds=seconds)


def blocking_transfers(cluster: LocalCluster, *, seconds: float) -> Rate:
    """One transfer a call, one call at a time, through the blocking client."""
    latencies: list[float] = []
    with cluster.client() as client:
        client.transfer(account(0), account(1), 1)
        began = time.perf_counter()
        while (start := time.perf_counter()) < began + seconds:
            number = next(_numbers)
            client.transfer(account(number), account(number * 7 + 1), 1)
            latencies.append(time.perf_counter() - start)
    return Rate(len(latencies) / seconds, sorted(latencies))


async def batches(client: BankClient, *, seconds: float) -> Rate:
    """A thousand transfers a call, a few calls under way."""

    async def call(number: int) -> int:
        rows = [TransferRequest(account(number + row), account(number + row + 1), 1) for row in range(BATCH)]
        results = await client.transfer_many(rows, batch_size=BATCH)
        assert all(result.error is None for result in results), "a transfer of a batch was refused"
        return len(results)

    return await run_callers(call, callers=BATCH_CALLERS, seconds=seconds)


async def reads(client: BankClient, *, callers: int, seconds: float) -> Rate:
    """One linearizable balance a call."""

    async def call(number: int) -> int:
        await client.get_balance(account(number))
        return 1

    return await run_callers(call, callers=callers, seconds=seconds)


async def failover_s(client: BankClient, cluster: LocalCluster) -> float:
    """Kill the leader with SIGKILL under one caller; seconds until the next acknowledged transfer.

    Restarts it, and waits until it serves what the others do.
    """
    leader = await trio.to_thread.run_sync(cluster.wait_leader)
    await client.transfer(account(0), account(1), 1)
    cluster.nodes[leader].kill()
    began = time.perf_counter()
    await client.transfer(account(0), account(1), 1, timeout_s=60)
    passed = time.perf_counter() - began
    cluster.nodes[leader].start()
    await trio.to_thread.run_sync(cluster.wait_answers, cluster.nodes[leader])
    index = (await client.get_balance(account(0))).index
    await client.cluster.digest(index, endpoint=cluster.addresses[leader], timeout_s=60)
    return passed


def resident_bytes(pid: int) -> int:
    """The resident set of a process, from the kernel."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory of its own")


async def bytes_per_million(client: BankClient, cluster: LocalCluster, million: float = 1.0) -> float:
    """How much the largest node grew, scaled to a million recorded transfers (made in batches, UUID ids)."""
    pids = [node.pid for node in cluster.nodes.values()]
    before = [resident_bytes(pid) for pid in pids]
    wanted = int(million * 1_000_000)
    numbers = iter(range(0, wanted, BATCH))

    async def fill() -> None:
        for first in numbers:
            rows = [TransferRequest(account(row), account(row + 1), 1) for row in range(first, first + BATCH)]
            await client.transfer_many(rows, batch_size=BATCH)

    async with trio.open_nursery() as nursery:
        for _ in range(BATCH_CALLERS):
            nursery.start_soon(fill)
    grown = max(resident_bytes(pid) - old for pid, old in zip(pids, before, strict=True))
    return grown / million
