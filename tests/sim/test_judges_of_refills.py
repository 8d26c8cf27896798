"""What a node that has lost something may do until a leader has refilled it, and when it may refuse to start: D1, S1, S2."""

from pathlib import Path

import attrs
import pytest

from bankd.errors import DataDirForeign, DiskFailed, LogDamaged
from bankd.raft.messages import AppendResponse, HardState, Message, VoteRequest, VoteResponse
from bankd.raft.ready import Refilled
from bankd.replica.effects import Effects
from bankd.replica.events import LossForgotten
from bankd.sim.disk import Flip
from bankd.sim.plan import Fault, OlderCopy, Rot, Wipe
from bankd.types import LogIndex, NodeId, Term
from tests.sim.judged import N1, N2, N3, A, B, Judged, opening, plan_of, unblamed, violated

ROT = Rot(0, 1, N2)


def rotten(*faults: Fault, down: NodeId = N3, stays_down: frozenset[NodeId] = frozenset()) -> Judged:
    """Entry 3 is committed, and n2 has it. n2 has ended, and so has `down`."""
    group = Judged(attrs.evolve(plan_of(), faults=faults or (ROT,), stays_down=stays_down))
    group.elect(N1)
    group.ask(N1, opening(A, 10))
    group.beat(N1)
    group.crash(N2)
    group.crash(down)
    return group


def refilling(*faults: Fault, down: NodeId = N3) -> Judged:
    """n2 has started with an empty log, and says so."""
    group = rotten(*faults, down=down)
    group.start(N2, group.nodes[N2].hard_state, [], refilling=7)
    return group


def stripped(node: NodeId, effects: Effects) -> Effects:
    """Without a word of the nonce."""
    return attrs.evolve(
        effects, persists=tuple(attrs.evolve(one, then_send=_bare(one.then_send)) for one in effects.persists)
    )


