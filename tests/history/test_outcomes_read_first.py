"""An outcome that somebody reads before its own client hears of it was asked for all the same."""

import pytest

from bankd.history.records import Move, Moved, Open, Opened, OutcomeFound, OutcomeOf, Record
from bankd.history.witness import check
from bankd.types import LINEARIZABLE, AccountId, LogIndex, TransferStatus, TxId

A, B, T = AccountId("a"), AccountId("b"), TxId("t")


@pytest.mark.parametrize("amount", [4, 400], ids=["plain", "with a detail"])
def test_read_called_before_the_write_may_tell_of_it(amount: int) -> None:
    status = TransferStatus.COMMITTED_OK if amount == 4 else TransferStatus.COMMITTED_INSUFFICIENT_FUNDS
    available = None if amount == 4 else 10
    found = OutcomeFound(A, B, amount, status, LogIndex(3), available)
    done = Moved(bytes([status]), available={} if available is None else {0: available})
    records = [
        Record(0, Open(A, 10, TxId("oa")), 0, 5, Opened(True, LogIndex(1))),
        Record(0, Open(B, 0, TxId("ob")), 0, 5, Opened(True, LogIndex(2))),
        Record(1, OutcomeOf(T, LINEARIZABLE), 10, 40, found, LogIndex(3)),
        Record(0, Move((T,), (A,), (B,), (amount,)), 20, 50, done, LogIndex(3)),
    ]
    assert check(records) == []
