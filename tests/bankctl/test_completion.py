"""Completion: what is offered where, and the bash script in a real bash."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bankctl.completion import SCRIPTS, candidates
from bankctl.table import COMMANDS, GRAMMAR
from tests.bankctl.harness import bankctl

TOP = [
    "account",
    "audit",
    "balance",
    "batch",
    "bench",
    "cluster",
    "completion",
    "snapshot",
    "status",
    "transfer",
    "version",
]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ([""], TOP),
        (["ba"], ["balance", "batch"]),
        (["account", ""], ["create", "list", "show"]),
        (["-o", "json", "cluster", "he"], ["health"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["completion", "bash", ""], []),
        (["balance", "acct"], []),
        (["balance", "acct1", "--re"], ["--read"]),
        (["balance", "acct1", "--read", ""], ["linearizable", "stale", "bounded:", "at-least:"]),
        (["balance", "acct1", "--read", "=", "st"], ["stale"]),
        (["balance", "acct1", "--read", "="], ["linearizable", "stale", "bounded:", "at-least:"]),
        (["version", "-o", "j"], ["json", "jsonl"]),
        (["version", "--output=j"], ["--output=json", "--output=jsonl"]),
        (["version", "--re"], []),
        (["version", "--col"], ["--color"]),
        (["--ti"], ["--timeout"]),
        (["batch", ""], [":files"]),
        (["batch", "--format", ""], ["csv", "jsonl"]),
        (["transfer", "a", "b", "1", "--tx"], ["--tx-id"]),
        (["nonsense", ""], TOP),
        ([], TOP),
    ],
)
def test_what_may_stand_here_is_offered(typed: list[str], offered: list[str]) -> None:
    assert candidates(GRAMMAR, typed) == offered


def test_the_scripts_ask_bankctl_itself() -> None:
    ran = bankctl("__complete", "account", "--h")
    assert ran.out == "--help\n"
    assert all("bankctl __complete" in script for script in SCRIPTS.values())
    assert bankctl("completion", "fish").out == SCRIPTS["fish"]
    assert "__complete" not in {word for command in COMMANDS for word in command.path}


def complete_in_bash(tmp_path: Path, *words: str) -> list[str]:
    """What bash, with the script sourced, makes of TAB behind these words."""
    program = tmp_path / "bankctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bankctl "$@"\n')
    program.chmod(0o755)
    quoted = " ".join(f"'{word}'" for word in ("bankctl", *words))
    script = (
        'source /dev/stdin <<< "$(bankctl completion bash)"\n'
        "compopt() { :; }\n"  # real completion calls it in a context that a script does not have
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _bankctl\n"
        'complete -p bankctl >&2; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}:{Path(shutil.which('sh') or '/bin/sh').parent}"
    ran = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=Path.cwd(), env={"PATH": path}, check=True
    )
    assert ran.stderr == "complete -F _bankctl bankctl\n"
    return ran.stdout.split("\n")[:-1]


def test_bash_completes_words_flags_and_values(tmp_path: Path) -> None:
    assert complete_in_bash(tmp_path, "acc") == ["account"]
    assert complete_in_bash(tmp_path, "cluster", "transfer-leader", "--out") == ["--output"]
    assert complete_in_bash(tmp_path, "version", "-o", "") == ["text", "table", "json", "jsonl", "csv"]
    assert complete_in_bash(tmp_path, "balance", "x") == [""]


def test_bash_completes_file_names_for_a_batch(tmp_path: Path) -> None:
    (tmp_path / "pay ments.csv").touch()
    assert complete_in_bash(tmp_path, "batch", f"{tmp_path}/pay") == [f"{tmp_path}/pay ments.csv"]
