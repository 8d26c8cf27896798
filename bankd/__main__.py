"""`python -m bankd`."""

import sys

from bankd.cli import main

sys.exit(main())
