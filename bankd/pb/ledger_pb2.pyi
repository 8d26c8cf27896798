from bankd.pb import bank_pb2 as _bank_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitTransfersRequest(_message.Message):
    __slots__ = ("client_tx_ids", "sources", "targets", "amounts")
    CLIENT_TX_IDS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    client_tx_ids: _containers.RepeatedScalarFieldContainer[str]
    sources: _containers.RepeatedScalarFieldContainer[str]
    targets: _containers.RepeatedScalarFieldContainer[str]
    amounts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, client_tx_ids: _Optional[_Iterable[str]] = ..., sources: _Optional[_Iterable[str]] = ..., targets: _Optional[_Iterable[str]] = ..., amounts: _Optional[_Iterable[int]] = ...) -> None: ...

class SubmitTransfersResponse(_message.Message):
    __slots__ = ("index", "time_ns", "outcomes", "details")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    index: int
    time_ns: int
    outcomes: bytes
    details: _containers.RepeatedCompositeFieldContainer[TransferDetail]
    def __init__(self, index: _Optional[int] = ..., time_ns: _Optional[int] = ..., outcomes: _Optional[bytes] = ..., details: _Optional[_Iterable[_Union[TransferDetail, _Mapping]]] = ...) -> None: ...

class TransferDetail(_message.Message):
    __slots__ = ("row", "index", "time_ns", "available", "differs")
    ROW_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    row: int
    index: int
    time_ns: int
    available: int
    differs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, row: _Optional[int] = ..., index: _Optional[int] = ..., time_ns: _Optional[int] = ..., available: _Optional[int] = ..., differs: _Optional[_Iterable[str]] = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account", "read")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    account: _bank_pb2.AccountId
    read: _bank_pb2.ReadOptions
    def __init__(self, account: _Optional[_Union[_bank_pb2.AccountId, _Mapping]] = ..., read: _Optional[_Union[_bank_pb2.ReadOptions, _Mapping]] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account", "balance", "initial_balance", "created_index", "created_ns")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_INDEX_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    account: _bank_pb2.AccountId
    balance: int
    initial_balance: int
    created_index: int
    created_ns: int
    def __init__(self, account: _Optional[_Union[_bank_pb2.AccountId, _Mapping]] = ..., balance: _Optional[int] = ..., initial_balance: _Optional[int] = ..., created_index: _Optional[int] = ..., created_ns: _Optional[int] = ...) -> None: ...

class GetAccountResponse(_message.Message):
    __slots__ = ("account", "index", "age_ms")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    account: Account
    index: int
    age_ms: int
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., index: _Optional[int] = ..., age_ms: _Optional[int] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("after", "limit", "system", "read")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    after: str
    limit: int
    system: bool
    read: _bank_pb2.ReadOptions
    def __init__(self, after: _Optional[str] = ..., limit: _Optional[int] = ..., system: bool = ..., read: _Optional[_Union[_bank_pb2.ReadOptions, _Mapping]] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "more", "index", "age_ms")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    more: bool
    index: int
    age_ms: int
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., more: bool = ..., index: _Optional[int] = ..., age_ms: _Optional[int] = ...) -> None: ...
