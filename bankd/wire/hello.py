"""Say Hello, read the other side's, and judge whether the two belong together.

The dialer sends its Hello first and waits. The acceptor judges it and answers with its own Hello,
or with an ERROR frame that says why not and the end of the connection; then the dialer judges.
Faults of configuration (the wrong cluster, one node id used twice, an old program) end here, in
words, and never further in. So do data directories that have forgotten something: an emptied one, and an older copy.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

import attrs

from bankd.errors import Code, HandshakeRefused, ProtocolError, Refusal
from bankd.pb import wire_pb2 as pb
from bankd.types import ClusterId, Incarnation, NodeId, Start
from bankd.wire.frames import HELLO_BYTES_MAX, Frame, FrameKind, encode_frame
from bankd.wire.methods import Method
from bankd.wire.parsing import known, parse
from bankd.wire.refusals import decode_refusal

MAGIC: Final = 0x4B4E4142  # "BANK"
VERSION_MIN: Final = 1  # the lowest protocol version that this program speaks
VERSION_MAX: Final = 1

OLDER_COPY: Final = "OLDER_COPY"
BOOTS_KEY: Final = "boots"  # in the metadata of that refusal
NONCES_MAX: Final = 16  # as many starts as a node remembers; further ones are not looked at
BOOTS_MAX: Final = 2**63 - 1  # that are believed: from there a node still has as many starts before it
BOOTS_DIGITS_MAX: Final = len(str(BOOTS_MAX))


@unique
class PeerRole(IntEnum):
    CLIENT = 1
    PEER = 2


_ROLES: Final = {int(role): role for role in PeerRole}


@attrs.frozen
class Endpoint:
    node_id: NodeId
    address: str  # host:port


@attrs.frozen
class Hello:
    """Who speaks. Clients leave node id, incarnation and, unless they know it, the cluster empty."""

    role: PeerRole
    cluster: str = ""
    cluster_id: ClusterId = ClusterId(0)
    node_id: NodeId = NodeId("")
    incarnation: Incarnation = Incarnation(0)
    version_min: int = VERSION_MIN
    version_max: int = VERSION_MAX
    features: int = 0  # bit set; a bit that is not known is ignored
    credentials: bytes = b""
    software: str = ""  # for people: "bankd 0.1.0"
    leader_id: NodeId = NodeId("")  # from a server: who leads as far as it knows
    leader_address: str = ""
    endpoints: tuple[Endpoint, ...] = ()  # from a server: the cluster's members
    boots: int = 0  # from a node: see `Start`
    nonces: tuple[int, ...] = ()  # of its latest starts, the present one first
    refilling: bool = False  # it has lost what it acknowledged, and does not count until a leader gave it back
    copied: bool = False  # it knows that its data directory is an older copy, and is refilling for that

    @property
    def start(self) -> Start:
        return Start(self.incarnation, self.boots, self.nonces[0] if self.nonces else 0)


def encode_hello(hello: Hello) -> bytes:
    """The whole frame."""
    body = pb.Hello(
        magic=MAGIC,
        version_min=hello.version_min,
        version_max=hello.version_max,
        cluster=hello.cluster,
        cluster_id=hello.cluster_id,
        role=pb.Role.Name(hello.role),
        node_id=hello.node_id,
        incarnation=hello.incarnation,
        features=hello.features,
        credentials=hello.credentials,
        software=hello.software,
        leader_id=hello.leader_id,
        leader_address=hello.leader_address,
        endpoints=[pb.Endpoint(node_id=one.node_id, address=one.address) for one in hello.endpoints],
        boots=hello.boots,
        nonces=hello.nonces,
        refilling=hello.refilling,
        copied=hello.copied,
    ).SerializeToString()
    frame = encode_frame(FrameKind.HELLO, Method.NONE, 0, body)
    assert len(frame) <= HELLO_BYTES_MAX, (
        f"our Hello takes {len(frame)} bytes, nobody reads more than {HELLO_BYTES_MAX}"
    )
    return frame


def decode_hello(frame: Frame) -> Hello:
    """Read the first frame of the other side.

    Raises:
      HandshakeRefused: it is no Hello but the refusal of ours.
      ProtocolError: it is neither.
    """
    if frame.kind is FrameKind.ERROR:
        raise HandshakeRefused(decode_refusal(frame.body))
    if frame.kind is not FrameKind.HELLO:
        raise ProtocolError(f"the first frame is {frame.kind.name}, not HELLO")
    message = parse(pb.Hello, frame.body)
    if message.magic != MAGIC:
        raise ProtocolError(f"the Hello begins with 0x{message.magic:08x}, not with 0x{MAGIC:08x}")
    return Hello(
        role=known(_ROLES, message.role, "role"),
        cluster=message.cluster,
        cluster_id=ClusterId(message.cluster_id),
        node_id=NodeId(message.node_id),
        incarnation=Incarnation(message.incarnation),
        version_min=message.version_min,
        version_max=message.version_max,
        features=message.features,
        credentials=message.credentials,
        software=message.software,
        leader_id=NodeId(message.leader_id),
        leader_address=message.leader_address,
        endpoints=tuple(Endpoint(NodeId(one.node_id), one.address) for one in message.endpoints),
        boots=message.boots,
        nonces=tuple(message.nonces[:NONCES_MAX]),
        refilling=message.refilling,
        copied=message.copied,
    )


def judge_hello(
    ours: Hello,
    theirs: Hello,
    *,
    expected_node_id: NodeId | None = None,
    known: Start | None = None,
) -> Refusal | None:
    """Whether the two may talk: None, or why not. Either side asks with its own Hello first.

    `expected_node_id`: whom a dialer meant to reach. `known`: the last start that was met under the other side's node id.
    Another incarnation is a node that lost its disk and must not vote again. An earlier start, or one that did not follow
    upon the known one, is of a directory put back from an older copy: it must be refilled before it counts.
    """
    if min(ours.version_max, theirs.version_max) < max(ours.version_min, theirs.version_min):
        return _refused("VERSION_UNSUPPORTED", f"{_versions(ours)} and {_versions(theirs)} have no version in common")
    return _judge_cluster(ours, theirs) or _judge_node(ours, theirs, expected_node_id, known)


def _judge_cluster(ours: Hello, theirs: Hello) -> Refusal | None:
    # Between two nodes "not known" is no excuse: a node without its cluster's id has no business here.
    strict = ours.role is PeerRole.PEER and theirs.role is PeerRole.PEER
    if ours.cluster != theirs.cluster and (strict or (ours.cluster and theirs.cluster)):
        return _refused("WRONG_CLUSTER", f"this is cluster {ours.cluster!r}, the other side means {theirs.cluster!r}")
    if ours.cluster_id != theirs.cluster_id and (strict or (ours.cluster_id and theirs.cluster_id)):
        ids = f"this is {ours.cluster_id:016x}, the other side means {theirs.cluster_id:016x}"
        return _refused("WRONG_CLUSTER", f"two clusters are called {ours.cluster!r}: {ids}")
    return None


def boots_told(refusal: Refusal, ours: Hello) -> int | None:
    """How many starts of this node the other side has met, if it refused our Hello for that; None: it did not.

    So it did if it could be right: of a start that this node remembers as well, or one that is yet to come. A node that
    is being refilled as an older copy has nothing more to learn from it.
    """
    digits = refusal.metadata.get(BOOTS_KEY, "") if refusal.reason == OLDER_COPY else ""
    if ours.copied or not digits.isdecimal() or len(digits) > BOOTS_DIGITS_MAX:
        return None
    boots = int(digits)
    return boots if ours.boots - len(ours.nonces) < boots <= BOOTS_MAX else None


def _judge_node(ours: Hello, theirs: Hello, expected_node_id: NodeId | None, known: Start | None) -> Refusal | None:
    if theirs.role is PeerRole.CLIENT:
        return None
    name = theirs.node_id
    if not name:
        return _refused("NODE_ID_MISSING", "a node must say its id")
    if name == ours.node_id:
        return _refused("NODE_ID_TAKEN", f"both sides say that they are node {name!r}")
    if expected_node_id is not None and name != expected_node_id:
        return _refused("WRONG_NODE", f"node {expected_node_id!r} was expected here, not {name!r}")
    return None if known is None else _judge_start(theirs, known)


def _judge_start(theirs: Hello, known: Start) -> Refusal | None:
    name = theirs.node_id
    if theirs.incarnation != known.incarnation:
        known_as = f"known with incarnation {known.incarnation:016x}, now it says {theirs.incarnation:016x}"
        return _refused("NODE_ID_REUSED", f"node {name!r} is {known_as}: a new disk needs a new node id")
    if theirs.copied or not theirs.boots or _is_later(theirs, known):
        return None
    told = f"its directory says {theirs.boots}" + ("" if theirs.boots < known.boots else ", and means other starts")
    return _refused(
        OLDER_COPY,
        f"node {name!r} has started {known.boots} times as far as we know, {told}: was it put back from an older copy?",
        {"node_id": name, BOOTS_KEY: str(known.boots)},
    )


def _is_later(theirs: Hello, known: Start) -> bool:
    """Whether a node goes on from its known start, or still is in it. What it no longer remembers is believed."""
    since = theirs.boots - known.boots
    return since >= len(theirs.nonces) or (since >= 0 and theirs.nonces[since] == known.nonce)


def _versions(hello: Hello) -> str:
    speaker = hello.software or hello.node_id or hello.role.name.lower()
    return f"{speaker} (protocol {hello.version_min} to {hello.version_max})"


def _refused(reason: str, message: str, metadata: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, reason, message, metadata=metadata or {})
