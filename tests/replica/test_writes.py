"""Writes between the call and the answer: gathered, logged, answered once."""

from bankd.ledger.commands import CreateAccount
from bankd.raft.messages import Entry, EntryType
from bankd.replica.events import WriteCall
from bankd.replica.writes import Writes, split_by_bytes
from bankd.types import AccountId, LogIndex, Term, TimeNs


def write(name: str, *, size: int = 10, deadline_ns: int = 10**18) -> WriteCall:
    return WriteCall(name, CreateAccount(AccountId(name), 0), b"x" * size, deadline_ns)


def logged(*calls: WriteCall) -> Writes:
    writes = Writes()
    writes.logged(LogIndex(5), Term(2), TimeNs(1), calls)
    return writes


def test_gathered_calls_are_handed_out_once_and_in_order() -> None:
    writes = Writes()
    writes.gather(write("a"))
    writes.gather(write("b"))
    assert writes.count == 2
    assert [call.reply_to for call in writes.take_gathered()] == ["a", "b"]
    assert writes.take_gathered() == []
    assert writes.count == 0
    assert writes.gathered_bytes == 0


def test_logged_entry_comes_back_with_its_commands_decoded() -> None:
    writes = logged(write("a"), write("b"))
    entry = writes.take_logged(LogIndex(5), Term(2))
    assert entry is not None
    assert entry.reply_tos == ["a", "b"]
    assert [command.account for command in entry.commands if isinstance(command, CreateAccount)] == ["a", "b"]
    assert writes.take_logged(LogIndex(5), Term(2)) is None
    assert writes.count == 0


def test_abandoned_calls_are_handed_out_and_never_again() -> None:
    writes = logged(write("a"), write("b"))
    assert writes.abandon(()) == ["a", "b"]
    assert writes.count == 0
    assert writes.take_logged(LogIndex(5), Term(2)) is None


def test_calls_whose_own_entry_is_committed_are_not_abandoned() -> None:
    writes = logged(write("a"))
    writes.logged(LogIndex(6), Term(2), TimeNs(2), [write("b")])
    ours = Entry(LogIndex(5), Term(2), EntryType.COMMANDS, b"")
    another_leaders = Entry(LogIndex(6), Term(3), EntryType.COMMANDS, b"")
    assert writes.abandon((ours, another_leaders)) == ["b"]
    assert writes.count == 1
    kept = writes.take_logged(LogIndex(5), Term(2))
    assert kept is not None
    assert kept.reply_tos == ["a"]
    assert writes.take_logged(LogIndex(6), Term(3)) is None


def test_call_answered_at_its_deadline_is_still_applied_but_not_answered_again() -> None:
    writes = logged(write("a", deadline_ns=10), write("b"))
    assert writes.expire_logged(9) == []
    assert writes.expire_logged(10) == ["a"]
    assert writes.expire_logged(10) == []
    entry = writes.take_logged(LogIndex(5), Term(2))
    assert entry is not None
    assert entry.reply_tos == [None, "b"]
    assert len(entry.commands) == 2
    assert writes.count == 0


def test_gathered_call_leaves_at_its_deadline() -> None:
    writes = Writes()
    writes.gather(write("a", deadline_ns=10))
    writes.gather(write("b"))
    assert writes.expire_gathered(10) == ["a"]
    assert [call.reply_to for call in writes.take_gathered()] == ["b"]


def test_batch_is_cut_into_runs_of_bounded_bytes() -> None:
    calls = [write(str(number), size=40) for number in range(5)]
    assert [len(run) for run in split_by_bytes(calls, 100)] == [2, 2, 1]
    assert [len(run) for run in split_by_bytes(calls, 1000)] == [5]


def test_call_beyond_the_bound_is_a_run_of_its_own() -> None:
    calls = [write("a", size=10), write("b", size=500), write("c", size=10)]
    assert [len(run) for run in split_by_bytes(calls, 100)] == [1, 1, 1]
    assert list(split_by_bytes([], 100)) == []
