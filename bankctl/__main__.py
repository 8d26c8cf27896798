"""`python -m bankctl`: the same as the `bankctl` script."""

import sys

from bankctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
