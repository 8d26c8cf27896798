"""The judges' own bank answers as the contract has it. So does the ledger: two programs, one table."""

import pytest

from bankd.ledger.commands import (
    AccountCreated,
    Command,
    CreateAccount,
    Malformed,
    Outcome,
    RequestConflict,
    RowDetail,
    SubmitTransfers,
    TransfersDone,
)
from bankd.ledger.queries import Answer, BalanceFound, GetAccount, GetBalance, GetTransfer, NotFound, Query
from bankd.ledger.state import Ledger
from bankd.raft.messages import Entry, EntryType
from bankd.sim.judges.bank import Bank
from bankd.types import (
    BALANCE_MAX,
    OPENING_ACCOUNT,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AccountId,
    LogIndex,
    Term,
    TimeNs,
    TransferStatus,
    TxId,
)
from bankd.wire.entries import decode_batch, encode_batch_head, wrap_command
from bankd.wire.methods import Method
from tests.sim.judged import A, B, raw_of

C, D = AccountId("c"), AccountId("d")
OK = TransferStatus.COMMITTED_OK
STRANGER = TransferStatus.COMMITTED_INVALID_ACCOUNT
SHORT = TransferStatus.COMMITTED_INSUFFICIENT_FUNDS
LIMIT = TransferStatus.COMMITTED_LIMIT_EXCEEDED


def opens(account: str, balance: int, request_id: str | None = None) -> CreateAccount:
    return CreateAccount(AccountId(account), balance, None if request_id is None else TxId(request_id))


def moves(*rows: tuple[str, str, str, int]) -> SubmitTransfers:
    return SubmitTransfers(
        [TxId(row[0]) for row in rows],
        [AccountId(row[1]) for row in rows],
        [AccountId(row[2]) for row in rows],
        [row[3] for row in rows],
    )


def done(index: int, *statuses: int, details: dict[int, RowDetail] | None = None) -> TransfersDone:
    return TransfersDone(LogIndex(index), TimeNs(10 * index), bytes(statuses), details or {})


def first_at(index: int, available: int | None = None, differs: tuple[str, ...] = ()) -> RowDetail:
    return RowDetail(LogIndex(index), TimeNs(10 * index), available, differs)


def opened(index: int) -> AccountCreated:
    return AccountCreated(True, LogIndex(index))


# One entry each, from index 4 on: `a` has 100, `b` nothing, and `c` was opened by request r with 5.
TABLE: dict[str, list[tuple[Command, Outcome]]] = {
    "funded": [(moves(("t", A, B, 100)), done(4, OK))],
    "unknown account": [
        (moves(("t", A, D, 1)), done(4, STRANGER)),
        (moves(("u", D, A, 1)), done(5, STRANGER)),
        (opens(D, 0), opened(6)),
        (moves(("t", A, D, 1)), done(7, STRANGER, details={0: first_at(4)})),
    ],
    "more than there is": [
        (moves(("t", A, B, 101)), done(4, SHORT, details={0: first_at(4, 100)})),
        (opens(D, 100), opened(5)),
        (moves(("u", D, A, 100)), done(6, OK)),
        (moves(("t", A, B, 101)), done(7, SHORT, details={0: first_at(4, 100)})),
    ],
    "again": [
        (moves(("t", A, B, 1)), done(4, OK)),
        (moves(("t", A, B, 1)), done(5, OK, details={0: first_at(4)})),
        (moves(("t", A, B, 1), ("t", A, B, 1)), done(6, OK, OK, details={0: first_at(4), 1: first_at(4)})),
    ],
    "again in one entry": [(moves(("t", A, B, 1), ("t", A, B, 1)), done(4, OK, OK, details={1: first_at(4)}))],
    "again with other fields": [
        (moves(("t", A, B, 1)), done(4, OK)),
        (moves(("t", B, A, 1)), done(5, ROW_ID_CONFLICT, details={0: first_at(4, differs=("from", "to"))})),
        (moves(("t", A, B, 2)), done(6, ROW_ID_CONFLICT, details={0: first_at(4, differs=("amount",))})),
    ],
    "one row after the other": [
        (moves(("t", A, B, 60), ("u", A, B, 60)), done(4, OK, SHORT, details={1: first_at(4, 40)})),
        (moves(("v", B, A, 60), ("w", A, B, 100)), done(5, OK, OK)),
    ],
    "malformed rows": [
        (
            moves(
                ("", A, B, 1),
                ("t" * 129, A, B, 1),
                ("t\n", A, B, 1),
                ("t", A, A, 1),
                ("t", A, B, 0),
                ("t", A, B, -1),
                ("t", OPENING_ACCOUNT, B, 1),
                ("t", A, "@b", 1),
                ("t", "", B, 1),
                ("é" * 64, A, B, 1),
            ),
            done(4, *[ROW_MALFORMED] * 9, OK),
        ),
        (moves(("é" * 65, A, B, 1), ("t\x85", A, B, 1)), done(5, ROW_MALFORMED, ROW_MALFORMED)),
        (moves(("t", A, B, 1)), done(6, OK)),
    ],
    "a malformed row under an id that is taken": [
        (moves(("t", A, B, 1)), done(4, OK)),
        (moves(("t", A, B, 0)), done(5, ROW_MALFORMED)),
    ],
    "unequal columns": [(SubmitTransfers([TxId("t"), TxId("u")], [A], [B], [1]), Malformed())],
    "an account that exists": [
        (opens(B, 7), AccountCreated(False, LogIndex(4))),
        (moves(("t", B, A, 7)), done(5, SHORT, details={0: first_at(5, 0)})),
    ],
    "an opening again": [
        (opens(C, 5, "r"), opened(3)),
        (opens(C, 6, "r"), RequestConflict(("initial_balance",))),
        (opens(D, 5, "r"), RequestConflict(("account",))),
        (opens(C, 5, "s"), AccountCreated(False, LogIndex(7))),
        (opens(C, 5, "s"), AccountCreated(False, LogIndex(7))),
    ],
    "malformed openings": [
        (opens("", 0), Malformed()),
        (opens("@d", 0), Malformed()),
        (opens(D, -1), Malformed()),
        (opens(D, 0, ""), Malformed()),
        (opens(D, 0, "r" * 129), Malformed()),
        (opens(D, 0), opened(9)),
    ],
    "more than an account can hold": [
        (opens(D, BALANCE_MAX - 104), opened(4)),
        (moves(("t", A, D, 100), ("u", C, D, 5), ("v", C, D, 4)), done(5, OK, LIMIT, OK)),
        (moves(("u", C, D, 5)), done(6, LIMIT, details={0: first_at(5)})),
    ],
    "more than the bank can give": [
        (opens(D, BALANCE_MAX - 105), opened(4)),
        (opens("e", 0), opened(5)),
        (opens("f", 1), opened(6)),  # now `@opening` holds the least that there is
        (opens("g", 1), AccountCreated(False, LogIndex(7), limit_exceeded=True)),
        (opens("g", 1, "g"), AccountCreated(False, LogIndex(8), limit_exceeded=True)),
        (opens("g", 0), opened(9)),
        (opens("g", 1, "g"), AccountCreated(False, LogIndex(8), limit_exceeded=True)),
    ],
}


