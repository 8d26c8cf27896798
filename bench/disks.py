"""A cluster on disks of fixed speed, so that a floor given for one disk can be measured on any machine.

Three nodes on one real disk wait for each other's syncs, and no two machines' disks are alike. Here the log lies in
memory and each fdatasync takes `SYNC_S` (steady/sitecustomize.py); the rest of the path is as it is.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bankd.local import LocalCluster

SYNC_S: Final = 0.0002
MEMORY: Final = Path("/dev/shm")
STEADY: Final = (
    "env", f"PYTHONPATH={os.pathsep.join([str(Path(__file__).parent / 'steady'), str(Path(__file__).parents[1])])}",
    f"STEADY_SYNC_S={SYNC_S}",
)  # fmt: skip
MEASURE: Final = """
import sys, pathlib
from bench.baselines import fdatasync_latencies_s
print(*fdatasync_latencies_s(pathlib.Path(sys.argv[1]), 300, pause_s=0.001))
"""


@contextmanager
def steady_cluster() -> Iterator[LocalCluster]:
    """Three nodes that are up, each with such a disk."""
    with (
        tempfile.TemporaryDirectory(prefix="bank-bench-", dir=MEMORY) as name,
        LocalCluster(Path(name), name="bench", settings={"storage": 'min_free = "0B"'}) as cluster,
    ):
        for node in cluster.nodes.values():
            node.prefix = STEADY
        cluster.start()
        yield cluster


def steady_sync_s() -> float:
    """What such a disk's fdatasync really takes, 1 ms after the last: the median, in seconds."""
    with tempfile.TemporaryDirectory(prefix="bank-bench-", dir=MEMORY) as name:
        said = subprocess.run(
            [*STEADY, sys.executable, "-c", MEASURE, name], check=True, capture_output=True, text=True
        ).stdout
    return statistics.median(map(float, said.split()))
