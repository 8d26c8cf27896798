"""`bankd sim` on one run: what it says, what it keeps, and that what it says leads back to the same run."""

import json
import re
import shlex
from pathlib import Path

import attrs
import pytest

from bankd.campaign.run import Broken, Seed, carry_out
from bankd.cli import main
from bankd.raft.log import RaftLog
from bankd.sim.plan import Crash, Freeze, Move, Open, Operation, Plan
from bankd.sim.plan_text import dumps, loads
from bankd.types import AccountId, LogIndex, NodeId, Term, TxId

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
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "seed 5  3 nodes  202 calls  faults: 9 crash, 1 freeze"
    assert re.fullmatch(
        r"\d+\.\d{3} s simulated  [\d,]+ events  \d+ calls acknowledged  \d+ leaders elected  trace [0-9a-f]{16}",
        second,
    )
    assert third == "No invariant broke."


def test_a_run_as_json_is_a_promise(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ran, _ = carry_out(PLAN)
    assert found == {
        "nodes": 3,
        "faults": {"crash": 9, "freeze": 1},
        "simulated_ns": str(ran.simulated_ns),
        "events": str(ran.events),
        "acknowledged": str(ran.acknowledged),
        "elections": str(ran.elections),
        "trace": ran.digest,
        "replay": f"bankd sim --plan {file}",
        "violation": None,
    }


def test_a_trace_shows_every_event_in_columns(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["sim", "--plan", str(file), "--trace"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["time", "(s)", "world", *N, "clients"]
    assert any(line.endswith("c0.1 open a 1000") for line in lines)
    assert sum("killed" in line or "power lost" in line for line in lines) == len(AWAY)


@pytest.mark.usefixtures("careless_votes")
def test_a_violation_is_reported_and_the_last_line_replays_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file)]) == 8
    said = capsys.readouterr().out
    head, last = said.splitlines()[0], said.splitlines()[-1]
    assert re.match(r"S4 violated on n\d at \d+\.\d{6} s, step \d+: votes for n\d, whose log ends at", head)
    assert "time (s)" in said
    replay = last.removeprefix("S4 broke. To see it again: ")
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
    assert f"# from: bankd sim --plan {file}\n" in text
    plan = loads(text)
    assert [type(fault) for fault in plan.faults] == [Crash, Crash]
    assert main(["sim", "--plan", str(kept)]) == 8
    assert "S4 broke." in capsys.readouterr().out


@pytest.mark.usefixtures("careless_votes")
def test_a_shrunk_plan_that_cannot_be_written_is_shown(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", "--plan", str(file), "--shrink", "--transcript", str(tmp_path / "no" / "kept.txt")]) == 2
    out, err = capsys.readouterr()
    assert "cannot be written" in err
    assert len(loads(out[out.index("# S4: ") :]).faults) == 2


@pytest.mark.usefixtures("careless_votes")
def test_a_shrunk_plan_as_json_is_part_of_the_one_object(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--plan", str(file), "--shrink", "--json"]) == 8
    shown = json.loads(capsys.readouterr().out)
    assert len(loads(shown["shrunk"]).faults) == 2


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
    (["--plan", "wrong.txt"], "PLAN_INVALID: line 2: no line begins with 'sead'"),
    (["--seed", "1", "--plan", "x"], "USAGE: argument --plan: not allowed with argument --seed"),
    (["--seed", "1", "--count", "3"], "USAGE: --count is for many seeds (see bankd sim --help)"),
    (["--seed", "1", "--failures", "f.txt"], "USAGE: --failures is for many seeds (see bankd sim --help)"),
    (["--plan", "x", "--nodes", "3"], "USAGE: --nodes is for seeds, a plan says its own (see bankd sim --help)"),
    (["--plan", "x", "--seconds", "9"], "USAGE: --seconds is for seeds, a plan says its own (see bankd sim --help)"),
    (["--from", "1", "--shrink"], "USAGE: --shrink is for one run, of --seed or --plan (see bankd sim --help)"),
    (["--from", "1", "--count", "0"], "USAGE: argument --count: invalid positive value: '0'"),
]


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
