"""A waiter on trio: a parked task, and nothing between. Imported only under trio."""

from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled


class TrioWaiter:
    __slots__ = ("_sleeper", "_woken")

    def __init__(self) -> None:
        self._sleeper: Task | None = None
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            reschedule(sleeper)

    async def wait(self) -> None:
        if self._woken:
            return
        self._sleeper = current_task()
        await wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: RaiseCancelT) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED
