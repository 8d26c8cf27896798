"""Worker processes: every item has its end, whatever becomes of the process at it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from bankd.campaign.own_time import OwnTime
from bankd.campaign.workers import Done, Workers

AMPLE_S = 60.0
SHORT_S = 5.0  # long enough for a process to come up on a busy machine


def double(item: int) -> int:
    return 2 * item


def die_at_3(item: int) -> int:
    if item == 3:
        os._exit(7)
    return 2 * item


def raise_at_3(item: int) -> int:
    if item == 3:
        raise ValueError("three is odd")
    return 2 * item


def hang_at_3(item: int) -> int:
    if item == 3:
        threading.Event().wait()
    return 2 * item


def asked_to_end(item: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return 2 * item


def came_of(
    work: Callable[[int], int], *, jobs: int, limit_s: float = AMPLE_S, own_time: OwnTime | None = None
) -> tuple[dict[int, int], dict[int, str]]:
    """Results and reasons, by item, of the items 1 to 6."""
    done, lost = {}, {}
    with Workers(work, jobs=jobs, limit_s=limit_s, own_time=own_time) as workers:
        for came in workers.each(iter(range(1, 7))):
            if isinstance(came, Done):
                done[came.item] = came.result
            else:
                lost[came.item] = came.why
    return done, lost


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_every_item_gets_its_result(jobs: int) -> None:
    assert came_of(double, jobs=jobs) == ({item: 2 * item for item in range(1, 7)}, {})


OTHERS = {item: 2 * item for item in (1, 2, 4, 5, 6)}


def test_a_process_that_dies_costs_its_item_alone() -> None:
    assert came_of(die_at_3, jobs=2) == (OTHERS, {3: "its process ended with exit code 7"})


def test_an_exception_comes_back_with_its_stack() -> None:
    done, lost = came_of(raise_at_3, jobs=2)
    assert (done, list(lost)) == (OTHERS, [3])
    assert lost[3].endswith("ValueError: three is odd\n")
    assert "in raise_at_3" in lost[3]


def test_a_process_that_hangs_is_killed_and_its_item_reported() -> None:
    assert came_of(hang_at_3, jobs=2, limit_s=SHORT_S) == (OTHERS, {3: "it took longer than 5 s"})


def test_time_in_which_everything_was_stopped_makes_no_item_late() -> None:
    """As if the program were stopped for an hour each time that it looks at the clock."""
    own_time = OwnTime(count(step=3_600.0).__next__)
    assert came_of(double, jobs=2, own_time=own_time) == ({3: 6} | OTHERS, {})


def test_items_are_taken_only_when_a_worker_is_free() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1, 7):
            taken.append(item)
            yield item

    with Workers(double, jobs=2, limit_s=AMPLE_S) as workers:
        ended = workers.each(items())
        next(ended)
        assert len(taken) <= 3


def test_neither_ctrl_c_nor_sigterm_reaches_a_worker() -> None:
    """In a process of its own, whose first workers these are: as on a terminal, they get the signals as well."""
    program = (
        "from bankd.campaign.workers import Workers\n"
        "from tests.campaign.test_workers import asked_to_end\n"
        "if __name__ == '__main__':\n"
        "    with Workers(asked_to_end, jobs=2, limit_s=60) as workers:\n"
        "        print(sorted(came.result for came in workers.each(iter([1, 2, 3]))))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("[2, 4, 6]\n", "")


def test_leaving_early_kills_what_still_works() -> None:
    with Workers(hang_at_3, jobs=2, limit_s=AMPLE_S) as workers:
        came = next(workers.each(iter([3, 4])))
        assert came == Done(4, 8)
        [busy] = workers._busy
        pid = busy._process.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_parent_that_is_killed_leaves_nobody_behind() -> None:
    """The workers hold a pipe of ours open: it ends when the last of them is gone."""
    program = (
        "import os, sys\n"
        "from bankd.campaign.workers import Workers\n"
        "from tests.campaign.test_workers import double\n"
        "if __name__ == '__main__':\n"
        "    with Workers(double, jobs=2, limit_s=60) as workers:\n"
        "        next(workers.each(iter(range(6))))\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as parent:
        assert parent.stderr is not None
        parent.stderr.read()  # to the end: spawned processes inherit it
        assert parent.wait() == -signal.SIGKILL
