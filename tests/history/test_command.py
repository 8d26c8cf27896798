"""What `bankd check-history` prints, and the code it ends with."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from bankd.cli import main
from bankd.history import command
from bankd.history.command import Judgement
from bankd.history.findings import Report
from bankd.history.json_lines import line_of
from bankd.history.linearizability import Searched, Verdict, search
from bankd.history.records import Record
from bankd.types import Bounded
from tests.history.table import Table, usual


def written(path: Path, records: Sequence[Record]) -> str:
    file = path / "h.jsonl"
    file.write_text("".join(f"{line_of(record)}\n" for record in records))
    return str(file)


def spoilt() -> Table:
    table = usual()
    table.balance("a", 70, 3)
    return table


def test_right_history_is_a_line_for_each_checker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, usual().records)
    assert main(["check-history", file]) == 0
    witness = "witness: nothing wrong in 20 operations, of which 0 could not be judged\n"
    search = "search: linearizable, 0 records passed over\n"
    assert capsys.readouterr() == (witness, "")
    assert main(["check-history", file, "--checker", "search"]) == 0
    assert capsys.readouterr() == (search, "")
    assert main(["check-history", file, "--checker", "both"]) == 0
    assert capsys.readouterr() == (witness + search, "")


def test_how_far_clocks_run_apart_can_be_said(tmp_path: Path) -> None:
    table = Table()
    table.open("a", 5, 1)
    table.open("b", 5, 2, times=(100, 1_000_000))
    table.balance("b", None, 1, mode=Bounded(1), times=(2_050_000, 2_050_100))
    file = written(tmp_path, table.records)
    assert main(["check-history", file]) == 8
    assert main(["check-history", file, "--drift", "100000"]) == 0
    assert main(["check-history", file, "--drift", "-1"]) == 2


def test_wrong_history_is_told_with_its_records_and_exits_with_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, spoilt().records)
    assert main(["check-history", file, "--checker", "both"]) == 8
    assert capsys.readouterr().out == (
        "witness: 1 wrong in 21 operations, of which 0 could not be judged\n"
        "  R1: what was decided at index 4 had returned before a call that has its place at 3 (records 5, 20)\n"
        "search: violated, 0 records passed over\n"
        "  no order of these gives record 20 its answer (times from 200 ns)\n"
        "  before: a 0\n"
        '  => record 20: [0, 5]  {"kind": "balance", "account": "a", "read": "linearizable"} -> {"balance": 70}\n'
    )


def test_json_holds_what_the_text_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, spoilt().records)
    assert main(["check-history", file, "--checker", "both", "--json"]) == 8
    shown = json.loads(capsys.readouterr().out)
    text = "what was decided at index 4 had returned before a call that has its place at 3"
    findings = [{"promise": "R1", "text": text, "records": [5, 20]}]
    assert shown["witness"] == {"findings": findings, "operations": 21, "unjudged": 0}
    assert shown["search"].pop("window")[0] == "no order of these gives record 20 its answer (times from 200 ns)"
    assert shown["search"] == {"verdict": "violated", "records": [20], "passed_over": 0}


def test_many_findings_are_cut_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    for number in range(25):
        table.balance(f"a{number}", 1, 1)
    assert main(["check-history", written(tmp_path, table.records)]) == 8
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more"


def test_any_name_is_shown_in_printable_ascii_and_its_finding_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table()
    table.balance("\x1b[2J\ud800\x7f\u00fc\U0001f600", 1, 1)
    assert main(["check-history", written(tmp_path, table.records), "--checker", "both"]) == 8
    out = capsys.readouterr().out
    assert all(line.isascii() and line.isprintable() for line in out.split("\n"))
    name = r"\u001b[2J\ud800\u007f\u00fc\ud83d\ude00"
    lines = out.splitlines()
    assert f"then the log has {name} not open" in lines[1]
    assert lines[4] == f"  before: {name} not open"


def test_json_holds_a_name_of_any_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.balance("\x1b\ud800", 1, 1)
    assert main(["check-history", written(tmp_path, table.records), "--json"]) == 8
    assert "\x1b\ud800" in json.loads(capsys.readouterr().out)["witness"]["findings"][0]["text"]


def test_undecided_search_exits_with_6(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "search", partial(search, work_max=3))
    assert main(["check-history", written(tmp_path, usual().records), "--checker", "both"]) == 6
    assert "search: undecided" in capsys.readouterr().out


def test_a_violation_counts_more_than_an_undecided_search() -> None:
    wrong = Report((), 1, 0)
    assert Judgement(wrong, Searched(Verdict.UNDECIDED)).exit_code == 6
    assert Judgement(wrong, Searched(Verdict.VIOLATED)).exit_code == 8


def test_malformed_line_and_missing_file_are_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "h.jsonl"
    file.write_text("{}\n")
    assert main(["check-history", str(file)]) == 2
    assert capsys.readouterr() == ("", f"error: HISTORY_MALFORMED: {file}:1: client is missing\n")
    file.write_text("\n")
    assert main(["check-history", str(file)]) == 2
    assert capsys.readouterr() == ("", f"error: HISTORY_MALFORMED: {file} holds no call\n")
    assert main(["check-history", str(tmp_path / "none")]) == 2
    assert (
        capsys.readouterr().err == f"error: FILE_UNUSABLE: {tmp_path}/none cannot be read: No such file or directory\n"
    )
