"""Wrong states and wrong answers are named: S1, S2, S3, M1, M2, M3, R1, K11, K15."""

from collections.abc import Callable

import attrs
import pytest

from bankd.errors import Code, Refusal
from bankd.ledger.commands import (
    AccountCreated,
    Command,
    CreateAccount,
    Malformed,
    SubmitTransfers,
    TransfersDone,
)
from bankd.ledger.queries import BalanceFound, NotFound
from bankd.raft.messages import Entry, EntryType
from bankd.replica import refusals
from bankd.replica.effects import Effects, ReadDone, Reply, Result
from bankd.replica.events import Calls, DigestCall, HandOverCall
from bankd.sim.judges.bank import Bank
from bankd.sim.plan import ReadKind
from bankd.status import DigestReport, LeadershipMoved
from bankd.types import AccountId, LogIndex, NodeId, Term, TimeNs, TransferStatus, TxId
from bankd.wire.entries import encode_batch_head
from tests.sim.judged import (
    ELECTION_TICKS,
    MS,
    N1,
    N2,
    SECOND,
    A,
    B,
    Spoil,
    balance,
    call_of,
    funded,
    move,
    unblamed,
    violated,
)

OK = bytes([TransferStatus.COMMITTED_OK])


def answering(change: Callable[[Result], Result]) -> Spoil:
    """Every answer that leaves a node is another one."""

    def spoil(node: NodeId, effects: Effects) -> Effects:
        return attrs.evolve(effects, replies=tuple(Reply(mark, change(result)) for mark, result in effects.replies))

    return spoil


def reading(found: int, index: int, age_ms: int = 0) -> Spoil:
    return answering(lambda result: ReadDone(BalanceFound(found), LogIndex(index), age_ms))


# States


def test_a_state_that_differs_is_named() -> None:
    group = funded()
    group.nodes[N2].replica.ledger.digest = bytes(16)
    with violated("S3", "at 5, and"):
        group.ask(N1, move("t1", 1))
        group.beat(N1)


@pytest.mark.parametrize(
    ("changes", "invariant", "words"),
    [
        ((0, 1, 0), "M1", "all balances sum up to 1 at 5"),
        ((0, -200, 200), "M2", "a holds -100 at 5"),
        ((0, -1, 1), "M3", "a holds 98 at 5, where the log makes it 99"),
    ],
)
def test_a_wrong_balance_is_named(changes: tuple[int, ...], invariant: str, words: str) -> None:
    group = funded()
    group.call(N1, move("t1", 1))
    balances = group.nodes[N1].replica.ledger._accounts.balances
    balances[:] = [before + change for before, change in zip(balances, changes, strict=True)]
    with violated(invariant, words):
        group.settle()


def test_an_entry_applied_before_it_is_committed_is_named() -> None:
    group = funded()
    group.nodes[N2].replica.ledger.skip(LogIndex(5))
    with violated("S4", "applied 5 after 4, with 4 committed"):
        group.tick(N2)


def test_a_transfer_that_is_remembered_otherwise_is_named_at_the_end() -> None:
    group = funded()
    group.ask(N1, move("t1", 1))
    group.beat(N1)
    group.nodes[N2].replica.ledger._transfers._statuses[0] = TransferStatus.COMMITTED_LIMIT_EXCEEDED
    with violated("S1", "transfer t1 was"):
        group.judges.finish(group.now_ns)


def test_a_stamp_that_does_not_rise_is_named() -> None:
    bank = Bank()
    first, second = (Entry(LogIndex(i), Term(1), EntryType.COMMANDS, encode_batch_head(TimeNs(7))) for i in (1, 2))
    bank.apply(0, first)
    with violated("K15", "entry 2 is stamped 7, not after 7"):
        bank.apply(0, second)


def test_an_opening_that_is_remembered_otherwise_is_named_at_the_end() -> None:
    group = funded()
    group.nodes[N2].replica.ledger._accounts._initial_balances[1] = 99
    with violated("M3", "a was opened at 3 with 100, and is AccountRecord("):
        group.judges.finish(group.now_ns)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (CreateAccount(AccountId("c"), 0), "3 accounts and 0 transfers, where the log makes 2 and 0"),
        (SubmitTransfers([TxId("t9")], [A], [B], [101]), "2 accounts and 1 transfers, where the log makes 2 and 0"),
    ],
    ids=["account", "transfer"],
)
def test_what_no_entry_made_is_named_at_the_end(command: Command, words: str) -> None:
    """It moves no money: only its being there shows."""
    group = funded()
    ledger = group.nodes[N2].replica.ledger
    ledger.applied_index = LogIndex(3)
    ledger.apply(LogIndex(4), TimeNs(0), [command])
    with violated("M3", words):
        group.judges.finish(group.now_ns)


