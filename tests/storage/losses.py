"""Every power loss that a simulated disk can suffer at one moment, as far as these can be counted."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from bankd.sim.disk import SimDisk
from tests.storage.histories import all_subsets

SUBSETS_MAX: Final = 6  # of that many things that were not synced, every subset is tried
DRAWN: Final = 8


def every_power_loss(stopped: Callable[[int], SimDisk]) -> Iterator[SimDisk]:
    """Give what is left of a disk whose process has stopped: all subsets of what was not synced where these are few; and
    drawn losses, which tear sectors. `stopped(seed)` makes the disk anew."""
    questions = count()
    stopped(0).lose_power(lambda: next(questions) >= 0)
    asked = next(questions)
    if asked <= SUBSETS_MAX:
        for subset in all_subsets(asked):
            disk = stopped(0)
            disk.lose_power(iter(subset).__next__)
            yield disk
    for seed in range(DRAWN):
        disk = stopped(seed)
        disk.lose_power()
        yield disk
