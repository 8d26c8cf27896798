"""Entries, stamps and totality: K14, K15, faults C07 and C10."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.ledger.commands import Command, CreateAccount, Malformed, SubmitTransfers, TransfersDone, Unreadable
from bankd.ledger.state import Ledger
from bankd.types import BATCH_TRANSFERS_MAX, AccountId, LogIndex, TimeNs, TxId
from tests.ledger.bank import Bank, batch, create, said

any_text = st.text(st.characters(), max_size=140) | st.sampled_from(["a", "b", "\ud800", "@", "a" * 10_000])
any_int = st.integers() | st.integers(-2, 2).map(lambda n: n * 2**63)
garbage: st.SearchStrategy[Command] = st.one_of(
    st.just(Unreadable()),
    st.builds(CreateAccount, any_text.map(AccountId), any_int, st.none() | any_text.map(TxId)),
    st.builds(
        SubmitTransfers,
        st.lists(any_text.map(TxId), max_size=3),
        st.lists(any_text.map(AccountId), max_size=3),
        st.lists(any_text.map(AccountId), max_size=3),
        st.lists(any_int, max_size=3),
    ),
    st.lists(st.tuples(any_text, any_text, any_text, any_int), max_size=4).map(lambda drawn: batch(*drawn)),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.lists(garbage, max_size=5), max_size=4))
def test_every_command_gets_an_outcome_whatever_it_holds(entries: list[list[Command]]) -> None:
    first, second = Bank(), Bank()
    for entry in entries:
        outcomes = first.apply(*entry)
        assert len(outcomes) == len(entry)
        assert outcomes == second.apply(*entry)
        assert first.ledger.digest == second.ledger.digest
        assert first.ledger.imbalance() == 0


@pytest.mark.parametrize(
    "command",
    [
        Unreadable(),
        SubmitTransfers([TxId("t")], [], [], []),
        SubmitTransfers([TxId("t")], [AccountId("a")], [AccountId("b")], [1, 2]),
        SubmitTransfers([], [], [], [1]),
    ],
)
def test_a_command_without_rows_to_judge_is_malformed_and_its_neighbours_are_not(command: Command) -> None:
    bank = Bank()
    outcomes = bank.apply(create("a", 9), create("b"), batch(("t", "a", "b", 1)), command, batch(("u", "a", "b", 1)))
    assert outcomes[3] == Malformed()
    assert [said(outcome) for outcome in outcomes] == [["created"], ["created"], ["ok"], ["malformed"], ["ok"]]
    assert bank.ledger.transfer_count == 2


def test_an_empty_batch_is_answered_with_no_rows() -> None:
    assert Bank().apply(batch()) == [TransfersDone(LogIndex(1), TimeNs(1_000), b"", {})]


def test_the_size_limit_of_requests_is_no_rule_of_the_log() -> None:
    """Were it one, raising it would change what an old log means."""
    bank = Bank()
    bank.apply(create("a", BATCH_TRANSFERS_MAX + 1), create("b"))
    done = bank.submit(*((f"t{n}", "a", "b", 1) for n in range(BATCH_TRANSFERS_MAX + 1)))
    assert said(done) == ["ok"] * (BATCH_TRANSFERS_MAX + 1)


def test_entries_without_commands_move_the_index_alone() -> None:
    ledger = Ledger()
    ledger.apply(LogIndex(1), TimeNs(5), [create("a", 1)])
    digest = ledger.digest
    ledger.skip(LogIndex(2))
    assert (ledger.applied_index, ledger.last_time_ns, ledger.digest) == (2, 5, digest)


@pytest.mark.parametrize("index", [0, 1, 3])
def test_an_entry_out_of_place_is_our_bug(index: int) -> None:
    ledger = Ledger()
    ledger.skip(LogIndex(1))
    with pytest.raises(AssertionError, match="cannot follow 1"):
        ledger.apply(LogIndex(index), TimeNs(1), [])
    with pytest.raises(AssertionError, match="cannot follow 1"):
        ledger.skip(LogIndex(index))


def test_recorded_times_never_run_backwards() -> None:
    ledger = Ledger()
    ledger.apply(LogIndex(1), TimeNs(50), [])
    [done] = ledger.apply(LogIndex(2), TimeNs(0), [batch(("t", "a", "b", 1))])
    assert done == TransfersDone(LogIndex(2), TimeNs(50), b"\x03", {})
    assert ledger.last_time_ns == 50


def test_stamps_take_the_whole_range_of_the_wire() -> None:
    ledger = Ledger()
    last = TimeNs(2**64 - 1)
    [_, done] = ledger.apply(LogIndex(1), last, [create("a"), batch(("t", "a", "b", 1))])
    assert isinstance(done, TransfersDone)
    assert done.time_ns == last
