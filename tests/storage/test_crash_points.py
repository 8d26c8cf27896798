"""Power is cut between every two operations of what a node does with its disk (crash_points.py). D01, D02, D12, D13, D24."""

import os
from collections.abc import Callable
from typing import Final

import attrs
import pytest

from bankd.storage.wal import WalOptions
from tests.storage.crash_points import CutDisk, Search, Stage
from tests.storage.histories import append, entry, tiny, vote

# How many times as many crashes to look at of each cut; these tests then take about as many times longer.
TIMES: Final = int(os.environ.get("CRASHES_TIMES", "1"))

Play = Callable[[Stage], None]


def nothing_before(stage: Stage) -> None:
    """The disk is empty."""


def started(stage: Stage) -> None:
    stage.start()


def one_long_segment() -> WalOptions:
    return tiny(short_segment_bytes=16384)


# The log


def start_for_the_first_time(stage: Stage) -> None:
    stage.start()


def append_batches(stage: Stage) -> None:
    """Of one sector and of many, some zero by content; votes alone, with entries, and twice in a batch."""
    stage.append(
        vote(1, "n1"),
        append(entry(1), entry(2)),
        [*vote(2), *append(entry(3, 2, b"a" * 500 + bytes(1200) + b"b" * 500), entry(4, 2))],
        [*append(entry(5, 2)), *vote(3, "n2"), *vote(4), *append(entry(6, 4))],
        append(*(entry(index, 4, bytes(500)) for index in range(7, 14))),
    )


def roll_to_prepared_segments(stage: Stage) -> None:
    for index in range(1, 9, 2):
        stage.append(append(entry(index, 1, b"x" * 700)))
        stage.fill_spare()
        stage.append([*vote(index, "n2"), *append(entry(index + 1, 1, b"y" * 900))])


def roll_to_segments_made_on_the_spot(stage: Stage) -> None:
    stage.append(vote(1, "n1"))
    stage.append(*(append(entry(index, 1, b"x" * 600)) for index in range(1, 8)))


def replace_entries(stage: Stage) -> None:
    """Under a new term: in the same segment, across a roll, all of them, and once more."""
    stage.append(*(append(entry(index, 1, b"x" * 300)) for index in range(1, 5)))
    stage.append([*vote(2), *append(entry(3, 2), entry(4, 2))], append(entry(5, 2, b"y" * 900)))
    stage.append([*vote(3), *append(entry(2, 3, b"z" * 1500))], append(entry(3, 3)))
    stage.append([*vote(4), *append(entry(1, 4))], [*vote(5), *append(entry(1, 5), entry(2, 5))])


# Snapshots


def with_entries(stage: Stage) -> None:
    stage.start()
    stage.append(*(append(entry(index, 2)) for index in range(1, 9)))


def with_two_snapshots(stage: Stage) -> None:
    with_entries(stage)
    stage.snapshot(4)
    stage.snapshot(8)
    stage.append(append(entry(9, 2, b"x" * 600)), append(entry(10, 2), entry(11, 2)))


def write_three_snapshots(stage: Stage) -> None:
    stage.snapshot(3)
    stage.append(append(entry(9, 2)))
    stage.snapshot(6)
    stage.snapshot(9)


def prune(stage: Stage) -> None:
    """As the third and the fourth snapshot let it."""
    stage.snapshot(11)
    stage.prune()
    stage.append(*(append(entry(index, 2, b"y" * 600)) for index in range(12, 18)))
    stage.snapshot(16)
    stage.prune()
    stage.append(append(entry(18, 2)))


def install(stage: Stage) -> None:
    """Twice; the second time the first of all snapshots goes."""
    for index in (20, 30):
        stage.receive(index)
        stage.begin_log_behind(index)
        stage.append(append(entry(index + 1, 2, b"x" * 700)), append(entry(index + 2, 2, b"y" * 900)))


def with_conflicting_entries(stage: Stage) -> None:
    """Up to one behind the snapshot that will be installed."""
    stage.start()
    stage.append(*(append(entry(index, 1)) for index in range(1, 22)))


@attrs.frozen
class Scenario:
    play: Play
    before: Play = started
    options: Callable[[], WalOptions] = tiny
    most: int = 256
    most_again: int = 0

    def stage(self, forgets: Callable[[str], bool] | None = None) -> Stage:
        stage = Stage(CutDisk(), self.options())
        self.before(stage)
        if forgets is not None:
            stage.disk.forgets = forgets
        with stage.cutting():
            self.play(stage)
        return stage

    def search(self) -> Search:
        return Search(self.options(), self.most * TIMES, self.most_again * TIMES)


SCENARIOS: dict[str, Scenario] = {
    "first start": Scenario(start_for_the_first_time, nothing_before, most_again=16),
    "append": Scenario(append_batches, options=one_long_segment, most=512, most_again=16),
    "roll to prepared segments": Scenario(roll_to_prepared_segments, most_again=8),
    "roll to segments made on the spot": Scenario(roll_to_segments_made_on_the_spot, most_again=8),
    "replace entries": Scenario(replace_entries, most_again=8),
    "write snapshots": Scenario(write_three_snapshots, with_entries),
    "prune": Scenario(prune, with_two_snapshots),
    "install": Scenario(install, with_two_snapshots),
    "install over conflicting entries": Scenario(install, with_conflicting_entries),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_crash_of(name: str) -> None:
    import time
    t=time.time()
    scenario = SCENARIOS[name]
    search = scenario.search()
    stage = scenario.stage()
    search.look(stage.cuts)
    print(name, len(stage.cuts), search.crashes, time.time()-t)
