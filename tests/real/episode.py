"""One cluster under load, and every injector once, in an order drawn from a seed; then judgement.

The order and what each injector draws come back with the seed; what the machine does between does not.
"""

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.real.clusters import N2, N3, NODES, ProxiedCluster, edit, judged, keep_data_in
from tests.real.disks import journalled_disk, small_disk
from tests.real.injectors import INJECTORS, Stage
from tests.real.proxy import Proxies

SMALL_DISK: Final = "256m"  # for the log of one episode many times over
ANSWERED_UNDER_FAULT: Final = 50


def run(directory: Path, seed: int, say: Callable[[str], None]) -> None:
    """Break everything once. `say` is told of each injector before it strikes, and at the end what was judged.

    Raises:
      AssertionError: the cluster broke a promise, or did not go on.
    """
    proxies = Proxies(NODES)
    with ExitStack() as stack:
        small = stack.enter_context(small_disk(directory / "small", SMALL_DISK))
        journalled = stack.enter_context(journalled_disk(directory / "journalled"))
        stack.enter_context(proxies.running())
        cluster = stack.enter_context(ProxiedCluster(directory / "cluster", proxies))
        keep_data_in(cluster, N2, journalled.path)
        keep_data_in(cluster, N3, small.path)
        edit(cluster.nodes[N3], 'segment_size = "1MiB"', 'segment_size = "64KiB"')  # asks for room often
        load = stack.enter_context(judged(cluster, seed=seed))
        order = random.Random(seed)
        for injector in order.sample(INJECTORS, len(INJECTORS)):
            say(injector.__name__)
            rng = random.Random(f"{seed}-{injector.__name__}")
            with injector(Stage(cluster, load, journalled, small, rng)):
                load.wait_answered(ANSWERED_UNDER_FAULT)
            load.wait_answered(ANSWERED_UNDER_FAULT)
    rate = min(load.healthy_rates)
    say(f"judged {len(load.book.history)} calls, {rate:.0f} a second acknowledged while healthy")
