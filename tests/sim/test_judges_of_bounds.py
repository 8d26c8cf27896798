"""B1: what waits, what is under way and how long is named where it goes beyond its limit.

The replicas of these runs keep to the usual limits, and the judges think of tighter ones.
"""

from collections.abc import Sequence

import attrs
import pytest

from bankd.errors import Refusal
from bankd.ledger.queries import GetBalance
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HardState,
    HeartbeatResponse,
    ReadIndexRequest,
)
from bankd.raft.ready import Persist, Role, RoleChanged
from bankd.replica.effects import Effects
from bankd.replica.events import Call, Calls, HandOverCall, ReadCall, Received
from bankd.sim.plan import Limits, NodeTraits, ProductOptions, ReadKind
from bankd.types import AtLeast, LogIndex, NodeId, Term
from tests.sim.judged import (
    MS,
    N1,
    N2,
    N3,
    SECOND,
    A,
    Judged,
    balance,
    call_of,
    move,
    opening,
    plan_of,
    unblamed,
    violated,
)

USUAL = Limits()
ENTRY_BYTES = 52  # of one of the transfers below: 24 for the entry, 11 for its head, 17 for the call


def led(limits: Limits, obeyed: Limits = USUAL) -> Judged:
    """n1 leads, and everybody has answered all that it sent. The judges hold the cluster to `limits`."""
    group = Judged(attrs.evolve(plan_of(), limits=limits), obeyed=attrs.evolve(plan_of(), limits=obeyed))
    group.elect(N1)
    return group


def propose(group: Judged, count: int, first: int = 1) -> None:
    """So many entries, one after the other. Nothing is delivered."""
    for number in range(first, first + count):
        group.call(N1, move(f"t{number}", 1))


def at_once(count: int) -> Calls:
    """So many transfers in one turn."""
    return Calls([call_of((9, number), move(f"t{number}", 1), SECOND) for number in range(count)])


# What is under way to a follower


def test_more_appends_under_way_than_the_limit_are_named() -> None:
    group = led(Limits(inflight_messages_max=2))
    with unblamed():
        propose(group, 2)
    with violated("B1", "has 3 appends under way to n2, at most 2"):
        propose(group, 1, first=3)


def test_appends_that_were_answered_are_not_under_way() -> None:
    group = led(Limits(inflight_messages_max=2))
    for first in (1, 3, 5):
        with unblamed():
            propose(group, 2, first)
            group.settle()


def test_an_answer_frees_what_it_acknowledges_and_no_more() -> None:
    group = led(Limits(inflight_messages_max=2))
    group.spoil = lambda node, effects: attrs.evolve(
        effects, send_now=tuple([message for message in effects.send_now if message.to == N2])
    )
    propose(group, 2)
    with unblamed():
        group.deliver(AppendResponse(N1, N2, Term(2), True, LogIndex(3)))
        propose(group, 1, first=3)
    with violated("B1", "has 3 appends under way to n2, at most 2"):
        propose(group, 1, first=4)


@pytest.mark.parametrize(
    "answer",
    [
        AppendResponse(N1, N2, Term(2), False, LogIndex(4)),
        AppendResponse(N1, N2, Term(1), True, LogIndex(4)),
        AppendResponse(N1, N3, Term(2), True, LogIndex(4)),
    ],
    ids=["refused", "of_another_term", "of_another_follower"],
)
def test_an_answer_that_acknowledges_nothing_here_frees_nothing(answer: AppendResponse) -> None:
    group = led(Limits(inflight_messages_max=2))
    propose(group, 2)
    group.judges.turned(0, N1, group.nodes[N1].replica, [Received(answer)], Effects())
    with violated("B1", "has 3 appends under way to n2"):
        propose(group, 1, first=3)


def test_appends_taken_for_lost_are_not_under_way() -> None:
    """What goes back to an entry that was sent before begins anew."""
    group = led(Limits(inflight_messages_max=2))
    propose(group, 2)
    log = group.nodes[N1].entries + [entry for write in group.nodes[N1].writes for entry in write.entries]
    again = AppendRequest(N2, N1, Term(2), LogIndex(2), Term(2), LogIndex(2), tuple(log[2:4]))
    with unblamed():
        group.forge(N1, Effects(send_now=(again,)))
        group.spoil = lambda node, effects: attrs.evolve(effects, send_now=effects.send_now[:1])
        propose(group, 1, first=3)