def entry(index: int, *raws: bytes) -> Entry:
    body = encode_batch_head(TimeNs(10 * index)) + b"".join(raws)
    return Entry(LogIndex(index), Term(1), EntryType.COMMANDS, body)


def applied(*raws: bytes) -> tuple[Bank, Ledger, list[list[Outcome]]]:
    """Both, behind these entries, and what the ledger answered to each."""
    bank, ledger = Bank(), Ledger()
    outcomes = []
    first = map(raw_of, (opens(A, 100), opens(B, 0), opens(C, 5, "r")))
    for index, raw in enumerate((*first, *raws), 1):
        one = entry(index, raw)
        bank.apply(0, one)
        batch = decode_batch(one.body)
        outcomes.append(ledger.apply(one.index, batch.time_ns, batch.commands))
    return bank, ledger, outcomes


@pytest.mark.parametrize("steps", TABLE.values(), ids=TABLE)
def test_bank_answers_as_the_contract_has_it(steps: list[tuple[Command, Outcome]]) -> None:
    bank, ledger, outcomes = applied(*[raw_of(command) for command, _ in steps])
    told = [[outcome] for _, outcome in steps]
    assert [bank.outcomes[LogIndex(index)] for index in range(4, 4 + len(steps))] == told
    assert outcomes[3:] == told
    for account in bank.accounts:
        assert ledger.read(GetBalance(account)) == bank.answer(GetBalance(account), bank.applied_index)


@pytest.mark.parametrize(
    "raw",
    [
        wrap_command(Method.SUBMIT_TRANSFERS, b"\xff"),
        wrap_command(Method.CREATE_ACCOUNT, b"\n\x03\xed\xa0\x80"),
        b"\x1a\x00",
    ],
    ids=["no_command", "no_utf_8", "nothing"],
)
def test_bank_takes_what_is_no_command_for_malformed(raw: bytes) -> None:
    bank, _, outcomes = applied(raw)
    assert bank.outcomes[LogIndex(4)] == outcomes[3] == [Malformed()]


@pytest.mark.parametrize(
    ("query", "index", "answer"),
    [
        (GetBalance(A), 0, NotFound()),
        (GetBalance(A), 1, BalanceFound(100)),
        (GetBalance(A), 3, BalanceFound(100)),
        (GetBalance(A), 4, BalanceFound(70)),
        (GetBalance(A), 5, BalanceFound(70)),
        (GetBalance(OPENING_ACCOUNT), 0, BalanceFound(0)),
        (GetBalance(OPENING_ACCOUNT), 2, BalanceFound(-100)),
        (GetBalance(D), 5, NotFound()),
        (GetTransfer(TxId("t")), 3, NotFound()),
        (GetTransfer(TxId("u")), 5, NotFound()),
        (GetAccount(A), 5, None),
    ],
)
def test_bank_remembers_what_was_when(query: Query, index: int, answer: Answer | None) -> None:
    bank, _, _ = applied(raw_of(moves(("t", A, B, 30))), raw_of(moves(("v", A, B, 200))))
    assert bank.answer(query, LogIndex(index)) == answer


def test_bank_remembers_transfers_as_the_ledger_does() -> None:
    bank, ledger, _ = applied(raw_of(moves(("t", A, B, 30), ("u", A, B, 71))))
    for tx_id in (TxId("t"), TxId("u")):
        assert bank.answer(GetTransfer(tx_id), LogIndex(4)) == ledger.read(GetTransfer(tx_id)) != NotFound()
