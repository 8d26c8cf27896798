"""Run `bankd` with a planted bug: `python -m tests.campaign.with_bug conflict-kept sim --seed 1 --shrink`."""

import sys

from tests.planted.bugs import BUGS

BUGS[sys.argv[1]].install()  # the worker processes of a campaign import this module first, and so have the bug

if __name__ == "__main__":
    from bankd.cli import main

    sys.exit(main(sys.argv[2:]))
