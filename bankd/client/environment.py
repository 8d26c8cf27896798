"""The world as the async client meets it: connections, chance, and the wall clock.

One value that a program leaves at `SYSTEM`; a test fills it with streams in memory, and a program that has
wires of its own with those.
"""

from collections.abc import Awaitable, Callable
from os import urandom
from socket import IPPROTO_TCP, TCP_NODELAY
from time import time_ns
from typing import Final

import anyio
import attrs
from anyio.abc import ByteStream, SocketAttribute


@attrs.frozen
class Environment:
    """`connect(host, port)` raises OSError when nobody answers there; the client bounds how long it takes.
    `random_bytes(n)` gives n unpredictable bytes; `clock_ns()` is in nanoseconds since 1970 UTC, for ids."""

    connect: Callable[[str, int], Awaitable[ByteStream]]
    random_bytes: Callable[[int], bytes]
    clock_ns: Callable[[], int]


async def connect_tcp(host: str, port: int) -> ByteStream:
    """Connect to "host:port"; small frames leave at once.

    Raises:
      OSError: nobody answers there.
    """
    stream = await anyio.connect_tcp(host, port)
    stream.extra(SocketAttribute.raw_socket).setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return stream


SYSTEM: Final = Environment(connect_tcp, urandom, time_ns)
