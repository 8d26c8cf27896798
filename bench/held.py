"""How long a snapshot in the making holds up the event loop: what its slices, and its thread, cost whoever waits for a turn.

    python -m bench.held [--accounts 100000] [--transfers 1000000] [--rounds 3]

A ledger of that size is taken, and restored, by a node's own keeper in a node's own way (`do_jobs`, one thread), in this
process and onto this disk. Beside it a task asks for a turn every millisecond: how late it gets it is shown, and the same
without a snapshot. A slice is what a task does between two turns of others, in processor time of the loop's thread: it
does not depend on what else the machine does.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from bankd.keeper.keeper import Happening, Keeper
from bankd.keeper.restoring import restore
from bankd.keeper.work import Work
from bankd.ledger.state import Ledger
from bankd.node.environment import OneThread
from bankd.node.memory import quiet_garbage_collector
from bankd.node.snapshots import do_jobs
from bankd.raft.messages import Configuration
from bankd.replica.effects import Effects, SnapshotDue
from bankd.replica.events import Event, SnapshotFailed
from bankd.storage.disk import OsDisk
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import ClusterId, LogIndex, NodeId, Term
from bankd.wire.entries import encode_configuration
from bench.image import applied, entries
from bench.table import Table

ASKED_EVERY_S: Final = 0.001
ALONE_S: Final = 2.0
CLUSTER: Final = ClusterId(1)
MEMBERS: Final = encode_configuration(Configuration(voters=frozenset({NodeId("n1")})), {NodeId("n1"): "n1:1"})


@attrs.define(eq=False)
class Slices(trio.abc.Instrument):
    """How long tasks held the loop, in seconds of its thread's processor time."""

    longest_s: float = 0.0
    sum_s: float = 0.0
    count: int = 0
    _began_s: float = attrs.field(factory=time.thread_time)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_s = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took_s = time.thread_time() - self._began_s
        self.longest_s = max(self.longest_s, took_s)
        self.sum_s += took_s
        self.count += 1


@attrs.frozen
class Beside:
    """What it was like while something was done. `late_s` is sorted."""

    took_s: float
    late_s: Sequence[float]
    slices: Slices


async def beside(work: Callable[[], Awaitable[None]]) -> Beside:
    late: list[float] = []
    slices = Slices()
    began = time.perf_counter()

    async def ask() -> None:
        while True:
            due = time.perf_counter() + ASKED_EVERY_S
            await trio.sleep(ASKED_EVERY_S)
            late.append(time.perf_counter() - due)

    trio.lowlevel.add_instrument(slices)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await work()
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(slices)
    return Beside(time.perf_counter() - began, sorted(late), slices)


class Bench:
    """One keeper over a directory, and the lanes that do its work."""

    def __init__(self, ledger: Ledger, directory: Path) -> None:
        self._ledger = ledger
        self._store = SnapshotStore.open(OsDisk(), directory, CLUSTER)
        self._thread = OneThread()
        self._done = trio.Event()
        self._made: Ledger | None = None
        self._keeper = Keeper(self._store, CLUSTER, lambda _: 0, lambda: None, self._kept, self._tell)

    @property
    def size_bytes(self) -> int:
        return self._store.snapshots[0].size_bytes

    async def take(self) -> None:
        """From the freeze until it is durable."""
        async with trio.open_nursery() as lanes:
            lanes.start_soon(do_jobs, self._keeper.taking, self._thread.run)
            self._done = trio.Event()
            ledger = self._ledger
            due = SnapshotDue(ledger.applied_index, Term(1), ledger.last_time_ns, MEMBERS, ledger.freeze())
            self._keeper.carry_out(Effects(snapshot_due=due))
            await self._done.wait()
            lanes.cancel_scope.cancel()

    async def restore(self) -> None:
        """What a follower does with one that it has received, but for giving up the state that it had."""
        async with trio.open_nursery() as lanes:
            self._done = trio.Event()
            lanes.start_soon(do_jobs, self._keeper.receiving, self._thread.run)
            self._keeper.receiving.put(self._restored)
            await self._done.wait()
            lanes.cancel_scope.cancel()

    def _restored(self) -> Work[None]:
        snapshot = self._store.snapshots[0]
        reader = self._store.open_snapshot(snapshot)
        self._made = (yield from restore(snapshot, reader)).ledger
        reader.close()
        self._done.set()

    def forget_restored(self) -> None:
        """Give the restored ledger up: that takes time of its own."""
        self._made = None

    def _kept(self, event: Event) -> None:
        assert not isinstance(event, SnapshotFailed), event.reason
        self._done.set()

    def _tell(self, happening: Happening, _index: LogIndex, words: str) -> None:
        assert happening is Happening.TAKEN, f"{happening.value}: {words}"


async def measure(table: Table, ledger: Ledger, directory: Path, rounds: int) -> None:
    bench = Bench(ledger, directory)
    for _ in range(rounds):
        alone = await beside(partial(trio.sleep, ALONE_S))
        add(table, "alone", alone, alone)
        taken = await beside(bench.take)
        table.add("a snapshot, from freeze to durable", "s", taken.took_s)
        table.add("  its size", "MB", bench.size_bytes / 1e6)
        add(table, "while it is taken", taken, alone)
        restored = await beside(bench.restore)
        table.add("the same restored", "s", restored.took_s)
        add(table, "while it is restored", restored, alone)
        bench.forget_restored()


def add(table: Table, when: str, found: Beside, alone: Beside) -> None:
    for words, place in (("p50", len(found.late_s) // 2), ("p99", len(found.late_s) * 99 // 100)):
        baseline = alone.late_s[len(alone.late_s) * 99 // 100] if words == "p99" and found is not alone else None
        late_ms = found.late_s[place] * 1e3
        table.add(
            f"  a turn {when}, {words}", "ms late", late_ms, "alone", None if baseline is None else baseline * 1e3
        )
    table.add(f"  slices {when}, longest", "ms", found.slices.longest_s * 1e3)
    table.add(f"  slices {when}, all", "% of time", found.slices.sum_s / found.took_s * 100)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.held")
    parser.add_argument("--accounts", type=int, default=100_000, help="each with a request id (100,000)")
    parser.add_argument("--transfers", type=int, default=1_000_000, help="with ids of 36 characters (1,000,000)")
    parser.add_argument("--per-entry", type=int, default=64, help="transfers of one log entry (64)")
    parser.add_argument("--rounds", type=int, default=3, help="how often all is done (3)")
    options = parser.parse_args(argv)
    ledger = applied(entries(options.accounts, options.transfers, options.per_entry))
    quiet_garbage_collector()
    table = Table()
    with tempfile.TemporaryDirectory(prefix="bank-bench-") as name:
        trio.run(measure, table, ledger, Path(name) / "snap", options.rounds)
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