@pytest.mark.parametrize(
    "answer",
    [
        HeartbeatResponse(N1, N2, Term(2), refilling=7),
        AppendResponse(N1, N2, Term(2), False, LogIndex(4), refilling=7),
    ],
    ids=["to a heartbeat", "to an append"],
)
def test_appends_to_a_node_that_has_lost_something_since_are_not_under_way(
    answer: HeartbeatResponse | AppendResponse,
) -> None:
    group = led(Limits(inflight_messages_max=2))
    propose(group, 2)
    entry = Entry(LogIndex(5), Term(2), EntryType.COMMANDS, b"")
    third = AppendRequest(N2, N1, Term(2), LogIndex(4), Term(2), LogIndex(2), (entry,))
    with violated("B1", "has 3 appends under way to n2, at most 2"):
        group.forge(N1, Effects(send_now=(third,)))
    group.judges.turned(group.now_ns, N1, group.nodes[N1].replica, (Received(answer),), Effects())
    with unblamed():
        group.forge(N1, Effects(send_now=(third,)))


@pytest.mark.parametrize(("bytes_max", "sent"), [(1, 1), (ENTRY_BYTES, 1), (ENTRY_BYTES + 1, 2)])
def test_an_append_behind_as_many_bytes_as_the_limit_is_named(bytes_max: int, sent: int) -> None:
    group = led(Limits(inflight_bytes_max=bytes_max))
    with unblamed():
        propose(group, sent)
    with violated("B1", f"sends n2 an append behind {sent * ENTRY_BYTES} bytes, at most {bytes_max}"):
        propose(group, 1, first=sent + 1)


def test_an_append_larger_than_the_limit_is_named() -> None:
    group = led(Limits(entry_bytes_max=1, append_bytes_max=1), obeyed=Limits(entry_bytes_max=1))
    with unblamed():
        propose(group, 1)
    with violated("B1", f"sends n2 {2 * ENTRY_BYTES} bytes in one append, at most 1"):
        group.step(N1, at_once(2))


def test_a_new_office_begins_with_nothing_under_way() -> None:
    group = led(Limits(inflight_messages_max=2))
    propose(group, 2)
    group.messages.clear()
    group.elect(N2)
    group.elect(N1)
    with unblamed():
        propose(group, 2, first=3)


# What waits for a quorum


def test_more_bytes_that_wait_for_a_quorum_than_the_limit_are_named() -> None:
    group = led(Limits(uncommitted_bytes_max=2 * ENTRY_BYTES))
    with unblamed():
        propose(group, 2)
    with violated("B1", f"lets {3 * ENTRY_BYTES} bytes wait for a quorum, at most {2 * ENTRY_BYTES}"):
        propose(group, 1, first=3)


def test_a_single_entry_may_be_as_large_as_it_is() -> None:
    group = led(Limits(uncommitted_bytes_max=1))
    for number in (1, 2, 3):
        with unblamed():
            propose(group, 1, first=number)
            group.settle()


def test_a_first_entry_is_written_whatever_waits() -> None:
    """It is no proposal: what the forerunners left is committed by it, and by nothing else."""
    group = led(Limits(uncommitted_bytes_max=1))
    propose(group, 1)
    group.deliver(group.messages.popleft())
    group.complete(N2)
    group.crash(N1)
    with unblamed():
        group.elect(N2)
    assert group.judges.committed == 4


def test_what_a_leader_was_sent_before_its_term_is_no_proposal() -> None:
    """Elected in the turn that brought it the end of its log."""
    group = led(Limits(uncommitted_bytes_max=1))
    for voter in (N2, N3):
        group.forge_write(voter, Persist(1_000, HardState(Term(3), N2), (), ()))
    older = [Entry(LogIndex(index), Term(2), EntryType.COMMANDS, b"x" * 20) for index in (3, 4)]
    entries = (*older, Entry(LogIndex(5), Term(3), EntryType.NOOP, b""))
    elected = RoleChanged(Role.LEADER, Term(3), N2, LogIndex(5), "elected")
    with unblamed():
        group.forge(N2, Effects(events=(elected,), persists=(Persist(1_001, None, entries, ()),)))


# What waits at a node


def test_more_calls_in_one_entry_than_the_limit_are_named() -> None:
    group = led(Limits(entry_bytes_max=1))
    with unblamed():
        propose(group, 1)
    with violated("B1", "puts 2 calls of "):
        group.step(N1, at_once(2))


def test_more_reads_of_others_than_the_limit_are_named() -> None:
    group = led(Limits(reads_waiting_max=1))
    with unblamed():
        for _ in range(2):
            group.call(N2, balance(A))
            group.settle()
    group.call(N2, balance(A))
    group.call(N3, balance(A))
    group.deliver(group.messages.popleft())
    with violated("B1", "lets 2 reads of others wait, at most 1"):
        group.deliver(group.messages.popleft())


def test_a_question_of_an_older_term_that_is_refused_answers_no_other() -> None:
    group = led(Limits(reads_waiting_max=1))
    group.call(N2, balance(A))
    group.deliver(group.messages.popleft())
    with unblamed():
        group.deliver(ReadIndexRequest(N1, N3, Term(1), 7))
    with violated("B1", "lets 2 reads of others wait, at most 1"):
        group.deliver(ReadIndexRequest(N1, N3, Term(2), 8))


