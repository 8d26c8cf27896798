"""A whole cluster on this machine, as real processes: to play with, or as a show that ends by itself.

`run` is what `bankd demo` calls. `tour` is the show, `play` keeps the cluster running, `book` is the
demo's own account of the money; the processes themselves are `bankd.local`'s.
"""

import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import ClassVar, Final

from bankd.demo.play import play, program
from bankd.demo.tour import TourFailed, show
from bankd.errors import BankError, Exit, NodeError
from bankd.local import ClusterFailed, LocalCluster

# Small segments start fast and keep a temporary directory small; nobody waits long for the end.
SETTINGS: Final = {"storage": 'segment_size = "8MiB"\nmin_free = "64MiB"', "limits": 'drain_timeout = "3s"'}
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoFailed(NodeError):
    """The demo could not go on: a process did not come up, or what the tour saw was wrong."""

    reason: ClassVar[str] = "DEMO_FAILED"
    exit_code: ClassVar[Exit] = Exit.UNHEALTHY


def run(*, nodes: int, gateway: bool, keep: str | None, tour: bool) -> int:
    """Start a cluster, show it or keep it running, and end it; returns the exit code.

    Configuration, data and logs live in `keep`, and what an earlier run left there goes on; None: in a
    temporary directory. Ctrl-C, SIGTERM and SIGHUP end every process in order.

    Raises:
      DemoFailed: the one error of the demo.
    """
    handle_endings(interrupt)
    try:
        with ExitStack() as stack:
            directory = Path(keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="bankd-demo-"))).resolve()
            cluster = stack.enter_context(LocalCluster(directory, nodes=nodes, name="demo", settings=SETTINGS))
            stack.callback(handle_endings, signal.SIG_IGN)  # pressed again: the processes are ending already
            cluster.start()
            if gateway:
                cluster.start_gateway()
            show(cluster) if tour else play(cluster, kept=keep is not None)
    except (ClusterFailed, TourFailed, BankError, OSError) as error:
        raise DemoFailed(str(error)) from None
    if tour:
        print(f"Everything is stopped. To move money by hand in such a cluster, type: {program('bankd')} demo")
    return Exit.OK


def handle_endings(handler: signal.Handlers | Callable[[int, FrameType | None], None]) -> None:
    for number in ENDINGS:
        signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
