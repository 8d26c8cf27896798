"""A trace shows the last events in columns, and sums up a run in one number that is the same in every process."""

import subprocess
import sys

import pytest

from bankd.errors import Code, LogDamaged, Refusal
from bankd.ledger.commands import TransferRecord, TransfersDone
from bankd.ledger.queries import NotFound, TransferFound
from bankd.replica.effects import AGE_UNKNOWN_MS, ReadDone
from bankd.replica.events import SnapshotFailed
from bankd.sim.judges import Violation
from bankd.sim.trace import CLIENTS, WORLD, Trace
from bankd.sim.trace_columns import WIDTH, text
from bankd.types import LogIndex, NodeId, TimeNs, TransferStatus, TxId
from tests.sim.judged import MS, N1, N2, N3, SECOND, A, B, Judged, balance, move, opening, plan_of

SEVEN = tuple(NodeId(f"n{number}") for number in range(1, 8))
TRANSFER = TransferRecord(TxId("t1"), A, B, 30, TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, LogIndex(9), TimeNs(0))


def a_run() -> Judged:
    group = Judged()
    group.elect(N1)
    group.ask(N1, opening(A, 100))
    group.ask(N2, balance(A))
    group.ask(N1, move("t1", 30))
    group.crash(N1)
    group.elect(N2)
    return group


def words(group: Judged) -> list[str]:
    """The lines without their times, and the bars in front."""
    return [line[13:].lstrip("| ") for line in group.trace.lines()]


def test_every_kind_of_event_has_its_words() -> None:
    shown = words(a_run())
    for expected in (
        "boot log ..1 term 1",
        "pre_candidate@1 (election_timeout)",
        "ask pre-vote @2 with 1@1 -> n2",
        "pre-vote yes @2 -> n1",
        "write w1 term 2 vote n1",
        "ask vote @2 with 1@1 -> n2 after w1",
        "vote yes @2 -> n1 after w1",
        "durable w1",
        "leader@2 (elected)",
        "follower@2 of n1 (leader_heard)",
        "append 2@2 -> n2 commit 1",
        "append ok 2@2 -> n1 after w2",
        "c1.1 open a 100",
        "c1.1 is told opened at 3",
        "c1.2 balance a linearizable",
        "ask read index @2 -> n1",
        "read index 3 @2 -> n2",
        "c1.2 is told 100 as of 3",
        "c1.3 move t1 a b 30",
        "c1.3 is told invalid_account at 4",
        "end crash",
        "leader@3 (elected)",
    ):
        assert expected in shown, expected


def test_every_step_of_a_snapshot_has_its_line() -> None:
    group = Judged(plan_of(snapshot_every=5))
    group.elect(N1)
    for account in (A, B):
        group.ask(N1, opening(account, 100))
    group.crash(N3)
    for number in range(20):
        group.ask(N1, move(f"t{number}", 1))
    group.restart(N3)
    for _ in range(3):
        group.beat(N1)
    group.crash(N3)
    group.restart(N3)
    shown = words(group)
    index = next(line for line in shown if line.startswith("received snapshot")).split()[2]
    for expected in (
        f"begin snapshot {index}",
        f"sealed snapshot {index} (",
        f"ask for receipt of snapshot {index} @2 -> n3",
        "has 0 bytes of it @2 -> n1",
        f"send snapshot {index} bytes 0..",
        f"received snapshot {index} (",
        f" anew behind {index}",
        f"boot snapshot {index} log {index}..",
    ):
        assert any(expected in line for line in shown), expected


def test_a_snapshot_that_was_given_up_says_why() -> None:
    group = a_run()
    group.nodes[N2].replica.snapshots.under_way = True
    group.step(N2, SnapshotFailed("no room"))
    assert words(group)[-1] == "gave up its snapshot: no room"


def test_events_stand_in_the_column_of_their_node() -> None:
    trace = Trace((N1, N2))
    trace.note(1_500 * MS, N2, "freeze", 300)
    trace.note(1_500_001_999, WORLD, "cut", N1, N2)
    trace.answered(2 * SECOND, 1, 7, None)
    trace.answered(2 * SECOND, 1, 8, Refusal(Code.UNAVAILABLE, "NO_LEADER", "none"))
    trace.refused(61 * SECOND, N1, LogDamaged("a bit flipped"))
    assert trace.lines(80) == [
        "   time (s)  world  n1     n2     clients",
        "   1.500000  |      |      freeze 300",
        "   1.500001  cut n1 n2",
        "   2.000000  |      |      |      c1.7 is told unknown",
        "   2.000000  |      |      |      c1.8 is told NO_LEADER",
        "  61.000000  |      will not start: LOG_DAMAGED",
    ]


