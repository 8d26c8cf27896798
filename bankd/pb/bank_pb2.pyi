from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransferStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN: _ClassVar[TransferStatus]
    COMMITTED_OK: _ClassVar[TransferStatus]
    COMMITTED_INSUFFICIENT_FUNDS: _ClassVar[TransferStatus]
    COMMITTED_INVALID_ACCOUNT: _ClassVar[TransferStatus]
    COMMITTED_LIMIT_EXCEEDED: _ClassVar[TransferStatus]

class ReadMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINEARIZABLE: _ClassVar[ReadMode]
    LEASE: _ClassVar[ReadMode]
    BOUNDED: _ClassVar[ReadMode]
    AT_LEAST: _ClassVar[ReadMode]
    STALE: _ClassVar[ReadMode]
UNKNOWN: TransferStatus
COMMITTED_OK: TransferStatus
COMMITTED_INSUFFICIENT_FUNDS: TransferStatus
COMMITTED_INVALID_ACCOUNT: TransferStatus
COMMITTED_LIMIT_EXCEEDED: TransferStatus
LINEARIZABLE: ReadMode
LEASE: ReadMode
BOUNDED: ReadMode
AT_LEAST: ReadMode
STALE: ReadMode

class AccountId(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ClientTxId(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CreateAccountRequest(_message.Message):
    __slots__ = ("account", "initial_balance", "request_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    account: AccountId
    initial_balance: int
    request_id: ClientTxId
    def __init__(self, account: _Optional[_Union[AccountId, _Mapping]] = ..., initial_balance: _Optional[int] = ..., request_id: _Optional[_Union[ClientTxId, _Mapping]] = ...) -> None: ...

class CreateAccountResponse(_message.Message):
    __slots__ = ("success", "message", "index", "limit_exceeded")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    message: str
    index: int
    limit_exceeded: bool
    def __init__(self, success: bool = ..., message: _Optional[str] = ..., index: _Optional[int] = ..., limit_exceeded: bool = ...) -> None: ...

class ReadOptions(_message.Message):
    __slots__ = ("mode", "max_age_ms", "index")
    MODE_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    mode: ReadMode
    max_age_ms: int
    index: int
    def __init__(self, mode: _Optional[_Union[ReadMode, str]] = ..., max_age_ms: _Optional[int] = ..., index: _Optional[int] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("account", "read")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    account: AccountId
    read: ReadOptions
    def __init__(self, account: _Optional[_Union[AccountId, _Mapping]] = ..., read: _Optional[_Union[ReadOptions, _Mapping]] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("balance", "index", "age_ms")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    balance: int
    index: int
    age_ms: int
    def __init__(self, balance: _Optional[int] = ..., index: _Optional[int] = ..., age_ms: _Optional[int] = ...) -> None: ...

class TransferRequest(_message.Message):
    __slots__ = ("to", "amount", "client_tx_id")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_TX_ID_FIELD_NUMBER: _ClassVar[int]
    to: AccountId
    amount: int
    client_tx_id: ClientTxId
    def __init__(self, to: _Optional[_Union[AccountId, _Mapping]] = ..., amount: _Optional[int] = ..., client_tx_id: _Optional[_Union[ClientTxId, _Mapping]] = ..., **kwargs) -> None: ...

class TransferResponse(_message.Message):
    __slots__ = ("status", "message", "index", "time_ns", "available")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    status: TransferStatus
    message: str
    index: int
    time_ns: int
    available: int
    def __init__(self, status: _Optional[_Union[TransferStatus, str]] = ..., message: _Optional[str] = ..., index: _Optional[int] = ..., time_ns: _Optional[int] = ..., available: _Optional[int] = ...) -> None: ...

class GetTransferStatusRequest(_message.Message):
    __slots__ = ("client_tx_id", "read")
    CLIENT_TX_ID_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    client_tx_id: ClientTxId
    read: ReadOptions
    def __init__(self, client_tx_id: _Optional[_Union[ClientTxId, _Mapping]] = ..., read: _Optional[_Union[ReadOptions, _Mapping]] = ...) -> None: ...

class GetTransferStatusResponse(_message.Message):
    __slots__ = ("status", "message", "index", "time_ns", "available", "to", "amount", "read_index", "age_ms")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    READ_INDEX_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    status: TransferStatus
    message: str
    index: int
    time_ns: int
    available: int
    to: AccountId
    amount: int
    read_index: int
    age_ms: int
    def __init__(self, status: _Optional[_Union[TransferStatus, str]] = ..., message: _Optional[str] = ..., index: _Optional[int] = ..., time_ns: _Optional[int] = ..., available: _Optional[int] = ..., to: _Optional[_Union[AccountId, _Mapping]] = ..., amount: _Optional[int] = ..., read_index: _Optional[int] = ..., age_ms: _Optional[int] = ..., **kwargs) -> None: ...
