"""`make faults`: episode after episode, each from the next seed, until the time is over or one fails."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.real import episode
from tests.real.injectors import INJECTORS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10, help="begin no second and no further episode after so long (default 10)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first episode (default 1)")
    options = parser.parse_args()
    began_s, seed = time.monotonic(), options.seed
    while seed == options.seed or time.monotonic() - began_s < 60 * options.minutes:
        run(seed)
        seed += 1
    episodes, minutes = seed - options.seed, (time.monotonic() - began_s) / 60
    print(f"{episodes} episodes of {len(INJECTORS)} faults in {minutes:.1f} minutes: nothing lost, nothing doubled")


def run(seed: int) -> None:
    """Raises what went wrong. The directory of an episode that failed is kept, with the logs of its nodes."""
    directory = Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
    began_s = time.monotonic()
    try:
        episode.run(directory, seed, lambda name: print(f"seed {seed}  {time.monotonic() - began_s:6.1f} s  {name}"))
    except BaseException:
        print(f"seed {seed} failed; its logs are in {directory}; `make faults SEED={seed}` repeats it", file=sys.stderr)
        raise
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
