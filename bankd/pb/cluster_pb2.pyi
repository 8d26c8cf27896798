from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetNodeStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("cluster", "cluster_id", "node_id", "incarnation", "role", "term", "leader_id", "last_index", "commit_index", "applied_index", "digest", "imbalance", "accounts", "transfers", "version", "uptime_ms", "fsync_p99_us", "members", "waiting_calls", "refilling", "snapshot_index", "snapshot_size_bytes", "snapshot_under_way", "log_base_index", "log_bytes", "snapshot_bytes", "disk_free_bytes")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_MS_FIELD_NUMBER: _ClassVar[int]
    FSYNC_P99_US_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    WAITING_CALLS_FIELD_NUMBER: _ClassVar[int]
    REFILLING_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_INDEX_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_UNDER_WAY_FIELD_NUMBER: _ClassVar[int]
    LOG_BASE_INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    cluster_id: int
    node_id: str
    incarnation: int
    role: str
    term: int
    leader_id: str
    last_index: int
    commit_index: int
    applied_index: int
    digest: bytes
    imbalance: int
    accounts: int
    transfers: int
    version: str
    uptime_ms: int
    fsync_p99_us: int
    members: _containers.RepeatedCompositeFieldContainer[Member]
    waiting_calls: int
    refilling: str
    snapshot_index: int
    snapshot_size_bytes: int
    snapshot_under_way: bool
    log_base_index: int
    log_bytes: int
    snapshot_bytes: int
    disk_free_bytes: int
    def __init__(self, cluster: _Optional[str] = ..., cluster_id: _Optional[int] = ..., node_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., role: _Optional[str] = ..., term: _Optional[int] = ..., leader_id: _Optional[str] = ..., last_index: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., digest: _Optional[bytes] = ..., imbalance: _Optional[int] = ..., accounts: _Optional[int] = ..., transfers: _Optional[int] = ..., version: _Optional[str] = ..., uptime_ms: _Optional[int] = ..., fsync_p99_us: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., waiting_calls: _Optional[int] = ..., refilling: _Optional[str] = ..., snapshot_index: _Optional[int] = ..., snapshot_size_bytes: _Optional[int] = ..., snapshot_under_way: bool = ..., log_base_index: _Optional[int] = ..., log_bytes: _Optional[int] = ..., snapshot_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("node_id", "address", "voter", "match_index", "rtt_us", "last_heard_ms", "connected", "refilling")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VOTER_FIELD_NUMBER: _ClassVar[int]
    MATCH_INDEX_FIELD_NUMBER: _ClassVar[int]
    RTT_US_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    REFILLING_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    address: str
    voter: bool
    match_index: int
    rtt_us: int
    last_heard_ms: int
    connected: bool
    refilling: bool
    def __init__(self, node_id: _Optional[str] = ..., address: _Optional[str] = ..., voter: bool = ..., match_index: _Optional[int] = ..., rtt_us: _Optional[int] = ..., last_heard_ms: _Optional[int] = ..., connected: bool = ..., refilling: bool = ...) -> None: ...

class GetDigestRequest(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class GetDigestResponse(_message.Message):
    __slots__ = ("index", "digest", "imbalance")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_FIELD_NUMBER: _ClassVar[int]
    index: int
    digest: bytes
    imbalance: int
    def __init__(self, index: _Optional[int] = ..., digest: _Optional[bytes] = ..., imbalance: _Optional[int] = ...) -> None: ...

class TransferLeadershipRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class TransferLeadershipResponse(_message.Message):
    __slots__ = ("leader_id", "term")
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    leader_id: str
    term: int
    def __init__(self, leader_id: _Optional[str] = ..., term: _Optional[int] = ...) -> None: ...

class TriggerSnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TriggerSnapshotResponse(_message.Message):
    __slots__ = ("index", "term", "size_bytes", "content_id", "taken_ms")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    TAKEN_MS_FIELD_NUMBER: _ClassVar[int]
    index: int
    term: int
    size_bytes: int
    content_id: bytes
    taken_ms: int
    def __init__(self, index: _Optional[int] = ..., term: _Optional[int] = ..., size_bytes: _Optional[int] = ..., content_id: _Optional[bytes] = ..., taken_ms: _Optional[int] = ...) -> None: ...

class ReadSnapshotRequest(_message.Message):
    __slots__ = ("index", "term", "offset")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    index: int
    term: int
    offset: int
    def __init__(self, index: _Optional[int] = ..., term: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadSnapshotResponse(_message.Message):
    __slots__ = ("index", "term", "size_bytes", "content_id", "offset", "data")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    index: int
    term: int
    size_bytes: int
    content_id: bytes
    offset: int
    data: bytes
    def __init__(self, index: _Optional[int] = ..., term: _Optional[int] = ..., size_bytes: _Optional[int] = ..., content_id: _Optional[bytes] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
