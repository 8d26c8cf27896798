"""Snapshots that are not the bank's state, are lost or made up, or let too much of a log go: S1, S3, S4 and D1."""

from collections.abc import Callable

import attrs
import pytest

from bankd.keeper.keeper import Keeper
from bankd.keeper.restoring import restore
from bankd.keeper.work import run_now
from bankd.ledger.state import Ledger
from bankd.raft.messages import Entry, SnapshotRef, SnapshotRequest
from bankd.raft.ready import ChunkReceived, Persist
from bankd.replica.effects import Effects, SnapshotDue
from bankd.replica.events import Event, SnapshotReceived, SnapshotSealed
from bankd.sim.found import Found
from bankd.sim.plan import Fault, OlderCopy, Rot
from bankd.storage.recovery import Recovered
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import LogIndex, NodeId, Term
from tests.sim.judged import N1, N2, N3, A, B, Judged, move, opening, plan_of, unblamed, violated

SEQ = 1_000  # of forged writes
EVERY = 5
NOWHERE = SnapshotRef(LogIndex(4), Term(2), 100, b"elsewhere")


def busy(*faults: Fault, moves: int = 20) -> Judged:
    """n1 leads, and everybody has sealed a few snapshots."""
    group = Judged(attrs.evolve(plan_of(snapshot_every=EVERY), faults=faults))
    group.elect(N1)
    group.ask(N1, opening(A, 1_000))
    group.ask(N1, opening(B))
    go_on(group, "t", moves)
    assert len(snapshots_of(group, N2)) == 2
    return group


def go_on(group: Judged, name: str, moves: int) -> None:
    for number in range(moves):
        group.ask(N1, move(f"{name}{number}", 1))
    group.beat(N1)


def snapshots_of(group: Judged, name: NodeId) -> tuple[SnapshotRef, ...]:
    return store_of(group, name).snapshots


def store_of(group: Judged, name: NodeId) -> SnapshotStore:
    return group.nodes[name].keeper._store


def finds(group: Judged, change: Callable[[Found], Found]) -> None:
    """What n2 finds at its next start is not what is there."""
    group.find = lambda name, found: change(found) if name == N2 else found


def finds_log(group: Judged, base_index: int, entries: tuple[Entry, ...]) -> None:
    recovered = Recovered(group.nodes[N2].hard_state, entries, None, LogIndex(base_index))
    finds(group, lambda found: attrs.evolve(found, recovered=recovered))


# Sound


def test_a_node_that_was_away_comes_back_by_snapshot_and_passes() -> None:
    group = busy()
    group.crash(N3)
    go_on(group, "u", 20)
    group.restart(N3)
    with unblamed():
        for _ in range(3):
            group.beat(N1)
        group.judges.finish(group.now_ns)
    assert group.nodes[N3].replica.ledger.applied_index == group.nodes[N1].replica.ledger.applied_index
    assert group.nodes[N3].base_index > 24  # behind all that it ever had in its log


@pytest.mark.parametrize("writes_kept", [0, 1])
def test_a_crash_after_an_installed_snapshot_passes_with_and_without_the_log_behind_it(writes_kept: int) -> None:
    group = busy()
    group.crash(N3)
    go_on(group, "u", 20)
    group.restart(N3)
    node = group.nodes[N3]
    while not any(persist.base is not None for persist in node.writes):
        if group.messages:
            group.deliver(group.messages.popleft())
        elif node.writes:
            group.complete(N3)
        elif not group.keep(N1) and not group.keep(N3):
            group.tick(N1)
    group.crash(N3, writes_kept=writes_kept * len(node.writes))
    with unblamed():
        group.restart(N3)
    assert group.nodes[N3].base_index > 24


def test_a_crash_before_the_node_hears_of_its_sealed_snapshot_passes() -> None:
    group = busy()
    before = snapshots_of(group, N2)
    for number in range(EVERY):
        group.call(N1, move(f"u{number}", 1))
        while group.messages or group.nodes[N2].writes or group.nodes[N1].writes:
            if group.messages:
                group.deliver(group.messages.popleft())
            for name in (N1, N2):
                if group.nodes[name].writes:
                    group.complete(name)
    group.beat(N1)
    group.nodes[N2].work()
    group.crash(N2)
    with unblamed():
        group.restart(N2)
    assert snapshots_of(group, N2) != before


