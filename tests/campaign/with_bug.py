"""Run `bankd` with a planted bug: `python -m tests.campaign.with_bug conflict-kept sim --seed 1 --shrink`."""

import sys
from collections.abc import Sequence

from tests.planted.bug import Bug
from tests.planted.bugs import BUGS


def named_in(words: Sequence[str]) -> Bug:
    """The bug that the first word names. Without one, ends the process as a mistyped command does."""
    planted = BUGS.get(words[0]) if words else None
    if planted is None:
        found = f"{words[0]!r} is no planted bug" if words else "no planted bug is named"
        print(f"error: {found}; there are {', '.join(BUGS)}", file=sys.stderr)
        sys.exit(2)
    return planted


named_in(sys.argv[1:]).install()  # the worker processes of a campaign import this module first, and so have the bug

if __name__ == "__main__":
    from bankd.cli import main

    sys.exit(main(sys.argv[2:]))