# Answers to writes


def test_a_second_answer_is_named() -> None:
    group = funded()
    mark = group.call(N1, move("t1", 1))
    group.settle()
    with violated("M3", "answers (1, 3), which was answered or never asked"):
        group.forge(N1, Effects(replies=(Reply(mark, Malformed()),)))


@pytest.mark.parametrize(
    "change",
    [
        lambda result: attrs.evolve(result, outcomes=bytes([TransferStatus.COMMITTED_INSUFFICIENT_FUNDS])),
        lambda result: attrs.evolve(result, index=LogIndex(6)),
        lambda result: Malformed(),
        lambda result: AccountCreated(True, LogIndex(5)),
    ],
    ids=["status", "index", "malformed", "another_kind"],
)
def test_a_wrong_outcome_is_named(change: Callable[[Result], Result]) -> None:
    group = funded()
    group.spoil = answering(change)
    with violated("M3", "answers command 0 of entry 5 with"):
        group.ask(N1, move("t1", 1))


def test_a_first_outcome_given_anew_is_named() -> None:
    """An id that was decided is answered again as if it were new."""
    group = funded()
    group.ask(N1, move("t1", 100))
    group.spoil = answering(lambda result: TransfersDone(LogIndex(6), TimeNs(group.now_ns), OK, {}))
    with violated("M3", "answers command 0 of entry 6"):
        group.ask(N1, move("t1", 100))


def test_an_outcome_told_before_it_is_applied_is_named() -> None:
    group = funded()
    mark = group.call(N1, move("t1", 1))
    done = TransfersDone(LogIndex(5), TimeNs(0), OK, {})
    with violated("S1", "answers a write whose entry 5@2 is not applied"):
        group.forge(N1, Effects(replies=(Reply(mark, done),)))


def test_an_outcome_of_what_is_in_no_log_is_named() -> None:
    group = funded()
    group.spoil = lambda node, effects: Effects()
    mark = group.call(N1, move("t1", 1))
    with violated("S1", "answers a write that it put into no entry"):
        group.forge(N1, Effects(replies=(Reply(mark, Malformed()),)))


def test_a_logged_write_refused_as_surely_not_done_is_named() -> None:
    group = funded()
    group.spoil = answering(lambda result: refusals.not_leader(None))
    group.call(N1, move("t1", 1))
    with violated("K11", "refuses with NO_LEADER a write that it put into entry 5"):
        group.tick(N1, ELECTION_TICKS)


def test_a_logged_write_of_unknown_outcome_passes() -> None:
    group = funded()
    group.call(N1, move("t1", 1))
    group.tick(N1, ELECTION_TICKS)
    assert [refusal.reason for refusal in group.results if isinstance(refusal, Refusal)] == ["OUTCOME_UNKNOWN"]


def test_commands_that_nobody_sent_are_named() -> None:
    group = funded()

    def add_bytes(node: NodeId, effects: Effects) -> Effects:
        def longer(entry: Entry) -> Entry:
            return attrs.evolve(entry, body=entry.body + b"more")

        persists = tuple(attrs.evolve(p, entries=tuple(map(longer, p.entries))) for p in effects.persists)
        return attrs.evolve(effects, persists=persists)

    group.spoil = add_bytes
    with violated("M3", "proposes entry 5 with 4 bytes that no waiting call brought"):
        group.call(N1, move("t1", 1))


@pytest.mark.parametrize("refusal", [refusals.overloaded(), refusals.outcome_unknown(None)], ids=lambda one: one.reason)
def test_of_two_equal_writes_the_one_that_was_refused_is_not_the_one_that_was_logged(refusal: Refusal) -> None:
    """Only a refusal that is sure says which: an unknown outcome is one of a logged write."""
    group = funded()
    replica, sure = group.nodes[N1].replica, refusal.code is not Code.UNKNOWN
    calls = [call_of((9, number), move("t1", 1), SECOND) for number in ((1, 2) if sure else (1,))]
    replica.step(Calls(calls[-1:]), group.now_ns)
    effects = replica.ready(wall_ns=group.now_ns)
    if not sure:
        replica._writes.expire_logged(SECOND)
    effects = attrs.evolve(effects, replies=(Reply(calls[0].reply_to, refusal),))
    with unblamed():
        group.judges.turned(group.now_ns, N1, replica, [Calls(calls)], effects)


# Answers to reads


def test_a_stale_answer_to_a_linearizable_read_is_named() -> None:
    group = funded()
    group.ask(N1, move("t1", 1))
    group.spoil = reading(100, 4)
    with violated("R1", "answers as of 4, and 5 was known to a client when it was asked"):
        group.ask(N2, balance(A))


def test_a_balance_that_never_was_is_named() -> None:
    group = funded()
    group.spoil = reading(99, 4)
    with violated("R1", "and it is BalanceFound(balance=100)"):
        group.ask(N2, balance(A))


def test_a_read_of_what_is_not_applied_is_named() -> None:
    group = funded()
    group.spoil = reading(100, 9)
    with violated("R1", "answers as of 9, having applied 4"):
        group.ask(N2, balance(A))


def test_a_read_older_than_the_index_asked_for_is_named() -> None:
    group = funded()
    group.spoil = answering(lambda result: ReadDone(NotFound(), LogIndex(2)))
    with violated("R1", "answers as of 2, and 3 was asked for"):
        group.ask(N2, balance(A, ReadKind.AT_LEAST))


def test_a_read_older_than_the_age_asked_for_is_named() -> None:
    group = funded()
    group.spoil = reading(100, 4, age_ms=1_001)
    with violated("R1", "answers with an age of 1001 ms, and 1000 were asked for"):
        group.ask(N2, balance(A, ReadKind.BOUNDED))


@pytest.mark.parametrize("age_ms", [0, 99])
def test_an_age_that_is_not_true_is_named(age_ms: int) -> None:
    group = funded()
    group.ask(N1, move("t1", 1))
    group.now_ns += 100 * MS
    group.spoil = reading(100, 4, age_ms=age_ms)
    with violated("R1", f"claims an age of {age_ms} ms as of 4, committed over 100.000 ms ago"):
        group.ask(N2, balance(A, ReadKind.STALE))


def test_an_answer_to_something_else_is_named() -> None:
    group = funded()
    group.spoil = answering(lambda result: Malformed())
    with violated("M3", "answers ReadCall with Malformed()"):
        group.ask(N2, balance(A))


def test_a_digest_that_never_was_is_named() -> None:
    group = funded()
    group.spoil = answering(lambda result: DigestReport(LogIndex(4), bytes(16), 0))
    with violated("S3", "reports a digest for 4 that the state never had"):
        group.step(N1, Calls((DigestCall("d", LogIndex(4), SECOND),)))


def test_a_digest_of_what_is_not_applied_is_named() -> None:
    group = funded()
    group.call(N1, move("t1", 1))
    known = group.nodes[N1].replica.digest_at(LogIndex(4))
    assert known is not None
    group.spoil = answering(lambda result: DigestReport(LogIndex(5), known, 0))
    with violated("S3", "reports a digest for 5 that the state never had"):
        group.step(N1, Calls((DigestCall("d", LogIndex(4), SECOND),)))


def test_a_sum_that_is_reported_and_not_0_is_named() -> None:
    group = funded()
    group.spoil = answering(lambda result: DigestReport(LogIndex(4), b"", imbalance=1))
    with violated("M1", "reports an imbalance of 1 at 4"):
        group.step(N1, Calls((DigestCall("d", LogIndex(4), SECOND),)))


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        (LeadershipMoved(N2, Term(2)), "says that n2 leads term 2, which n1 leads"),
        (LeadershipMoved(N1, Term(3)), "says that n1 leads term 3, which nobody leads"),
    ],
    ids=["another_node", "another_term"],
)
def test_a_leader_that_nobody_elected_is_named_where_an_operator_is_told_of_it(
    moved: LeadershipMoved, words: str
) -> None:
    group = funded()
    group.spoil = answering(lambda result: moved)
    with violated("S2", words):
        group.step(N1, Calls((HandOverCall("h", N1, SECOND),)))
