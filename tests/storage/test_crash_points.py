"""Power is cut between every two operations of what a node does with its disk; see crash_points.py. D01, D02, D11-D14, D24.

The log is appended to, rolled, replaced in part, begun anew and pruned; snapshots are written, received, and
deleted. A restore is cut in the same way where its backup is at hand, in offline/test_restore.py. What no such list holds,
histories and chains of crashes of any kind, is in test_power_loss.py.
"""

import os
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from itertools import islice
from typing import Final

import attrs
import pytest

from bankd.errors import DataDirUnusable, DiskFailed, NodeError
from bankd.storage.records import Base
from bankd.storage.wal import WalOptions
from bankd.types import LogIndex
from tests.storage.crash_points import (
    DATA_DIR,
    TORN,
    CutDisk,
    Search,
    Stage,
    nothing,
    survivals,
)
from tests.storage.histories import append, entry, tiny, vote
from tests.storage.test_snapshot_files import header_of, name_of

# How many times as many crashes to look at; these tests then take about as many times longer. From 64 on every subset
# of up to 12 things that a power loss may keep is tried.
TIMES: Final = int(os.environ.get("CRASH_POINTS_TIMES", "1"))

Play = Callable[[Stage], None]
Forgets = Callable[[str], bool]


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


def with_both_names_of_the_next_segment(stage: Stage) -> None:
    """Power was lost in the midst of a roll."""
    stage.start()
    stage.append(append(entry(1, 1, b"x" * 900)))
    stage.disk.fail_next("fsync_dir")
    with pytest.raises(DiskFailed):
        stage.append(append(entry(2, 1)))
    stage.disk.lose_power(iter((True, True, False)).__next__)
    assert {"0000000002-00000000000000000002.wal", "short.tmp"} < set(stage.disk.listdir(DATA_DIR / "wal"))


def start_and_roll(stage: Stage) -> None:
    stage.start()
    stage.append(append(entry(2, 1, b"y" * 600)))


def replace_entries(stage: Stage) -> None:
    """Under a new term: in the same segment, across a roll, all of them, and once more."""
    stage.append(*(append(entry(index, 1, b"x" * 300)) for index in range(1, 5)))
    stage.append([*vote(2), *append(entry(3, 2), entry(4, 2))], append(entry(5, 2, b"y" * 900)))
    stage.append([*vote(3), *append(entry(2, 3, b"z" * 1500))], append(entry(3, 3)))
    stage.append([*vote(4), *append(entry(1, 4))], [*vote(5), *append(entry(1, 5), entry(2, 5))])


# Snapshots


def with_entries(stage: Stage) -> None:
    stage.start()
    stage.append(vote(2, "n1"), append(*(entry(index, 2) for index in range(1, 7))), append(entry(7, 2), entry(8, 2)))


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
    stage.append(*(append(entry(index, 2, b"y" * 900)) for index in range(12, 16)))
    stage.snapshot(15)
    stage.prune()
    stage.append(append(entry(16, 2)))


def install(stage: Stage) -> None:
    """Twice; the second time the first of all snapshots goes."""
    for index in (20, 30):
        stage.receive(index)
        stage.begin_log_behind(index)
        stage.append(append(entry(index + 1, 2, b"x" * 700)), append(entry(index + 2, 2)))


def with_conflicting_entries(stage: Stage) -> None:
    """Up to one behind the snapshot that will be installed."""
    stage.start()
    stage.append(*(append(*(entry(index, 1) for index in range(first, first + 7))) for first in (1, 8, 15)))


