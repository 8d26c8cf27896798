"""The links between simulated nodes: what they lose, double, delay, and how they fail.

Each direction of each pair is a link of its own, with odds and a typical delay drawn once a run. A message takes
the typical delay, or, rarely, up to ten times as long; it waits for the one before it, unless it is drawn to
be overtaken. What stands in a link's way (a partition, a clog, a storm) is counted, so that faults may overlap.

Rules
- A cut loses what is under way as well as what is sent.
- A link holds `UNDER_WAY_MAX` messages, as real ones hold so many bytes; whatever comes beyond is lost, and the
  sender's consensus is told once, as by a connection that broke.
- Who starts dials everybody who runs, and is dialled by them, at once. The two judge each other's Hello as real nodes
  do, and whoever is turned away is told: between the two nothing passes.
- Once healed, a link loses, doubles and reorders nothing any more; its delays stay.

Limits: nodes meet even while they are cut off from each other. A message is as fast as any other, however long. Clients
have links of their own (clients.py).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import attrs

from bankd.errors import Refusal
from bankd.replica.events import PeerMessage
from bankd.sim.ask import Ask
from bankd.sim.plan import Link as LinkName
from bankd.sim.plan import NetworkOdds, Storm
from bankd.sim.queue import Queue
from bankd.sim.random import Stream
from bankd.types import NodeId
from bankd.wire.hello import Hello
from bankd.wire.raft_codec import decode_message, encode_message

UNDER_WAY_MAX: Final = 1_000
TAIL_FACTOR: Final = 9  # the slowest message takes that many typical delays more
TAIL: Final = tuple(TAIL_FACTOR * draw**8 >> 60 for draw in range(1024))  # in typical delays * 2**-20

Item = tuple[Callable[..., None], tuple[object, ...]]  # what to do on arrival, and with what


class End(Protocol):
    """A node, as links see it."""

    def receive(self, message: PeerMessage) -> None: ...
    def lose_peer(self, peer: NodeId) -> None: ...
    def hello(self) -> Hello: ...
    def meet(self, theirs: Hello) -> Refusal | None: ...
    def turned_away(self, by: NodeId, refusal: Refusal, ours: Hello) -> None: ...
    def ask(self, ask: Ask) -> None: ...


def typical_delay_ns(odds: NetworkOdds, stream: Stream) -> int:
    return stream.between(odds.delay_ns_min, max(odds.delay_ns_min, odds.delay_ns_max))


def drawn_delay_ns(typical_ns: int, stream: Stream) -> int:
    """Mostly near `typical_ns`, with a tail: a tenth of the draws more than double it, hardly any reaches ten times."""
    return typical_ns + (typical_ns * TAIL[stream.u64() >> 54] >> 20)


@attrs.define(eq=False)
class Link:
    """One direction between two nodes."""

    sender: NodeId
    receiver: NodeId
    stream: Stream
    typical_ns: int
    loss_ppm: int
    duplicate_ppm: int
    reorder_ppm: int
    cuts: int = 0
    refused: bool = False
    clogs: int = 0
    storms: list[Storm] = attrs.field(factory=list)
    held: list[Item] = attrs.field(factory=list)  # arrived at a clog
    under_way: int = 0
    last_arrival_ns: int = 0
    overflowed: bool = False

    @property
    def shut(self) -> bool:
        return self.cuts > 0 or self.refused


class Network:
    def __init__(self, nodes: Sequence[NodeId], odds: NetworkOdds, seed: int, queue: Queue) -> None:
        self._queue = queue
        self._encoded = odds.encoded
        self._ends: dict[NodeId, End] = {}
        self._up: dict[NodeId, None] = {}  # nodes whose process runs
        self._links = {
            sender: {
                receiver: _make_link(sender, receiver, odds, Stream(seed, f"link {sender}>{receiver}"))
                for receiver in nodes
                if receiver != sender
            }
            for sender in nodes
        }

    def attach(self, node: NodeId, end: End) -> None:
        """Have what is sent to `node` handed to `end`."""
        self._ends[node] = end

    # Processes

    def joined(self, node: NodeId) -> None:
        """A process started: it greets every other one, and is greeted."""
        self._up[node] = None
        for other, link in self._links[node].items():
            if other in self._up:
                link.refused = not self._shake_hands(node, other)
                self._links[other][node].refused = not self._shake_hands(other, node)

    def _shake_hands(self, dialer: NodeId, acceptor: NodeId) -> bool:
        """Whether both take each other for who they say they are. The dialer is told if the acceptor does not."""
        ours, theirs = self._ends[dialer], self._ends[acceptor]
        hello = ours.hello()
        refusal = theirs.meet(hello)
        if refusal is not None:
            ours.turned_away(acceptor, refusal, hello)
            return False
        return ours.meet(theirs.hello()) is None

    def left(self, node: NodeId) -> None:
        """A process ended: its connections break, and the others hear of it."""
        del self._up[node]
        for other in self._links[node]:
            self.carry(node, other, self._ends[other].lose_peer, node)

    # Sending

    def send(self, message: PeerMessage) -> None:
        """Send a message from its sender to its receiver; strangers are sent nothing."""
        link = self._links[message.sender].get(message.to)
        if link is None:
            return
        if self._encoded:
            self._carry(link, self._arrive_encoded, (link, encode_message(message)))
        else:
            self._carry(link, self._ends[message.to].receive, (message,))

    def carry(self, sender: NodeId, receiver: NodeId, action: Callable[..., None], *arguments: object) -> None:
        """Have `action` happen where a link ends: for what may be lost or late, but comes once at most."""
        link = self._links[sender][receiver]
        loss_ppm = link.storms[-1].loss_ppm if link.storms else link.loss_ppm
        if not link.shut and not link.stream.chance(loss_ppm):
            delay_ns = drawn_delay_ns(link.typical_ns, link.stream)
            self._launch(link, self._queue.now_ns + delay_ns, action, arguments)

    def forward(self, sender: NodeId, receiver: NodeId, ask: Ask) -> None:
        """Pass a call on to another node's door."""
        self.carry(sender, receiver, self._ends[receiver].ask, ask)

    def _arrive_encoded(self, link: Link, body: bytes) -> None:
        self._ends[link.receiver].receive(decode_message(body, sender=link.sender, to=link.receiver))

    def _carry(self, link: Link, action: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if link.shut:
            return
        if link.storms:
            self._carry_in_storm(link, link.storms[-1], action, arguments)
            return
        stream = link.stream
        if link.loss_ppm and stream.chance(link.loss_ppm):
            return
        arrival_ns = self._queue.now_ns + drawn_delay_ns(link.typical_ns, stream)
        if link.reorder_ppm and stream.chance(link.reorder_ppm):
            arrival_ns += stream.below(2 * TAIL_FACTOR * link.typical_ns)
        else:
            # Not before its forerunner; at the same time it comes behind it, for it was queued later.
            link.last_arrival_ns = arrival_ns = max(arrival_ns, link.last_arrival_ns)
        self._launch(link, arrival_ns, action, arguments)
        if link.duplicate_ppm and stream.chance(link.duplicate_ppm):
            self._launch(link, arrival_ns + drawn_delay_ns(link.typical_ns, stream), action, arguments)

    def _carry_in_storm(
        self, link: Link, storm: Storm, action: Callable[..., None], arguments: tuple[object, ...]
    ) -> None:
        """Every draw for itself: order is lost as well."""
        stream, now_ns = link.stream, self._queue.now_ns
        copies = 0 if stream.chance(storm.loss_ppm) else 1 + stream.chance(storm.duplicate_ppm)
        for _ in range(copies):
            self._launch(link, now_ns + stream.below(storm.delay_ns_max + 1), action, arguments)

    def _launch(self, link: Link, arrival_ns: int, action: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if link.under_way >= UNDER_WAY_MAX:
            if not link.overflowed:
                link.overflowed = True
                self._queue.after(0, self._ends[link.sender].lose_peer, link.receiver)
            return
        link.under_way += 1
        self._queue.at(arrival_ns, self._arrive, link, action, arguments)

    def _arrive(self, link: Link, action: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if link.clogs and not link.shut:
            link.held.append((action, arguments))
            return
        link.under_way -= 1
        link.overflowed = False
        if not link.shut:
            action(*arguments)

    # Faults

    def cut(self, links: Sequence[LinkName]) -> None:
        for link in self._named(links):
            link.cuts += 1

    def mend(self, links: Sequence[LinkName]) -> None:
        for link in self._named(links):
            link.cuts -= 1

    def clog(self, links: Sequence[LinkName]) -> None:
        for link in self._named(links):
            link.clogs += 1

    def unclog(self, links: Sequence[LinkName]) -> None:
        """What waited comes all at once."""
        for link in self._named(links):
            link.clogs -= 1
            if not link.clogs:
                self._release(link)

    def begin_storm(self, storm: Storm) -> None:
        for link in self._named(storm.links):
            link.storms.append(storm)

    def end_storm(self, storm: Storm) -> None:
        for link in self._named(storm.links):
            link.storms.remove(storm)

    def calm(self) -> None:
        """From here on nothing is lost, doubled or overtaken by the links' own odds."""
        for link in self._all():
            link.loss_ppm = link.duplicate_ppm = link.reorder_ppm = 0

    def _release(self, link: Link) -> None:
        held, link.held = link.held, []
        for action, arguments in held:
            self._queue.at(self._queue.now_ns, self._arrive, link, action, arguments)

    def _named(self, links: Sequence[LinkName]) -> Iterator[Link]:
        return (self._links[sender][receiver] for sender, receiver in links)

    def _all(self) -> Iterator[Link]:
        return (link for row in self._links.values() for link in row.values())


def _make_link(sender: NodeId, receiver: NodeId, odds: NetworkOdds, stream: Stream) -> Link:
    return Link(
        sender,
        receiver,
        stream,
        typical_ns=typical_delay_ns(odds, stream),
        loss_ppm=stream.between(0, odds.loss_ppm_max),
        duplicate_ppm=stream.between(0, odds.duplicate_ppm_max),
        reorder_ppm=stream.between(0, odds.reorder_ppm_max),
    )
