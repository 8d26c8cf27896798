"""What this machine can do at all: the plainest fdatasync loop and the plainest echo over trio.

Machines are noisy and differ; a figure of ours is quoted as a ratio to one of these, measured just
before it. Both are written as anybody would write them, with nothing of ours inside.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from bankd.local import free_ports

WRITE_BYTES: Final = 4096
MESSAGE_BYTES: Final = 64

ECHO_SERVER: Final = """
import sys, trio
async def echo(stream):
    while data := await stream.receive_some(65536):
        await stream.send_all(data)
trio.run(trio.serve_tcp, echo, int(sys.argv[1]))
"""


def fdatasync_latencies_s(directory: Path, count: int, *, pause_s: float = 0.0) -> list[float]:
    """Overwrite 4 KiB of a file of written zeros and fdatasync it, `count` times; seconds each, sorted.

    With `pause_s` before each: what a disk gives to somebody who does not keep it busy.
    """
    path = directory / "fdatasync.baseline"
    with path.open("wb+") as file:
        file.write(bytes(count * WRITE_BYTES))
        file.flush()
        os.fsync(file.fileno())
        latencies = []
        for number in range(count):
            time.sleep(pause_s)
            began = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * WRITE_BYTES, number * WRITE_BYTES)
            os.fdatasync(file.fileno())
            latencies.append(time.perf_counter() - began)
    path.unlink()
    return sorted(latencies)


@contextmanager
def echo_server() -> Iterator[int]:
    """A process that sends back what it receives; yields its port on the loopback interface."""
    port = free_ports(1)[0]
    process = subprocess.Popen([sys.executable, "-c", ECHO_SERVER, str(port)])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


async def echo_latencies_s(port: int, *, callers: int, seconds: float) -> list[float]:
    """`callers` connections, each sending 64 bytes and waiting for them, for so long; seconds each, sorted."""
    latencies: list[float] = []
    ends = time.perf_counter() + seconds

    async def call() -> None:
        stream = await _connect(port)
        message = bytes(MESSAGE_BYTES)
        while (began := time.perf_counter()) < ends:
            await stream.send_all(message)
            missing = MESSAGE_BYTES
            while missing:
                missing -= len(await stream.receive_some(missing))
            latencies.append(time.perf_counter() - began)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(call)
    return sorted(latencies)


async def _connect(port: int) -> trio.SocketStream:
    for _ in range(200):
        try:
            return await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
    raise ConnectionError(f"the echo server does not answer on port {port}")
