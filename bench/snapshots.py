"""What snapshots cost a real cluster, and what they are worth to it: `python -m bench.snapshots`.

Three nodes with fsync on, the client beside them on the same machine. One story, told once:

1. A follower is killed. The others open the accounts, record the transfers (in large batches), and take snapshots
   until their logs hold nothing of that any more.
2. The follower is started again and comes back by snapshot. Then it is started once more, from that snapshot alone.
3. One caller, then 64, move money without a pause while snapshots are taken: at the same log index, and so at the same
   time, by all three nodes. A round is a phase without a snapshot and the one with, right behind it.
4. One more is provoked, and nothing moves beside it.

`--every` is the nodes' `snapshot_every`. It must leave time without a snapshot, or there is nothing to compare with.
What an account takes is counted to the transfers: that is what a disk and a memory must hold.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID

import attrs
import trio

from bankd.client import BankClient, TransferRequest
from bankd.ledger.builder import LedgerBuilder
from bankd.local import LocalCluster, Process, answers
from bankd.storage.disk import OsDisk
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import NodeId
from bankd.wire.snapshot_rows import decode_blocks
from bench.table import Table
from bench.watch import Span, Watch, files_bytes
from bench.workloads import BATCH, BATCH_CALLERS, resident_bytes

CALL_S_MAX: Final = 60.0
LOOK_EVERY_S: Final = 0.005
OPENING: Final = 10**9
OPENERS: Final = 64
CROWD: Final = 64


@attrs.frozen
class Size:
    accounts: int
    transfers: int

    def account(self, number: int) -> str:
        return f"customer-{number % self.accounts:07}"

    def request(self, number: int) -> TransferRequest:
        return TransferRequest(self.account(number * 7), self.account(number * 7 + 1), 1)


class Bench:
    def __init__(self, cluster: LocalCluster, client: BankClient, size: Size, away: NodeId) -> None:
        self.table = Table()
        self._cluster = cluster
        self._client = client
        self._size = size
        self._away = away
        self._leader = NodeId("")
        self._numbers = iter(range(size.transfers, 1 << 60))
        self._empty_bytes = 0
        self._random = Random(1)

    # 1. Fill

    async def fill(self) -> None:
        size, away = self._size, self._cluster.nodes[self._away]
        away.terminate()
        self.table.add("start of a new node", "s", await start_s(away))
        away.kill()
        self._leader = await trio.to_thread.run_sync(self._cluster.wait_leader)
        await in_parallel(OPENERS, size.accounts, self._open)
        self._empty_bytes = resident_bytes(self._cluster.nodes[self._leader].pid)
        began = time.perf_counter()
        await in_parallel(BATCH_CALLERS, size.transfers // BATCH, self._record)
        self.table.add("recording the transfers", "/s", size.transfers / (time.perf_counter() - began))
        async with self._watched() as watch:
            await self._move_until(watch, snapshots=2, callers=1)

    async def _open(self, number: int) -> None:
        await self._client.create_account(self._size.account(number), initial_balance=OPENING)

    def _new_id(self) -> str:
        """One that hardly compresses, as a caller's own may be; those that the client makes follow one another."""
        return str(UUID(int=self._random.getrandbits(128)))

    async def _record(self, batch: int) -> None:
        numbers = range(batch * BATCH, (batch + 1) * BATCH)
        rows = [attrs.evolve(self._size.request(number), tx_id=self._new_id()) for number in numbers]
        results = await self._client.transfer_many(rows, batch_size=BATCH)
        assert all(result.error is None for result in results), "a transfer of a batch was refused"

    # 2. Come back

    async def rejoin(self) -> None:
        away, table = self._cluster.nodes[self._away], self.table
        wanted = (await self._client.cluster.node_status(self._cluster.addresses[self._leader])).commit_index
        began = time.perf_counter()
        await start_s(away)
        await self._client.cluster.digest(wanted, endpoint=away.address, timeout_s=CALL_S_MAX)  # once it is applied
        table.add("rejoin by snapshot", "s", time.perf_counter() - began)
        assert away.terminate() == 0
        self._split(self._cluster.directory / self._away / "snap", self.table)
        table.add("start from a snapshot", "s", await start_s(away))
        grown = resident_bytes(away.pid) - self._empty_bytes
        table.add("  its memory, per million transfers", "MB", grown / self._size.transfers)

    def _split(self, directory: Path, table: Table) -> None:
        """What a start does with its snapshot, here, one part after the other."""
        with self._cluster.client() as client:
            cluster_id = client.cluster.node_status().cluster_id
        store = SnapshotStore.open(OsDisk(), directory, cluster_id)
        reader = store.open_snapshot(store.snapshots[0])
        began = time.perf_counter()
        bodies = list(reader.chunks())
        was_read = time.perf_counter()
        blocks = [block for body in bodies for block in decode_blocks(body)]
        was_decoded = time.perf_counter()
        builder = LedgerBuilder()
        for block in blocks:
            builder.take(block)
        builder.finish()
        reader.close()
        table.add("  reading, checking, decompressing", "s", was_read - began)
        table.add("  decoding", "s", was_decoded - was_read)
        table.add("  building", "s", time.perf_counter() - was_decoded)

    # 3. Commits beside snapshots

    async def commits(self, callers: int, rounds: int) -> None:
        who = f"{callers} caller" + "s" * (callers > 1)
        async with self._watched() as watch:
            calls = await self._move_until(watch, snapshots=rounds + 1, callers=callers)
        for before, during in watch.rounds():
            alone, beside = within(calls, before), within(calls, during)
            for words, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
                baseline = quantile_ms(alone, share)
                self.table.add(f"{who}, no snapshot, {words}", "ms", baseline)
                value = quantile_ms(beside, share)
                self.table.add(f"{who}, beside a snapshot, {words}", "ms", value, "that without", baseline)
            self.table.add(f"a snapshot beside {who}", "s", during.seconds)
        self._add_room(watch)

    # 4. Nobody moves

    async def idle(self) -> None:
        async with self._watched() as watch:
            async with trio.open_nursery() as moving:
                moving.start_soon(self._move, [])
                await watch.wait_begun()
                moving.cancel_scope.cancel()
            await watch.wait_ended()
        self.table.add("a snapshot, idle", "s", watch.spans(self._leader)[-1].seconds)

    async def sums(self) -> None:
        """What has gathered in the end."""
        leader, table = self._leader, self.table
        transfers = (await self._client.cluster.node_status(self._cluster.addresses[leader])).transfers
        directory = self._cluster.directory / leader
        newest = max((directory / "snap").glob("*.snap")).stat().st_size
        grown = resident_bytes(self._cluster.nodes[leader].pid) - self._empty_bytes
        table.add("transfers recorded in the end", "", transfers)
        table.add("newest snapshot", "MB", newest / 1e6)
        table.add("  per transfer", "bytes", newest / transfers)
        table.add("both snapshots and the log, per transfer", "bytes", files_bytes(directory) / transfers)
        table.add("  of which the log", "bytes", files_bytes(directory / "wal") / transfers)
        table.add("memory per million transfers, a node", "MB", grown / transfers)

    def _add_room(self, watch: Watch) -> None:
        snapshots = sorted((self._cluster.directory / self._leader / "snap").glob("*.snap"))
        newest = snapshots[-1].stat().st_size
        self.table.add("most room that a node took", "MB", watch.bytes_max / 1e6, "its newest snapshot", newest / 1e6)

    # Traffic

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[Watch]:
        watch = Watch(
            self._cluster.directory, [node_id for node_id, node in self._cluster.nodes.items() if node.running]
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run)
            yield watch
            nursery.cancel_scope.cancel()

    async def _move_until(self, watch: Watch, *, snapshots: int, callers: int) -> list[Span]:
        """Move money until the leader has taken so many snapshots; when each call began and ended."""
        calls: list[Span] = []
        async with trio.open_nursery() as moving:
            for _ in range(callers):
                moving.start_soon(self._move, calls)
            await watch.wait_taken(self._leader, snapshots)
            await watch.wait_ended()
            moving.cancel_scope.cancel()
        return calls

    async def _move(self, calls: list[Span]) -> None:
        while True:
            request, began = self._size.request(next(self._numbers)), time.perf_counter()
            await self._client.transfer(request.source, request.target, request.amount)
            calls.append(Span(began, time.perf_counter()))


