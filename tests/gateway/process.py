"""A gateway as it runs in earnest: `bankd gateway config.toml`, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

# Against a process that hangs. Starting takes a third of a second of work: on a machine busy with other things, and with
# the tests niced, that was seen to take more than 30.
START_SECONDS_MAX = 120
EXIT_SECONDS_MAX = 120


class GatewayProcess:
    """Started by `with`, and killed at its end if it still runs. Its stderr is kept in a file beside the config."""

    def __init__(
        self, directory: Path, endpoints: Sequence[str], *, settings: str = "", address: str | None = None
    ) -> None:
        self.address = address or free_address()
        self._stderr_path = directory / "gateway.stderr"
        self._config_path = directory / "gateway.toml"
        listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
        self._config_path.write_text(
            f'[cluster]\nname = "main"\n[gateway]\nlisten = "{self.address}"\nendpoints = [{listed}]\n{settings}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-X", "faulthandler", "-m", "bankd", "gateway", str(self._config_path)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BANKD_")}
        with self._stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(command, stderr=stderr, env=environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def stderr(self) -> str:
        return self._stderr_path.read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_exit(self) -> int:
        assert self._process is not None
        try:
            return self._process.wait(EXIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # makes it write its stacks
            self._process.wait()
            raise AssertionError(f"the gateway did not end:\n{self.stderr}") from None

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A connected channel. Fails with the gateway's stderr when none comes about."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=START_SECONDS_MAX)
            except grpc.FutureTimeoutError:
                raise AssertionError(f"the gateway did not start:\n{self.stderr}") from None
            yield channel


def free_address() -> str:
    """A loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
