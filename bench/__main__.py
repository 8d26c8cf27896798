"""Measure the whole path and print one table: `make bench`, or `python -m bench --rounds 5 --seconds 2`.

Three nodes with fsync on, the client and the baselines share this machine. Every round measures the
baselines first and then each workload; the table gives the median over the rounds, the least and the
most, and the median ratio to the baseline of the same round.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from bankd.client import BankClient
from bankd.local import LocalCluster
from bench import baselines, disks, workloads
from bench.table import Table

FDATASYNC_COUNT = 300
PAUSE_S = 0.001
SETTLE_S = 5.0  # the nodes prepare their next segments, which keeps the disk busy for a moment
FLOOR = "(paused fdatasync + 2 echoes)"
WARM_UP_S = 1.0
ELECTION_TIMEOUT_S = 1.0  # the default, which the nodes run with


async def measure_round(
    table: Table, client: BankClient, cluster: LocalCluster, directory: Path, port: int, seconds: float
) -> None:
    synced = baselines.fdatasync_latencies_s(directory, FDATASYNC_COUNT)
    sync_s = synced[len(synced) // 2]
    paused = baselines.fdatasync_latencies_s(directory, FDATASYNC_COUNT, pause_s=PAUSE_S)
    paused_sync_s = paused[len(paused) // 2]
    alone = await baselines.echo_latencies_s(port, callers=1, seconds=seconds / 2)
    echo_s = alone[len(alone) // 2]
    crowd = await baselines.echo_latencies_s(port, callers=64, seconds=seconds / 2)
    echo_rate = len(crowd) / (seconds / 2)
    table.add("baseline: fdatasync of 4 KiB", "ms", sync_s * 1e3)
    table.add("baseline: the same, 1 ms after the last", "ms", paused_sync_s * 1e3)
    table.add("baseline: trio echo, 1 caller", "ms", echo_s * 1e3)
    table.add("baseline: trio echo, 64 callers", "/s", echo_rate)

    one = await workloads.transfers(client, callers=1, seconds=seconds)
    # What no design could avoid: client to leader, leader to follower, and one sync before the answer.
    floor_s = paused_sync_s + 2 * echo_s
    table.add("transfer, 1 caller, p50", "ms", one.quantile_s(0.5) * 1e3, FLOOR, floor_s * 1e3)
    table.add("transfer, 1 caller, p99", "ms", one.quantile_s(0.99) * 1e3, FLOOR, floor_s * 1e3)
    blocking = workloads.blocking_transfers(cluster, seconds=seconds)
    table.add("  the same, blocking client, p50", "ms", blocking.quantile_s(0.5) * 1e3, FLOOR, floor_s * 1e3)
    table.add("  the same, blocking client, p99", "ms", blocking.quantile_s(0.99) * 1e3, FLOOR, floor_s * 1e3)
    many = await workloads.transfers(client, callers=64, seconds=seconds)
    table.add("transfers, 64 callers", "/s", many.per_second, "echo, 64 callers", echo_rate)
    table.add("transfers, 64 callers, p50", "ms", many.quantile_s(0.5) * 1e3)
    table.add("transfers, 64 callers, p99", "ms", many.quantile_s(0.99) * 1e3)
    batch = await workloads.batches(client, seconds=seconds)
    table.add("transfers, batches of 1,000", "/s", batch.per_second, "fdatasyncs a second", 1 / sync_s)
    read_one = await workloads.reads(client, callers=1, seconds=seconds)
    table.add("linearizable read, 1 caller, p50", "ms", read_one.quantile_s(0.5) * 1e3, "echo", echo_s * 1e3)
    table.add("linearizable read, 1 caller, p99", "ms", read_one.quantile_s(0.99) * 1e3, "echo", echo_s * 1e3)
    read_many = await workloads.reads(client, callers=64, seconds=seconds)
    table.add("linearizable reads, 64 callers", "/s", read_many.per_second, "echo, 64 callers", echo_rate)


async def measure(cluster: LocalCluster, directory: Path, rounds: int, seconds: float, million: float) -> Table:
    table = Table()
    async with BankClient(cluster.endpoints, cluster=cluster.name, timeout_s=30) as client:
        await workloads.open_accounts(client)
        await workloads.transfers(client, callers=64, seconds=WARM_UP_S)
        for _ in range(rounds):  # while the log is short: what is measured is the election, not a replay
            passed = await workloads.failover_s(client, cluster)
            table.add("kill -9 of the leader to next ack", "s", passed, "election timeout", ELECTION_TIMEOUT_S)
        await trio.sleep(SETTLE_S)
        with baselines.echo_server() as port:
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
                await measure_round(table, client, cluster, directory, port, seconds)
        if million:
            grown = await workloads.bytes_per_million(client, cluster, million)
            table.add("memory per million transfers, a node", "MB", grown / 1e6)
    return table


async def measure_steady(table: Table, cluster: LocalCluster, rounds: int, seconds: float) -> None:
    """One caller, on disks of fixed speed."""
    disk = f"{disks.SYNC_S * 1e3:.1f} ms disk"
    async with BankClient(cluster.endpoints, cluster=cluster.name, timeout_s=30) as client:
        await workloads.open_accounts(client)
        await workloads.transfers(client, callers=64, seconds=WARM_UP_S)
        for _ in range(rounds):
            sync_s = disks.steady_sync_s()
            table.add(f"baseline: fdatasync of a {disk}", "ms", sync_s * 1e3)
            one = await workloads.transfers(client, callers=1, seconds=seconds)
            table.add(f"{disk}, 1 caller, p50", "ms", one.quantile_s(0.5) * 1e3, "its fdatasync", sync_s * 1e3)
            blocking = workloads.blocking_transfers(cluster, seconds=seconds).quantile_s(0.5)
            table.add(f"{disk}, blocking client, p50", "ms", blocking * 1e3, "its fdatasync", sync_s * 1e3)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each workload runs in a round (2)")
    parser.add_argument(
        "--million", type=float, default=1.0, help="how many million transfers the memory figure makes (1)"
    )
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="bank-bench-", dir=os.environ.get("BENCH_DIR")) as name:
        directory = Path(name)
        with LocalCluster(directory, name="bench", settings={"storage": 'min_free = "0B"'}) as cluster:
            cluster.start()
            run = partial(measure, cluster, directory, options.rounds, options.seconds, options.million)
            table = trio.run(run)
    if disks.MEMORY.is_dir():
        with disks.steady_cluster() as cluster:
            trio.run(measure_steady, table, cluster, options.rounds, options.seconds)
    else:
        print(f"no rows for the disk of fixed speed: it needs {disks.MEMORY}", file=sys.stderr)
    print(table.text(), f"Python {sys.version.split()[0]} at {sys.base_prefix}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
