"""What clients are told, where it is not so: S1, M3 and R1. Each answer was spoilt on its way from the node."""

import pytest

from bankd.errors import Code, Refusal
from bankd.ledger.commands import AccountCreated, TransfersDone
from bankd.ledger.queries import Answer, BalanceFound, NotFound
from bankd.replica.effects import ReadDone, Result
from bankd.sim.plan import OutcomeOf, ReadKind, Request
from bankd.status import DigestReport
from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId
from tests.sim.judged import N1, A, balance, funded, move, opening, violated

OK = bytes([TransferStatus.COMMITTED_OK])


def test_a_client_told_of_what_is_not_committed_is_named() -> None:
    group = funded()
    group.judges.called(0, 7, 1, balance(A))
    group.judges.called(0, 7, 2, move("t1", 1))
    group.judges.called(0, 7, 3, opening(A))
    with violated("S1", "client 7, operation 2 is told of 1 outcomes in entry 9, which is not there"):
        group.judges.answered(0, 7, 2, TransfersDone(LogIndex(9), TimeNs(0), OK, {}))
    with violated("S1", "client 7, operation 3 is told that a was opened at 9, and that is 3"):
        group.judges.answered(0, 7, 3, AccountCreated(True, LogIndex(9)))
    with violated("S1", "client 7, operation 1 is told of entry 9, and 4 are committed"):
        group.judges.answered(0, 7, 1, ReadDone(BalanceFound(100), LogIndex(9)))


def test_a_client_told_of_more_rows_than_it_sent_is_named() -> None:
    group = funded()
    group.judges.called(0, 7, 1, move("t1", 1))
    group.ask(N1, move("t1", 1))
    with violated("S1", "is told of 2 outcomes in entry 5, which is not there"):
        group.judges.answered(0, 7, 1, TransfersDone(LogIndex(5), TimeNs(0), 2 * OK, {}))


def test_a_client_told_another_outcome_is_named() -> None:
    group = funded()
    group.judges.called(0, 7, 1, move("t1", 101))
    group.ask(N1, move("t1", 101))
    with violated("M3", "is told 1 of ('t1', 'a', 'b', 101), which is 2"):
        group.judges.answered(0, 7, 1, TransfersDone(LogIndex(5), TimeNs(0), OK, {}))


@pytest.mark.parametrize("told", [AccountCreated(True, LogIndex(3)), DigestReport(LogIndex(4), b"", 0)])
def test_a_client_told_what_it_did_not_ask_for_is_named(told: Result) -> None:
    group = funded()
    group.judges.called(0, 7, 1, move("t1", 1))
    with violated("M3", "client 7, operation 1 asked Move("):
        group.judges.answered(0, 7, 1, told)


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ("nobody", "is told that nobody exists at 4, and that is None"),
        ("b", "is told that b exists at 3, and that is 4"),
    ],
)
def test_a_client_told_that_an_account_exists_which_does_not_is_named(account: str, words: str) -> None:
    group = funded()
    group.judges.called(0, 7, 1, opening(AccountId(account)))
    with violated("M3", words):
        group.judges.answered(0, 7, 1, AccountCreated(False, LogIndex(3 if account == "b" else 4)))


@pytest.mark.parametrize(
    ("request_", "answer", "words"),
    [
        (balance(A, ReadKind.STALE), BalanceFound(99), "is told BalanceFound(balance=99) of GetBalance(account='a')"),
        (OutcomeOf(TxId("t1"), ReadKind.STALE), NotFound(), "is told NotFound() of GetTransfer(tx_id='t1') as of 5"),
    ],
    ids=["balance", "outcome"],
)
def test_a_client_told_what_the_bank_does_not_hold_is_named(request_: Request, answer: Answer, words: str) -> None:
    """However old it may be: the node's answer was spoilt on its way."""
    group = funded()
    group.ask(N1, move("t1", 101))
    group.judges.called(0, 7, 1, request_)
    with violated("R1", words):
        group.judges.answered(0, 7, 1, ReadDone(answer, LogIndex(5)))


def test_a_client_told_of_the_past_is_named() -> None:
    group = funded()
    group.ask(N1, move("t1", 1))
    group.judges.called(0, 7, 1, move("t1", 1))
    group.judges.called(0, 7, 2, balance(A))
    with violated("R1", "is told of entry 5, and 5 was known when it was called"):
        group.judges.answered(0, 7, 1, TransfersDone(LogIndex(5), TimeNs(0), OK, {}))
    with violated("R1", "reads as of 4, and 5 was known when it was called"):
        group.judges.answered(0, 7, 2, ReadDone(BalanceFound(100), LogIndex(4)))


def test_a_client_answered_twice_is_named() -> None:
    group = funded()
    group.judges.called(0, 7, 1, balance(A))
    group.judges.answered(0, 7, 1, None)
    with violated("M3", "client 7 is answered 1 twice, or uncalled"):
        group.judges.answered(0, 7, 1, Refusal(Code.UNAVAILABLE, "NO_LEADER", "none"))
