"""Far more callers than a cluster takes, and more debits than an account holds."""

from pathlib import Path
from typing import Final

import pytest
import trio
import trio.lowlevel

from bankd.client import BankClient, RetryPolicy
from bankd.errors import BankError, InsufficientFunds, Overloaded
from bankd.local import LocalCluster
from tests.real.book import ACCOUNTS, OPENING
from tests.real.clusters import SETTINGS, judged, start_missing
from tests.real.verdict import check_digests, open_accounts
from tests.real.waiting import GIVE_UP_S

pytestmark = pytest.mark.real

IN_FLIGHT_MAX: Final = 50  # of a node; ten times as many callers come
CALLERS: Final = 500
REFUSALS: Final = 1000
RESIDENT_BYTES_MAX: Final = 400 * 1024 * 1024  # of a node; at rest one has 60 MiB

DEBIT: Final = 10
DEBTORS: Final = 3 * OPENING // DEBIT  # three times what the account can pay


def resident_bytes_peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


async def crowd(cluster: LocalCluster) -> None:
    """Call without end from everywhere, until so many calls were refused."""
    refusals = 0

    async def call(client: BankClient, scope: trio.CancelScope) -> None:
        nonlocal refusals
        while refusals < REFUSALS:
            try:
                await client.get_balance(ACCOUNTS[0])
            except Overloaded:
                refusals += 1
            except BankError:
                pass  # a leader that was too busy to lead
        scope.cancel()

    once = RetryPolicy(tries_max=1)
    endpoints = cluster.endpoints
    with trio.fail_after(GIVE_UP_S):
        async with BankClient(endpoints, retry=once, max_in_flight=CALLERS) as client, trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(call, client, nursery.cancel_scope)


def test_ten_times_the_callers_are_refused_in_bounds_and_the_cluster_recovers(tmp_path: Path) -> None:  # X05, B1
    settings = {**SETTINGS, "limits": f"max_in_flight = {IN_FLIGHT_MAX}"}
    with LocalCluster(tmp_path, settings=settings) as cluster, judged(cluster, seed=70):
        trio.run(crowd, cluster)
        assert all(node.running for node in cluster.nodes.values())
        peaks = [resident_bytes_peak(node.pid) for node in cluster.nodes.values()]
        assert max(peaks) < RESIDENT_BYTES_MAX


def test_hot_account_debited_by_many_at_once_across_a_failover_pays_exactly_what_it_had(
    cluster: LocalCluster,
) -> None:  # C08, C01, M2
    cluster.start()
    with cluster.client() as client:
        open_accounts(client)
    paid = trio.run(debit_across_a_failover, cluster)
    assert paid == OPENING // DEBIT
    with cluster.client(timeout_s=GIVE_UP_S) as client:
        assert client.get_balance("acct0").balance == 0
        assert client.get_balance("acct1").balance == 2 * OPENING
        start_missing(cluster)
        check_digests(client, cluster.endpoints)


async def debit_across_a_failover(cluster: LocalCluster) -> int:
    """Have everybody debit the same account, kill the leader among it; how many were paid."""
    paid = 0

    async def debit(client: BankClient, number: int) -> None:
        nonlocal paid
        try:
            await client.transfer("acct0", "acct1", DEBIT, tx_id=f"debit-{number}")
        except InsufficientFunds:
            return
        paid += 1
        if paid == OPENING // DEBIT // 2:
            cluster.nodes[leader].kill()

    leader = cluster.wait_leader()
    async with BankClient(cluster.endpoints, timeout_s=GIVE_UP_S) as client, trio.open_nursery() as nursery:
        for number in range(DEBTORS):
            nursery.start_soon(debit, client, number)
            await trio.lowlevel.checkpoint()
    return paid