def test_a_quiet_column_keeps_its_events_beside_a_busy_one() -> None:
    trace = Trace((N1, N2), events_kept=3)
    trace.note(1, N1, "first")
    for number in range(100):
        trace.note(2, N2, "busy", number)
    assert [line[13:].lstrip("| ") for line in trace.lines()[1:]] == ["first", "busy 97", "busy 98", "busy 99"]


@pytest.mark.parametrize("width", [80, 100, WIDTH, 200])
def test_what_comes_to_the_edge_of_the_page_goes_on_below(width: int) -> None:
    trace = Trace(SEVEN)
    said = [f"word{number}" for number in range(40)]
    for column in (WORLD, *SEVEN, CLIENTS):
        trace.note(0, column, *said)
    lines = trace.lines(width)
    assert max(map(len, lines)) <= width
    assert [word for line in lines for word in line.split() if word.startswith("word")] == said * 9


def test_a_call_stays_in_its_column_when_it_goes_on_below() -> None:
    trace = Trace(SEVEN)
    trace.answered(SECOND, 1, 7, ReadDone(TransferFound(TRANSFER), LogIndex(12_345), AGE_UNKNOWN_MS))
    assert trace.lines(80)[1:] == [
        "   1.000000  |      |   |   |   |   |   |   |   c1.7 is told 30 a -> b",
        "             |      |   |   |   |   |   |   |     insufficient_funds at 9 as of",
        "             |      |   |   |   |   |   |   |     12345 and of unknown age",
    ]


def test_a_page_too_narrow_for_its_columns_is_left_on_the_right_and_loses_no_word() -> None:
    trace = Trace(SEVEN)
    said = [f"word{number}" for number in range(20)]
    trace.note(0, CLIENTS, *said)
    assert [word for line in trace.lines(40) for word in line.split() if word.startswith("word")] == said


def test_of_many_rows_the_first_is_shown_and_every_outcome() -> None:
    row = ("t1", "a", "b", 30)
    assert text("call", (1, 7, "move", *row)) == "c1.7 move t1 a b 30"
    assert text("call", (1, 7, "move", *row, "t2", "a", "b", 1, "t3", "b", "a", 2)) == "c1.7 move t1 a b 30 and 2 more"
    trace = Trace((N1,))
    trace.answered(0, 1, 7, TransfersDone(LogIndex(4), TimeNs(0), bytes([1, 2, 255]), {}))
    assert trace.lines()[1].endswith("  c1.7 is told ok insufficient_funds id_conflict at 4")


def test_a_stale_answer_says_how_old_it_is() -> None:
    trace = Trace((N1,))
    trace.answered(0, 1, 7, ReadDone(NotFound(), LogIndex(4), 5))
    assert trace.lines()[1].endswith("c1.7 is told not found as of 4 and 5 ms old")


def test_a_report_begins_with_what_was_violated() -> None:
    group = a_run()
    report = group.trace.report(Violation("S4", "rewrites entry 2", 1_250 * MS, N3), 77).splitlines()
    assert report[0] == "S4 violated on n3 at 1.250000 s, step 77: rewrites entry 2"
    assert report[2:] == group.trace.lines()
    narrow = group.trace.report(Violation("S4", "rewrites entry 2", 1_250 * MS, N3), 77, 80).splitlines()
    assert narrow[2:] == group.trace.lines(80) != group.trace.lines()


def test_equal_runs_have_equal_digests_whenever_they_are_asked_for() -> None:
    asked_once, asked_often = Trace((N1,)), Trace((N1,))
    for number in range(1_000):
        for trace in (asked_once, asked_often):
            trace.note(number, N1, "number", number)
        assert asked_often.digest > 0
    assert asked_once.digest == asked_often.digest
    assert a_run().trace.digest == a_run().trace.digest


def test_any_difference_changes_the_digest() -> None:
    digests = set()
    for time, column, kind, value in [
        (1, N1, "a", 1),
        (2, N1, "a", 1),
        (1, N2, "a", 1),
        (1, N1, "b", 1),
        (1, N1, "a", 2),
    ]:
        trace = Trace((N1, N2))
        trace.note(time, column, kind, value)
        digests.add(trace.digest)
    assert len(digests) == 5


def test_what_is_not_shown_counts_in_the_digest() -> None:
    beaten, silent = a_run(), a_run()
    beaten.beat(N2)
    assert beaten.trace.lines() == silent.trace.lines()
    assert beaten.trace.digest != silent.trace.digest


def test_a_digest_is_the_same_under_another_hash_seed() -> None:
    code = "from tests.sim.test_trace import a_run; print(a_run().trace.digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {str(a_run().trace.digest)}
