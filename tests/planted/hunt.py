"""Run seeds with a bug in a process of its own, and search for all bugs, as many at a time as there are cores."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from tests.planted.bug import ROOT, Bug, Finding
from tests.planted.bugs import BUGS
from tests.planted.table import Row, read_rows, write_rows

NONE: Final = "none"  # stands for no bug: the program as it is shipped
SEEDS_MAX: Final = 500  # within which a bug must be found
HUNT_S_MAX: Final = 7200.0


def hunted(name: str, *, first: int, count: int, level: int) -> Finding | None:
    """The first finding in these seeds with this bug, in a process of its own. Blocks.

    Raises RuntimeError with what the process said where it has no answer.
    """
    range_ = ["--from", str(first), "--count", str(count), "--level", str(level)]
    command = [sys.executable, "-m", "tests.planted", name, *range_, "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HUNT_S_MAX)
    if not ran.stdout:
        raise RuntimeError(f"{name}: {ran.stderr}")
    found = json.loads(ran.stdout)
    return None if found is None else Finding(**found)


def searched(bug: Bug, count: int, seed: int | None) -> Finding | None:
    """A finding at the recorded seed, or else the first one in so many seeds."""
    again = None if seed is None else hunted(bug.name, first=seed, count=1, level=bug.level)
    return again or hunted(bug.name, first=1, count=count, level=bug.level)


def hunt_all(count: int) -> int:
    """Search for every bug and renew the table. Returns how many were not found, or not fairly.

    A bug that is still found at its seed keeps it.
    """
    began_s, rows, faults = time.monotonic(), {}, []
    seeds = {row.name: row.seed for row in read_rows()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        searches = {pool.submit(searched, bug, count, seeds.get(bug.name)): bug for bug in BUGS.values()}
        for search in as_completed(searches):
            bug, finding = searches[search], search.result()
            print(f"{bug.name}: {finding or 'not found'}", flush=True)
            if finding is None:
                faults.append(f"{bug.name} was not found in {count} seeds")
            else:
                rows[bug.name] = Row.of(bug, finding)
    faults += shipped_faults([rows[name] for name in BUGS if name in rows])
    write_rows([rows[name] for name in BUGS if name in rows])
    print(*faults, f"{len(rows)} of {len(BUGS)} found in {time.monotonic() - began_s:.0f} s", sep="\n")
    return len(faults)


def shipped_faults(rows: list[Row]) -> Iterator[str]:
    """What is found at the same seeds without any bug: then the findings mean nothing."""
    for level, seed in sorted({(row.level, row.seed) for row in rows}):
        finding = hunted(NONE, first=seed, count=1, level=level)
        if finding is not None:
            yield f"seed {seed} of level {level} is not clean without a bug: {finding}"
