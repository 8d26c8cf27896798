"""The `bankd` script and `python -m bankd`: quiet on Ctrl-C from the first moment, before `cli` is imported."""

import sys
from typing import Final

INTERRUPTED: Final = 130  # as bankd.errors.Exit has it, which is not imported yet


def main() -> int:
    """Return the exit code. Raises SystemExit only where a help is shown."""
    try:
        from bankd.cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