# S3: what is in it


def test_a_snapshot_of_a_state_that_never_was_is_named() -> None:
    def other_digest(due: SnapshotDue) -> SnapshotDue:
        return attrs.evolve(due, image=attrs.evolve(due.image, head=attrs.evolve(due.image.head, digest=bytes(16))))

    with violated("S3", "makes a snapshot at 6, having applied 6, with digest 00000000"):
        busy_with(other_digest)


def test_a_snapshot_of_another_index_is_named() -> None:
    with violated("S3", "makes a snapshot at 5, having applied 6"):
        busy_with(lambda due: attrs.evolve(due, index=LogIndex(5)))


def test_a_snapshot_of_another_term_is_named() -> None:
    with violated("S3", "has a snapshot at 6@1, which is not committed"):
        busy_with(lambda due: attrs.evolve(due, term=Term(1)))


def test_a_snapshot_without_the_configuration_is_named() -> None:
    with violated("S3", "makes a snapshot at 6 with another configuration"):
        busy_with(lambda due: attrs.evolve(due, configuration=b""))


def busy_with(forge: Callable[[SnapshotDue], SnapshotDue]) -> None:
    group = Judged(plan_of(snapshot_every=EVERY))

    def spoil(node: NodeId, effects: Effects) -> Effects:
        due = effects.snapshot_due
        return effects if due is None else attrs.evolve(effects, snapshot_due=forge(due))

    group.spoil = spoil
    group.elect(N1)
    group.ask(N1, opening(A, 1_000))
    group.ask(N1, opening(B))
    go_on(group, "t", EVERY)


def forged_ledger(index: int) -> Ledger:
    ledger = Ledger()
    for at in range(1, index + 1):
        ledger.skip(LogIndex(at))
    return ledger


def test_a_start_from_another_state_is_named() -> None:
    group = busy()
    newest = snapshots_of(group, N2)[0]
    group.crash(N2)
    group.nodes[N2].open_keeper()
    store = store_of(group, N2)
    reader = store.open_snapshot(newest)
    ledger = forged_ledger(newest.index)
    image = ledger.freeze()
    header = attrs.evolve(reader.header, digest=ledger.digest, time_ns=ledger.last_time_ns)
    due = SnapshotDue(newest.index, newest.term, ledger.last_time_ns, header.configuration, image)
    keeper = Keeper(
        store, header.cluster_id, lambda index: 0, lambda: None, lambda event: None, lambda what, index, words: None
    )
    keeper.carry_out(Effects(snapshot_due=due))
    group.nodes[N2].keeper = keeper
    group.nodes[N2].work()
    with violated("S3", f"in a snapshot at {newest.index}, and"):
        group.restart(N2)


def received(group: Judged, snapshot: SnapshotRef, ledger: Ledger, configuration: bytes = b"") -> SnapshotReceived:
    """n3 has received this; the judges are told that it was being sent it."""
    group.forge(N3, Effects(chunks_received=(ChunkReceived(snapshot, 0, b""),)))
    raft = group.nodes[N3].replica.raft
    return SnapshotReceived(snapshot, LogIndex(0), ledger, raft.configuration, configuration)


def forge_turn(group: Judged, name: NodeId, event: Event, *persists: Persist) -> None:
    group.judges.turned(group.now_ns, name, group.nodes[name].replica, (event,), Effects(persists=persists))


def test_a_received_snapshot_of_another_state_is_named() -> None:
    group = busy()
    newest = snapshots_of(group, N1)[0]
    event = received(group, newest, forged_ledger(newest.index), group._first_entry().body)
    with violated("S3", f"in a snapshot at {newest.index}, and"):
        forge_turn(group, N3, event)


def test_a_received_snapshot_with_another_configuration_is_named() -> None:
    group = busy()
    newest = snapshots_of(group, N1)[0]
    with violated("S3", "takes another configuration from snapshot"):
        forge_turn(group, N3, received(group, newest, forged_ledger(newest.index)))


