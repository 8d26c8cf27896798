"""`bankd sim` on one run: what it says, what it keeps, and that what it says leads back to the same run."""

import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import attrs
import pytest

from bankd.campaign import one
from bankd.campaign.run import Broken, Ran, Seed, carry_out
from bankd.cli import main
from bankd.history.json_lines import read_history
from bankd.history.records import Record
from bankd.raft.log import RaftLog
from bankd.sim.plan import Crash, Freeze, Move, Open, Operation, Plan
from bankd.sim.plan_text import dumps, loads
from bankd.sim.trace import Trace
from bankd.types import AccountId, LogIndex, NodeId, Term, TxId
from tests.campaign.terminals import terminal

S = 10**9
N = tuple(NodeId(f"n{number}") for number in range(1, 4))
A, B = AccountId("a"), AccountId("b")
OPENINGS = tuple(Operation(S, 0, Open(account, 1_000, TxId(f"open-{account}"))) for account in (A, B))
MOVES = tuple(
    Operation(3 * S + number * S // 10, number % 2, Move((TxId(f"tx-{number}"),), (A,), (B,), (1,)))
    for number in range(200)
)
# Each node in turn is away for a while, and is back with its old log just when the next one goes.
AWAY = tuple(Crash((4 + 2 * number) * S, 2 * S, N[number % 3], power=number % 2 == 0) for number in range(9))
PLAN = Plan(
    seed=5,
    nodes=N,
    clients=2,
    safety_ns=23 * S,
    faults=(*AWAY, Freeze(22 * S, S // 2, N[0])),
    operations=OPENINGS + MOVES,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "plan.txt"
    written.write_text(dumps(PLAN))
    return written


@pytest.fixture
def careless_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a bug: votes for candidates whose log is shorter (Raft 5.4.1)."""

    def is_up_to_date(log: RaftLog, last_index: LogIndex, last_term: Term) -> bool:
        return True

    monkeypatch.setattr(RaftLog, "is_up_to_date", is_up_to_date)


def test_a_good_run_says_what_happened_and_ends_with_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file)]) == 0
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert first == "seed 5  3 nodes  202 calls  faults: 9 crash, 1 freeze"
    assert re.fullmatch(
        r"\d+\.\d{3} s simulated  [\d,]+ events  \d+ calls acknowledged  \d+ leaders elected  trace [0-9a-f]{16}",
        second,
    )
    assert re.fullmatch(r"\d+ operations in histories, \d+\.\d % of them judged by the witness", third)
    assert fourth == "No invariant broke."


def test_a_run_as_json_is_a_promise(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ran, *_ = carry_out(PLAN)
    assert found == {
        "nodes": 3,
        "faults": {"crash": 9, "freeze": 1},
        "simulated_ns": str(ran.simulated_ns),
        "events": str(ran.events),
        "acknowledged": str(ran.acknowledged),
        "elections": str(ran.elections),
        "operations": str(ran.operations),
        "unjudged": str(ran.unjudged),
        "trace": ran.digest,
        "replay": f"bankd sim --plan {file}",
        "violation": None,
    }


def test_a_trace_shows_every_event_in_columns(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["sim", "--plan", str(file), "--trace"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["time", "(s)", "world", *N, "clients"]
    assert any(line.endswith("c0.1 open a 1000 open-a") for line in lines)
    assert sum("killed" in line or "power lost" in line for line in lines) == len(AWAY)


def test_the_history_of_a_run_is_what_check_history_reads(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "history.jsonl"
    assert main(["sim", "--plan", str(file), "--history", str(kept), "--json"]) == 0
    out, err = capsys.readouterr()
    history = list(read_history(kept.read_text().splitlines(), str(kept)))
    assert history == carry_out(PLAN)[2]
    assert sum(record.result is not None for record in history) >= int(json.loads(out)["acknowledged"]) > 0
    said = re.fullmatch(rf"{kept} written \(to judge it: (.*)\)\n", err)
    assert said is not None
    assert main([*shlex.split(said[1])[1:], "--checker", "both"]) == 0
    report, searched = capsys.readouterr().out.splitlines()
    ran = json.loads(out)
    assert report == (
        f"witness: nothing wrong in {ran['operations']} operations, of which {ran['unjudged']} could not be judged"
    )
    assert searched.startswith("search: linearizable, ")


@pytest.mark.usefixtures("careless_votes")
def test_a_violation_is_reported_and_the_last_line_replays_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file)]) == 8
    said = capsys.readouterr().out
    head, *_, verdict, last = said.splitlines()
    found = re.fullmatch(r"S4 violated on n\d at \d+\.\d{6} s, step \d+: (votes for n\d, whose log ends at .*)", head)
    assert found is not None
    assert "time (s)" in said
    assert verdict == f"S4 broke: {found[1]}"
    replay = last.removeprefix("To see it again: ")
    assert main(shlex.split(replay)[1:]) == 8
    assert capsys.readouterr().out == said


@pytest.mark.usefixtures("careless_votes")
def test_a_planted_bug_shrinks_to_the_little_that_it_needs(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One node is away and misses a call; then the leader goes, and who is left votes for the one that came back."""
    kept = tmp_path / "kept.txt"
    assert main(["sim", "--plan", str(file), "--shrink", "--transcript", str(kept)]) == 8
    err = capsys.readouterr().err
    assert re.search(r"^3 nodes, 10 faults, 202 calls became 3, 2 and 1 in \d+ runs; nothing more", err, re.M)
    text = kept.read_text()
    assert text.startswith("# S4: votes for ")
    assert "# shrunk in" not in text  # it is as small as it gets
    assert f"# from: bankd sim --plan {file}\n" in text
    plan = loads(text)
    assert [type(fault) for fault in plan.faults] == [Crash, Crash]
    assert main(["sim", "--plan", str(kept)]) == 8
    shows = text.splitlines()[0].removeprefix("# S4: ")  # of the small plan, no longer of the large one
    assert f"\nS4 broke: {shows}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("careless_votes")
def test_a_shrunk_plan_that_cannot_be_written_is_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file), "--shrink", "--transcript", "/dev/full"]) == 8
    out, err = capsys.readouterr()
    assert "cannot be written" in err
    assert len(loads(out[out.index("# S4: ") :]).faults) == 2


@pytest.mark.usefixtures("careless_votes")
def test_a_shrunk_plan_as_json_is_part_of_the_one_object(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file), "--shrink", "--json"]) == 8
    shown = json.loads(capsys.readouterr().out)
    assert (len(loads(shown["shrunk"]).faults), shown["minimal"]) == (2, True)


