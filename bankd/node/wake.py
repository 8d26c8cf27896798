"""Let one task sleep until somebody has work for it.

A reusable event for a single waiter: setting it twice wakes once, and a wake-up that comes before
the wait is not lost. Cheaper than a fresh `trio.Event` for every turn of a loop.
"""

from typing import Final

import trio

_WOKEN: Final = trio.lowlevel.Abort.SUCCEEDED


class Wake:
    def __init__(self) -> None:
        self._set = False
        self._sleeper: trio.lowlevel.Task | None = None

    def set(self) -> None:
        """Wake the waiter now, or the next one at once. Never blocks; not for other threads."""
        self._set = True
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None

    async def wait(self) -> None:
        """Sleep until `set` was called since the last return, and clear it.

        Always a checkpoint. Cancellation: nothing is lost, the next wait returns at once if `set` came in between.
        """
        if self._set:
            self._set = False
            await trio.lowlevel.checkpoint()
            return
        assert self._sleeper is None, "one waiter only"
        self._sleeper = trio.lowlevel.current_task()

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            return _WOKEN

        await trio.lowlevel.wait_task_rescheduled(abort)
        self._set = False
