"""Make the kernel's answers to a running node go wrong, with strace's fault injection.

strace attaches to the process, tampers with the system calls that a rule names, and writes down what
it saw; at the end of the block it lets go and the process runs on as it was. A rule is strace's own,
for example `fdatasync:error=EIO:when=3` (see `man strace`, "Tampering"). Calls are counted per thread.

Rules: every thread of the process is traced when the block begins. Needs strace and leave to trace.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from bankd.local import Process
from tests.needs import lacks, needs
from tests.real.waiting import wait_until

SYNC_CALLS: Final = "fdatasync,pwrite64"
CALL: Final = re.compile(r"(?P<pid>\d+) +\w+\(\d+<(?P<file>[^>]*)>")


@attrs.frozen
class Trace:
    """What strace saw so far; every call of a line of its own: "PID name(7</file>, ...) = result"."""

    path: Path

    @property
    def lines(self) -> list[str]:
        return self.path.read_text(errors="replace").splitlines()

    @property
    def injections(self) -> int:
        return sum("(INJECTED)" in line or "(DELAYED)" in line for line in self.lines)

    def used_again(self) -> list[str]:
        """Writes and syncs, begun after the first one that was made to fail, on that one's file."""
        lines = self.lines
        at = next(number for number, line in enumerate(lines) if "(INJECTED)" in line)
        pid = lines[at].split()[0]  # when threads overlap, a call and its result stand in two lines
        calls = [call for line in lines[: at + 1] if (call := CALL.match(line)) and call["pid"] == pid]
        file = calls[-1]["file"]
        return [line for line in lines[at + 1 :] if (call := CALL.match(line)) and call["file"] == file]


@contextmanager
def tampered(process: Process, rule: str, *, traced: str = SYNC_CALLS) -> Iterator[Trace]:
    """Inject a fault into a running process for the length of the block."""
    strace = needs("strace")
    path = process.log_path.with_suffix(f".{rule.split(':')[0]}.strace")
    path.unlink(missing_ok=True)
    command = [
        strace,
        "-f",
        "-y",
        "-o",
        str(path),
        "-p",
        str(process.pid),
        "-e",
        f"trace={traced}",
        "-e",
        f"inject={rule}",
    ]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.wait()
            lacks(f"strace may not trace here: {said.strip()}")
        yield Trace(path)
    finally:
        tracer.terminate()
        tracer.wait()
        tracer.stderr.close()


def wait_injected(trace: Trace) -> None:
    wait_until("a system call is tampered with", lambda: trace.injections > 0)
