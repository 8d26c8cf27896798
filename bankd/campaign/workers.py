"""Do the same work on many items, each in one of a few processes that may hang or die.

Python's own pools wait for ever for a process that hangs, and lose track of one that dies. Here an item that takes
too long costs its process and is told of as `Lost`, as is one whose process ended; another process takes its place.

Rules
- Processes are spawned, so that a worker has nothing of its parent but what it was sent: the same run in each.
- Ctrl-C, SIGTERM and SIGHUP are for the parent alone, which decides; workers are started with both blocked, and keep it so.
- Only time in which the parent ran counts (`own_time`): who stops a campaign stops all of it, and loses no item.
- A parent that is killed leaves nobody behind: its workers read the end of their pipe after the item at hand.
"""

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.resource_tracker import ensure_running
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import attrs

from bankd.campaign.endings import ENDINGS
from bankd.campaign.own_time import LOOK_S, OwnTime

COLLECTED_EVERY: Final = 200_000  # objects made and not yet gone

T = TypeVar("T")
R = TypeVar("R")

SPAWN: Final = multiprocessing.get_context("spawn")


@attrs.frozen
class Done(Generic[T, R]):
    item: T
    result: R


@attrs.frozen
class Lost(Generic[T]):
    """No result came. `why` is a sentence, or the stack of an exception."""

    item: T
    why: str


class Worker(Generic[T, R]):
    """One process, and the item that it is at."""

    def __init__(self, work: Callable[[T], R]) -> None:
        self.connection, other_end = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(work, other_end), daemon=True)
        self._item: T | None = None
        self.deadline_s = 0.0  # in own time
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other_end.close()  # the process holds it now: it must not stay open when that ends

    @property
    def item(self) -> T:
        assert self._item is not None, "the worker was given nothing"
        return self._item

    def begin(self, item: T, deadline_s: float) -> None:
        self._item = item
        self.deadline_s = deadline_s
        with suppress(BrokenPipeError):  # it died: its end of the pipe says so
            self.connection.send(item)

    def collect(self) -> Done[T, R] | Lost[T]:
        """What came of the item. Blocks unless the connection is ready."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            return Lost(self.item, f"its process ended with exit code {self._process.exitcode}")
        return Lost(self.item, answer.stack) if isinstance(answer, Raised) else Done(self.item, answer)

    def end(self) -> None:
        """Kill the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.connection.close()


@attrs.frozen
class Raised:
    stack: str


def serve(work: Callable[[T], R], connection: Connection) -> None:
    """The life of a worker's process. Few cycles come and go in it: the collector is called seldom, and spared what is
    imported (5 % of a seed's time)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_EVERY)
    with suppress(EOFError, BrokenPipeError):
        while True:
            item = connection.recv()
            try:
                answer: R | Raised = work(item)
            except Exception:
                answer = Raised(traceback.format_exc())
            connection.send(answer)


class Workers(Generic[T, R]):
    """A few processes, until the end of the `with`.

    `work` is a function of a module (processes find it by its name). An item may take `limit_s`.
    """

    def __init__(self, work: Callable[[T], R], *, jobs: int, limit_s: float, own_time: OwnTime | None = None) -> None:
        assert jobs > 0, "nobody would do the work"
        self._work = work
        self._jobs = jobs
        self._limit_s = limit_s
        self._own_time = own_time or OwnTime()
        self._busy: list[Worker[T, R]] = []
        ensure_running()  # else the first worker starts it, which takes the block of the signals away again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._busy:
            self._busy.pop().end()

    def each(self, items: Iterator[T]) -> Iterator[Done[T, R] | Lost[T]]:
        """What came of each item, as they end. Items are taken one at a time, when a worker is free for them."""
        for item in items:
            self._give(Worker(self._work), item)
            if len(self._busy) == self._jobs:
                break
        while self._busy:
            for worker in self._ended():
                self._busy.remove(worker)
                came = self._came_of(worker)
                following = next(items, None)
                if following is not None:
                    self._give(worker if isinstance(came, Done) else Worker(self._work), following)
                if isinstance(came, Lost) or following is None:
                    worker.end()
                yield came

    def _give(self, worker: Worker[T, R], item: T) -> None:
        self._busy.append(worker)
        worker.begin(item, self._own_time.look() + self._limit_s)

    def _ended(self) -> list[Worker[T, R]]:
        """Wait a moment; return the workers that have answered, have ended, or are late."""
        ready = wait([worker.connection for worker in self._busy], timeout=LOOK_S)
        now_s = self._own_time.look()
        return [worker for worker in self._busy if worker.connection in ready or worker.deadline_s <= now_s]

    def _came_of(self, worker: Worker[T, R]) -> Done[T, R] | Lost[T]:
        if worker.connection.poll():
            return worker.collect()
        return Lost(worker.item, f"it took longer than {self._limit_s:g} s")
