"""Whose data directory this is, and the META file that says so.

META = u32 length, u32 CRC32C of the rest, protobuf `Meta` (proto/entry.proto). Pure: bytes in, bytes out.
"""

import struct
from typing import Final

import attrs
import google_crc32c
from google.protobuf.message import DecodeError

from bankd.errors import DataDirForeign, DataDirUnusable
from bankd.pb import entry_pb2
from bankd.types import ClusterId, Incarnation, NodeId

FORMAT_VERSION: Final = 1  # of the directory as a whole; a higher one is refused
_FRAME: Final = struct.Struct("<II")  # length, CRC32C
META_BYTES_MAX: Final = 4096  # names are short; anything longer is not ours


@attrs.frozen
class Identity:
    """Which node of which cluster a data directory belongs to.

    `incarnation` is drawn when the directory is made: a node that lost its disk and came back
    empty is another incarnation, and must not vote as if it remembered.
    """

    cluster: str
    cluster_id: ClusterId
    node_id: NodeId
    incarnation: Incarnation


def encode_meta(identity: Identity) -> bytes:
    body = entry_pb2.Meta(
        format_version=FORMAT_VERSION,
        cluster=identity.cluster,
        cluster_id=identity.cluster_id,
        node_id=identity.node_id,
        incarnation=identity.incarnation,
    ).SerializeToString()
    return framed(body)


def framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), google_crc32c.value(body)) + body


def decode_meta(data: bytes, where: str) -> Identity:
    """Return the identity in META's bytes; `where` names the file in errors.

    Raises:
      DataDirUnusable: the bytes are damaged.
      DataDirForeign: a newer format wrote them.
    """
    meta = entry_pb2.Meta()
    try:
        meta.ParseFromString(_checked_body(data))
    except (DecodeError, ValueError) as error:
        raise DataDirUnusable(
            f"{where} is damaged ({error}); the directory is left as it is: restore META from a copy of this very node"
        ) from error
    if meta.format_version != FORMAT_VERSION:
        raise DataDirForeign(
            f"{where} has format {meta.format_version}, this program knows {FORMAT_VERSION}: start it with a matching bankd"
        )
    return Identity(meta.cluster, ClusterId(meta.cluster_id), NodeId(meta.node_id), Incarnation(meta.incarnation))


def _checked_body(data: bytes) -> bytes:
    if len(data) < _FRAME.size:
        raise ValueError(f"{len(data)} bytes are too few")
    length, crc = _FRAME.unpack_from(data)
    body = data[_FRAME.size :]
    if length != len(body):
        raise ValueError(f"{length} bytes promised, {len(body)} found")
    if crc != google_crc32c.value(body):
        raise ValueError("checksum mismatch")
    return body
