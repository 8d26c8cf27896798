from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Refill(_message.Message):
    __slots__ = ("format_version", "reason", "state_is_void", "first_sequence", "copied")
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATE_IS_VOID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    format_version: int
    reason: str
    state_is_void: bool
    first_sequence: int
    copied: bool
    def __init__(self, format_version: _Optional[int] = ..., reason: _Optional[str] = ..., state_is_void: bool = ..., first_sequence: _Optional[int] = ..., copied: bool = ...) -> None: ...

class Peers(_message.Message):
    __slots__ = ("format_version", "peers")
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    format_version: int
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    def __init__(self, format_version: _Optional[int] = ..., peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("node_id", "incarnation", "boots", "nonce")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    BOOTS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    incarnation: int
    boots: int
    nonce: int
    def __init__(self, node_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., boots: _Optional[int] = ..., nonce: _Optional[int] = ...) -> None: ...
