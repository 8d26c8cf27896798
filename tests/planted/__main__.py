"""Find planted bugs: `python -m tests.planted NAME [--from 1] [--count 500]`, or `--all` of them for the table.

`NAME` may be `none`: the shipped program, which must be clean.
"""

import argparse
import json
import sys
import time

import attrs

from tests.planted.bugs import BUGS
from tests.planted.hunt import NONE, SEEDS_MAX, hunt_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", choices=[NONE, *BUGS], metavar="NAME", help="of a bug")
    what.add_argument("--all", action="store_true", help="search for every bug, and renew the table")
    parser.add_argument(
        "--from", dest="first", type=int, default=1, metavar="SEED", help="first seed to run; default: 1, as with --all"
    )
    parser.add_argument(
        "--count", type=int, default=SEEDS_MAX, metavar="N", help=f"so many seeds at most; default: {SEEDS_MAX}"
    )
    parser.add_argument("--level", type=int, choices=(1, 2), help="of the seeds; default: the bug's")
    parser.add_argument("--json", action="store_true", help="one line for programs")
    options = parser.parse_args()
    if options.all:
        return hunt_all(options.count)
    return hunt(options)


def hunt(options: argparse.Namespace) -> int:
    """Search in this process. Returns 1 if nothing was found."""
    planted = BUGS.get(options.name)
    if planted is not None:
        planted.install()
    from tests.planted.seeds import search  # not before: it imports the product

    level = options.level or (planted.level if planted is not None else 1)
    began_s = time.perf_counter()
    finding = search(range(options.first, options.first + options.count), level)
    took_s = time.perf_counter() - began_s
    if options.json:
        print(json.dumps(finding and attrs.asdict(finding)))
    else:
        seeds = options.count if finding is None else finding.seed - options.first + 1
        print(f"{options.name}: {finding or f'not found in {seeds} seeds'}\n{seeds / took_s:.2f} seeds/s")
    return int(finding is None)


if __name__ == "__main__":
    sys.exit(main())
