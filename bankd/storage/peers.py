"""What other nodes said of themselves when they were last met: which incarnation, how often it had started, and the nonce
of that start.

So that a node which comes back as another one, or from an older copy of its directory, is recognised by those who knew it.
What follows from that is the handshake's affair.

    PEERS   a framed protobuf `Peers` (framed_file.py, proto/storage.proto)

It is a memory of others, not of this node: whoever cannot read it starts with an empty one and has lost a warning, never
money.

Limits: a peer that left the cluster for good is remembered for ever, in some 80 bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from bankd.errors import DiskFailed
from bankd.pb import storage_pb2
from bankd.storage.disk import Disk
from bankd.storage.framed_file import body_of, damage_of, framed, read_if_there, replace_file
from bankd.types import Incarnation, NodeId, Start

NAME: Final = "PEERS"
FORMAT_VERSION: Final = 1
PEERS_BYTES_MAX: Final = 1 << 20


class Peers:
    """The file of one node. Owned by one thread at a time; blocks.

    `damage`: why what an earlier start had noted could not be read; None: it was, or there was none.
    """

    def __init__(self, disk: Disk, directory: Path) -> None:
        """Read PEERS in a data directory. A disk that does not give it back has damaged it."""
        self.damage: str | None = None
        self._disk = disk
        self._path = directory / NAME
        self._seen: dict[NodeId, Start] = {}
        try:
            data = read_if_there(disk, self._path, PEERS_BYTES_MAX)
            self._seen = {} if data is None else decode_peers(data)
        except ValueError as error:
            self.damage = f"{self._path}: expected {error}"
        except DiskFailed as error:
            self.damage = f"{self._path}: expected to be readable ({error})"

    @property
    def seen(self) -> Mapping[NodeId, Start]:
        """What is noted of every peer that was ever met."""
        return self._seen

    def note(self, news: Mapping[NodeId, Start]) -> None:
        """Take note of peers that were met, durably, each in the place of what was known of it.

        Raises:
          DiskFailed, DiskFull: it is not noted.
        """
        seen = {**self._seen, **news}
        if seen == self._seen:
            return
        replace_file(self._disk, self._path, encode_peers(seen))
        self._seen = seen


def encode_peers(seen: Mapping[NodeId, Start]) -> bytes:
    peers = [
        storage_pb2.Peer(node_id=peer, incarnation=start.incarnation, boots=start.boots, nonce=start.nonce)
        for peer, start in sorted(seen.items())
    ]
    return framed(storage_pb2.Peers(format_version=FORMAT_VERSION, peers=peers).SerializeToString())


def decode_peers(data: bytes) -> dict[NodeId, Start]:
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
    return {NodeId(peer.node_id): Start(Incarnation(peer.incarnation), peer.boots, peer.nonce) for peer in found.peers}
