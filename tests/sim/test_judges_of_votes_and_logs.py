"""Nodes that break a promise of Raft are named: S1, S2 and S4, and R1 where a term opens without a no-op."""

import attrs
import pytest

from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HardState,
    HeartbeatRequest,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.ready import Persist, Role, RoleChanged
from bankd.replica.effects import Effects
from bankd.replica.events import TICKED
from bankd.sim.plan import OlderCopy
from bankd.types import LogIndex, NodeId, Term
from tests.sim.judged import N1, N2, N3, A, Judged, move, opening, plan_of, unblamed, violated

SEQ = 1_000  # of forged writes: beyond what any replica has come to


def led() -> Judged:
    """n1 leads term 2, and its first entry is committed everywhere."""
    group = Judged()
    group.elect(N1)
    return group


def unsynced(node: NodeId, effects: Effects) -> Effects:
    """What waits for a write leaves at once."""
    early = tuple(message for persist in effects.persists for message in persist.then_send)
    persists = tuple(attrs.evolve(persist, then_send=()) for persist in effects.persists)
    return attrs.evolve(effects, send_now=effects.send_now + early, persists=persists)


def entry(index: int, term: int, body: bytes = b"", type_: EntryType = EntryType.NOOP) -> Entry:
    return Entry(LogIndex(index), Term(term), type_, body)


def write(*entries: Entry, state: HardState | None = None, send: tuple[AppendResponse, ...] = ()) -> Persist:
    return Persist(SEQ, state, entries, send)


def elected(term: int) -> Effects:
    return Effects(events=(RoleChanged(Role.LEADER, Term(term), None, LogIndex(2), "elected"),))


# S2: terms, votes, leaders


def test_a_vote_said_before_it_is_durable_is_named() -> None:
    group = Judged()
    group.spoil = lambda node, effects: unsynced(node, effects) if node == N2 else effects
    with violated("S2", "votes for n1 in term 2, and its disk says term 1, vote none"):
        group.elect(N1)


def test_a_campaign_before_its_vote_is_durable_is_named() -> None:
    group = Judged()
    group.spoil = unsynced
    with violated("S2", "asks for votes as n1 in term 2, and its disk says term 1"):
        group.elect(N1)


def test_a_second_vote_in_one_term_is_named() -> None:
    group = led()
    with violated("S2", "voted for n1 in term 2, and now for n3"):
        group.forge_write(N2, write(state=HardState(Term(2), N3)))


def test_a_second_vote_after_an_older_disk_came_back_is_named() -> None:
    group = Judged(attrs.evolve(plan_of(), faults=(OlderCopy(0, 1, N2, 0),)))
    group.elect(N1)
    group.crash(N2)
    group.start(N2, HardState(Term(1)), group.nodes[N2].entries[:1])
    with violated("S2", "voted for n1 in term 2, and now for n3"):
        group.forge_write(N2, write(state=HardState(Term(2), N3)))


def test_a_falling_term_is_named() -> None:
    group = led()
    with violated("S2", "its term falls from 2 to 1"):
        group.forge(N2, Effects(persists=(write(state=HardState(Term(1), N2)),)))


def test_a_second_leader_of_a_term_is_named() -> None:
    group = led()
    with violated("S2", "leads term 2, which n1 led before"):
        group.forge(N2, elected(2))


def test_a_leader_without_a_majority_of_durable_votes_is_named() -> None:
    group = led()
    group.forge_write(N2, write(state=HardState(Term(3), N2)))
    with violated("S2", "leads term 3 by the durable votes of ['n2'] alone"):
        group.forge(N2, elected(3))


def test_who_speaks_as_a_leader_without_being_one_is_named() -> None:
    group = led()
    with violated("S2", "speaks as leader of term 2 without being elected"):
        group.forge(N2, Effects(send_now=(HeartbeatRequest(N3, N2, Term(2), LogIndex(1)),)))


# S4: votes and logs


def test_a_vote_for_a_shorter_log_is_named() -> None:
    group = led()
    group.spoil = lambda node, effects: effects if node != N3 else Effects()  # n3 takes nothing any more
    group.ask(N1, opening(A))
    asks = VoteRequest(N2, N3, Term(3), LogIndex(2), Term(2))
    group.forge_write(N3, Persist(SEQ, HardState(Term(3), N3), (), (asks,)))
    answer = VoteResponse(N3, N2, Term(3), granted=True)
    with violated("S4", "votes for n3, whose log ends at 2@2, with 3@2 here"):
        group.forge(N2, Effects(persists=(Persist(SEQ, HardState(Term(3), N3), (), (answer,)),)))


def test_a_leader_without_a_committed_entry_is_named() -> None:
    group = led()
    group.spoil = lambda node, effects: effects if node != N3 else Effects()
    group.ask(N1, opening(A))
    for voter in (N2, N3):
        group.forge_write(voter, write(state=HardState(Term(3), N3)))
    with violated("S4", "leads term 3 without 3@2, which is committed"):
        group.forge(N3, elected(3))


