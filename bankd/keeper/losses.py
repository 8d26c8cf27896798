"""Find in a turn's effects that the node must begin anew as refilling: it has lost something, or its state is wrong.

Whoever drives a replica asks before it carries out anything else of the turn, and raises what it is told.
"""

from bankd.errors import MustRefill
from bankd.raft.ready import LogForgotten
from bankd.replica.effects import Effects


def loss_in(effects: Effects) -> MustRefill | None:
    """What ends the node; None, mostly."""
    if effects.diverged is not None:
        index = effects.diverged.index
        return MustRefill(f"the state at index {index} differs from that of most others", state_is_void=True)
    for event in effects.events:
        if isinstance(event, LogForgotten):
            return MustRefill(
                f"{event.leader_id} says that this node acknowledged entries up to {event.index}, which are not in its log "
                "(was the data directory put back from an older copy?)",
                state_is_void=False,
                copied=True,
            )
    return None
