"""The Python client of bank-cluster.

`BankClient` is async (trio and asyncio), `SyncBankClient` blocks; both have the same calls and
share one session core that does no I/O. Names are imported when first used, so that a program that
wants the blocking client alone never loads an async library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from bankd.types import LINEARIZABLE, AtLeast, Bounded, Lease, Linearizable, ReadMode, Stale

if TYPE_CHECKING:
    from bankd.client.aio import BankClient, ClusterAdmin
    from bankd.client.results import Account, AccountsPage, Balance, Transfer, TransferRequest
    from bankd.client.retry import RetryPolicy
    from bankd.client.sync import SyncBankClient, SyncClusterAdmin

_HOMES = {
    "Account": "results",
    "AccountsPage": "results",
    "Balance": "results",
    "BankClient": "aio",
    "ClusterAdmin": "aio",
    "RetryPolicy": "retry",
    "SyncBankClient": "sync",
    "SyncClusterAdmin": "sync",
    "Transfer": "results",
    "TransferRequest": "results",
}

__all__ = [
    "LINEARIZABLE",
    "Account",
    "AccountsPage",
    "AtLeast",
    "Balance",
    "BankClient",
    "Bounded",
    "ClusterAdmin",
    "Lease",
    "Linearizable",
    "ReadMode",
    "RetryPolicy",
    "Stale",
    "SyncBankClient",
    "SyncClusterAdmin",
    "Transfer",
    "TransferRequest",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
