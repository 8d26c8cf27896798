"""What an operator may set: one class per TOML section, one field per key.

A field carries its kind, its default as TOML text, a sample and its help; no other place describes
a key. Its name is the key's, followed by the unit where a kind has one (`heartbeat_s` holds the key
`heartbeat` in seconds).

To add a key: add the field, use it, and run `make docs`.
"""

import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum, unique
from typing import Final, TypeVar

import attrs

from bankd.config import kinds
from bankd.config.kinds import Kind
from bankd.types import NodeId

T = TypeVar("T")


@unique
class Role(Enum):
    """The process that a configuration is for. Each requires other keys."""

    NODE = "node"
    GATEWAY = "gateway"


NEITHER: Final = frozenset[Role]()
NODE: Final = frozenset({Role.NODE})
GATEWAY: Final = frozenset({Role.GATEWAY})
BOTH: Final = NODE | GATEWAY


@attrs.frozen
class Setting:
    """The description of one key. `default` and `sample` are TOML text; a key without default is unset."""

    kind: Kind[object]
    help: str
    default: str | None
    sample: str
    required_by: frozenset[Role]


def setting(
    kind: Kind[T],
    help: str,
    *,
    default: str | None = None,
    sample: str | None = None,
    required_by: frozenset[Role] = NEITHER,
) -> T:
    """Declare a key as a field. `sample` is what a new file shows where that is not the default."""
    value = kind.unset if default is None else kind.parse(tomllib.loads(f"value = {default}")["value"])
    described = Setting(kind, help, default, sample or default or "", required_by)
    field: T = attrs.field(default=value, metadata={"setting": described})
    return field


@attrs.frozen
class NodeSection:
    """Who this node is."""

    id: NodeId = setting(
        kinds.NODE_NAME,
        "Unique in the cluster, and stable for the life of the data directory.",
        sample='"n1"',
        required_by=NODE,
    )
    data_dir: str = setting(
        kinds.TEXT,
        "Where the log lives. Made on first start with mode 0700; one process at a time holds it.",
        sample='"data/n1"',
        required_by=NODE,
    )


@attrs.frozen
class ClusterSection:
    """The cluster that it belongs to."""

    name: str = setting(
        kinds.CLUSTER_NAME,
        "Nodes, gateways and clients of one cluster give the same name; another one is refused.",
        sample='"main"',
        required_by=BOTH,
    )
    bootstrap: Mapping[NodeId, str] = setting(
        kinds.NODES,
        "The first members, this node included, the same list on each: who votes, and where to reach them.",
        sample='["n1=127.0.0.1:7401", "n2=127.0.0.1:7411", "n3=127.0.0.1:7421"]',
        required_by=NODE,
    )


@attrs.frozen
class ListenSection:
    """Where clients and peers reach this node: they share one port."""

    address: str = setting(kinds.ADDRESS, "The address to listen on.", default='"127.0.0.1:7401"')
    advertise: str = setting(
        kinds.OPTIONAL_ADDRESS,
        'The address that others dial, as cluster.bootstrap has it; "" means listen.address. '
        "Required when that is every interface (0.0.0.0).",
        default='""',
    )
    allow_remote_plaintext: bool = setting(
        kinds.FLAG,
        "Traffic is neither encrypted nor authenticated: another address than loopback is refused unless this is true.",
        default="false",
    )


@attrs.frozen
class RaftSection:
    """How fast the cluster notices a lost leader."""

    heartbeat_s: float = setting(
        kinds.duration("10ms", "10s"),
        "How often a leader shows that it is alive. At most a third of election_timeout.",
        default='"100ms"',
    )
    election_timeout_s: float = setting(
        kinds.duration("50ms", "60s"),
        "How long a follower waits for its leader before it campaigns; each wait is drawn from 1x to 2x.",
        default='"1s"',
    )


