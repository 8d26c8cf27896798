"""One decision of the bank, and whether it fits the balances of the moment (docs/contract.md).

The witness knows what was answered and asks whether it was right. So a decision is the row *with* its answer, be it a
transfer, an opening (a payment from `@opening` to an account that is not there yet), or a read of a balance.

Decisions are plain tuples: a history has millions. Nothing here is shared with bankd.ledger.
"""

from collections.abc import Callable, Collection
from typing import Final

from bankd.types import BALANCE_MAX, BALANCE_MIN, AccountId, TransferStatus

OK: Final = int(TransferStatus.COMMITTED_OK)
INSUFFICIENT_FUNDS: Final = int(TransferStatus.COMMITTED_INSUFFICIENT_FUNDS)
INVALID_ACCOUNT: Final = int(TransferStatus.COMMITTED_INVALID_ACCOUNT)
LIMIT_EXCEEDED: Final = int(TransferStatus.COMMITTED_LIMIT_EXCEEDED)
# Beside the statuses of transfers; these numbers leave the process nowhere.
OPENED: Final = 1001
ACCOUNT_EXISTED: Final = 1002
OPENING_LIMIT_EXCEEDED: Final = 1003
BALANCE_READ: Final = 1004
NO_ACCOUNT_READ: Final = 1005

# source, target, amount, status, available (None: not told), record, log index. Of an opening the target is the
# account; of a read both accounts are the one that was read, and the amount is the balance seen. Decisions of one
# record come in their order.
Decision = tuple[AccountId, AccountId, int, int, int | None, int, int]

BalanceOf = Callable[[AccountId], int | None]  # None: no such account


def fits(decision: Decision, balance_of: BalanceOf) -> bool:
    """Whether the bank had to answer this way, when these were the balances."""
    source_id, target_id, amount, status, available, _, _ = decision
    source, target = balance_of(source_id), balance_of(target_id)
    if status >= OPENED:
        return _fits_other(amount, status, source, target)
    if source is None or target is None:
        return status == INVALID_ACCOUNT
    if amount > source:
        return status == INSUFFICIENT_FUNDS and available in (None, source)
    return status == (LIMIT_EXCEEDED if target + amount > BALANCE_MAX else OK)


def fits_somehow(decision: Decision, balance_of: BalanceOf, unknown: Collection[AccountId]) -> bool:
    """Whether one of the two accounts, which is unknown, may have had a balance with which this fits."""
    available = decision[4]

    def fits_with(balance: int | None) -> bool:
        return fits(decision, lambda account: balance if account in unknown else balance_of(account))

    return any(map(fits_with, (None, BALANCE_MIN, 0, BALANCE_MAX, available)))


def _fits_other(amount: int, status: int, source: int | None, target: int | None) -> bool:
    """An opening, whose source is `@opening`, or a read."""
    if status == BALANCE_READ:
        return target == amount
    if status == NO_ACCOUNT_READ:
        return target is None
    if target is not None:
        return status == ACCOUNT_EXISTED
    within = (source or 0) - amount >= BALANCE_MIN
    return status == (OPENED if within else OPENING_LIMIT_EXCEEDED)


def moves(decision: Decision) -> bool:
    """Whether money went from the source to the target."""
    return decision[3] in (OK, OPENED)


def described(decision: Decision) -> str:
    source, target, amount, status, available, _, _ = decision
    if status in _WORDS:
        return _WORDS[status].format(account=target, amount=amount)
    had = "" if available is None else f" ({source} had {available})"
    return f"{amount} from {source} to {target}: {TransferStatus(status).name}{had}"


_WORDS: Final = {
    OPENED: "open {account} with {amount}: opened",
    ACCOUNT_EXISTED: "open {account} with {amount}: existed",
    OPENING_LIMIT_EXCEEDED: "open {account} with {amount}: limit exceeded",
    BALANCE_READ: "balance of {account}: {amount}",
    NO_ACCOUNT_READ: "balance of {account}: no such account",
}
