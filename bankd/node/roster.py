"""Know who is connected, and who has to go when there is no room.

Connections are bounded apart (descriptors.py), so that no kind takes another one's place:
- whoever has not said Hello yet: beyond the bound the oldest is closed, for a Hello takes a round
  trip, and whoever has been silent the longest is the least likely to say one;
- clients: beyond the bound a new one takes the place of one that has been idle for long; with
  nobody idle it is refused;
- peers: one connection each; a new one takes the old one's place.

By rounds, made once a second of this node's own running, connections end that take nothing of what
is sent to them, peers that have fallen silent (they ping), and, should all that waits to be taken
exceed its bound, those that take the least of it. An idle client is let be while there is room: the
system notices when its machine is gone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import trio

from bankd.node.descriptors import Room
from bankd.node.sender import FrameSender
from bankd.types import NodeId
from bankd.wire.frames import FrameKind, encode_frame
from bankd.wire.methods import Method

STALLED_ROUNDS_MAX: Final = 10
IDLE_ROUNDS: Final = 60  # a client quiet for that long may be asked to go: its longest call is over
OUTBOXES_BYTES_MAX: Final = 256 * 1024 * 1024  # of all connections together


class Guest(Protocol):
    """A greeted connection. Whoever receives from it sets `heard`."""

    sender: FrameSender
    peer: NodeId | None  # None: a client
    heard: bool
    quiet_rounds: int


class Roster:
    def __init__(self, room: Room, *, peer_quiet_rounds_max: int, outboxes_bytes_max: int = OUTBOXES_BYTES_MAX) -> None:
        self._room = room
        self._outboxes_bytes_max = outboxes_bytes_max
        self._peer_quiet_rounds_max = peer_quiet_rounds_max
        self._ungreeted: dict[trio.CancelScope, None] = {}  # the oldest first
        self._clients: dict[Guest, None] = {}
        self._peers: dict[NodeId, Guest] = {}

    def __iter__(self) -> Iterator[Guest]:
        """All who were greeted."""
        yield from list(self._peers.values())
        yield from list(self._clients)

    @contextmanager
    def ungreeted(self, patience_s: float) -> Iterator[trio.CancelScope]:
        """A place to say Hello in: for so long, and until newer ones need it."""
        with trio.CancelScope(deadline=trio.current_time() + patience_s) as scope:
            self._ungreeted[scope] = None
            if len(self._ungreeted) > self._room.ungreeted:
                oldest = next(iter(self._ungreeted))
                del self._ungreeted[oldest]
                oldest.cancel()
            try:
                yield scope
            finally:
                self._ungreeted.pop(scope, None)

    def make_room_for_client(self) -> bool:
        """Whether there is a place for one more client; one that has been idle for long gives it up."""
        if len(self._clients) < self._room.clients:
            return True
        idlest = max(self._clients, key=lambda client: client.quiet_rounds)
        if idlest.quiet_rounds < IDLE_ROUNDS or idlest.sender.busy:
            return False
        say_goaway(idlest.sender)
        idlest.sender.finish()
        self.left(idlest)
        return True

    def entered(self, guest: Guest) -> None:
        if guest.peer is None:
            self._clients[guest] = None
            return
        forerunner = self._peers.get(guest.peer)
        self._peers[guest.peer] = guest
        if forerunner is not None:
            forerunner.sender.close()

    def left(self, guest: Guest) -> None:
        self._clients.pop(guest, None)
        if guest.peer is not None and self._peers.get(guest.peer) is guest:
            del self._peers[guest.peer]

    def make_round(self) -> None:
        """Close whoever is gone without a word, or takes nothing."""
        for guest in self:
            guest.quiet_rounds = 0 if guest.heard else guest.quiet_rounds + 1
            guest.heard = False
            silent = guest.peer is not None and guest.quiet_rounds > self._peer_quiet_rounds_max
            if guest.sender.make_round() >= STALLED_ROUNDS_MAX or silent:
                guest.sender.close()
        self._bound_outboxes()

    def _bound_outboxes(self) -> None:
        senders = [guest.sender for guest in self if not guest.sender.closed]
        excess = sum(sender.pending_bytes for sender in senders) - self._outboxes_bytes_max
        for sender in sorted(senders, key=lambda sender: sender.pending_bytes, reverse=True):
            if excess <= 0:
                return
            excess -= sender.pending_bytes
            sender.close()


def say_goaway(sender: FrameSender) -> None:
    """Ask the other side to send its new requests elsewhere."""
    sender.push(encode_frame(FrameKind.GOAWAY, Method.NONE, 0))
    sender.flush()
