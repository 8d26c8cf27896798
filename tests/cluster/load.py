"""Clients that move money without pause and write down what they were told.

Every intended transfer has one id, kept until its fate is known. What is acknowledged goes into the
book; what is not is asked about, or sent again under the same id, as a careful caller would.
"""

import random
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from bankd.client import BankClient, SyncBankClient, TransferRequest
from bankd.errors import BankError, InsufficientFunds, OutcomeUnknown, Unavailable
from bankd.types import TransferStatus

ACCOUNTS: Final = [f"acct{number}" for number in range(8)]
OPENING: Final = 1000
CALL_S_MAX: Final = 5.0


@attrs.frozen
class Intent:
    """One transfer that a client means to make, whatever it takes."""

    tx_id: str
    source: str
    target: str
    amount: int


@attrs.define
class Load:
    """`acknowledged`: what the cluster said became of each intent. `unsettled`: it never said."""

    seed: int
    acknowledged: dict[str, tuple[Intent, TransferStatus]] = attrs.field(factory=dict)
    unsettled: dict[str, Intent] = attrs.field(factory=dict)
    unexpected: list[BankError] = attrs.field(factory=list)
    stopping: bool = False

    def settled(self, intent: Intent, status: TransferStatus) -> None:
        self.acknowledged[intent.tx_id] = (intent, status)
        self.unsettled.pop(intent.tx_id, None)

    async def run(self, endpoints: Sequence[str], cluster: str, *, clients: int, tasks: int) -> None:
        """Move money until `stopping`, from several clients with several tasks each."""
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(self._client, endpoints, cluster, number, tasks)

    async def _client(self, endpoints: Sequence[str], cluster: str, number: int, tasks: int) -> None:
        async with (
            BankClient(endpoints, cluster=cluster, timeout_s=CALL_S_MAX) as client,
            trio.open_nursery() as nursery,
        ):
            for task in range(tasks):
                nursery.start_soon(self._move_money, client, f"{self.seed}-{number}-{task}")

    async def _move_money(self, client: BankClient, name: str) -> None:
        rng = random.Random(name)
        count = 0
        while not self.stopping:
            count += 1
            source, target = rng.sample(ACCOUNTS, 2)
            # Large enough that accounts run dry: overdrafts must be refused on both sides of a failover.
            intent = Intent(f"{name}-{count}", source, target, rng.randint(1, OPENING // 2))
            self.unsettled[intent.tx_id] = intent
            while not self.stopping and not await self._try(client, intent):
                pass

    async def _try(self, client: BankClient, intent: Intent) -> bool:
        """Send it once (with the client's own retries); whether its fate is known."""
        try:
            await client.transfer(intent.source, intent.target, intent.amount, tx_id=intent.tx_id)
        except InsufficientFunds:
            self.settled(intent, TransferStatus.COMMITTED_INSUFFICIENT_FUNDS)
        except (OutcomeUnknown, Unavailable):
            return False
        except BankError as error:
            self.unexpected.append(error)
        else:
            self.settled(intent, TransferStatus.COMMITTED_OK)
        return True


def open_accounts(client: SyncBankClient) -> None:
    for account in ACCOUNTS:
        client.create_account(account, initial_balance=OPENING, request_id=f"open-{account}")


def settle(client: SyncBankClient, load: Load) -> None:
    """Send what is unsettled once more, under the same ids, now that the cluster is well."""
    for intent in list(load.unsettled.values()):
        request = TransferRequest(intent.source, intent.target, intent.amount, intent.tx_id)
        load.settled(intent, client.transfer_many([request])[0].status)


def check(client: SyncBankClient, load: Load) -> None:
    """Hold the cluster against the book: S1, M1, M2, M3 of the contract."""
    assert load.unexpected == []
    for intent, status in load.acknowledged.values():
        recorded = client.get_transfer_status(intent.tx_id)
        assert recorded is not None, f"{intent} was acknowledged and is lost"
        assert (recorded.source, recorded.target, recorded.amount) == (intent.source, intent.target, intent.amount)
        assert recorded.status is status, f"{intent} was answered {status.name} and is recorded {recorded.status.name}"
    expected = dict.fromkeys(ACCOUNTS, OPENING)
    for intent, status in load.acknowledged.values():
        if status is TransferStatus.COMMITTED_OK:
            expected[intent.source] -= intent.amount
            expected[intent.target] += intent.amount
    balances = {account: client.get_balance(account).balance for account in ACCOUNTS}
    assert balances == expected, "a transfer was applied twice, or not at all"
    assert min(balances.values()) >= 0
    assert sum(balances.values()) + client.get_balance("@opening").balance == 0


def check_digests(client: SyncBankClient, endpoints: Sequence[str]) -> None:
    """Every node has the same state at the same index (S3)."""
    index = client.get_balance(ACCOUNTS[0]).index
    reports = [client.cluster.digest(index, endpoint=endpoint) for endpoint in endpoints]
    assert {report.digest for report in reports} == {reports[0].digest}, reports
    assert {report.imbalance for report in reports} == {0}
