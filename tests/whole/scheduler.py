"""Decide which task runs next, by a seed; and which programs get no time at all.

trio draws the order in which the tasks of one pass run. In its deterministic mode it sorts them by birth and
has its generator shuffle them; ours draws from a stream of its own seed, so the same seed gives the same run.

The same call is where a program can be stopped honestly: the tasks of a process that stands still are taken
out of the batch and put back later. Nothing else about them changes. Their timers go on and are all due at
once when they wake, what is sent to them waits, no `finally` runs: what SIGSTOP does. A process that is never
woken was killed: SIGKILL does no more, but for what the kernel does with its connections (network.py).

Limits: a stop takes effect at the end of the scheduler's present pass.
"""

import random
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVarTuple

import trio
import trio._core._run as trio_run

from bankd.sim.random import Stream

Ts = TypeVarTuple("Ts")

_CURRENT: Final[ContextVar["Process | None"]] = ContextVar("process", default=None)


class Process:
    """One run of a program: tasks in the event loop, and threads that only its disk knows of."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self._stopped = False
        self._busy = False
        self._later: list[Callable[[], None]] = []  # what its threads would have done meanwhile

    @property
    def loop_runs(self) -> bool:
        return self.alive and not self._stopped and not self._busy

    @property
    def threads_run(self) -> bool:
        return self.alive and not self._stopped

    def enter(self) -> None:
        """Make the calling task, and every task that it begets, one of this process."""
        _CURRENT.set(self)

    def in_loop(self, callback: Callable[[*Ts], None], *arguments: *Ts) -> None:
        """Call when the loop runs: now or later, never if the process dies first."""
        self._call(self.loop_runs, lambda: self.in_loop(callback, *arguments), callback, *arguments)

    def in_thread(self, callback: Callable[[*Ts], None], *arguments: *Ts) -> None:
        """The same for one of its threads, which a busy loop does not hold up."""
        self._call(self.threads_run, lambda: self.in_thread(callback, *arguments), callback, *arguments)

    def _call(self, runs: bool, again: Callable[[], None], callback: Callable[[*Ts], None], *arguments: *Ts) -> None:
        if runs:
            callback(*arguments)
        elif self.alive:
            self._later.append(again)

    def stop(self) -> None:
        """SIGSTOP."""
        self._stopped = True

    def block(self) -> None:
        """Its event loop is held up by something that does not return."""
        self._busy = True

    async def resume(self) -> None:
        """SIGCONT, and the end of what held up the loop."""
        self._stopped = self._busy = False
        later, self._later = self._later, []
        for again in later:
            again()
        await trio.lowlevel.checkpoint()  # so that there is a pass for its tasks before time moves

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        self._later.clear()

    def clear_away(self) -> None:
        """The world ends: let the tasks of a killed process unwind."""
        self.alive = True
        self._stopped = self._busy = False


class Scheduler(random.Random):
    """Stands in for trio's own generator while a world runs."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._stream = Stream(seed, "scheduler")
        self._held: dict[Process, list[trio.lowlevel.Task]] = {}

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Called by trio with the tasks of one pass, the oldest first."""
        for process in [process for process in self._held if process.loop_runs]:
            x.extend(self._held.pop(process))
        ready = [task for task in x if not self._holds(task)]
        x[:] = self._stream.shuffled(ready) if len(ready) > 1 else ready

    def _holds(self, task: trio.lowlevel.Task) -> bool:
        process = task.context.get(_CURRENT)
        if process is None or process.loop_runs:
            return False
        self._held.setdefault(process, []).append(task)
        return True

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Every trio run inside is ordered by this scheduler."""
        before = trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING
        trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING = self, True  # type: ignore[misc]
        try:
            yield
        finally:
            trio_run._r, trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]