READS = [ReadCall(mark, GetBalance(A), AtLeast(LogIndex(9)), SECOND) for mark in "ab"]
WAITERS: list[tuple[Sequence[Call], str]] = [
    (READS, "reads"),
    ([call_of((9, number), move(f"t{number}", 1), SECOND) for number in (1, 2)], "writes"),
    ([HandOverCall(mark, N2, SECOND) for mark in "ab"], "hand-overs"),
]


@pytest.mark.parametrize(("calls", "queue"), WAITERS, ids=[queue for _, queue in WAITERS])
def test_more_waiting_calls_of_a_kind_than_its_limit_are_named(calls: Sequence[Call], queue: str) -> None:
    group = Judged(attrs.evolve(plan_of(), product=ProductOptions(waiting_calls_max=1)), obeyed=plan_of())
    replica = group.nodes[N1].replica
    replica.step(Calls(READS[:1]), 0)  # so that it counts as many
    with unblamed():
        group.judges.turned(0, N1, replica, [Calls(calls[:1])], Effects())
    replica.step(Calls(READS[1:]), 0)
    with violated("B1", f"lets 2 {queue} wait, at most 1"):
        group.judges.turned(0, N1, replica, [Calls(calls[1:])], Effects())


def test_calls_within_the_limits_are_taken_and_those_beyond_refused() -> None:
    limits = Limits(entry_bytes_max=1, uncommitted_bytes_max=1)
    group = Judged(attrs.evolve(plan_of(), product=ProductOptions(waiting_calls_max=1), limits=limits))
    group.elect(N1)
    with unblamed():
        propose(group, 2)
        group.call(N1, balance(A, ReadKind.AT_LEAST))
        group.call(N1, balance(A, ReadKind.AT_LEAST))
        group.settle()
    refused = [result.reason for result in group.results if isinstance(result, Refusal)]
    assert refused == ["OVERLOADED", "OVERLOADED"]
    assert len(group.results) == 4


def test_a_call_that_the_node_lost_count_of_is_named() -> None:
    group = led(Limits())
    group.ask(N1, opening(A))
    group.spoil = lambda node, effects: attrs.evolve(effects, replies=())
    with violated("B1", "counts 0 waiting calls, and 1 wait"):
        group.call(N2, balance(A, ReadKind.STALE))


# For how long


def waiting(node: NodeId, deadline_ns: int, traits: NodeTraits) -> Judged:
    """A read that nothing will answer before its deadline, and a replica that never looks at deadlines."""
    group = Judged(attrs.evolve(plan_of(), traits=(NodeTraits(), traits, NodeTraits())))
    call = ReadCall("r", GetBalance(A), AtLeast(LogIndex(1_000)), deadline_ns)
    group.step(node, Calls([call]))
    return group


def test_a_call_that_waits_beyond_its_deadline_is_named() -> None:
    group = waiting(N2, SECOND, NodeTraits())
    group.now_ns = SECOND + 31 * MS
    for _ in range(4):
        with unblamed():
            group.forge_tick(N2)  # as a process does that was frozen: it may yet notice
    with violated("B1", "lets ReadCall wait, 31 ms after its deadline"):
        group.forge_tick(N2)


@pytest.mark.parametrize(
    ("drift_ppm", "now_ns", "late"),
    [
        (0, SECOND - 1, False),
        (0, SECOND, True),
        (100_000, SECOND - 1, True),
        (-100_000, SECOND, False),
    ],
)
def test_a_deadline_is_held_against_the_nodes_own_clock(drift_ppm: int, now_ns: int, late: bool) -> None:
    group = waiting(N2, SECOND, NodeTraits(drift_ppm=drift_ppm))
    group.now_ns = now_ns
    with violated("B1", "lets ReadCall wait") if late else unblamed():
        for _ in range(9):
            group.forge_tick(N2)


def test_a_call_that_is_given_up_in_time_passes() -> None:
    group = waiting(N2, SECOND, NodeTraits())
    group._marks["r"] = (1, 1)
    group.judges.called(0, 1, 1, balance(A))
    group.now_ns = SECOND
    with unblamed():
        group.tick(N2, 9)
    assert [result.reason for result in group.results if isinstance(result, Refusal)] == ["TOOK_TOO_LONG"]


def test_turns_without_ticks_say_nothing_about_deadlines() -> None:
    group = waiting(N2, SECOND, NodeTraits())
    group.now_ns = 2 * SECOND
    group.forge_tick(N2)
    with unblamed():
        for _ in range(9):
            group.forge(N2, Effects())
