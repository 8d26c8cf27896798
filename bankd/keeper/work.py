"""Work in steps: what blocks is handed out, what does not is cut into slices.

A piece of work is a generator. It yields a `Step`: a call that may block, which its driver makes somewhere (a thread; at
once, in a simulation) before it goes on, or None: a slice of at most a few milliseconds is done, let others run. What
the call raises is thrown in where it was yielded. Closing the generator abandons the work.

So a node and its simulation do the same things to the same files in the same order, and differ in who waits how.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

Step = Callable[[], None] | None
Work = Generator[Step, None, T]


def blocking(call: Callable[[], T]) -> Work[T]:
    """Have a call made that may block; returns what it returns, and raises what it raises."""
    results: list[T] = []
    yield lambda: results.append(call())
    return results[0]


def go_on(work: Work[T], error: Exception | None = None) -> Step:
    """Let the work go on after its last step, which failed with `error` or did not.

    Raises:
      StopIteration: it has ended.
    """
    return next(work) if error is None else work.throw(error)


def run_now(work: Work[T]) -> T:
    """Do all of it here, however long it takes; returns its result, and raises what it raises."""
    error: Exception | None = None
    while True:
        try:
            step = go_on(work, error)
        except StopIteration as ended:
            result: T = ended.value
            return result
        error = None
        try:
            if step is not None:
                step()
        except Exception as failure:  # the work's own affair, which raises it again if it is not
            error = failure


class Lane:
    """Jobs that are done one after the other. Whoever drives it sets `on_job` and takes `next_work`.

    `urgent`: this node is of little use until they are done, so they need not make room for much else.

    Invariant: at most `jobs_max` wait; one more is not taken. A peer whose question is not taken asks again.
    """

    def __init__(self, *, jobs_max: int, urgent: bool = False) -> None:
        self.urgent = urgent
        self.on_job: Callable[[], None] = lambda: None
        self._jobs: deque[Callable[[], Work[None]]] = deque()
        self._jobs_max = jobs_max

    def put(self, job: Callable[[], Work[None]]) -> bool:
        """Take in a job, if there is room for it; returns whether there was."""
        if len(self._jobs) >= self._jobs_max:
            return False
        self._jobs.append(job)
        self.on_job()
        return True

    def next_work(self) -> Work[None] | None:
        """Begin the next job; the one before it must have ended."""
        return self._jobs.popleft()() if self._jobs else None
