"""Give a process a disk of fixed speed: an fdatasync takes STEADY_SYNC_S seconds, whatever the machine's own takes.

Python imports this by itself where this folder is on PYTHONPATH (`bench.disks`). The data belongs on a file system in
memory. It waits asleep, as for a disk, and less by what waking up takes on this machine.
"""

import os
import statistics
import time
from typing import Final

SAMPLES: Final = 50
PROBE_S: Final = 0.0001  # long enough to fall asleep


def waking_s() -> float:
    """How much longer a short sleep takes than was asked for."""
    slept_s: list[float] = []
    for _ in range(SAMPLES):
        began_s = time.perf_counter()
        time.sleep(PROBE_S)
        slept_s.append(time.perf_counter() - began_s)
    return statistics.median(slept_s) - PROBE_S


def take_over() -> None:
    pause_s = max(float(os.environ["STEADY_SYNC_S"]) - waking_s(), 0.0)

    def fdatasync(fd: object) -> None:
        time.sleep(pause_s)

    os.fdatasync = fdatasync


if "STEADY_SYNC_S" in os.environ:
    take_over()