async def in_parallel(callers: int, count: int, call: Callable[[int], Awaitable[None]]) -> None:
    """Make `count` calls, numbered, of which `callers` are under way."""
    numbers = iter(range(count))

    async def repeat() -> None:
        for number in numbers:
            await call(number)

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(repeat)


async def start_s(process: Process) -> float:
    """Start a node; seconds until it lets clients in."""
    began = time.perf_counter()
    process.start()
    while not answers(process.address):
        assert process.running, process.log_tail()
        await trio.sleep(LOOK_EVERY_S)
    return time.perf_counter() - began


def within(calls: Sequence[Span], phase: Span) -> list[float]:
    """How long the calls took of which any part fell into a phase, in seconds, sorted."""
    return sorted(call.seconds for call in calls if call.overlaps(phase))


def quantile_ms(sorted_s: Sequence[float], share: float) -> float:
    return sorted_s[min(int(len(sorted_s) * share), len(sorted_s) - 1)] * 1e3


async def measure(cluster: LocalCluster, size: Size, rounds: int) -> Table:
    leader = await trio.to_thread.run_sync(cluster.wait_leader)
    away = max(node_id for node_id in cluster.nodes if node_id != leader)
    async with BankClient(cluster.endpoints, cluster=cluster.name, timeout_s=CALL_S_MAX) as client:
        bench = Bench(cluster, client, size, away)
        for name, part in (
            ("filling", bench.fill),
            ("a follower rejoins", bench.rejoin),
            ("one caller", partial(bench.commits, 1, rounds)),
            ("many callers", partial(bench.commits, CROWD, rounds)),
            ("idle", bench.idle),
            ("sums", bench.sums),
        ):
            print(name, file=sys.stderr, flush=True)
            await part()
    return bench.table


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.snapshots", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--accounts", type=int, default=100_000, help="opened one by one (100,000)")
    parser.add_argument("--transfers", type=int, default=1_000_000, help="recorded in batches of 1,000 (1,000,000)")
    parser.add_argument("--rounds", type=int, default=4, help="how many snapshots are taken under each load (4)")
    parser.add_argument("--every", type=int, default=8_000, help="log entries from snapshot to snapshot (8,000)")
    options = parser.parse_args(argv)
    settings = {"storage": f'min_free = "0B"\nsnapshot_every = {options.every}\nsnapshot_every_size = "1TiB"'}
    with (
        tempfile.TemporaryDirectory(prefix="bank-bench-", dir=os.environ.get("BENCH_DIR")) as name,
        LocalCluster(Path(name), name="bench", settings=settings) as cluster,
    ):
        cluster.start()
        table = trio.run(measure, cluster, Size(options.accounts, options.transfers), options.rounds)
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
