"""What a node says of itself costs little, however often it is asked."""

import trio
from trio.testing import MockClock

from bankd.ledger.state import Ledger
from bankd.node.book import Book
from bankd.node.disk import DiskWriter
from bankd.node.view import IMBALANCE_EVERY_S, DiskUse, NodeView
from bankd.storage.identity import Identity
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Starts
from tests.node.test_acquaintances import acquaintances
from tests.replica.group import Group

N1 = NodeId("n1")


class CountingLedger(Ledger):
    """Counts how often all balances were added up."""

    def __init__(self) -> None:
        super().__init__()
        self.additions = 0

    def imbalance(self) -> int:
        self.additions += 1
        return super().imbalance()


async def test_status_asked_for_in_a_burst_adds_up_all_accounts_once_a_second(autojump_clock: MockClock) -> None:
    replica, ledger = Group([N1]).replicas[N1], CountingLedger()
    replica.ledger = ledger
    disk = DiskWriter(durable=lambda _seq, _messages: None, failed=lambda _error: None)
    identity = Identity("test", ClusterId(1), N1, Incarnation(1))
    starts, book = Starts(1, (1,)), Book({N1: "n1:1"}, acquaintances())
    view = NodeView(identity, starts, False, replica, book, disk, {}, lambda: 0, lambda: DiskUse(0, 0, 0, None))
    for index in range(1, 100):
        ledger.skip(LogIndex(index))
        assert view.status().applied_index == index
    assert ledger.additions == 1
    await trio.sleep(1.5 * IMBALANCE_EVERY_S)
    for _ in range(100):
        assert view.status().imbalance == 0
    assert ledger.additions == 2
    await trio.sleep(1.5 * IMBALANCE_EVERY_S)
    view.status()
    assert ledger.additions == 2, "nothing was applied since"