@pytest.mark.usefixtures("careless_votes")
def test_a_shrinking_that_has_used_up_its_runs_says_that_more_may_go(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(one, "RUNS_MAX", 5)
    assert main(["sim", "--plan", str(file), "--shrink"]) == 8
    out, err = capsys.readouterr()
    assert err.endswith(" in 5 runs; the runs are used up, and more may go\n")
    assert "\n# shrunk in 5 runs; the runs are used up, and more may go\n" in out


@pytest.fixture
def somebody_sees_enough(monkeypatch: pytest.MonkeyPatch, ending: signal.Signals) -> None:
    """In the midst of the tenth run of a shrinking a signal comes."""
    runs = count(1)

    def carry_out_tenfold(plan: Plan, *more: int) -> tuple[Ran, Trace, Sequence[Record]]:
        if next(runs) == 10:
            signal.raise_signal(ending)
        return carry_out(plan, *more)

    monkeypatch.setattr(one, "carry_out", carry_out_tenfold)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("careless_votes", "somebody_sees_enough")
def test_a_shrinking_that_is_interrupted_gives_the_smallest_plan_so_far(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.txt"
    assert main(["sim", "--plan", str(file), "--shrink", "--transcript", str(kept)]) == 130
    assert re.search(
        r"became 3, \d and \d+ in 8 runs; it was interrupted, and more may go$", capsys.readouterr().err, re.M
    )
    assert "\n# shrunk in 8 runs; it was interrupted, and more may go\n" in kept.read_text()
    assert len(loads(kept.read_text()).faults) < len(PLAN.faults)
    assert main(["sim", "--plan", str(kept)]) == 8


@pytest.mark.parametrize("ending", [signal.SIGINT])
@pytest.mark.usefixtures("careless_votes", "somebody_sees_enough")
def test_an_interrupted_shrinking_as_json_says_that_it_is_not_minimal(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", "--plan", str(file), "--shrink", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["minimal"] is False


@pytest.mark.usefixtures("careless_votes")
def test_a_report_is_as_wide_as_the_terminal(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(80) as (stream, screen), ThreadPoolExecutor(1) as reader:
        shown = reader.submit(everything, screen)
        monkeypatch.setattr(sys, "stdout", stream)
        main(["sim", "--plan", str(file)])
        print(THE_END, flush=True)
    report = shown.result().partition("time (s)")[2].partition("seed 5")[0]
    assert 60 < max(map(len, report.splitlines())) <= 80


THE_END = "the end"


def everything(screen: int) -> str:
    """All that is shown, up to the last line: a terminal holds only so much that is not read."""
    shown = b""
    while THE_END.encode() not in shown:
        shown += os.read(screen, 100_000)
    return shown.decode()


def test_without_the_bug_the_shrunk_plan_holds(file: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(RaftLog, "is_up_to_date", lambda log, last_index, last_term: True)
        main(["sim", "--plan", str(file), "--shrink", "--transcript", str(tmp_path / "kept.txt")])
    assert main(["sim", "--plan", str(tmp_path / "kept.txt")]) == 0


WRONG = [
    (["--plan", "none.txt"], "FILE_UNUSABLE: none.txt cannot be read: No such file or directory"),
    (
        ["--seed", "1", "--seconds", "1", "--transcript", "no/t.txt"],
        "FILE_UNUSABLE: no/t.txt cannot be written: No such",
    ),
    (
        ["--seed", "1", "--seconds", "1", "--history", "no/h.jsonl"],
        "FILE_UNUSABLE: no/h.jsonl cannot be written: No such file or directory",
    ),
    (["--plan", "wrong.txt"], "PLAN_INVALID: line 2: no line begins with 'sead'"),
    (["--seed", "1", "--plan", "x"], "USAGE: argument --plan: not allowed with argument --seed"),
    (["--seed", "1", "--count", "3"], "USAGE: --count is for many seeds (see bankd sim --help)"),
    (["--seed", "1", "--failures", "f.txt"], "USAGE: --failures is for many seeds (see bankd sim --help)"),
    (["--plan", "x", "--nodes", "3"], "USAGE: --nodes is for seeds, a plan says its own (see bankd sim --help)"),
    (["--plan", "x", "--seconds", "9"], "USAGE: --seconds is for seeds, a plan says its own (see bankd sim --help)"),
    (["--from", "1", "--history", "f"], "USAGE: --history is for one run, of --seed or --plan (see bankd sim --help)"),
    (["--seed", "1", "--json", "--trace"], "USAGE: --trace is for people and --json for programs: leave one out (see"),
    (["--from", "1", "--count", "1", "--failures", "no/f.txt"], "FILE_UNUSABLE: no/f.txt cannot be written: No such"),
    (
        ["--from", str(2**63 - 500), "--count", "501"],
        "USAGE: there are no 501 seeds from 9223372036854775308 on, the largest is 9223372036854775807",
    ),
    (["--from", str(2**63 - 499)], "USAGE: there are no 500 seeds from 9223372036854775309 on, the largest is"),
    (["--from", "1", "--shrink"], "USAGE: --shrink is for one run, of --seed or --plan (see bankd sim --help)"),
]
NUMBERS = [
    (["--seed", "-1"], "--seed: '-1' is no whole number from 0 to 9223372036854775807"),
    (["--seed", "²"], "--seed: '²' is no whole number from 0 to 9223372036854775807"),
    (["--seed", "٣"], "--seed: '٣' is no whole number from 0 to 9223372036854775807"),
    (["--seed", "7" * 5_000], f"--seed: '{'7' * 40}...' is no whole number from 0 to 9223372036854775807"),
    (["--from", "-1"], "--from: '-1' is no whole number from 0 to 9223372036854775807"),
    (["--count", "0"], "--count: '0' is no whole number from 1 to 1000000000000"),
    (["--jobs", "0"], "--jobs: '0' is no whole number from 1 to 1000"),
    (["--nodes", "0"], "--nodes: '0' is no whole number from 1 to 7"),
    (["--nodes", "8"], "--nodes: '8' is no whole number from 1 to 7"),
    (["--seconds", "1.5"], "--seconds: '1.5' is no whole number from 1 to 86400"),
    (["--hours", "nan"], "--hours: 'nan' is no number above 0, and at most 100000"),
    (["--hours", "-1"], "--hours: '-1' is no number above 0, and at most 100000"),
    (["--hours", "inf"], "--hours: 'inf' is no number above 0, and at most 100000"),
    (["--hours", "2h"], "--hours: '2h' is no number above 0, and at most 100000"),
]
WRONG += [(words, f"USAGE: argument {said} (see bankd sim --help)") for words, said in NUMBERS]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_what_cannot_be_run_is_one_line_and_exit_code_2(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.txt").write_text("# a plan\nsead 3\n")
    assert main(["sim", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


COMMANDS = [
    (Seed(42), "bankd sim --seed 42"),
    (Seed(42, nodes=5), "bankd sim --seed 42 --nodes 5"),
    (Seed(42, nodes=5, seconds=30), "bankd sim --seed 42 --nodes 5 --seconds 30"),
]


@pytest.mark.parametrize(("seed", "command"), COMMANDS)
def test_the_command_of_a_seed_names_all_that_it_is_drawn_from(seed: Seed, command: str) -> None:
    assert seed.command == command
    assert len(seed.plan().nodes) == (seed.nodes or len(Seed(42).plan().nodes))
    assert seed.plan().safety_ns == seed.seconds * S


def broken(text: str) -> Broken:
    return Broken("CRASH", text, 0, 0, "")


def test_crashes_at_different_places_are_different_bugs() -> None:
    """Else shrinking would lead from one to another."""
    first = broken("AssertionError: 3 (or 4) (bankd.raft.log.merge:12 < bankd.raft.core.step:9)")
    assert first.kind == "CRASH at bankd.raft.log.merge:12"
    assert attrs.evolve(first, text=first.text.replace(":9", ":10")).kind == first.kind
    assert broken("KeyError: 'x' (bankd.raft.core.step:9)").kind == "CRASH at bankd.raft.core.step:9"
    assert Broken("S1", first.text, 0, 0, "").kind == "S1"
