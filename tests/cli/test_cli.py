"""What `bankd` says and the code it ends with."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bankd import __version__, cli
from bankd.cli import COMMANDS, main
from bankd.errors import DiskFull, NodeError
from tests.config.test_faults import GOOD


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    try:
        code = main(words)
    except SystemExit as shown:  # argparse, after a help
        code = int(str(shown.code))
    out, err = capsys.readouterr()
    return code, out, err


WRONG_WORDS = [
    (["srve"], "'srve' is no command; did you mean serve? (see bankd --help)"),
    (["--version"], "'--version' is no command; did you mean version? (see bankd --help)"),
    (["zzz"], "'zzz' is no command (see bankd --help)"),
    (["serve"], "the following arguments are required: CONFIG (see bankd serve --help)"),
    (["serve", "a", "b"], "'b' is one word too many (see bankd serve --help)"),
    (["check", "--prnt", "a"], "'--prnt' is one word too many; did you mean --print? (see bankd check --help)"),
    (["check", "--pri", "a"], "'--pri' is one word too many; did you mean --print? (see bankd check --help)"),
    (["serve", "a", "--set"], "argument --set: expected one argument (see bankd serve --help)"),
    (["demo", "--nodes", "x"], "argument --nodes: 'x' is no whole number from 1 to 9 (see bankd demo --help)"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG_WORDS)
def test_what_cannot_be_understood_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert ran(capsys, *words) == (2, "", f"error: USAGE: {sentence}\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_every_help_ends_in_two_examples(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, err) == (0, "")
    assert re.search(r"\n\nexamples:\n  bankd .+\n  bankd .+\n$", out)


def test_examples_in_every_help_can_be_typed() -> None:
    for command in COMMANDS.values():
        for example in command.examples:
            name, *words = example.split(" | ")[0].split()[1:]
            parser = cli.Parser(COMMANDS[name])
            COMMANDS[name].declare(parser)
            parser.parse(words)


def test_check_prints_all_faults_and_exits_with_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.toml"
    file.write_text(GOOD.replace('"n1"', '"n9"') + "[log]\nlevel = 'loud'\n")
    assert ran(capsys, "check", str(file)) == (
        8,
        f"{file}:2 node.id: n9 is not in cluster.bootstrap (one of n1, n2, n3)\n"
        f'{file}:10 log.level: "loud" is not known (one of debug, info, warning, error)\n',
        "",
    )


def test_check_of_a_right_file_says_so_and_print_shows_its_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f.toml"
    file.write_text(GOOD)
    monkeypatch.setenv("BANKD_LOG__FORMAT", "json")
    assert ran(capsys, "check", str(file)) == (0, f"{file}: no faults\n", "")
    _, out, _ = ran(capsys, "check", str(file), "--print", "--set", "limits.max_in_flight=9")
    assert re.search(r"^limits.max_in_flight = 9 +# --set$", out, re.MULTILINE)
    assert re.search(r'^log.format = "json" +# env BANKD_LOG__FORMAT$', out, re.MULTILINE)


def test_serve_names_every_fault_on_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.toml"
    file.write_text(GOOD)
    assert ran(capsys, "serve", str(file), "--set", "log.level=loud", "--set", "node.id=n9") == (
        8,
        "",
        'error: CONFIG_INVALID: --set log.level: "loud" is not known (one of debug, info, warning, error)\n'
        "error: CONFIG_INVALID: --set node.id: n9 is not in cluster.bootstrap (one of n1, n2, n3)\n",
    )


def test_init_writes_a_file_that_check_accepts_and_overwrites_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "n1.toml"
    assert ran(capsys, "init", str(file))[0] == 0
    written = file.read_text()
    assert ran(capsys, "check", str(file))[0] == 0
    assert ran(capsys, "init", str(file)) == (
        2,
        "",
        f"error: FILE_UNUSABLE: {file} exists and is left as it is (name another file)\n",
    )
    assert file.read_text() == written
    missing = tmp_path / "none" / "n1.toml"
    assert ran(capsys, "init", str(missing)) == (
        2,
        "",
        f"error: FILE_UNUSABLE: {missing} cannot be written: No such file or directory\n",
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "version") == (0, f"bankd {__version__}\n", "")


ENDINGS = [
    (DiskFull("the disk of data/n1 is full (make room, then start again)"), 8, "error: DISK_FULL: the disk of data/n1"),
    (KeyboardInterrupt(), 130, ""),
    (AssertionError("term fell"), 10, "error: INTERNAL: AssertionError: term fell (this is a bug"),
]


@pytest.mark.parametrize(("raised", "code", "said"), ENDINGS)
def test_endings_have_their_line_and_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, said: str
) -> None:
    def fail(words: object) -> int:
        raise raised

    monkeypatch.setattr(cli, "run", fail)
    ended, _, err = ran(capsys, "version")
    assert ended == code
    assert err.startswith("Traceback") == (code == 10)  # a stack for our bugs, never for what the world did
    assert said in err
    assert isinstance(raised, NodeError) == (err.count("\n") == 1)


def python(*words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
    return subprocess.Popen([sys.executable, *words], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environ)


def test_python_without_assertions_is_refused() -> None:
    with python("-O", "-m", "bankd", "version") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert re.fullmatch(r"error: USAGE: bankd guards its state with assertions .*\n", err)


def test_reader_that_leaves_early_causes_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with python("-m", "bankd", "version", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate()
    assert err == ""


def test_cheap_commands_import_no_scheduler_and_no_parser_of_messages() -> None:
    probe = "import sys; from bankd.cli import main; main(['version']); print(sorted({'trio', 'grpc', 'google.protobuf'} & set(sys.modules)))"
    with python("-c", probe) as process:
        out, _ = process.communicate()
    assert out.splitlines()[-1] == "[]"


# Presses Ctrl-C when the module named first is about to be imported.
INTERRUPTED_IMPORT = """
import os, runpy, signal, sys

class Interrupter:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
runpy.run_module("bankd", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["bankd.cli", "bankd.config.settings"])
def test_ctrl_c_while_the_program_is_imported_ends_it_without_a_word(module: str) -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT, module], capture_output=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


def test_both_scripts_start_where_ctrl_c_is_quiet() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"bankd": "bankd.__main__:main", "bankctl": "bankctl.__main__:main"}
