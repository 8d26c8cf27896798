"""The `bankctl` script and `python -m bankctl`: quiet on Ctrl-C from the first moment.

Importing the program takes most of a short command's time, and `cli`, which has words for an
interrupt, is part of what is imported. Until it is there nothing was begun, so there is nothing to say.
"""

import sys
from typing import Final

INTERRUPTED: Final = 130  # as bankd.errors.Exit has it, which is not imported yet either


def main() -> int:
    """Never raises; the result is the process's exit code."""
    try:
        from bankctl.cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
