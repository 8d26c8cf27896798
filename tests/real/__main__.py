"""`make faults`: episode after episode, each from the next seed, until the time is over or one fails."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bankd.errors import Exit
from tests.needs import needs, needs_root
from tests.real import episode
from tests.real.injectors import INJECTORS
from tests.real.verdict import share_decided


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10, help="begin no second and no further episode after so long (default 10)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first episode (default 1)")
    options = parser.parse_args()
    check_machine()
    began_s, seed, status = time.monotonic(), options.seed, Exit.OK
    try:
        while seed == options.seed or time.monotonic() - began_s < 60 * options.minutes:
            run(seed)
            seed += 1
    except KeyboardInterrupt:
        print(f"interrupted; `make faults SEED={seed}` goes on", file=sys.stderr)
        status = Exit.INTERRUPTED
    episodes, minutes = seed - options.seed, (time.monotonic() - began_s) / 60
    print(f"{episodes} episodes of {len(INJECTORS)} faults in {minutes:.1f} minutes: nothing lost, nothing doubled")
    print(share_decided())
    return status


def check_machine() -> None:
    """End in words where an episode could not be carried through."""
    try:
        needs_root()
        needs("strace")
        needs("mkfs.ext4", package="e2fsprogs")
    except pytest.skip.Exception as lacking:
        sys.exit(f"error: {lacking}")


def run(seed: int) -> None:
    """Raises what went wrong. The directory of an episode that failed is kept, with the logs of its nodes."""
    directory = Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
    began_s = time.monotonic()
    try:
        episode.run(directory, seed, lambda name: print(f"seed {seed}  {time.monotonic() - began_s:6.1f} s  {name}"))
    except KeyboardInterrupt:
        shutil.rmtree(directory)
        raise
    except BaseException:
        print(f"seed {seed} failed; its logs are in {directory}; `make faults SEED={seed}` repeats it", file=sys.stderr)
        raise
    shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
