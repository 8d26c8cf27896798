"""Clients that move money without pause, in threads of their own, while a test breaks things.

Two kinds of real clients, because they share only their core: trio clients with several tasks each,
and blocking ones. Most calls are single transfers, some are batches, some read a balance or ask
what became of an earlier transfer. They follow the leader, so each node has a watcher besides, which reads from
this node alone: only there would a node show that it serves what is out of date. What each client does is drawn
from the seed and its name; when it happens is not, so a run is repeated in its order only.

A run under faults proves nothing if hardly anything was going on. So the test says at least once
that the cluster is healthy (`wait_healthy`), and the load must have been acknowledged at a good rate then.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio

from bankd.client import BankClient, SyncBankClient, TransferRequest
from bankd.errors import BankError
from bankd.history.records import Balance, OutcomeOf
from bankd.local import LocalCluster
from bankd.types import LINEARIZABLE, TxId
from tests.real.book import ACCOUNTS, OPENING, Book, Intent
from tests.real.waiting import wait_until

TRIO_CLIENTS: Final = 2
TASKS: Final = 3  # of each trio client
BLOCKING_CLIENTS: Final = 2
HANDS: Final = TRIO_CLIENTS * TASKS + BLOCKING_CLIENTS
CALL_S_MAX: Final = 5.0
WATCH_S_MAX: Final = 1.0
WATCH_EVERY_S: Final = 0.01  # a pause between reads, so that watching takes no core of its own
BATCH_MAX: Final = 20

HEALTHY_CALLS: Final = 250
HEALTHY_CALLS_PER_S_MIN: Final = 50.0  # a floor on the worth of a run, far below what one core does

Asked = list[Intent] | Balance | OutcomeOf


class Hand:
    """Decides what one client task does next: its own transfers until their fate is known, and reads between them."""

    def __init__(self, book: Book, number: int, name: str) -> None:
        self.number = number
        self._book = book
        self._name = name
        self._rng = random.Random(name)
        self._made = 0
        self._open: list[Intent] = []

    def next_call(self) -> Asked:
        self._open = [intent for intent in self._open if intent.tx_id in self._book.unsettled]
        draw = self._rng.random()
        if draw < 0.15:
            return Balance(self._rng.choice(ACCOUNTS), LINEARIZABLE)
        if draw < 0.2 and self._made:
            return OutcomeOf(self._tx_id(self._rng.randint(1, self._made)), LINEARIZABLE)
        if not self._open:
            self._open = [self._intend() for _ in range(self._rng.randint(2, BATCH_MAX) if draw > 0.9 else 1)]
            self._book.meant(self._open)
        return self._open

    def _intend(self) -> Intent:
        self._made += 1
        source, target = self._rng.sample(ACCOUNTS, 2)
        # Large enough that accounts run dry: overdrafts must be refused on both sides of a failover.
        return Intent(self._tx_id(self._made), source, target, self._rng.randint(1, OPENING // 2))

    def _tx_id(self, number: int) -> TxId:
        return TxId(f"{self._name}-{number}")


class Load:
    """Start it with `under_load`; the public methods are for the test's thread."""

    def __init__(self, endpoints: Sequence[str], cluster: str, *, seed: int) -> None:
        self.book = Book()
        self.healthy_rates: list[float] = []  # calls a second
        self._endpoints = endpoints
        self._cluster = cluster
        self._seed = seed
        self._stopping = False
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guard, args=(self._run_trio_clients,), name="load-trio")]
        for number in range(BLOCKING_CLIENTS):
            hand = self._hand(TRIO_CLIENTS * TASKS + number)
            work = threading.Thread(target=self._guard, args=(self._run_blocking_client, hand), name=f"load-{number}")
            self._threads.append(work)

    @property
    def answered(self) -> int:
        """Calls that move money and whose whole fate is known."""
        return len(self.book.answered_ns)

    def wait_answered(self, more: int) -> None:
        """Wait until so many further calls are answered: progress, not time."""
        wanted = self.answered + more

        def enough() -> bool:
            assert not self._failures, self._failures
            return self.answered >= wanted

        wait_until(f"{more} more transfers are acknowledged", enough)

    def wait_healthy(self) -> None:
        """Say that nothing is broken now; note how fast calls are answered."""
        self.wait_answered(10)  # beyond whatever waits and connections the last fault has left
        began_s = time.monotonic()
        self.wait_answered(HEALTHY_CALLS)
        self.healthy_rates.append(HEALTHY_CALLS / (time.monotonic() - began_s))

    def check_worth(self) -> None:
        """Raises AssertionError when the run was too slow to prove anything."""
        assert self.healthy_rates, "this run proves nothing: it was never said to be healthy"
        assert min(self.healthy_rates) >= HEALTHY_CALLS_PER_S_MIN, (
            f"this run proves nothing: while healthy, only {min(self.healthy_rates):.0f} calls a second were "
            f"acknowledged (at least {HEALTHY_CALLS_PER_S_MIN:.0f} make a run count)"
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End once the calls under way have ended.

        Raises:
          ExceptionGroup: what ended a client before that.
        """
        self._stopping = True
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise BaseExceptionGroup("clients failed", self._failures)

    def _hand(self, number: int) -> Hand:
        return Hand(self.book, number, f"{self._seed}-{number}")

    def _guard(self, run: Callable[..., None], *arguments: object) -> None:
        try:
            run(*arguments)
        except BaseException as error:
            self._failures.append(error)

    def _run_trio_clients(self) -> None:
        trio.run(self._trio_clients)

    async def _trio_clients(self) -> None:
        async with trio.open_nursery() as nursery:
            for client in range(TRIO_CLIENTS):
                nursery.start_soon(self._trio_client, [self._hand(client * TASKS + task) for task in range(TASKS)])
            for number, endpoint in enumerate(self._endpoints, HANDS):
                nursery.start_soon(self._watch, endpoint, number)

    async def _watch(self, endpoint: str, number: int) -> None:
        """Read from this node whoever leads, with a new client after each failure, lest it turns to another node."""
        rng = random.Random(f"{self._seed}-{number}")
        while not self._stopping:
            async with BankClient(endpoint, cluster=self._cluster, timeout_s=WATCH_S_MAX) as client:
                while not self._stopping:
                    asked, call_ns = Balance(rng.choice(ACCOUNTS), LINEARIZABLE), time.monotonic_ns()
                    try:
                        self.book.read_balance(number, asked, call_ns, await client.get_balance(asked.account))
                    except BankError as error:
                        self.book.failed(number, asked, call_ns, error)
                        break
                    await trio.sleep(WATCH_EVERY_S)
            await trio.sleep(WATCH_EVERY_S)

    async def _trio_client(self, hands: Sequence[Hand]) -> None:
        async with (
            BankClient(self._endpoints, cluster=self._cluster, timeout_s=CALL_S_MAX) as client,
            trio.open_nursery() as nursery,
        ):
            for hand in hands:
                nursery.start_soon(self._move_money, client, hand)

    async def _move_money(self, client: BankClient, hand: Hand) -> None:
        book = self.book
        while not self._stopping:
            asked, call_ns = hand.next_call(), time.monotonic_ns()
            try:
                match asked:
                    case Balance(account):
                        book.read_balance(hand.number, asked, call_ns, await client.get_balance(account))
                    case OutcomeOf(tx_id):
                        book.read_outcome(hand.number, asked, call_ns, await client.get_transfer_status(tx_id))
                    case [one]:
                        row = await client.try_transfer(one.source, one.target, one.amount, tx_id=one.tx_id)
                        book.moved(hand.number, [one], call_ns, [row])
                    case intents:
                        book.moved(hand.number, intents, call_ns, await client.transfer_many(requests(intents)))
            except BankError as error:
                book.failed(hand.number, asked, call_ns, error)

    def _run_blocking_client(self, hand: Hand) -> None:
        with SyncBankClient(self._endpoints, cluster=self._cluster, timeout_s=CALL_S_MAX) as client:
            while not self._stopping:
                self._move_money_blocking(client, hand)

    def _move_money_blocking(self, client: SyncBankClient, hand: Hand) -> None:
        book = self.book
        asked, call_ns = hand.next_call(), time.monotonic_ns()
        try:
            match asked:
                case Balance(account):
                    book.read_balance(hand.number, asked, call_ns, client.get_balance(account))
                case OutcomeOf(tx_id):
                    book.read_outcome(hand.number, asked, call_ns, client.get_transfer_status(tx_id))
                case intents:
                    book.moved(hand.number, intents, call_ns, client.transfer_many(requests(intents)))
        except BankError as error:
            book.failed(hand.number, asked, call_ns, error)


def requests(intents: Sequence[Intent]) -> list[TransferRequest]:
    return [TransferRequest(intent.source, intent.target, intent.amount, intent.tx_id) for intent in intents]


@contextmanager
def under_load(cluster: LocalCluster, *, seed: int) -> Iterator[Load]:
    """Clients move money for the length of the block; at its end all of them have stopped."""
    load = Load(cluster.endpoints, cluster.name, seed=seed)
    load.start()
    try:
        yield load
    finally:
        load.stop()
