"""The real ledger agrees with a bank that anyone can check by eye.

M1 to M3, K1 to K10, K14, faults C01, C03, C06 and C08.
"""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.ledger.commands import Command, CreateAccount, SubmitTransfers
from tests.ledger.bank import WORDS, Bank, Row, batch, create, said
from tests.ledger.naive_bank import INT64_MAX, INT64_MIN, NaiveBank

ACCOUNTS = ["a", "b", "c", "ä", "@opening", "@fees", "", "x\x00", "é" * 65]
TX_IDS = ["t1", "t2", "t3", "t4", "t5", "t6", "ü", "", "t\n1", "\x9f", "t" * 129]
AMOUNTS = [0, -1, 1, 2, 5, 50, 100, INT64_MAX - 1, INT64_MAX, INT64_MAX + 1, INT64_MIN, 10**30]

# Small pools, so that ids collide; the faulty members come last, and a draw favours what stands first.
accounts = st.sampled_from(ACCOUNTS[:3]) | st.sampled_from(ACCOUNTS)
tx_ids = st.integers(0, 99).map("t{}".format) | st.sampled_from(TX_IDS)
amounts = st.integers(1, 60) | st.sampled_from(AMOUNTS)
rows = st.tuples(tx_ids, accounts, accounts, amounts)
batches = st.lists(rows, max_size=6).map(lambda drawn: batch(*drawn))
creates = st.builds(create, accounts, st.integers(0, 100) | st.sampled_from(AMOUNTS), st.none() | tx_ids)
commands: st.SearchStrategy[Command] = st.one_of(batches, creates)
entries = st.lists(st.lists(commands, max_size=4), max_size=12)

OPENED: list[Command] = [create("a", 100), create("b", 100)]


def naive_answers(naive: NaiveBank, command: Command) -> list[str]:
    match command:
        case CreateAccount(account, initial, request_id):
            return [naive.create(account, initial, request_id)]
        case SubmitTransfers():
            return [naive.transfer(*row) for row in rows_of(command)]
        case _:
            return ["malformed"]


def rows_of(command: SubmitTransfers) -> list[Row]:
    return list(zip(command.tx_ids, command.sources, command.targets, command.amounts, strict=True))


@settings(deadline=None, max_examples=400)
@given(entries)
def test_every_answer_and_balance_agrees_with_the_naive_bank(drawn: list[list[Command]]) -> None:
    real, naive = Bank(), NaiveBank()
    for entry in [OPENED, *drawn]:
        outcomes = real.apply(*entry)
        assert [said(outcome) for outcome in outcomes] == [naive_answers(naive, command) for command in entry]
        assert real.balances(ACCOUNTS) == naive.balances
        assert_invariants(real, naive)


def assert_invariants(real: Bank, naive: NaiveBank) -> None:
    balances = real.balances(ACCOUNTS)
    assert real.ledger.imbalance() == 0 == sum(balances.values())  # M1
    assert all(balance >= 0 for account, balance in balances.items() if account != "@opening")  # M2
    assert all(INT64_MIN <= balance <= INT64_MAX for balance in balances.values())  # K9
    assert real.ledger.transfer_count == len(naive.transfers)  # M3: one id, one record
    assert real.ledger.account_count == len(naive.balances) - 1


@settings(deadline=None, max_examples=100)
@given(entries)
def test_a_recorded_transfer_is_read_back_as_it_was_first_answered(drawn: list[list[Command]]) -> None:
    real, naive = Bank(), NaiveBank()
    first_index: dict[str, int] = {}
    for entry in [OPENED, *drawn]:
        real.apply(*entry)
        for command in entry:
            naive_answers(naive, command)
        first_index |= {id_: real.ledger.applied_index for id_ in naive.transfers if id_ not in first_index}
    for tx_id, ((source, target, amount), answer) in naive.transfers.items():
        record = real.status(tx_id)
        assert record is not None
        assert (record.source, record.target, record.amount) == (source, target, amount)
        assert said_of(record.status, record.available) == answer
        assert (record.index, record.time_ns) == (first_index[tx_id], 1_000 * first_index[tx_id])


def said_of(status: int, available: int | None) -> str:
    return WORDS[status] + ("" if available is None else f": {available}")


@settings(deadline=None, max_examples=150)
@given(st.lists(rows, max_size=20), st.data())
def test_any_split_into_batches_and_entries_gives_the_same_answers(drawn: list[Row], data: st.DataObject) -> None:
    whole, split = Bank(), Bank()
    whole.apply(*OPENED)
    split.apply(*OPENED)
    answers = said(whole.submit(*drawn))
    parts = [said(outcome) for entry in data.draw(cuts(drawn)) for outcome in split.apply(*entry)]
    assert [answer for part in parts for answer in part] == answers
    assert split.balances(ACCOUNTS) == whole.balances(ACCOUNTS)


@st.composite
def cuts(draw: st.DrawFn, drawn: Sequence[Row]) -> list[list[SubmitTransfers]]:
    """The same rows in the same order, cut into entries of batches."""
    entries: list[list[SubmitTransfers]] = [[]]
    begin = 0
    while begin < len(drawn):
        end = draw(st.integers(begin + 1, len(drawn)))
        if draw(st.booleans()):
            entries.append([])
        entries[-1].append(batch(*drawn[begin:end]))
        begin = end
    return entries
