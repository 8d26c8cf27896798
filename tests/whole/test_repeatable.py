"""What it rests on that the same seed gives the same run; test_seeds.py shows that it does, in any process."""

from collections.abc import Sequence
from typing import Any

import trio
import trio._core._run as trio_run
from trio.testing import MockClock

from tests.whole.scheduler import Process, Scheduler

MOVED = (
    "trio has moved what tests/whole/scheduler.py needs of it. Look up in trio/_core/_run.py how the run loop orders the "
    "tasks of one pass, and have Scheduler.installed() put our generator there; there is no public way."
)


def test_trio_still_has_its_generator_and_its_switch_where_we_replace_them() -> None:
    assert hasattr(trio_run._r, "shuffle"), MOVED
    assert trio_run._ALLOW_DETERMINISTIC_SCHEDULING in (False, True), MOVED

    class Counting(Scheduler):
        passes = 0

        def shuffle(self, x: Any) -> None:
            assert all(isinstance(task, trio.lowlevel.Task) for task in x), MOVED
            Counting.passes += 1
            super().shuffle(x)

    with Counting(1).installed():
        trio.run(trio.sleep, 1, clock=MockClock(autojump_threshold=0))
    assert Counting.passes > 0, MOVED


async def steps_of(name: str, steps: list[str], process: Process | None = None) -> None:
    if process is not None:
        process.enter()
    for _ in range(5):
        await trio.lowlevel.checkpoint()
        steps.append(name)


def order_under(seed: int) -> Sequence[str]:
    steps: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in "abcdef":
                nursery.start_soon(steps_of, name, steps)

    with Scheduler(seed).installed():
        trio.run(main)
    return steps


def test_seed_decides_the_order_of_tasks() -> None:
    assert order_under(1) == order_under(1)
    assert order_under(1) != order_under(2)


def test_process_that_is_stopped_gets_no_time_and_goes_on_where_it_stood() -> None:
    async def main() -> None:
        steps: list[str] = []
        process = Process("stopped")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(steps_of, "a", steps, process)
            await trio.lowlevel.checkpoint()
            process.stop()
            await trio.lowlevel.checkpoint()
            before = len(steps)
            await trio.sleep(1000)
            assert len(steps) == before < 5
            await process.resume()
        assert len(steps) == 5

    with Scheduler(1).installed():
        trio.run(main, clock=MockClock(autojump_threshold=0))
