"""What other nodes said of themselves when they were last met: which incarnation, and how often it had started.

So that a node which comes back as another one, or from an older copy of its directory, is recognised by those who knew it.
What follows from that is the handshake's affair.

    PEERS   a framed protobuf `Peers` (framed_file.py, proto/storage.proto)

It is a memory of others, not of this node: whoever cannot read it starts with an empty one and has lost a warning, never
money.

Limits: a peer that left the cluster for good is remembered for ever, in some 80 bytes.
"""

from pathlib import Path
from typing import Final

import attrs
from google.protobuf.message import DecodeError

from bankd.pb import storage_pb2
from bankd.storage.disk import Disk
from bankd.storage.framed_file import body_of, damage_of, framed, read_if_there, replace_file
from bankd.types import Incarnation, NodeId

NAME: Final = "PEERS"
FORMAT_VERSION: Final = 1
PEERS_BYTES_MAX: Final = 1 << 20


@attrs.frozen
class PeerSeen:
    """The highest `boots` that this incarnation has told."""

    incarnation: Incarnation
    boots: int


class Peers:
    """The file of one node. Owned by one thread at a time; blocks.

    `damage`: why what an earlier start had noted could not be read; None: it was, or there was none.
    """

    def __init__(self, disk: Disk, directory: Path) -> None:
        """Read PEERS in a data directory. Raises DiskFailed."""
        self.damage: str | None = None
        self._disk = disk
        self._path = directory / NAME
        self._seen: dict[NodeId, PeerSeen] = {}
        data = read_if_there(disk, self._path, PEERS_BYTES_MAX)
        if data is not None:
            try:
                self._seen = decode_peers(data)
            except ValueError as error:
                self.damage = f"{self._path}: expected {error}"

    def seen(self, peer: NodeId) -> PeerSeen | None:
        """Return what is known of a peer, None of one that was never met."""
        return self._seen.get(peer)

    def note(self, peer: NodeId, incarnation: Incarnation, boots: int) -> None:
        """Take note of a peer that was met, durably where that is news. Another incarnation takes the place of the old.

        Raises:
          DiskFailed, DiskFull: it is not noted.
        """
        known = self._seen.get(peer)
        if known is not None and known.incarnation == incarnation and known.boots >= boots:
            return
        seen = {**self._seen, peer: PeerSeen(incarnation, boots)}
        replace_file(self._disk, self._path, encode_peers(seen))
        self._seen = seen


def encode_peers(seen: dict[NodeId, PeerSeen]) -> bytes:
    peers = [
        storage_pb2.Peer(node_id=peer, incarnation=found.incarnation, boots=found.boots)
        for peer, found in sorted(seen.items())
    ]
    return framed(storage_pb2.Peers(format_version=FORMAT_VERSION, peers=peers).SerializeToString())


def decode_peers(data: bytes) -> dict[NodeId, PeerSeen]:
    """Return what the file's bytes say.

    Raises ValueError: they are damaged, or a newer program's; says what was expected.
    """
    if (damage := damage_of(data)) is not None:
        raise ValueError(damage)
    try:
        found = storage_pb2.Peers.FromString(body_of(data))
    except DecodeError as error:
        raise ValueError("the fields of PEERS, not bytes that are none") from error
    if found.format_version != FORMAT_VERSION:
        raise ValueError(f"format {FORMAT_VERSION}, not {found.format_version}")
    return {NodeId(peer.node_id): PeerSeen(Incarnation(peer.incarnation), peer.boots) for peer in found.peers}
