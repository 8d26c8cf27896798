"""Keep a cluster running until Ctrl-C: sample accounts, what to type, and who went away."""

import shutil
import sys
import time
from pathlib import Path
from typing import Final

from bankd.demo.book import Book, sample_balances
from bankd.local import LocalCluster, Process

CALL_S_MAX: Final = 10.0
WATCH_S: Final = 0.2


def play(cluster: LocalCluster, *, kept: bool) -> None:
    """Returns at Ctrl-C.

    Raises:
      BankError: the sample accounts could not be opened within CALL_S_MAX each.
    """
    with cluster.client(timeout_s=CALL_S_MAX) as client:
        accounts = sample_balances(Book.opened(client))
    said = invitation(cluster, accounts, kept=kept)
    try:  # from the first word on: whoever reads the invitation may end the cluster at once
        print(said, flush=True)
        watch(cluster)
    except KeyboardInterrupt:
        print("\nending ...", flush=True)


def invitation(cluster: LocalCluster, accounts: str, *, kept: bool) -> str:
    leader = cluster.nodes[cluster.wait_leader()]
    bankctl = program("bankctl")
    gateway = f"gRPC (bank.v1, with reflection): {cluster.gateway.address}\n" if cluster.gateway.running else ""
    return f"""\
{len(cluster.nodes)} nodes are running: {", ".join(f"{name} at {address}" for name, address in cluster.addresses.items())}
{gateway}Accounts: {accounts}
Files: {cluster.directory}{"" if kept else " (removed at the end; --keep DIR keeps them)"}

Type in another terminal:
  export BANKCTL_ENDPOINTS={",".join(cluster.endpoints)}
  {bankctl} transfer alice bob 12.50
  {bankctl} balance bob
  {bankctl} cluster status
  kill -9 {leader.pid:<12} # {leader.name}, the leader
  {bankctl} transfer bob carol 1.00
  {restart_command(leader)} &
  {bankctl} audit

Ctrl-C here ends everything."""


def watch(cluster: LocalCluster) -> None:
    """Say once of each process that it ended, and how to bring it back. Ends by KeyboardInterrupt alone."""
    running = [process for process in (*cluster.nodes.values(), cluster.gateway) if process.running]
    while True:
        for process in [one for one in running if not one.running]:
            running.remove(process)
            print(
                f"{process.name} ended (to bring it back, in another terminal: {restart_command(process)})", flush=True
            )
        time.sleep(WATCH_S)


def restart_command(process: Process) -> str:
    return " ".join([program("bankd"), *process.arguments])


def program(name: str) -> str:
    """What to type: the bare name where it is on the PATH, else beside this Python."""
    beside = Path(sys.executable).with_name(name)
    if shutil.which(name):
        return name
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
