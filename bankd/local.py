"""Run a cluster of real `bankd` processes on this machine: for the demo, the tests and the benchmarks.

Every node gets a configuration file, a data directory and a log file under one folder. Ports are
free ones of the loopback interface. Nothing is hidden: what is started here is what an operator
would start by hand, `python -m bankd serve n1.toml`.

Limits: a port is free when it is chosen and might be taken by somebody else before the node binds it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import attrs

from bankd.client import SyncBankClient
from bankd.errors import BankError
from bankd.types import NodeId

POLL_S: Final = 0.02
START_S_MAX: Final = 20.0
STOP_S_MAX: Final = 20.0
STATUS_S_MAX: Final = 1.0  # for one node to say whether it leads


class ClusterFailed(Exception):
    """A process did not do what it was started for. Names the log that tells why."""


@attrs.define
class Process:
    """One process and the files that it reads and writes.

    `prefix` is a command that runs another one in its own place, as `nice -n 5` and `ip netns exec NAME` do.
    """

    name: str
    arguments: list[str]
    config_path: Path
    log_path: Path
    address: str
    prefix: tuple[str, ...] = ()
    popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self) -> int:
        assert self.popen is not None, f"{self.name} was never started"
        return self.popen.pid

    def start(self) -> None:
        assert not self.running, f"{self.name} runs already"
        with self.log_path.open("ab") as log:
            self.popen = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "bankd", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is the parent's to pass on, in its order
            )

    def send(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float = STOP_S_MAX) -> int:
        """The exit code (negative: the signal that ended it)."""
        assert self.popen is not None, f"{self.name} was never started"
        return self.popen.wait(timeout_s)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """Ask it to end in an orderly way, wait, and return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


class LocalCluster:
    """Use it in a `with` block: leaving it stops every process.

    `settings` are further configuration lines by section, for every node:
    {"raft": 'election_timeout = "300ms"'}. `addresses` are where the nodes listen, one for each; without
    them, free ports of the loopback interface.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 3,
        name: str = "local",
        settings: Mapping[str, str] | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = name
        *local, self.gateway_address = (f"127.0.0.1:{port}" for port in free_ports(nodes + 1))
        ids = [NodeId(f"n{number}") for number in range(1, nodes + 1)]
        self.addresses = dict(zip(ids, addresses or local, strict=True))
        self._settings = dict(settings or {})
        self.nodes = {node_id: self._node(node_id) for node_id in ids}
        self.gateway = self._gateway()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def endpoints(self) -> list[str]:
        return list(self.addresses.values())

    def client(self, *, timeout_s: float = 10.0) -> SyncBankClient:
        return SyncBankClient(self.endpoints, cluster=self.name, timeout_s=timeout_s)

    def start(self) -> None:
        """Start every node and wait until one of them leads.

        Raises:
          ClusterFailed: a node ended, or none leads in time.
        """
        for node in self.nodes.values():
            node.start()
        self.wait_leader()

    def start_gateway(self) -> None:
        """Start the gateway and wait until its port answers."""
        self.gateway.start()
        self.wait_answers(self.gateway)

    def wait_answers(self, process: Process) -> None:
        """Wait until somebody accepts connections at the address of a process that was started.

        Raises:
          ClusterFailed: the process has ended, or nobody answers in time.
        """
        deadline = time.monotonic() + START_S_MAX
        while not answers(process.address):
            self._check(process)
            self._pause(process.name, deadline)

    def leader(self) -> NodeId | None:
        """Who leads, as that node itself says; None when no node says so now."""
        leading: list[tuple[int, NodeId]] = []
        for node_id, address in self.addresses.items():
            if not self.nodes[node_id].running:
                continue
            try:
                with SyncBankClient(address, cluster=self.name, timeout_s=STATUS_S_MAX) as client:
                    status = client.cluster.node_status(address)
            except BankError:
                continue
            if status.role == "leader":
                leading.append((status.term, node_id))
        return max(leading)[1] if leading else None

    def wait_leader(self) -> NodeId:
        """Wait until a node leads, and name it.

        Raises:
          ClusterFailed: a node that was started has ended, or none leads in time.
        """
        deadline = time.monotonic() + START_S_MAX
        while (leader := self.leader()) is None:
            for node in self.nodes.values():
                if node.popen is not None and node.popen.poll() != -signal.SIGKILL:
                    self._check(node)
            if not any(node.running for node in self.nodes.values()):
                raise ClusterFailed("no node is running, so none can lead")
            self._pause(self.name, deadline)
        return leader

    def stop(self) -> None:
        """End every process in an orderly way, the gateway first; one that does not end in time is killed."""
        self._stop([self.gateway])
        self._stop(list(self.nodes.values()))

    def _stop(self, processes: list[Process]) -> None:
        running = [process for process in processes if process.running]
        for process in running:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        for process in running:
            try:
                process.wait()
            except subprocess.TimeoutExpired:
                process.kill()

    def _check(self, process: Process) -> None:
        if not process.running:
            raise ClusterFailed(f"{process.name} ended; {process.log_path} says:\n{process.log_tail()}")

    def _pause(self, name: str, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise ClusterFailed(f"{name} is not ready after {START_S_MAX} s; the logs in {self.directory} tell more")
        time.sleep(POLL_S)

    def _node(self, node_id: NodeId) -> Process:
        bootstrap = ", ".join(f'"{name}={address}"' for name, address in self.addresses.items())
        sections = {
            "node": f'id = "{node_id}"\ndata_dir = "{self.directory / str(node_id)}"',
            "cluster": f'name = "{self.name}"\nbootstrap = [{bootstrap}]',
            "listen": f'address = "{self.addresses[node_id]}"',
        }
        return self._process(node_id, "serve", sections, self.addresses[node_id])

    def _gateway(self) -> Process:
        endpoints = ", ".join(f'"{address}"' for address in self.endpoints)
        sections = {
            "cluster": f'name = "{self.name}"',
            "gateway": f'listen = "{self.gateway_address}"\nendpoints = [{endpoints}]',
        }
        return self._process("gateway", "gateway", sections, self.gateway_address)

    def _process(self, name: str, command: str, sections: dict[str, str], address: str) -> Process:
        for section, lines in self._settings.items():
            sections[section] = "\n".join(filter(None, [sections.get(section), lines]))
        config_path = self.directory / f"{name}.toml"
        config_path.write_text("\n\n".join(f"[{section}]\n{lines}" for section, lines in sections.items()) + "\n")
        log_path = self.directory / f"{name}.log"
        return Process(name, [command, str(config_path)], config_path, log_path, address)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def answers(address: str) -> bool:
    """Whether somebody accepts connections at "host:port"."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=STATUS_S_MAX):
            return True
    except OSError:
        return False
