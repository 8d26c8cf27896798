from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Blocks(_message.Message):
    __slots__ = ("blocks",)
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[Block]
    def __init__(self, blocks: _Optional[_Iterable[_Union[Block, _Mapping]]] = ...) -> None: ...

class SealedBlocks(_message.Message):
    __slots__ = ("blocks",)
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, blocks: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("head", "accounts", "requests", "entries", "transfers")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    head: Head
    accounts: Accounts
    requests: Requests
    entries: Entries
    transfers: Transfers
    def __init__(self, head: _Optional[_Union[Head, _Mapping]] = ..., accounts: _Optional[_Union[Accounts, _Mapping]] = ..., requests: _Optional[_Union[Requests, _Mapping]] = ..., entries: _Optional[_Union[Entries, _Mapping]] = ..., transfers: _Optional[_Union[Transfers, _Mapping]] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("version", "applied_index", "last_time_ns", "digest", "opening_balance", "accounts", "requests", "entries", "transfers")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OPENING_BALANCE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    version: int
    applied_index: int
    last_time_ns: int
    digest: bytes
    opening_balance: int
    accounts: int
    requests: int
    entries: int
    transfers: int
    def __init__(self, version: _Optional[int] = ..., applied_index: _Optional[int] = ..., last_time_ns: _Optional[int] = ..., digest: _Optional[bytes] = ..., opening_balance: _Optional[int] = ..., accounts: _Optional[int] = ..., requests: _Optional[int] = ..., entries: _Optional[int] = ..., transfers: _Optional[int] = ...) -> None: ...

class Accounts(_message.Message):
    __slots__ = ("ids", "balances", "initial_balances", "created_index_steps", "created_time_steps")
    IDS_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCES_FIELD_NUMBER: _ClassVar[int]
    CREATED_INDEX_STEPS_FIELD_NUMBER: _ClassVar[int]
    CREATED_TIME_STEPS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    balances: _containers.RepeatedScalarFieldContainer[int]
    initial_balances: _containers.RepeatedScalarFieldContainer[int]
    created_index_steps: _containers.RepeatedScalarFieldContainer[int]
    created_time_steps: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., balances: _Optional[_Iterable[int]] = ..., initial_balances: _Optional[_Iterable[int]] = ..., created_index_steps: _Optional[_Iterable[int]] = ..., created_time_steps: _Optional[_Iterable[int]] = ...) -> None: ...

class Requests(_message.Message):
    __slots__ = ("ids", "accounts", "initial_balances", "index_steps", "answers")
    IDS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCES_FIELD_NUMBER: _ClassVar[int]
    INDEX_STEPS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    initial_balances: _containers.RepeatedScalarFieldContainer[int]
    index_steps: _containers.RepeatedScalarFieldContainer[int]
    answers: bytes
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., accounts: _Optional[_Iterable[str]] = ..., initial_balances: _Optional[_Iterable[int]] = ..., index_steps: _Optional[_Iterable[int]] = ..., answers: _Optional[bytes] = ...) -> None: ...

class Entries(_message.Message):
    __slots__ = ("first_row_steps", "index_steps", "time_steps")
    FIRST_ROW_STEPS_FIELD_NUMBER: _ClassVar[int]
    INDEX_STEPS_FIELD_NUMBER: _ClassVar[int]
    TIME_STEPS_FIELD_NUMBER: _ClassVar[int]
    first_row_steps: _containers.RepeatedScalarFieldContainer[int]
    index_steps: _containers.RepeatedScalarFieldContainer[int]
    time_steps: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, first_row_steps: _Optional[_Iterable[int]] = ..., index_steps: _Optional[_Iterable[int]] = ..., time_steps: _Optional[_Iterable[int]] = ...) -> None: ...

class Transfers(_message.Message):
    __slots__ = ("client_tx_ids", "sources", "targets", "amounts", "statuses", "available", "unknown_sources", "unknown_targets")
    CLIENT_TX_IDS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_SOURCES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_TARGETS_FIELD_NUMBER: _ClassVar[int]
    client_tx_ids: _containers.RepeatedScalarFieldContainer[str]
    sources: _containers.RepeatedScalarFieldContainer[int]
    targets: _containers.RepeatedScalarFieldContainer[int]
    amounts: _containers.RepeatedScalarFieldContainer[int]
    statuses: bytes
    available: _containers.RepeatedScalarFieldContainer[int]
    unknown_sources: _containers.RepeatedScalarFieldContainer[str]
    unknown_targets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, client_tx_ids: _Optional[_Iterable[str]] = ..., sources: _Optional[_Iterable[int]] = ..., targets: _Optional[_Iterable[int]] = ..., amounts: _Optional[_Iterable[int]] = ..., statuses: _Optional[bytes] = ..., available: _Optional[_Iterable[int]] = ..., unknown_sources: _Optional[_Iterable[str]] = ..., unknown_targets: _Optional[_Iterable[str]] = ...) -> None: ...
