"""The show: money moves, the leader is killed in the midst of it, and nothing is lost.

Everything that it claims, it checks, against a book of its own (`book`): a wrong balance, a lost or
doubled transfer or a differing digest ends it with what was seen.
"""

import random
import time
from itertools import pairwise
from threading import Event, Thread
from typing import Final

import attrs

from bankd.client import SyncBankClient
from bankd.demo.book import SAMPLE_ACCOUNTS, Book, sample_balances
from bankd.errors import BankError
from bankd.local import LocalCluster, Process
from bankd.types import TransferStatus

TRANSFERS_BEFORE: Final = 300  # acknowledged before the leader is killed
TRANSFERS_AFTER: Final = 300
CALL_S_MAX: Final = 30.0  # far beyond any election: a transfer that takes longer is a failure
RESTART_S_MAX: Final = 30.0
POLL_S: Final = 0.01


class TourFailed(Exception):
    """Something that must hold did not. Raised by the tour, caught in `demo.run`."""


def show(cluster: LocalCluster) -> None:
    """Run the whole show on a started cluster.

    Raises:
      TourFailed: something that must hold did not.
      BankError: a call got no result within CALL_S_MAX.
    """
    with cluster.client(timeout_s=CALL_S_MAX) as client:
        introduce(cluster)
        book = Book.opened(client)
        say(f"Accounts: {sample_balances(book)}", "  (paid out by the system account @opening: the sum of all is 0)")
        move_by_hand(client, book)
        killed = lose_the_leader(cluster, client, book)
        compare(client, book)
        bring_back(client, cluster, killed)


def introduce(cluster: LocalCluster) -> None:
    leader = cluster.wait_leader()
    processes = [*cluster.nodes.values(), *([cluster.gateway] if cluster.gateway.running else [])]
    roles = {leader: "leader", cluster.gateway.name: "gRPC, bank.v1"}
    lines = [
        f"  {one.name:8} {one.address:16} pid {one.pid:<8} {roles.get(one.name, '')}".rstrip() for one in processes
    ]
    say(f"{len(cluster.nodes)} nodes, each a process of its own (files: {cluster.directory})", *lines)


def move_by_hand(client: SyncBankClient, book: Book) -> None:
    """A transfer, the same one again, and one that is refused."""
    first = client.try_transfer("alice", "bob", 25_00)
    book.enter(first)
    again = client.try_transfer("alice", "bob", 25_00, tx_id=first.tx_id)
    check((again.status, again.index) == (first.status, first.index), f"one id, two effects: {first} and {again}")
    refused = client.try_transfer("dave", "alice", book.balances["dave"] + 1)
    book.enter(refused)
    say(
        f"alice -> bob 25.00: {first.status.name}, log index {first.index}",
        f"  sent again with the same id: {again.status.name}, log index {again.index}; moved once",
        f"dave -> alice, a cent more than there is: {refused.status.name}, log index {refused.index}",
    )


@attrs.define
class Traffic:
    """Random transfers one after the other, until `enough` is set, from a thread of its own.

    The thread writes, the show reads; nothing else touches the book meanwhile.
    """

    client: SyncBankClient
    book: Book
    enough: Event = attrs.field(factory=Event)
    times_s: list[float] = attrs.field(factory=list)  # of each acknowledgement, on the monotonic clock
    failure: BankError | None = None

    def run(self) -> None:
        draw = random.Random(2014)  # the same show each time
        while not self.enough.is_set():
            source, target = draw.sample(sorted(SAMPLE_ACCOUNTS), 2)
            transfer = self.client.try_transfer(source, target, draw.randint(1, 20_00))
            if transfer.status is TransferStatus.UNKNOWN:
                self.failure = transfer.error
                return
            self.book.enter(transfer)
            self.times_s.append(time.monotonic())

    def wait_acknowledged(self, count: int) -> None:
        deadline = time.monotonic() + CALL_S_MAX
        while len(self.times_s) < count:
            if self.failure is not None:
                raise self.failure
            check(
                time.monotonic() < deadline, f"only {len(self.times_s)} of {count} transfers were acknowledged in time"
            )
            time.sleep(POLL_S)


def lose_the_leader(cluster: LocalCluster, client: SyncBankClient, book: Book) -> Process:
    """Kill the leader under traffic; the longest pause between two acknowledgements is the time to the next success."""
    killed = cluster.nodes[cluster.wait_leader()]
    with cluster.client(timeout_s=CALL_S_MAX) as other_client:
        traffic = Traffic(other_client, book)
        thread = Thread(target=traffic.run, daemon=True)
        thread.start()
        traffic.wait_acknowledged(TRANSFERS_BEFORE)
        killed.kill()
        before = len(traffic.times_s)
        traffic.wait_acknowledged(before + TRANSFERS_AFTER)
        traffic.enough.set()
        thread.join()
    pause_s = max(later - earlier for earlier, later in pairwise(traffic.times_s))
    successor = client.cluster.node_status(cluster.addresses[cluster.wait_leader()])
    say(
        f"kill -9 {killed.pid}: {killed.name}, the leader, after {before} transfers",
        f"  the next one succeeded {pause_s:.2f} s later, under {successor.node_id}, leader of term {successor.term}",
        f"  {len(traffic.times_s)} transfers were acknowledged in all",
    )
    return killed


def compare(client: SyncBankClient, book: Book) -> None:
    differences = list(book.differences(client))
    check(not differences, "; ".join(differences[:3]))
    say(
        f"Against the demo's own book: {sample_balances(book)}",
        "  every balance is right and the sum of all accounts is 0",
        f"  each of {len(book.acknowledged)} acknowledged transfers is recorded, once, at its log index",
    )


def bring_back(client: SyncBankClient, cluster: LocalCluster, killed: Process) -> None:
    """Start the killed node again, wait until it has everything, and compare the digests of all nodes."""
    index = client.get_balance("alice").index
    started = time.monotonic()
    killed.start()
    while applied_index(client, killed) < index:
        check(killed.running, f"{killed.name} ended: {killed.log_tail(1)}")
        check(time.monotonic() - started < RESTART_S_MAX, f"{killed.name} has not caught up (log: {killed.log_path})")
        time.sleep(POLL_S)
    caught_up_s = time.monotonic() - started
    digests = {client.cluster.digest(index, endpoint=address).digest.hex() for address in cluster.endpoints}
    check(len(digests) == 1, f"the nodes differ at log index {index}: {', '.join(sorted(digests))}")
    say(
        f"{killed.name} started again: at log index {index} after {caught_up_s:.2f} s",
        f"  the digest of the state at that index is the same on all nodes: {digests.pop()}",
    )


def applied_index(client: SyncBankClient, process: Process) -> int:
    """How far a node has come; 0 while it does not answer."""
    try:
        return client.cluster.node_status(process.address, timeout_s=1.0).applied_index
    except BankError:
        return 0


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TourFailed(otherwise)


def say(*lines: str) -> None:
    """Print one step of the show, and an empty line."""
    print("\n".join(lines), end="\n\n", flush=True)
