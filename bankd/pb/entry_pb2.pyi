from bankd.pb import bank_pb2 as _bank_pb2
from bankd.pb import ledger_pb2 as _ledger_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommandBatch(_message.Message):
    __slots__ = ("version", "time_ns", "commands")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_ns: int
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, version: _Optional[int] = ..., time_ns: _Optional[int] = ..., commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("create_account", "transfer", "submit_transfers")
    CREATE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    create_account: _bank_pb2.CreateAccountRequest
    transfer: _bank_pb2.TransferRequest
    submit_transfers: _ledger_pb2.SubmitTransfersRequest
    def __init__(self, create_account: _Optional[_Union[_bank_pb2.CreateAccountRequest, _Mapping]] = ..., transfer: _Optional[_Union[_bank_pb2.TransferRequest, _Mapping]] = ..., submit_transfers: _Optional[_Union[_ledger_pb2.SubmitTransfersRequest, _Mapping]] = ...) -> None: ...

class SealedBatch(_message.Message):
    __slots__ = ("version", "time_ns", "commands")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_ns: int
    commands: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, version: _Optional[int] = ..., time_ns: _Optional[int] = ..., commands: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("voters", "voters_outgoing", "learners")
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    VOTERS_OUTGOING_FIELD_NUMBER: _ClassVar[int]
    LEARNERS_FIELD_NUMBER: _ClassVar[int]
    voters: _containers.RepeatedCompositeFieldContainer[Member]
    voters_outgoing: _containers.RepeatedCompositeFieldContainer[Member]
    learners: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, voters: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., voters_outgoing: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., learners: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("node_id", "address")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    address: str
    def __init__(self, node_id: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Meta(_message.Message):
    __slots__ = ("format_version", "cluster", "cluster_id", "node_id", "incarnation", "origin")
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    format_version: int
    cluster: str
    cluster_id: int
    node_id: str
    incarnation: int
    origin: bytes
    def __init__(self, format_version: _Optional[int] = ..., cluster: _Optional[str] = ..., cluster_id: _Optional[int] = ..., node_id: _Optional[str] = ..., incarnation: _Optional[int] = ..., origin: _Optional[bytes] = ...) -> None: ...