@attrs.frozen
class StorageSection:
    """The log on disk."""

    segment_size_bytes: int = setting(
        kinds.size("64KiB", "4GiB"),
        "The size of one log file; a second one is kept ready ahead of need.",
        default='"64MiB"',
    )
    snapshot_every: int = setting(
        kinds.whole(1, 1_000_000_000),
        "Log entries after which a snapshot is taken; an entry holds all the writes that came at once. The log is kept "
        "from the last snapshot but one on.",
        default="100000",
    )
    snapshot_every_size_bytes: int = setting(
        kinds.size("64KiB", "1TiB"),
        "The same by the size of those entries: whichever comes first.",
        default='"64MiB"',
    )
    min_free_bytes: int = setting(
        kinds.size("0B", "1024TiB"),
        "Below this much free space writes are refused with RESOURCE_EXHAUSTED; reads go on.",
        default='"1GiB"',
    )


@attrs.frozen
class LimitsSection:
    """What the node takes on at most."""

    max_in_flight: int = setting(
        kinds.whole(1, 1_000_000),
        "Writes that wait for an answer on this node, over all connections; as many reads, and as many calls "
        "passed on to each other node. Beyond it they are refused with a retry delay.",
        default="10000",
    )
    drain_timeout_s: float = setting(
        kinds.duration("0s", "10m"),
        "On SIGTERM: how long calls in flight may take to finish before the process ends.",
        default='"15s"',
    )


@attrs.frozen
class LogSection:
    """What is written to stderr."""

    level: str = setting(kinds.choice("debug", "info", "warning", "error"), "The least level shown.", default='"info"')
    format: str = setting(
        kinds.choice("text", "json"), "One line per event, for people or for programs.", default='"text"'
    )


@attrs.frozen
class GatewaySection:
    """The gRPC door, read by `bankd gateway`."""

    listen: str = setting(kinds.ADDRESS, "The address that gRPC clients connect to.", default='"127.0.0.1:50051"')
    endpoints: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        "Nodes of the cluster; one that answers is enough, more survive its loss.",
        sample='["127.0.0.1:7401", "127.0.0.1:7411", "127.0.0.1:7421"]',
        required_by=GATEWAY,
    )
    allow_remote_plaintext: bool = setting(
        kinds.FLAG, "As listen.allow_remote_plaintext, for gateway.listen.", default="false"
    )


@attrs.frozen
class Config:
    """The whole configuration, checked. `listen.advertise` is never empty here."""

    node: NodeSection = attrs.field(factory=NodeSection)
    cluster: ClusterSection = attrs.field(factory=ClusterSection)
    listen: ListenSection = attrs.field(factory=ListenSection)
    raft: RaftSection = attrs.field(factory=RaftSection)
    storage: StorageSection = attrs.field(factory=StorageSection)
    limits: LimitsSection = attrs.field(factory=LimitsSection)
    log: LogSection = attrs.field(factory=LogSection)
    gateway: GatewaySection = attrs.field(factory=GatewaySection)


def sections() -> Iterator[tuple[str, type, dict[str, str]]]:
    """Every section: its name, its class, and the class's field names by dotted key."""
    for section in attrs.fields(Config):
        assert section.type is not None, f"{section.name} has no class"
        fields = {f"{section.name}.{key_of(field.name)}": field.name for field in attrs.fields(section.type)}
        yield section.name, section.type, fields


def key_of(field: str) -> str:
    return field.removesuffix("_bytes").removesuffix("_s")


SETTINGS: Final[Mapping[str, Setting]] = {
    key: attrs.fields_dict(section)[field].metadata["setting"]
    for _, section, fields in sections()
    for key, field in fields.items()
}


def build(values: Mapping[str, object]) -> Config:
    """Make a Config from parsed values by key; an absent key takes its default."""
    built = {
        name: section(**{field: values[key] for key, field in fields.items() if key in values})
        for name, section, fields in sections()
    }
    return Config(**built)
