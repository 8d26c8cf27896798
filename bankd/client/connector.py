"""Keep one connection for new calls: find a node, follow the leader, give up the silent.

Invariant: at most one link is `current` (takes new calls) or `opening`; the others are retired and only
drain.

Rules
- A node that says another one leads is left for that one, as far as `Endpoints` allows. Once hints are
  used up the node at hand will do: every node passes calls on.
- A node that can name no leader may be cut off from the others: the next one is tried.
- When every known node failed, the next circle waits for a backoff.
- The cluster that greets first is the one that is meant, until the client ends: what has another id is refused, and
  refuses us. So a client that was spoken to by a cluster never sends its writes again to one that was restored from its
  backup, whatever that is called.
- A write whose answer took a hop says that this node does not lead (any more). The client greets anew, to be
  told who does, at most every LEADER_SOUGHT_EVERY_S: a leader that it cannot reach is no reason to
  reconnect for ever.

Limits: a client that is started anew, or made for one call, has no such memory.
"""

from math import inf
from typing import Final

import attrs

from bankd import __version__
from bankd.client.endpoints import Endpoints
from bankd.client.link import Link, LinkState
from bankd.client.options import ClientOptions
from bankd.client.pending import Request
from bankd.client.retry import Backoff
from bankd.errors import Code, Refusal
from bankd.types import ClusterId
from bankd.wire.frames import Frame
from bankd.wire.hello import Hello, PeerRole

LEADER_SOUGHT_EVERY_S: Final = 5.0


@attrs.frozen
class OpenLink:
    """Connect to `link.address`, then tell `connected` or `disconnected`."""

    link: Link


@attrs.frozen
class CloseLink:
    """Close the connection of `link`, also while it is still being opened. Nothing about it need be told."""

    link: Link


Wish = OpenLink | CloseLink


class Connector:
    """The links of one session."""

    def __init__(self, options: ClientOptions, backoff: Backoff) -> None:
        self.wishes: list[Wish] = []
        self.current: Link | None = None
        self.trouble: Refusal | None = None  # why the last connection came to nothing; None once a node answered
        self.retry_at = -inf  # no link is opened before
        self._endpoints = Endpoints(options.endpoints)
        self._follow_leader = options.follow_leader
        self._backoff = backoff
        self._hello = Hello(
            PeerRole.CLIENT,
            cluster=options.cluster or "",
            cluster_id=options.cluster_id,
            software=f"bank-cluster {__version__}",
        )
        self._opening: Link | None = None
        self._retired: list[Link] = []
        self._circles = 0  # failed in a row
        self._leader_sought_at = -inf

    @property
    def known_addresses(self) -> tuple[str, ...]:
        return self._endpoints.known

    @property
    def cluster_id(self) -> ClusterId:
        """Of the cluster that is meant; 0 before any has greeted."""
        return self._hello.cluster_id

    @property
    def links(self) -> list[Link]:
        return [link for link in (self.current, self._opening, *self._retired) if link is not None]

    def seek(self, now: float) -> bool:
        """Open a link unless one is there, on its way, or not to be tried yet; False when waiting cannot help."""
        if self.current or self._opening or now < self.retry_at:
            return True
        address = self._endpoints.choose()
        if address is None:
            return self._circle_failed(now)
        self._opening = Link(address, now)
        self.wishes.append(OpenLink(self._opening))
        return True

    def connected(self, link: Link) -> None:
        if link.state is not LinkState.CLOSED:
            link.greet(self._hello)

    def greeted(self, link: Link, frame: Frame, now: float) -> None:
        """The other side's Hello came: use the link, or go to the leader that it names.

        Raises HandshakeRefused, ProtocolError.
        """
        theirs = link.welcome(frame, self._hello)
        if not self.cluster_id:
            self._hello = attrs.evolve(self._hello, cluster=theirs.cluster, cluster_id=theirs.cluster_id)
        self._opening, self.current = None, link
        self._circles = 0
        if self._follow_leader:
            self._endpoints.learn(endpoint.address for endpoint in theirs.endpoints)
            elsewhere = theirs.leader_address and theirs.leader_id != theirs.node_id
            if elsewhere and self._endpoints.follow(theirs.leader_address, now):
                self.retire(link)

    def answered(self) -> None:
        """A node brought a result."""
        self._endpoints.answered()
        self.trouble = None

    def passed_on(self, link: Link, now: float) -> None:
        """An answer came by way of another node: look for the leader anew, now and then."""
        if link is self.current and self._follow_leader and now - self._leader_sought_at >= LEADER_SOUGHT_EVERY_S:
            self._leader_sought_at = now
            self.retire(link)

    def steer(self, link: Link, refusal: Refusal, now: float) -> bool:
        """Turn to another node when this one says so, or cannot serve; True when a leader was named."""
        if link is not self.current or not self._follow_leader:
            return False
        hint = refusal.leader_address
        if hint and refusal.leader_id != link.node_id and self._endpoints.follow(hint, now):
            self.retire(link)
            return True
        if refusal.code is Code.UNAVAILABLE and not hint and len(self._endpoints.known) > 1:
            self._endpoints.failed(link.address)
            self.retire(link)
        return False

    def retire(self, link: Link) -> None:
        """No new calls for this link; it ends with its last answer."""
        if link is self.current:
            self.current = None
            link.state = LinkState.RETIRED
            self._retired.append(link)
            self.close_if_drained(link)

    def close_if_drained(self, link: Link) -> None:
        if link.state is LinkState.RETIRED and not link.calls:
            self.close(link)

    def lose(self, link: Link, trouble: Refusal) -> list[Request]:
        """The connection is gone. Returns the requests that were under way on it."""
        if link.state is LinkState.CLOSED:
            return []
        if link.state is not LinkState.RETIRED:
            self._endpoints.failed(link.address)
            if self.trouble is None or self.trouble.retryable:  # a rejection says more than what came after it
                self.trouble = trouble
        requests = list(link.calls.values())
        self.close(link)
        return requests

    def close(self, link: Link) -> None:
        link.state = LinkState.CLOSED
        link.calls.clear()
        self.wishes.append(CloseLink(link))
        if link is self.current:
            self.current = None
        elif link is self._opening:
            self._opening = None
        else:
            self._retired.remove(link)

    def _circle_failed(self, now: float) -> bool:
        """No known node can be spoken to. A misunderstanding (another cluster, say) does not pass with time."""
        self._circles += 1
        self._endpoints.begin_circle()
        self.retry_at = now + self._backoff.delay_s(self._circles)
        rejected = self.trouble is not None and not self.trouble.retryable
        return self._backoff.allows(self._circles) and not rejected
