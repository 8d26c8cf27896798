"""Hand over what was found: to stdout, stderr and files, of which each may be closed, full, or left by its reader.

Rules
- What was judged is the exit code, whatever became of the words: a violation must not end as 0 because of `| head -1`.
- A reader that leaves is no fault, and the rest goes nowhere. Anything else that cannot be written is complained of at
  once; it does not end the work, and makes an exit code of 0 a 2.
- What is said on stderr is said if it can be. There is nowhere to complain of it.
- A stream that failed is turned away for good: the interpreter's last flush would fail again, and end with 120.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, ParamSpec, TextIO

from bankd.errors import Exit, FileUnusable, NodeError

P = ParamSpec("P")


class OutputUnusable(NodeError):
    """Stdout is closed or full. Raised where something is printed, caught by `Output` and in cli.py; a retry fails too."""

    reason: ClassVar[str] = "OUTPUT_UNUSABLE"
    exit_code: ClassVar[Exit] = Exit.USAGE


class Output:
    """What one command writes: it says at the end whether all of it was."""

    def __init__(self) -> None:
        self.complete = True

    def attempt(self, write: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Call `write`. False: it could not be done, which has been said."""
        try:
            write(*args, **kwargs)
        except (FileUnusable, OutputUnusable) as error:
            complain(error.reason, str(error))
            self.complete = False
            return False
        return True

    def exit_code(self, judged: int) -> int:
        return judged or (Exit.OK if self.complete else Exit.USAGE)


def show(text: str, *, end: str = "\n") -> None:
    """Print a result to stdout, with all that was printed before, unless its reader has left.

    Raises:
      OutputUnusable: it cannot be written.
    """
    try:
        sys.stdout.write(f"{text}{end}")
        sys.stdout.flush()
    except BrokenPipeError:
        turn_away(sys.stdout)
    except OSError as error:
        turn_away(sys.stdout)
        raise OutputUnusable(f"stdout cannot be written: {error.strerror}") from None


def tell(text: str, *, to: TextIO | None = None) -> None:
    """Write to stderr, or to another stream for people, as it is and at once. Never fails: see the rules."""
    stream = to or sys.stderr
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        turn_away(stream)


def complain(reason: str, sentence: str) -> None:
    tell(f"error: {reason}: {sentence}\n")


def turn_away(stream: TextIO) -> None:
    """What is written from now on, or was and is still buffered, goes nowhere."""
    with suppress(OSError):  # a stream without a descriptor is nobody's but ours
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def require_stdout() -> None:
    """Raises OutputUnusable: it was closed before we began, so that nobody would learn a result."""
    if sys.stdout is None:
        raise OutputUnusable("stdout is closed (redirect it to /dev/null if only the exit code counts)")


def require_writable(file: Path) -> None:
    """See that a file can be written before the work whose result it is for. It is left, or left missing, as it was.

    Raises:
      FileUnusable: it cannot.
    """
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            return  # a pipe or a device: whoever reads it would notice
        is_new = not file.exists()
        with open(file, "ab"):
            pass
        if is_new:
            file.unlink()
    except OSError as error:
        raise unwritable(file, error) from None


def unwritable(file: Path, error: OSError) -> FileUnusable:
    return FileUnusable(f"{file} cannot be written: {error.strerror}")
