"""Where the words of `bankd sim` and `bankd check-history` go may fail: what was judged and what was kept must not.

Real programs with real streams; the first seed of three nodes shows the planted bug.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

from bankd.campaign import one
from bankd.campaign.many import Campaign, Order, Progress
from bankd.campaign.output import require_writable
from bankd.cli import main
from bankd.errors import FileUnusable
from bankd.history import command
from bankd.sim.plan_text import loads
from tests.campaign.test_many import faulty

ROOT: Final = Path(__file__).resolve().parents[2]
WITH_BUG: Final = ("-m", "tests.campaign.with_bug", "conflict-kept", "sim")
SOUND: Final = ("-m", "bankd", "sim")
SEED: Final = "3"  # of three nodes, in which the bug shows
BROKEN: Final = ("--seed", SEED, "--nodes", "3")
SHORT: Final = ("--seed", "1", "--nodes", "3", "--seconds", "1")
MANY: Final = ("--from", SEED, "--count", "1", "--nodes", "3", "--jobs", "1")
FULL: Final = "/dev/full"
SAYS_FULL: Final = "error: OUTPUT_UNUSABLE: stdout cannot be written: No space left on device\n"
SAYS_CLOSED: Final = "error: OUTPUT_UNUSABLE: stdout is closed"
ONE_HISTORY: Final = """\
{"client":1,"operation":{"kind":"open","account":"a","balance":5},"call_ns":0,"return_ns":50,"result":{"success":true,"decided":1}}
{"client":1,"operation":{"kind":"balance","account":"a","read":"linearizable"},"call_ns":90,"return_ns":99,"result":{"balance":6},"index":1}
"""


Stream = Callable[[], AbstractContextManager[int]]


@contextmanager
def left_by_its_reader() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full() -> Iterator[int]:
    with open(FULL, "w") as stream:
        yield stream.fileno()


def environment() -> dict[str, str]:
    """As users have it: stdout is buffered, and `bankd` found from anywhere."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"PYTHONPATH": str(ROOT)}


def ran(
    words: Sequence[str], directory: Path, *, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=directory,
        env=environment(),
        stdout=stdout,
        stderr=stderr,
        text=True,
    )


