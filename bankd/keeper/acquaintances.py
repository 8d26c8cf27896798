"""Know the other nodes again: whether they still are who they were, and what they say of this one.

At each meeting a node tells its start: its data directory, how often that was started, and the numbers drawn for that start
and for those before it (`Start`). Whoever was met is judged by what is known of it, at once, and noted in PEERS a little later, for the starts of
this node that are to come. What that finds out:

    an emptied directory     another incarnation                      turned away for good: D09
    an older copy of one     a lower count, or another number          turned away unless it knows it: D10
                             for the count that was met

A node that was turned away as an older copy has forgotten what it acknowledged. It begins anew, as refilling, with a count
above the one that it was told, so that nobody turns it away for that again.

What a broken peer can do that calls everybody an older copy: have each node be refilled once in the life of its process,
for a peer is believed once (`heeded`, which outlives the beginning anew). That loses nothing, but if it happens to most
voters at once, nobody is left to refill them: the cluster stands still, as it must where most of it has truly forgotten.

Invariant: whoever was noted is never replaced by an earlier start of its own, nor by another incarnation.

Limits: what is told here is not proved (nodes do not lie). Not found out: an older copy whose later starts nobody met that
still knows of them, which is so for a copy that was taken in the last start before it was put back; of that one only a
leader that had its acknowledgements knows (`LogForgotten`). A node that is refilled for another reason, and is an older
copy too, is refilled a second time when it is next met. With no room on the disk a meeting is noted at the next one.
"""

from collections.abc import Callable
from typing import Final

from bankd.errors import DiskFull, MustRefill, Refusal
from bankd.keeper.work import Lane, Work, blocking
from bankd.storage.peers import Peers
from bankd.types import NodeId, Start
from bankd.wire.hello import Hello, boots_told

WORDS: Final = (
    "{} has met a start {} of this node that its data directory, at start {}, does not know: was that put back from an older "
    "copy?"
)


class Acquaintances:
    """What one process knows of the others. Its driver does the jobs of `lane`, which write PEERS.

    `heeded` names those whose word this node has followed, and how many starts they had met. `tell` is handed what kept a
    meeting from being noted.
    """

    def __init__(self, peers: Peers, heeded: dict[NodeId, int], tell: Callable[[str], None]) -> None:
        self.lane = Lane(jobs_max=1)
        self._peers = peers
        self._heeded = heeded
        self._tell = tell
        self._known = dict(peers.seen)
        self._news: dict[NodeId, Start] = {}

    def known(self, peer: NodeId) -> Start | None:
        """The last start that was met under that name."""
        return self._known.get(peer)

    def met(self, peer: NodeId, start: Start) -> None:
        """Note who answered to a name, after the handshake judged it by what was known."""
        known = self._known.get(peer)
        if known is not None and (known == start or known.boots > start.boots):
            return
        self._known[peer] = self._news[peer] = start
        self.lane.put(self._write)

    def heed(self, peer: NodeId, refusal: Refusal, ours: Hello) -> None:
        """Learn that a peer turned this node away.

        Raises:
          MustRefill: for being an older copy, and this peer says so for the first time.
        """
        boots = boots_told(refusal, ours)
        if boots is not None and peer not in self._heeded:
            self._heeded[peer] = boots
            raise MustRefill(WORDS.format(peer, boots, ours.boots), state_is_void=False, copied=True)

    def _write(self) -> Work[None]:
        news, self._news = self._news, {}
        try:
            yield from blocking(lambda: self._peers.note(news))
        except DiskFull as error:
            self._news = news | self._news
            self._tell(str(error))
