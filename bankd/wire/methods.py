"""Which calls the framed door knows, by number. The numbers are on the wire: never reused."""

from enum import IntEnum, unique
from typing import Final


@unique
class Method(IntEnum):
    NONE = 0  # hello, ping, pong, cancel, goaway

    # bank.v1.BankService
    CREATE_ACCOUNT = 1
    GET_BALANCE = 2
    TRANSFER = 3
    GET_TRANSFER_STATUS = 4

    # bank.v1.LedgerService
    SUBMIT_TRANSFERS = 5
    GET_ACCOUNT = 6
    LIST_ACCOUNTS = 7

    # bankd.cluster.v1.ClusterService
    GET_NODE_STATUS = 16
    GET_DIGEST = 17
    TRANSFER_LEADERSHIP = 18
    TRIGGER_SNAPSHOT = 19
    READ_SNAPSHOT = 20

    # between peers
    RAFT = 32


WRITES: Final = frozenset({Method.CREATE_ACCOUNT, Method.TRANSFER, Method.SUBMIT_TRANSFERS})
