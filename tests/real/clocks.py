"""A wall clock of a node's own, which a test moves while the node runs.

The node is started with a `sitecustomize` on its path, which Python imports before anything else: it has
`time.time_ns` add what stands in a file. The machine's clock is left alone.
"""

import os
from pathlib import Path
from typing import Final

import attrs

from bankd.local import Process

SITECUSTOMIZE: Final = """
import time
from pathlib import Path

right_ns, offset = time.time_ns, Path({path!r})
time.time_ns = lambda: right_ns() + int(offset.read_text())
"""


@attrs.frozen
class WallClock:
    path: Path

    def set_off(self, by_s: int) -> None:
        """From now on the clock stands so far from the right time, whatever it did before."""
        new = self.path.with_suffix(".new")
        new.write_text(str(by_s * 1_000_000_000))
        new.rename(self.path)  # so that nobody reads half of a number


def give_wall_clock(process: Process, directory: Path) -> WallClock:
    """For a process that is not started yet; its files are kept in `directory`, which is made."""
    directory.mkdir()
    clock = WallClock(directory / "offset")
    clock.set_off(0)
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE.format(path=str(clock.path)))
    python_path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
    process.prefix = ("env", f"PYTHONPATH={python_path}")
    return clock