def test_a_candidate_of_an_older_term_may_win_late_without_newer_entries() -> None:
    group = led()
    group.forge_write(N2, write(state=HardState(Term(3), N3)))
    group.forge_write(N3, write(state=HardState(Term(3), N3)))
    for voter in (N1, N2):
        group.forge_write(voter, write(state=HardState(Term(4), N1)))
    group.forge(N1, elected(4))
    for holder in (N1, N2):
        group.forge_write(holder, write(entry(3, 4)))
    group.spoil = lambda node, effects: Effects()
    group.nodes[N1].replica.raft._state.log.append(entry(3, 4))
    commit(group, N1, 3)
    with unblamed():
        group.forge(N3, elected(3))


def test_a_committed_entry_that_is_written_again_is_named() -> None:
    group = led()
    with violated("S4", "rewrites entry 2, and 2 is committed here"):
        group.forge(N2, Effects(persists=(write(entry(2, 3), state=HardState(Term(3))),)))


def test_a_committed_entry_that_is_replaced_by_a_node_that_has_not_heard_of_it_is_named() -> None:
    group = led()
    group.ask(N1, opening(A))  # n2 has it, and learns with the next heartbeat that it is committed
    replacing = Effects(persists=(write(entry(3, 3), state=HardState(Term(3))),))
    with violated("S4", "rewrites 3@2, which is committed elsewhere"):
        group.forge(N2, replacing)


def test_an_entry_that_stands_where_another_was_committed_may_be_replaced() -> None:
    group = led()
    group.spoil = lambda node, effects: effects if node != N3 else Effects()  # n3 takes nothing any more
    group.forge(N3, Effects(persists=(write(entry(3, 3), state=HardState(Term(3))),)))
    group.ask(N1, opening(A))
    committed = group.nodes[N1].entries[2]
    with unblamed():
        group.forge(N3, Effects(persists=(write(committed, state=HardState(Term(4))),)))


def test_a_leader_that_rewrites_its_log_is_named() -> None:
    group = led()
    group.call(N1, opening(A))
    with violated("S4", "leads term 2 and rewrites entry 3"):
        group.forge(N1, Effects(persists=(write(entry(3, 2)),)))


def test_a_log_cut_by_an_old_append_is_named() -> None:
    group = led()
    group.forge(N2, Effects(persists=(write(entry(3, 2), entry(4, 2)),)))
    with violated("S4", "cuts its log at 3@2, to write that very entry again"):
        group.forge(N2, Effects(persists=(write(entry(3, 2)),)))


def test_a_log_cut_by_a_newer_leader_passes() -> None:
    group = led()
    group.forge(N2, Effects(persists=(write(entry(3, 2), entry(4, 2)),)))
    with unblamed():
        group.forge(N2, Effects(persists=(write(entry(3, 3), state=HardState(Term(3))),)))


def test_a_gap_in_the_log_is_named() -> None:
    group = led()
    with violated("S4", "writes entry 4 behind a log that ends at 2"):
        group.forge(N2, Effects(persists=(write(entry(4, 2)),)))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ((entry(3, 5),), "writes 3@5 at 3, after term 2"),
        ((entry(3, 1),), "writes 3@1 at 3, after term 2"),
        ((entry(3, 2), entry(5, 2)), "writes 5@2 at 4, after term 2"),
    ],
    ids=["beyond_the_term_on_the_disk", "a_falling_term", "a_gap"],
)
def test_an_entry_that_can_stand_in_no_log_is_named(entries: tuple[Entry, ...], words: str) -> None:
    group = led()
    with violated("S4", words):
        group.forge(N2, Effects(persists=(write(*entries),)))


def test_two_entries_of_one_index_and_term_are_named() -> None:
    group = led()
    group.ask(N1, opening(A))
    group.crash(N3)
    group.start(N3, HardState(Term(2), N1), group.nodes[N3].entries)
    group.forge(N1, Effects(persists=(write(entry(4, 2, b"this")),)))
    with violated("S4", "4@2 is not the entry of that name elsewhere"):
        group.forge(N3, Effects(persists=(write(entry(4, 2, b"that")),)))


def test_an_entry_taken_behind_another_log_is_named() -> None:
    """A follower that does not check what stands before an append (paper 5.3)."""
    group = led()
    group.forge(N2, Effects(persists=(write(entry(3, 3), entry(4, 4), state=HardState(Term(4))),)))
    with violated("S4", "4@4 follows term 2 here and term 3 elsewhere"):
        group.forge(N3, Effects(persists=(write(entry(3, 2), entry(4, 4), state=HardState(Term(4))),)))


def test_a_term_that_opens_without_a_no_op_is_named() -> None:
    group = led()
    with violated("R1", "3@3 opens a term and is no no-op"):
        commands = entry(3, 3, b"x", EntryType.COMMANDS)
        group.forge(N2, Effects(persists=(write(commands, state=HardState(Term(3))),)))


# S1: acknowledgements


