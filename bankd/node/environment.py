"""The world as a node meets it: sockets, files, clocks, chance, and the limits of its process.

One value that the program fills with sockets, files and clocks, and a test with streams in memory.
"""

import errno
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import attrs
import trio

from bankd.errors import AddressUnusable, DiskFailed
from bankd.node.descriptors import raise_open_files_max
from bankd.node.disk import Committer, OnDurable, OnFailed
from bankd.storage.disk import Disk, OsDisk
from bankd.storage.group_commit import GroupCommit
from bankd.storage.wal import Wal

LISTEN_BACKLOG: Final = 128
CLOSE_S_MAX: Final = 5.0  # far beyond any fsync of a disk that works

# A machine that vanished without a word is noticed after a minute and a half, of which it may sleep one.
KEEPALIVE_OPTIONS: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class Random(Protocol):
    def below(self, bound: int) -> int: ...


class SideThread(Protocol):
    """Makes calls that may block, one at a time, beside the event loop: those on snapshot files."""

    async def run(self, call: Callable[[], None]) -> None:
        """Make the call and wait for it; raises what it raises.

        Cancellation: at once; a call under way goes on.
        """

    async def close(self) -> None:
        """Wait for a call under way that was given up.

        Raises DiskFailed: it does not end.
        """


@attrs.frozen
class Environment:
    """`new_u64` draws what must not repeat, `random` what only must not be in step with others."""

    listen: Callable[[str], Awaitable[list[trio.abc.Listener[trio.abc.Stream]]]]
    connect: Callable[[str], Awaitable[trio.abc.Stream]]
    disk: Disk
    commit: Callable[[Wal, OnDurable, OnFailed], Committer]
    side_thread: Callable[[], SideThread]
    close: Callable[[Committer], Awaitable[None]]
    free_bytes: Callable[[str], Awaitable[int]]
    wall_ns: Callable[[], int]
    random: Random
    new_u64: Callable[[], int]
    open_files_max: Callable[[], int]


class SystemRandom:
    """Randomness from the operating system; elections need no reproducible draws outside a simulation."""

    def below(self, bound: int) -> int:
        """A number from 0 up to, not including, `bound`."""
        return random_u64() % bound


def random_u64() -> int:
    return int.from_bytes(os.urandom(8), "little")


def split_address(address: str) -> tuple[str, int]:
    """Cut "host:port"; an IPv6 host stands in brackets. The configuration has judged its shape."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def listen_tcp(address: str) -> list[trio.abc.Listener[trio.abc.Stream]]:
    """Listen on "host:port". The system probes connections that fall silent, and ends those of machines that are gone.

    Raises:
      AddressUnusable: the port is taken, not allowed, or the host is not this machine's.
    """
    host, port = split_address(address)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=LISTEN_BACKLOG)
    except OSError as error:
        # trio groups the faults of several addresses; the first tells enough
        cause = error.__cause__ or error
        if getattr(cause, "errno", None) == errno.EADDRINUSE or "in use" in str(error):
            raise AddressUnusable(
                f"{address} is taken by another process (choose another [listen] address, or stop that process)"
            ) from None
        raise AddressUnusable(f"cannot listen on {address}: {error} (correct [listen] address)") from None
    for listener in listeners:
        keep_alive(listener.socket)
    return list(listeners)


def keep_alive(listening: trio.socket.SocketType) -> None:
    """Have the system probe silent connections; those accepted inherit it."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE_OPTIONS.items():
        if hasattr(socket, name):  # where it is not, the system's own pace must do
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def connect_tcp(address: str) -> trio.SocketStream:
    """Connect to "host:port"; small frames leave at once.

    Raises:
      OSError: nobody answers there.
    """
    host, port = split_address(address)
    return await trio.open_tcp_stream(host, port)


async def free_bytes_in_thread(path: str) -> int:
    """Bytes that this process may still write on the file system of `path`; a file system that hangs hangs this.

    Cancellation: at once; the question is left to its thread.

    Raises:
      DiskFailed: the file system does not say.
    """
    return await trio.to_thread.run_sync(OsDisk().free_bytes, Path(path), abandon_on_cancel=True)


def start_group_commit(wal: Wal, on_durable: OnDurable, on_failed: OnFailed) -> Committer:
    return GroupCommit(wal, on_durable=on_durable, on_failed=on_failed)


class OneThread:
    """A thread of trio's at a time."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, call: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(call, limiter=self._limiter, abandon_on_cancel=True)

    async def close(self) -> None:
        """Cancellation: shielded, for CLOSE_S_MAX at most."""
        with trio.move_on_after(CLOSE_S_MAX, shield=True) as patience:
            async with self._limiter:
                pass
        if patience.cancelled_caught:
            raise DiskFailed(f"the disk did not finish with a snapshot within {CLOSE_S_MAX:.0f} s (is it hung?)")


async def close_in_thread(committer: Committer) -> None:
    """Let the log finish what it was given, but not for ever: a disk that hangs must not keep the process.

    Cancellation: shielded, for CLOSE_S_MAX at most.

    Raises:
      DiskFailed: the last write did not become durable in time; nothing that waited for it was acknowledged.
    """
    with trio.move_on_after(CLOSE_S_MAX, shield=True) as patience:
        await trio.to_thread.run_sync(committer.close, abandon_on_cancel=True)
    if patience.cancelled_caught:
        raise DiskFailed(f"the disk did not finish its last write within {CLOSE_S_MAX:.0f} s (is it hung?)")


def system_environment() -> Environment:
    return Environment(
        listen=listen_tcp,
        connect=connect_tcp,
        disk=OsDisk(),
        commit=start_group_commit,
        side_thread=OneThread,
        close=close_in_thread,
        free_bytes=free_bytes_in_thread,
        wall_ns=time.time_ns,
        random=SystemRandom(),
        new_u64=random_u64,
        open_files_max=raise_open_files_max,
    )