@attrs.frozen
class Scenario:
    play: Play
    before: Play = started
    options: Callable[[], WalOptions] = tiny
    most: int = 128  # crashes of each cut
    most_twice: tuple[int, int] = (4, 4)  # of some cuts, and of each of a node that goes on after one of those
    every: int = 3  # cut so many is one of them

    def prepared(self) -> Stage:
        stage = Stage(CutDisk(), self.options())
        self.before(stage)
        return stage

    def played(self, forgets: Forgets = nothing) -> Stage:
        stage = self.prepared()
        stage.disk.forgets = forgets
        with stage.cutting():
            self.play(stage)
        return stage

    def searched(self, stage: Stage) -> Search:
        search = Search(self.options())
        search.look(stage.cuts, self.most * TIMES)
        first, second = self.most_twice
        search.look(stage.cuts[:: max(1, self.every // TIMES)], first * TIMES, most_again=second * TIMES)
        return search


SCENARIOS: Final[dict[str, Scenario]] = {
    "start for the first time": Scenario(start_for_the_first_time, nothing_before),
    "append": Scenario(append_batches, options=one_long_segment, most=512, most_twice=(16, 12), every=1),
    "roll to prepared segments": Scenario(roll_to_prepared_segments),
    "roll to segments made on the spot": Scenario(roll_to_segments_made_on_the_spot, every=10),
    "roll again": Scenario(start_and_roll, with_both_names_of_the_next_segment),
    "replace entries": Scenario(replace_entries, every=10),
    "write snapshots": Scenario(write_three_snapshots, with_entries, every=30),
    "prune": Scenario(prune, with_two_snapshots, every=30),
    "install": Scenario(install, with_two_snapshots, every=30),
    "install over conflicting entries": Scenario(install, with_conflicting_entries, every=30),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_whatever_a_crash_leaves_a_node_remembers_what_it_did_and_goes_on(scenario: Scenario) -> None:
    stage = scenario.played()
    search = scenario.searched(stage)
    allowed = {memory for cut in stage.cuts for memory in cut.allowed}
    assert allowed <= search.found, "some step was never found undone, or never found done"


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_after_a_failure_of_any_operation_nothing_is_relied_upon_that_was_not_durable(scenario: Scenario) -> None:
    """A sync that failed marks clean what it did not write (D14)."""
    search = Search(scenario.options())
    operation, failed = 0, True
    while failed:
        operation += 1
        stage = scenario.prepared()
        stage.disk.fail_in(operation, DiskFailed("the disk says no"))
        try:
            scenario.play(stage)
            failed = False
        except (DiskFailed, DataDirUnusable):
            pass
        stage.disk.end_process()
        search.look_at(stage.disk, stage.allowed)
    assert operation > 10


# The search finds what is wrong


def forgetting(sync: str) -> Forgets:
    return lambda asked: fnmatch(asked, sync)


@pytest.mark.parametrize(
    ("name", "sync"),
    [
        ("start for the first time", "fsync_dir n1"),
        ("start for the first time", "fsync_dir "),  # where the data directory stands
        ("start for the first time", "sync META.tmp"),
        ("append", "sync *.wal"),
        ("roll to prepared segments", "sync spare.tmp"),
        ("roll to prepared segments", "fsync_dir wal"),
        ("roll to segments made on the spot", "sync short.tmp"),
        ("roll to segments made on the spot", "fsync_dir wal"),
        ("prune", "fsync_dir wal"),
        ("write snapshots", "sync writing.tmp"),
        ("write snapshots", "fsync_dir snap"),
        ("install", "sync receiving.tmp"),
        ("install", "fsync_dir snap"),
    ],
)
def test_sync_that_is_never_asked_for_is_missed(name: str, sync: str) -> None:
    scenario = SCENARIOS[name]
    stage = scenario.played(forgetting(sync))
    with pytest.raises((AssertionError, NodeError)):
        scenario.searched(stage)


def prune_before_the_snapshot_is_durable(stage: Stage) -> None:
    stage.node.wal.prune(LogIndex(8))
    stage.snapshot(11)


def begin_the_log_behind_a_snapshot_before_that_is_durable(stage: Stage) -> None:
    batch = append(Base(LogIndex(20), header_of(20).term))
    with stage.step(stage.memory.after(batch)):
        stage.node.wal.write(batch)
        stage.node.wal.sync()
    stage.receive(20)


def delete_the_older_snapshot_before_the_newer_is_durable(stage: Stage) -> None:
    stage.disk.unlink(DATA_DIR / "snap" / name_of(4))
    stage.snapshot(11)


@pytest.mark.parametrize(
    "play",
    [
        prune_before_the_snapshot_is_durable,
        begin_the_log_behind_a_snapshot_before_that_is_durable,
        delete_the_older_snapshot_before_the_newer_is_durable,
    ],
)
def test_steps_in_the_wrong_order_are_noticed(play: Play) -> None:
    scenario = Scenario(play, with_two_snapshots)
    stage = scenario.played()
    with pytest.raises((AssertionError, NodeError)):
        scenario.searched(stage)


@pytest.mark.parametrize("size", range(1, 6))
def test_every_subset_survives_and_every_one_with_a_torn_sector(size: int) -> None:
    survived = islice(survivals(size, 4096), 4096)
    torn = Counter(sum(type(kept) is slice for kept in survival) for survival in survived)
    assert torn == {0: 2**size, 1: len(TORN) * size * 2**size // 2}


@pytest.mark.parametrize("most", [4, 64, 1000])
def test_of_too_many_subsets_none_and_all_are_among_the_sample(most: int) -> None:
    sample = list(islice(survivals(20, most), most))
    assert (False,) * 20 in sample
    assert (True,) * 20 in sample
    assert len(set(map(str, sample))) > most // 2
