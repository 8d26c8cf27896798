"""What only a real process shows: what a start imports, signals, pipes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.client.fake_server import Answer, FakeServer, NeverAnswer

HEAVY = {
    "trio",
    "anyio",
    "asyncio",
    "cyclopts",
    "rich",
    "argparse",
    "hypothesis",
    "pytest",
    "ssl",
    "csv",
    "traceback",
    "zstandard",
}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.bank.open_account("acct1", 1250)
        server.bank.open_account("acct2", 0)
        yield server


def start(server: FakeServer, *argv: str, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "BANKCTL_ENDPOINTS": server.address}
    return subprocess.Popen(
        [sys.executable, "-m", "bankctl", *argv], stdout=stdout, stderr=subprocess.PIPE, env=environ
    )


def test_a_process_gives_output_and_exit_code(server: FakeServer) -> None:
    done = start(server, "balance", "acct1", "-o", "json")
    out, err = done.communicate()
    assert (done.returncode, err) == (0, b"")
    assert out == b'{"account":"acct1","balance":"1250","index":"2","read":"linearizable"}\n'
    refused = start(server, "transfer", "acct1", "acct2", "99.00")
    assert refused.communicate()[1].count(b"\n") == 1
    assert refused.returncode == 1


@pytest.mark.parametrize(
    "line", ["version", "balance acct1", "transfer acct1 acct2 1.00", "cluster status", "snapshot trigger"]
)
def test_a_one_shot_command_imports_nothing_heavy(server: FakeServer, line: str) -> None:
    program = "import sys; from bankctl.cli import main; main(); print(*sys.modules)"
    environ = {**os.environ, "BANKCTL_ENDPOINTS": server.address}
    ran = subprocess.run(
        [sys.executable, "-c", program, *line.split()], capture_output=True, text=True, env=environ, check=True
    )
    assert HEAVY & set(ran.stdout.splitlines()[-1].split()) == set()


# Presses Ctrl-C when the module named first is about to be imported, then starts as the way named second does.
INTERRUPTED_IMPORT = """
import os, runpy, signal, sys

class Interrupter:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
if sys.argv.pop(2) == "script":
    from bankctl.__main__ import main
    sys.exit(main())
runpy.run_module("bankctl", run_name="__main__")
"""


@pytest.mark.parametrize("way", ["script", "module"])
@pytest.mark.parametrize("module", ["bankctl.cli", "bankctl.errors", "bankd.errors", "bankctl.table"])
def test_ctrl_c_while_the_program_is_imported_ends_it_without_a_word(module: str, way: str) -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT, module, way], capture_output=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


def interrupted(server: FakeServer, *argv: str) -> tuple[int, str, str]:
    """Run it until the server has its first request, which is never answered; then Ctrl-C."""
    server.script(NeverAnswer(apply=True))
    process = start(server, *argv)
    while not server.requests:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    return process.returncode, out.decode(), err.decode()


def test_ctrl_c_reports_a_transfer_under_way_with_its_id(server: FakeServer) -> None:
    code, out, err = interrupted(server, "transfer", "acct1", "acct2", "1.00")
    assert (code, out) == (130, "")
    found = re.fullmatch(
        r"error: OUTCOME_UNKNOWN: transfer (\S+) was under way, its outcome is unknown \(ask: bankctl status (\S+)\)\n",
        err,
    )
    assert found is not None, err
    assert found[1] == found[2]
    assert server.tx_id_counts[found[1]] == 1


def test_ctrl_c_during_a_read_says_that_nothing_changed(server: FakeServer) -> None:
    code, _, err = interrupted(server, "balance", "acct1")
    assert code == 130
    assert err == "error: INTERRUPTED: nothing was under way that changes anything\n"


def test_ctrl_c_in_a_batch_tells_of_every_row(server: FakeServer, tmp_path: os.PathLike[str]) -> None:
    file = os.path.join(tmp_path, "rows.csv")
    with open(file, "w") as rows:
        rows.write("from,to,amount,tx_id\nacct1,acct2,0.01,t1\nacct1,acct2,0.01,t2\n")
    code, out, err = interrupted(server, "batch", file)
    assert code == 130
    assert [line.split("  ")[3] for line in out.splitlines()] == ["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"]
    assert err.splitlines()[-1].startswith("error: OUTCOME_UNKNOWN: ")


def test_ctrl_c_while_a_backup_is_fetched_leaves_no_file(server: FakeServer, tmp_path: Path) -> None:
    server.script(Answer(), Answer(), Answer(), NeverAnswer())  # statuses twice, a snapshot, its first part
    process = start(server, "snapshot", "save", str(tmp_path / "bank.snap"))
    while len(server.requests) < 4:
        assert process.poll() is None, process.communicate()
    assert [file.suffix for file in tmp_path.iterdir()] == [".tmp"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.decode().splitlines()[-1].endswith("bank.snap was not written (nothing of it is left)")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_bench_run_with_its_total(server: FakeServer) -> None:
    process = start(server, "bench", "run", "--duration", "1h", "--accounts", "2", "--verify")
    while not server.batch_rows:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out.decode().splitlines()[-1].endswith("  total")
    assert err.decode().splitlines()[-1].startswith("error: INTERRUPTED: ")


def test_ctrl_c_before_a_bench_run_begins_is_one_line(server: FakeServer) -> None:
    code, _, err = interrupted(server, "bench", "run", "--accounts", "2")
    assert code == 130
    assert err.splitlines()[-1] == (
        "error: INTERRUPTED: the run was cut short (what was under way may have taken effect)"
    )


def test_a_reader_that_goes_away_ends_it_without_a_word(server: FakeServer) -> None:
    for number in range(5000):
        server.bank.open_account(f"many{number:04}", 0)
    process = start(server, "account", "list")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"acct1\t")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == -signal.SIGPIPE


def test_a_full_disk_under_stdout_is_one_line(server: FakeServer) -> None:
    with open("/dev/full", "wb") as full:
        process = start(server, "balance", "acct1", stdout=full)
        _, err = process.communicate()
    assert err == b"error: OUTPUT_FAILED: the result could not be written: No space left on device\n"
    assert process.returncode == 10
