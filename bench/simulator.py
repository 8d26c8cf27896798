"""How fast the simulator is: simulated seconds and events in a second of one core, idle and under load.

    python -m bench.simulator [SECONDS]

`SECONDS` of simulated time for each row. Time is this process's own, so that what else runs on the machine counts little.
"""

import sys
import time
from typing import Final

import attrs

from bankd.sim.judges import Judges
from bankd.sim.plan import Move, Open, Operation, Plan
from bankd.sim.swarm import draw
from bankd.sim.trace import Trace
from bankd.sim.world import run
from bankd.types import AccountId, NodeId, TxId

SECONDS_DEFAULT: Final = 300
NODES: Final = tuple(NodeId(f"n{number}") for number in range(1, 6))
CLIENTS: Final = 8
CALLS_PER_SECOND: Final = 50
SWARM_SEEDS: Final = range(20)
NS: Final = 1_000_000_000


def idle(seconds: int) -> Plan:
    """Five nodes with the product's defaults, and nobody who asks for anything."""
    return Plan(seed=1, nodes=NODES, clients=0, safety_ns=seconds * NS)


def busy(seconds: int) -> Plan:
    """The same, and transfers between two accounts."""
    one, other = AccountId("one"), AccountId("other")
    opens = [Operation(0, 0, Open(account, 1_000_000, TxId(account))) for account in (one, other)]
    moves = [
        Operation(
            number * NS // CALLS_PER_SECOND,
            number % CLIENTS,
            Move((TxId(f"t{number}"),), (one,), (other,), (1,)),
        )
        for number in range(seconds * CALLS_PER_SECOND)
    ]
    return attrs.evolve(idle(seconds), clients=CLIENTS, operations=(*opens, *moves))


def measure(name: str, plans: list[Plan], *, judged: bool) -> None:
    events = acknowledged = simulated_ns = 0
    began_s = time.process_time()
    for plan in plans:
        outcome = run(plan, judges=Judges(plan) if judged else None, trace=Trace(plan.nodes) if judged else None)
        assert outcome.violation is None, f"seed {plan.seed}: {outcome.violation}"
        events += outcome.events
        acknowledged += outcome.acknowledged
        simulated_ns += outcome.simulated_ns
    took_s = time.process_time() - began_s
    print(
        f"{name:<24} {simulated_ns / NS / took_s:8.0f} simulated s/s  {events / took_s:8.0f} events/s"
        f"  {acknowledged / took_s:8.0f} calls/s  {1e6 * took_s / events:6.1f} us an event"
    )


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS_DEFAULT
    measure("idle", [idle(seconds)], judged=False)
    measure("idle, judged", [idle(seconds)], judged=True)
    measure("50 calls/s", [busy(seconds // 5)], judged=False)
    measure("50 calls/s, judged", [busy(seconds // 5)], judged=True)
    measure("swarm, judged", [draw(seed) for seed in SWARM_SEEDS], judged=True)


if __name__ == "__main__":
    main()
