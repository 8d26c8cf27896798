"""What one command has at hand: its options, the printer, the client, and the time it has left."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import attrs

from bankctl.errors import CommandFailed, Failure, interrupted, judge
from bankctl.output import Printer
from bankctl.parser import Options
from bankd.errors import Code, Exit, OutcomeUnknown

if TYPE_CHECKING:
    from bankd.client import SyncBankClient


class Session:
    """One command's life. The client is made when first asked for, and closed with the session."""

    def __init__(self, options: Options, printer: Printer) -> None:
        self.options = options
        self.printer = printer
        self._bank: SyncBankClient | None = None
        self._started_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bank is not None:
            self._bank.close()

    @property
    def bank(self) -> "SyncBankClient":
        if self._bank is None:
            from bankd.client import SyncBankClient  # half of a start; `version` does without it

            self._bank = SyncBankClient(self.options.endpoints, cluster=self.options.cluster)
        return self._bank

    def left_s(self) -> float | None:
        """What is left of --timeout; None: no end, each call has the client's own.

        Raises CommandFailed (unavailable): nothing is left.
        """
        if self.options.timeout is None:
            return None
        left_s = self.options.timeout - (time.monotonic() - self._started_at)
        if left_s <= 0.0:
            raise self.out_of_time()
        return left_s

    def out_of_time(self) -> CommandFailed:
        message = f"the command did not end within {self.options.timeout:g} s"
        hint = "give it more with --timeout"
        return CommandFailed(
            Failure(Exit.UNAVAILABLE, Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message, hint, retryable=True)
        )


class Stopwatch:
    """Runs from its making."""

    def __init__(self) -> None:
        self._started_at = time.perf_counter()

    def __str__(self) -> str:
        return f"{(time.perf_counter() - self._started_at) * 1000:.1f} ms"


@contextmanager
def writing(what: str, *, ask: str, metadata: Mapping[str, str]) -> Iterator[None]:
    """Around a write whose answer may never come. `ask` is the command that tells its outcome.

    Ctrl-C inside means that the outcome is unknown: the failure carries `metadata`, which names the id.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted(f"{what} was under way, its outcome is unknown", f"ask: {ask}", metadata) from None
    except OutcomeUnknown as error:
        raise CommandFailed(attrs.evolve(judge(error), hint=f"ask: {ask}")) from None