def test_a_received_snapshot_that_is_no_part_of_the_log_is_named() -> None:
    group = busy()
    elsewhere = attrs.evolve(NOWHERE, term=Term(9))
    with violated("S3", "has a snapshot at 4@9, which is not committed"):
        forge_turn(group, N3, received(group, elsewhere, forged_ledger(4)))


def away(group: Judged) -> SnapshotRef:
    """n3 hears nothing while the others go on for long; returns the newest snapshot of n1."""
    group.crash(N3)
    go_on(group, "u", 20)
    group.restart(N3)
    group.messages.clear()
    return snapshots_of(group, N1)[0]


def test_a_log_begun_anew_without_the_state_is_named() -> None:
    group = busy()
    newest = away(group)
    reader = store_of(group, N1).open_snapshot(newest)
    event = received(group, newest, run_now(restore(newest, reader)).ledger, group._first_entry().body)
    with violated("S3", f"installs the snapshot at {newest.index}, and its state there is none"):
        forge_turn(group, N3, event, Persist(SEQ, None, (), (), newest))


# D1: what stays


def test_a_durable_snapshot_that_is_gone_is_named() -> None:
    group = busy()
    group.crash(N2)
    finds(group, lambda found: attrs.evolve(found, snapshots=(), restored=None))
    with violated("D1", "lost snapshot 21@2, which was durable"):
        group.restart(N2)


def test_an_older_snapshot_that_is_gone_is_named_and_one_that_rotted_is_not() -> None:
    for faults in ((), (Rot(0, 1, N2),)):
        group = busy(*faults)
        group.crash(N2)
        finds(group, lambda found: attrs.evolve(found, snapshots=found.snapshots[:1]))
        with unblamed() if faults else violated("D1", "lost snapshot 16@2, which was durable"):
            group.restart(N2)


def test_a_snapshot_that_was_never_made_is_named() -> None:
    for faults in ((), (Rot(0, 1, N2),)):
        group = busy(*faults)
        group.crash(N2)
        finds(group, lambda found: attrs.evolve(found, snapshots=(*found.snapshots, NOWHERE)))
        with violated("D1", "has snapshot 4@2, which it never made"):
            group.restart(N2)


def test_a_snapshot_said_to_be_durable_that_was_never_made_is_named() -> None:
    group = busy()
    with violated("D1", "has snapshot 4@2, which it never made"):
        forge_turn(group, N2, SnapshotSealed(NOWHERE, LogIndex(0)))


def test_a_start_from_an_older_snapshot_than_the_newest_sound_one_is_named() -> None:
    group = busy()
    group.crash(N2)
    finds(group, lambda found: attrs.evolve(found, restored=found.snapshots[1]))
    with violated("D1", "starts from snapshot 16@2, and snapshot 21@2 is sound"):
        group.restart(N2)


def test_an_older_copy_is_believed_with_the_snapshots_that_it_has() -> None:
    group = busy(OlderCopy(0, 1, N2, 0))
    group.crash(N2)
    finds(group, lambda found: attrs.evolve(found, snapshots=found.snapshots[:1]))
    with unblamed():
        group.restart(N2)


# D1: what may go


def test_a_log_that_lost_more_than_two_snapshots_stand_for_is_named() -> None:
    group = busy()
    node = group.nodes[N2]
    group.crash(N2)
    assert node.base_index == 16
    finds_log(group, 17, tuple(node.entries[1:]))
    with violated("D1", "has a log that begins behind 17, and two snapshots stand for 16 entries of it"):
        group.restart(N2)


def test_a_log_of_which_less_was_deleted_passes() -> None:
    group = busy()
    node, chain = group.nodes[N2], group.judges._books.chain
    group.crash(N2)
    with unblamed():
        group.start(N2, node.hard_state, (*chain[10:16], *node.entries))


def test_a_log_that_lost_an_entry_behind_its_snapshots_is_named() -> None:
    group = busy()
    node = group.nodes[N2]
    group.crash(N2)
    last = node.entries[-1]
    finds_log(group, node.base_index, tuple(node.entries[:-1]))
    with violated("D1", f"lost {last.index}@2, which was durable; its log ends at {last.index - 1}"):
        group.restart(N2)


def test_a_log_cut_in_memory_beyond_two_snapshots_is_named() -> None:
    group = busy()
    replica = group.nodes[N2].replica
    replica.raft.compact(replica.raft.compactable_index)
    newest = snapshots_of(group, N2)[0]
    with violated("D1", f"drops its log up to {newest.index}, and two snapshots stand for 16 of it"):
        forge_turn(group, N2, SnapshotSealed(newest, LogIndex(16)))


def test_a_log_said_to_be_covered_further_than_it_is_is_named() -> None:
    group = busy()
    newest = snapshots_of(group, N2)[0]
    with violated("D1", f"drops its log up to {newest.index}, and two snapshots stand for 16 of it"):
        forge_turn(group, N2, SnapshotSealed(newest, newest.index))


@pytest.mark.parametrize("covered", ["the one that is made", "the one that is received"])
def test_of_two_snapshots_made_at_the_same_time_either_may_be_told_of_first(covered: str) -> None:
    group = busy()
    due = SnapshotRef(LogIndex(22), Term(2), 1, b"due")
    other = SnapshotRef(LogIndex(24), Term(2), 1, b"other")
    group.judges._snapshots._making[N2].update({(due.index, due.term), (other.index, other.term)})
    told = due if covered == "the one that is made" else other
    book = group.judges._books.of[N2]
    with unblamed():
        group.judges._snapshots.stepped(group.now_ns, book, [SnapshotSealed(told, due.index)])
    with violated("D1", "drops its log up to 23, and two snapshots stand for 22 of it"):
        group.judges._snapshots.stepped(group.now_ns, book, [SnapshotSealed(told, LogIndex(23))])


def test_a_log_begun_anew_behind_a_snapshot_that_is_not_durable_is_named() -> None:
    group = busy()
    newest = away(group)
    with violated("D1", f"begins its log anew behind snapshot {newest.index}@2, which is not durable here"):
        group.forge(N3, Effects(persists=(Persist(SEQ, None, (), (), newest),)))


# S4 and S1: logs and snapshots


def test_a_log_begun_anew_over_what_is_committed_there_is_named() -> None:
    group = busy()
    newest = snapshots_of(group, N2)[0]
    with violated("S4", f"begins its log anew behind {newest.index}, and 24 is committed here"):
        group.forge(N2, Effects(persists=(Persist(SEQ, None, (), (), newest),)))


def test_committed_entries_given_up_for_an_older_snapshot_are_named() -> None:
    """n2 has them, has not heard that they are committed, and installs a snapshot from before them."""
    group = Judged(plan_of(snapshot_every=EVERY))
    group.elect(N1)
    group.ask(N1, opening(A, 1_000))
    group.ask(N1, opening(B))
    group.crash(N3)
    go_on(group, "t", EVERY)
    group.judges.ended(group.now_ns, N2, "forged")
    node = group.nodes[N2]
    base, entries = snapshots_of(group, N2)[0], tuple(node.entries)
    book = group.judges._books.of[N2]
    book.running, book.commit_index = True, LogIndex(2)
    group.judges._disks.handed(group.now_ns, book, Persist(SEQ, None, (), (), base))
    with violated(
        "S1", f"{base.index + 1}@2 is committed, and neither logs nor snapshots of a majority hold it any more"
    ):
        group.judges.durable(group.now_ns, N2, SEQ)
    assert entries[-1].index > base.index


def test_a_snapshot_sent_by_whom_nobody_elected_is_named() -> None:
    group = busy()
    newest = snapshots_of(group, N2)[0]
    with violated("S2", "speaks as leader of term 2 without being elected"):
        group.forge(N2, Effects(send_now=(SnapshotRequest(N3, N2, Term(2), newest),)))


def test_a_snapshot_sent_that_is_not_durable_is_named() -> None:
    group = busy()
    with violated("S1", "sends n3 snapshot 4, which is not durable here"):
        group.forge(N1, Effects(send_now=(SnapshotRequest(N3, N1, Term(2), NOWHERE),)))