def closed(stream: str, words: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """The end of a program that begins with a stream closed: "1" is stdout, "2" stderr."""
    shell = shutil.which("sh")
    assert shell is not None
    return subprocess.run(
        [shell, "-c", f'exec "$@" {stream}>&-', "sh", sys.executable, *words],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
    )


def test_a_violation_is_8_and_its_plan_is_kept_when_the_reader_of_stdout_has_left(tmp_path: Path) -> None:
    with left_by_its_reader() as stdout:
        end = ran([*WITH_BUG, *BROKEN, "--transcript", "kept.txt"], tmp_path, stdout=stdout)
    assert (end.returncode, end.stderr.count("\n")) == (8, 1)
    assert len(loads((tmp_path / "kept.txt").read_text()).nodes) == 3


def test_a_violation_is_8_and_its_plan_is_kept_when_stdout_is_full(tmp_path: Path) -> None:
    with full() as stdout:
        end = ran([*WITH_BUG, *BROKEN, "--transcript", "kept.txt"], tmp_path, stdout=stdout)
    assert end.returncode == 8
    assert end.stderr.startswith(SAYS_FULL)
    assert len(loads((tmp_path / "kept.txt").read_text()).nodes) == 3


@pytest.mark.parametrize("words", [[*SOUND, *SHORT], [*SOUND, *SHORT, "--json"], ["-m", "bankd", "version"]])
def test_a_good_end_that_nobody_could_be_told_of_is_2_and_one_line(words: list[str], tmp_path: Path) -> None:
    with full() as stdout:
        end = ran(words, tmp_path, stdout=stdout)
    assert (end.returncode, end.stderr) == (2, SAYS_FULL)


def test_a_good_end_whose_reader_has_left_is_0_without_a_word(tmp_path: Path) -> None:
    with left_by_its_reader() as stdout:
        end = ran([*SOUND, *SHORT], tmp_path, stdout=stdout)
    assert (end.returncode, end.stderr) == (0, "")


@pytest.mark.parametrize("stream", [left_by_its_reader, full])
def test_a_campaign_that_nobody_listens_to_keeps_its_failing_seeds_and_ends_with_8(
    stream: Stream, tmp_path: Path
) -> None:
    with stream() as nowhere:
        end = ran([*WITH_BUG, *MANY], tmp_path, stdout=nowhere, stderr=nowhere)
    assert end.returncode == 8
    assert (tmp_path / "sim-failures.txt").read_text().startswith(f"bankd sim --seed {SEED} --nodes 3  # S4: ")


def test_a_failing_seed_is_in_the_file_before_it_is_spoken_of(tmp_path: Path) -> None:
    """Else who is ended while speaking, by whatever reads, loses it."""
    failures = tmp_path / "failures.txt"

    class Listener(StringIO):
        def write(self, text: str) -> int:
            assert failures.exists() or "--seed 12" not in text
            return super().write(text)

    listener = Listener()
    Campaign(Order(12, 1, None, 1, failures), faulty).carry_out(Progress(listener))
    assert "--seed 12" in listener.getvalue()


def test_a_campaign_does_not_say_that_seeds_were_added_when_they_were_not(tmp_path: Path) -> None:
    end = ran([*WITH_BUG, *MANY, "--failures", FULL], tmp_path)
    assert end.returncode == 8
    assert f"warning: {FULL} cannot be written: No space left on device\n" in end.stderr
    assert "were added" not in end.stderr
    assert "were added" in ran([*WITH_BUG, *MANY], tmp_path).stderr


@pytest.mark.parametrize("flag", ["--transcript", "--history"])
def test_a_file_that_fills_up_is_complained_of_and_hides_no_violation(flag: str, tmp_path: Path) -> None:
    said = f"error: FILE_UNUSABLE: {FULL} cannot be written: No space left on device\n"
    end = ran([*WITH_BUG, *BROKEN, flag, FULL], tmp_path)
    assert (end.returncode, end.stderr) == (8, said)
    end = ran([*SOUND, *SHORT, flag, FULL], tmp_path)
    assert (end.returncode, end.stderr) == (2, said)
    assert end.stdout.endswith("No invariant broke.\n")


def test_a_file_that_is_tried_before_a_run_is_left_as_it_was(tmp_path: Path) -> None:
    new, old = tmp_path / "new.txt", tmp_path / "old.txt"
    old.write_text("kept")
    require_writable(new)
    require_writable(old)
    assert (new.exists(), old.read_text()) == (False, "kept")
    with pytest.raises(FileUnusable, match="cannot be written: Is a directory"):
        require_writable(tmp_path)


@pytest.mark.parametrize("words", [SHORT, MANY])
def test_with_stdout_closed_nothing_is_run(words: Sequence[str], tmp_path: Path) -> None:
    end = closed("1", [*SOUND, *words], tmp_path)
    assert (end.returncode, end.stderr.count("\n")) == (2, 1)
    assert end.stderr.startswith(SAYS_CLOSED)


@pytest.mark.parametrize("words", [[*SHORT, "--history", "h.jsonl"], MANY])
def test_with_stderr_closed_what_was_for_it_is_not_on_stdout(words: Sequence[str], tmp_path: Path) -> None:
    end = closed("2", [*SOUND, *words, "--json"], tmp_path)
    assert end.returncode == 0
    assert isinstance(json.loads(end.stdout), dict)


def test_a_wrong_history_is_8_whatever_becomes_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "h.jsonl").write_text(ONE_HISTORY)
    for stream in (left_by_its_reader, full):
        with stream() as stdout:
            end = ran(["-m", "bankd", "check-history", "h.jsonl"], tmp_path, stdout=stdout)
        assert (end.returncode, end.stderr) == (8, SAYS_FULL if stream is full else "")
    assert closed("1", ["-m", "bankd", "check-history", "h.jsonl"], tmp_path).stderr.startswith(SAYS_CLOSED)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_of_a_single_run_is_130(ending: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one, "carry_out", lambda *_: signal.raise_signal(ending))
    assert main(["sim", *SHORT]) == 130


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_of_a_judgement_is_130(
    ending: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h.jsonl").write_text(ONE_HISTORY)
    monkeypatch.setattr(command, "judge", lambda *_, **__: signal.raise_signal(ending))
    assert main(["check-history", str(tmp_path / "h.jsonl")]) == 130


def test_a_plan_that_replaces_itself_still_says_which_seed_it_came_from(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    assert main(["sim", *SHORT, "--transcript", str(kept)]) == 0
    assert main(["sim", "--plan", str(kept), "--transcript", str(kept)]) == 0
    assert "# from: bankd sim --seed 1 --nodes 3 --seconds 1\n" in kept.read_text()
    other = tmp_path / "other.txt"
    assert main(["sim", "--plan", str(kept), "--transcript", str(other)]) == 0
    assert f"# from: bankd sim --plan {kept}\n" in other.read_text()


def test_commands_name_a_file_as_a_shell_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, history = tmp_path / "it's kept.txt", tmp_path / "its history.jsonl"
    assert main(["sim", *SHORT, "--transcript", str(kept), "--history", str(history)]) == 0
    commands = re.findall(r"\(to \w+ it: (.*)\)", capsys.readouterr().err)
    for words in commands:
        shell = subprocess.run(["sh", "-c", words.replace("bankd", f"'{sys.executable}' -m bankd", 1)], cwd=ROOT)
        assert shell.returncode == 0
    assert len(commands) == 2
    assert main(["sim", "--plan", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replay"] == commands[1]
