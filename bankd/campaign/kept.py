"""Write down what one run leaves to whoever goes on from it: its plan as text, its history as JSON lines."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from bankd.campaign.output import tell, unwritable
from bankd.history.json_lines import line_of
from bankd.history.records import Record


def save_plan(file: Path, text: str) -> None:
    """Raises FileUnusable."""
    save(file, text)
    tell(f"{file} written (to run it: bankd sim --plan {shlex.quote(str(file))})\n")


def save_history(file: Path, history: Iterable[Record], drift_ppm_max: int) -> None:
    """`drift_ppm_max`: of the run's clocks, without which sound answers of theirs look too old.

    Raises:
      FileUnusable: it cannot be written.
    """
    save(file, "".join(f"{line_of(record)}\n" for record in history))
    command = f"bankd check-history {shlex.quote(str(file))} --drift {drift_ppm_max}"
    tell(f"{file} written (to judge it: {command})\n")


def save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(file, error) from None
