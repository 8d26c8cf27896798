"""Start a process that will not start, and read what it says."""

import re
import subprocess
import sys
from typing import Final

from bankd.errors import Exit
from bankd.local import Process

END_S_MAX: Final = 20.0


def run_to_its_end(process: Process) -> tuple[int, str]:
    """Start it in the foreground; its exit code, and the last line that it printed."""
    done = subprocess.run(
        [*process.prefix, sys.executable, "-m", "bankd", *process.arguments],
        capture_output=True,
        text=True,
        timeout=END_S_MAX,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()[-1]


def expect(process: Process, code: Exit, pattern: str) -> None:
    status, line = run_to_its_end(process)
    assert re.fullmatch(f"error: {pattern}", line), line
    assert status == code
