"""Whose data directory this is, and the META file that says so.

META is a framed protobuf `Meta` (framed_file.py, proto/entry.proto). Pure: bytes in, bytes out.
"""

import hashlib
from typing import Final

import attrs
from google.protobuf.message import DecodeError

from bankd.errors import DataDirForeign, DataDirUnusable
from bankd.pb import entry_pb2
from bankd.storage.framed_file import body_of, damage_of, framed
from bankd.types import ClusterId, Incarnation, NodeId

FORMAT_VERSION: Final = 1  # of the directory as a whole; a higher one is refused
META_BYTES_MAX: Final = 4096  # names are short; anything longer is not ours


@attrs.frozen
class Identity:
    """Which node of which cluster a data directory belongs to.

    `incarnation` is drawn when the directory is made: a node that lost its disk and came back
    empty is another incarnation, and must not vote as if it remembered.

    `origin` is the content id of the backup that the cluster was restored from; empty: it began with nothing.
    """

    cluster: str
    cluster_id: ClusterId
    node_id: NodeId
    incarnation: Incarnation
    origin: bytes = b""


def restored_cluster_id(cluster_id: ClusterId, origin: bytes) -> ClusterId:
    """The id of the cluster that was restored from the backup `origin`, where one of the same name and members that began
    with nothing would have `cluster_id`. It is that, if `origin` is empty; 64 bits of a hash otherwise, never 0."""
    if not origin:
        return cluster_id
    text = cluster_id.to_bytes(8, "little") + origin
    digest = hashlib.blake2b(text, digest_size=8, person=b"bank-restored").digest()
    return ClusterId(int.from_bytes(digest, "little") or 1)


def encode_meta(identity: Identity) -> bytes:
    body = entry_pb2.Meta(
        format_version=FORMAT_VERSION,
        cluster=identity.cluster,
        cluster_id=identity.cluster_id,
        node_id=identity.node_id,
        incarnation=identity.incarnation,
        origin=identity.origin,
    ).SerializeToString()
    return framed(body)


def decode_meta(data: bytes, where: str) -> Identity:
    """Return the identity in META's bytes; `where` names the file in errors.

    Raises:
      DataDirUnusable: the bytes are damaged.
      DataDirForeign: a newer format wrote them.
    """
    found = look_at_meta(data)
    if found.damage is not None or found.identity is None:
        raise DataDirUnusable(
            f"{where} is damaged (expected {found.damage}); the directory is left as it is: "
            "restore META from a copy of this very node"
        )
    if found.format_version != FORMAT_VERSION:
        raise DataDirForeign(
            f"{where} has format {found.format_version}, this program knows {FORMAT_VERSION}: start it with a matching bankd"
        )
    return found.identity


@attrs.frozen
class MetaFound:
    """What META's bytes say, sound or not. Without `damage` there is an identity; with it, nothing here is certain."""

    damage: str | None  # what was expected, not what was found
    format_version: int | None
    identity: Identity | None


def look_at_meta(data: bytes) -> MetaFound:
    """Read as much of META as can be read."""
    try:
        meta = entry_pb2.Meta.FromString(body_of(data))
    except DecodeError:
        return MetaFound(damage_of(data) or "the fields of META, not bytes that are none", None, None)
    if not meta.node_id:
        return MetaFound(damage_of(data) or "a node's id, not none", None, None)
    identity = Identity(
        meta.cluster, ClusterId(meta.cluster_id), NodeId(meta.node_id), Incarnation(meta.incarnation), meta.origin
    )
    return MetaFound(damage_of(data), meta.format_version, identity)