def test_an_acknowledgement_before_its_entries_are_durable_is_named() -> None:
    group = Judged()
    group.elect(N1)
    group.spoil = lambda node, effects: unsynced(node, effects) if node == N2 else effects
    with violated("S1", "acknowledges entry 3, and its disk ends at 2"):
        group.ask(N1, opening(A))


def test_an_acknowledgement_in_a_term_that_is_not_durable_is_named() -> None:
    group = led()
    with violated("S1", "acknowledges in term 3, and its disk says term 2, vote n1"):
        group.forge(N2, Effects(send_now=(AppendResponse(N1, N2, Term(3), True, LogIndex(2)),)))


def test_an_acknowledgement_of_what_the_leader_has_not_is_named() -> None:
    group = led()
    group.forge_write(N2, write(entry(3, 2)))
    answer = AppendResponse(N1, N2, Term(2), True, LogIndex(3))
    with violated("S4", "acknowledges entry 3 of term 2, which n1 has not"):
        group.forge(N2, Effects(send_now=(answer,)))


def test_an_acknowledgement_beyond_every_append_is_named() -> None:
    """What stands behind the last entry of an append may be another leader's."""
    group = led()
    group.forge_write(N2, write(entry(3, 2)))
    answer = AppendResponse(N1, N2, Term(2), True, LogIndex(3))
    with violated("S1", "acknowledges entry 3, and no append went beyond 2"):
        group.forge(N2, Effects(persists=(write(send=(answer,)),)))


def test_a_node_that_takes_for_durable_what_is_under_way_is_named() -> None:
    """The completion of a write speaks for entries that were replaced since (the ABA race)."""
    group = led()
    group.call(N1, opening(A))
    group.nodes[N1].replica.raft._state.log.stable_index = LogIndex(3)
    with violated("S1", "takes entry 3 of its log for durable, and that is still under way"):
        group.tick(N1)


def test_a_refusal_promises_nothing() -> None:
    group = led()
    with unblamed():
        group.forge(N2, Effects(send_now=(AppendResponse(N1, N2, Term(2), False, LogIndex(9)),)))


def test_an_acknowledgement_that_comes_late_is_held_against_no_newer_term() -> None:
    """The disk has moved on: what it says now is no longer what was promised."""
    group = led()
    late = AppendResponse(N1, N2, Term(2), True, LogIndex(9))
    group.forge_write(N2, write(state=HardState(Term(3))))
    with unblamed():
        group.forge(N2, Effects(send_now=(late,)))


# Commits


def commit(group: Judged, name: NodeId, index: int) -> None:
    """Make a node believe that an entry is committed."""
    group.nodes[name].replica.raft._state.log.commit_index = LogIndex(index)
    group.step(name, TICKED)


def test_a_commit_without_a_durable_majority_is_named() -> None:
    group = led()
    group.call(N1, opening(A))
    group.complete(N1)
    with violated("S1", "commits 3@2, which is durable on ['n1'] alone"):
        commit(group, N1, 3)


def test_an_older_term_committed_by_counting_is_named() -> None:
    """Paper 5.4.2, figure 8: the entry is on a majority, and may be replaced all the same."""
    group = led()
    group.call(N1, opening(A))
    group.complete(N1)
    for message in list(group.messages):
        group.deliver(message)
    group.complete(N2)  # on two disks now; but the leader never hears of it
    for voter in (N1, N2):
        group.forge_write(voter, write(state=HardState(Term(3), N1)))
    group.forge(N1, elected(3))
    with violated("S4", "commits 3@2 by counting, and leads term 3"):
        commit(group, N1, 3)


def test_a_commit_that_no_leader_made_is_named() -> None:
    group = led()
    group.call(N1, opening(A))
    group.complete(N1)
    for message in list(group.messages):
        group.deliver(message)
    with violated("S4", "commits 3@2, which no leader has committed"):
        commit(group, N2, 3)


def test_a_commit_index_that_falls_is_named() -> None:
    group = led()
    with violated("S4", "its commit index falls from 2 to 1"):
        commit(group, N2, 1)


def test_a_commit_beyond_the_log_is_named() -> None:
    group = led()
    group.nodes[N2].replica.raft._state.log.append(entry(3, 2))
    group.spoil = lambda node, effects: attrs.evolve(effects, persists=())
    with violated("S4", "commits 3 and has a log that ends at 2"):
        commit(group, N2, 3)


def test_a_commit_of_another_entry_is_named() -> None:
    group = led()
    group.spoil = lambda node, effects: effects if node != N3 else Effects()
    group.ask(N1, move("t1", 1))
    group.forge(N3, Effects(persists=(write(entry(3, 3), state=HardState(Term(3))),)))
    group.nodes[N3].replica.raft._state.log.commit_index = LogIndex(3)
    with violated("S4", "commits 3@3, and 3@2 was committed"):
        group.forge(N3, Effects())


def test_a_leader_that_calls_committed_what_is_not_is_named() -> None:
    group = led()
    message = AppendRequest(N2, N1, Term(2), LogIndex(2), Term(2), LogIndex(3))
    with violated("S4", "calls entry 3 committed, and only 2 is"):
        group.forge(N1, Effects(send_now=(message,)))