def _bare(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(attrs.evolve(one, refilling=0) if isinstance(one, AppendResponse) else one for one in messages)


# Starts


def test_a_rotten_log_may_be_begun_anew_by_a_node_that_says_so() -> None:
    with unblamed():
        refilling()


def test_a_log_that_is_begun_anew_without_a_word_is_named() -> None:
    group = rotten()
    with violated("D1", "lost 1@1, which was durable"):
        group.start(N2, group.nodes[N2].hard_state, [])


def test_half_a_log_is_not_begun_anew() -> None:
    group = rotten()
    with violated("D1", "lost 3@2, which was durable"):
        group.start(N2, group.nodes[N2].hard_state, group.nodes[N2].entries[:2], refilling=7)


@pytest.mark.parametrize("state", [HardState(Term(2)), HardState(Term(1)), HardState(Term(9), N2)], ids=str)
def test_another_term_or_vote_than_was_durable_is_named(state: HardState) -> None:
    group = rotten()
    with violated("D1", ""):
        group.start(N2, state, [], refilling=7)


def test_an_older_copy_may_have_an_older_term() -> None:
    group = rotten(OlderCopy(0, 1, N2, 0))
    with unblamed():
        group.start(N2, HardState(Term(1)), [], refilling=7)


def test_a_loss_that_nothing_explains_is_named() -> None:
    group = rotten(Rot(0, 1, N1))
    with violated("D1", "says that its disk lost something, and that only crashed"):
        group.start(N2, group.nodes[N2].hard_state, [], refilling=7)


def test_a_node_that_is_refilling_keeps_what_it_has_written_since() -> None:
    group = refilling()
    group.settle()
    group.beat(N1)
    entries = list(group.nodes[N2].entries)
    assert len(entries) == 3
    group.crash(N2)
    with unblamed():
        group.start(N2, group.nodes[N2].hard_state, entries, refilling=8)


def test_a_node_that_counts_itself_in_after_a_restart_is_named() -> None:
    group = refilling()
    group.settle()
    group.beat(N1)
    group.crash(N2)
    with violated("D1", "counts itself in again, and no leader has refilled it"):
        group.restart(N2)


# Turns


@pytest.mark.parametrize("pre_vote", [False, True], ids=["vote", "pre_vote"])
def test_a_vote_of_a_node_that_is_not_refilled_is_named(pre_vote: bool) -> None:
    group = refilling()
    with violated("S2", "votes for n1, and is not refilled"):
        group.forge(N2, Effects(send_now=(VoteResponse(N1, N2, Term(2), True, pre_vote),)))
    with unblamed():
        group.forge(N2, Effects(send_now=(VoteResponse(N1, N2, Term(2), False, pre_vote),)))


@pytest.mark.parametrize(
    ("answer", "invariant"),
    [(VoteResponse(N1, N2, Term(3), True), "S2"), (AppendResponse(N1, N2, Term(3), True, LogIndex(1)), "S1")],
    ids=["vote", "append"],
)
def test_a_node_that_is_let_in_with_an_older_directory_is_named(answer: Message, invariant: str) -> None:
    group = rotten(OlderCopy(0, 1, N2, 0))
    group.start(N2, HardState(Term(1)), group.nodes[N2].entries[:1])
    with violated(invariant, "has forgotten what it acknowledged before"):
        group.forge(N2, Effects(send_now=(answer,)))


def test_a_campaign_of_a_node_that_is_not_refilled_is_named() -> None:
    group = refilling()
    with violated("S2", "asks n1 for its vote, and is not refilled"):
        group.forge(N2, Effects(send_now=(VoteRequest(N1, N2, Term(3), LogIndex(3), Term(2), pre_vote=True),)))


def test_a_commit_by_the_word_of_a_node_that_is_not_refilled_is_named() -> None:
    group = refilling()
    group.spoil = stripped
    group.settle()
    with violated("S1", "commits 4@2, which is durable on ['n1'] alone"):
        group.ask(N1, opening(B))
        group.beat(N1)


def test_what_a_node_acknowledged_before_its_loss_still_counts() -> None:
    group = Judged(attrs.evolve(plan_of(), faults=(ROT,)))
    group.elect(N1)
    group.crash(N3)
    group.call(N1, opening(A, 10))
    group.complete(N1)
    while group.messages:
        group.deliver(group.messages.popleft())
    group.complete(N2)
    acknowledgements = list(group.messages)
    group.messages.clear()
    group.crash(N2)
    group.start(N2, group.nodes[N2].hard_state, [], refilling=7)
    with unblamed():
        for message in acknowledgements:
            group.deliver(message)
    assert group.judges.committed == 3


def test_a_node_that_is_refilled_counts_again() -> None:
    group = refilling()
    group.restart(N3)  # n1 needs the word of somebody else that it still leads
    seen: list[object] = []

    def seeing(node: NodeId, effects: Effects) -> Effects:
        seen.extend(effects.events)
        return effects

    group.spoil = seeing
    group.settle()
    for _ in range(3):
        group.beat(N1)
    assert any(isinstance(event, Refilled) for event in seen)
    with unblamed():
        group.step(N2, LossForgotten())
        group.ask(N1, opening(B))
        group.beat(N1)
    assert group.judges.committed == 4


def test_a_node_that_counts_itself_in_unrefilled_is_named() -> None:
    group = refilling()
    group.nodes[N2].replica.raft._state.refill = None
    with violated("D1", "counts itself in again, and no leader has refilled it"):
        group.tick(N2)


def test_a_node_that_counts_itself_in_without_what_it_held_is_named() -> None:
    group = refilling()
    group.forge(N2, Effects(events=(Refilled(LogIndex(2)),)))
    group.crash(N2)
    with violated("S1", "counts itself in again without 2@2, which it held and which is committed"):
        group.restart(N2)


def test_a_node_that_is_not_refilled_at_the_end_is_named() -> None:
    group = rotten(down=N2)
    group.start(N2, group.nodes[N2].hard_state, [], refilling=7)
    group.judges.healed(group.now_ns)
    with violated("V1", "is not refilled at the end"):
        group.judges.finish(group.now_ns)


@pytest.mark.parametrize("down", [N3, N2], ids=["somebody is down", "all run"])
def test_what_may_be_an_older_copy_is_due_at_the_end_only_if_all_others_run(down: NodeId) -> None:
    group = rotten(down=down, stays_down=frozenset({N3}) if down == N3 else frozenset())
    group.find = lambda name, found: attrs.evolve(found, copied=name == N2)
    group.start(N2, group.nodes[N2].hard_state, [], refilling=7)
    group.judges.healed(group.now_ns)
    with unblamed() if down == N3 else violated("V1", "is not refilled at the end"):
        group.judges.finish(group.now_ns)


# Refusals

STATE, META, PEERS, LOG = (Path("/n2", name) for name in ("wal/STATE", "META", "PEERS", "wal/1.wal"))


@pytest.mark.parametrize("files", [(META,), (STATE, LOG)], ids=["identity", "term_and_log"])
def test_a_refusal_of_a_disk_that_leaves_a_doubt_passes(files: tuple[Path, ...]) -> None:
    group = rotten()
    for path in files:
        group.judges.rotted(group.now_ns, N2, Flip(path, 1))
    with unblamed():
        group.judges.refused(group.now_ns, N2, LogDamaged("damaged"))


@pytest.mark.parametrize("files", [(LOG,), (STATE,), (STATE, PEERS), (PEERS, LOG)], ids=str)
def test_a_refusal_of_a_disk_that_can_be_refilled_is_named(files: tuple[Path, ...]) -> None:
    group = rotten()
    for path in files:
        group.judges.rotted(group.now_ns, N2, Flip(path, 1))
    with violated("D1", "refuses a disk of which"):
        group.judges.refused(group.now_ns, N2, LogDamaged("damaged"))


def test_a_refusal_over_damage_that_a_start_has_mended_is_named() -> None:
    group = rotten()
    group.judges.rotted(group.now_ns, N2, Flip(STATE, 1))
    group.restart(N2)
    group.crash(N2)
    group.judges.rotted(group.now_ns, N2, Flip(LOG, 1))
    with violated("D1", "refuses a disk of which 1.wal rotted"):
        group.judges.refused(group.now_ns, N2, LogDamaged("damaged"))


@pytest.mark.parametrize("fault", [OlderCopy(0, 1, N2, 0), Wipe(0, 1, N2)], ids=["older_copy", "wipe"])
def test_a_refusal_of_a_directory_that_was_replaced_passes(fault: Fault) -> None:
    group = rotten(fault)
    with unblamed():
        group.judges.refused(group.now_ns, N2, DataDirForeign("another"))


def test_a_refusal_over_a_failing_disk_passes() -> None:
    group = rotten()
    unusable = DataDirForeign("cannot be used")
    unusable.__cause__ = DiskFailed("failed")
    with unblamed():
        group.judges.refused(group.now_ns, N1, DiskFailed("failed"))
        group.judges.refused(group.now_ns, N1, unusable)
