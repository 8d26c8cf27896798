"""The demo as people start it: real processes, and none left behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bankd.client import SyncBankClient

GIVE_UP_S = 120  # only against a test that hangs for ever

pytestmark = pytest.mark.real


@contextmanager
def demo(*flags: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-u", "-m", "bankd", "demo", "--no-gateway", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Everything said up to the first line that matches."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(f"the demo ended without {pattern!r}:\n{said}")


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_tour_finds_every_balance_right_and_leaves_nothing_behind() -> None:
    with demo("--tour") as process:
        said, _ = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 0, said
    for claim in (
        r"^  every balance is right and the sum of all accounts is 0$",
        r"^  each of \d{3} acknowledged transfers is recorded, once, at its log index$",
        r"^  the digest of the state at that index is the same on all nodes: [0-9a-f]{32}$",
        r"^Everything is stopped\.",
    ):
        assert re.search(claim, said, re.MULTILINE), said
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", said)]
    directory = re.findall(r"\(files: (.+)\)", said)[0]
    assert len(pids) == 3
    assert [pid for pid in pids if runs(pid)] == []
    assert not Path(directory).exists()


def test_kept_cluster_goes_on_and_a_killed_node_is_reported(tmp_path: Path) -> None:
    with demo("--keep", str(tmp_path)) as process:
        invitation = read_until(process, "^Ctrl-C here")
        endpoints = re.findall(r"BANKCTL_ENDPOINTS=(\S+)", invitation)[0]
        with SyncBankClient(endpoints, cluster="demo", timeout_s=30.0) as bank:
            bank.transfer("alice", "bob", 25_00)
        pid, name = re.findall(r"kill -9 (\d+) +# (n\d), the leader", invitation)[0]
        os.kill(int(pid), signal.SIGKILL)
        read_until(process, rf"^{name} ended \(to bring it back, .*bankd serve {tmp_path}/{name}.toml\)$")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 0

    with demo("--keep", str(tmp_path)) as process:
        again = read_until(process, "^Ctrl-C here")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 0
    assert "Accounts: alice 975.00, bob 525.00, carol 250.00, dave 0.00" in again


def test_kept_cluster_of_another_size_is_refused_in_words(tmp_path: Path) -> None:
    with demo("--keep", str(tmp_path), "--nodes", "1") as process:
        read_until(process, "^Ctrl-C here")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=GIVE_UP_S)
    with demo("--keep", str(tmp_path), "--nodes", "2") as process:
        said, _ = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 8
    assert said.startswith("error: DEMO_FAILED: n1 ended; ")
    assert "DATA_DIR_FOREIGN" in said
