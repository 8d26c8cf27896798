"""Judge a request from its own words alone (K1-K6, K16): what is refused here enters no log and burns no id.

Three places ask: a client before it sends, a node before it proposes, and the ledger itself, which must give
every row of a committed entry the same outcome on every node (K14), whoever let that row in. All three share
the rules of this module, so that they cannot drift apart.

Rules
- Pure: no state, no clock. What depends on the bank (who exists, who can pay) is not judged here.
- A batch is judged whole, and its first faulty row named. A good batch is judged column by column at C speed:
  about 0.2 us a row, 1 us for a row alone.
- How many rows a batch may have (K16) is a limit of operation, not a rule of the bank: requests are held to it
  here, but the ledger never asks, or raising it would change what an old log means.

K5, the shape of an id: 1 to 128 bytes of UTF-8 without control characters. Those are Unicode's category Cc,
which the standard has frozen (character encoding stability policy): U+0000-001F and U+007F-009F. Nothing is normalised
and nothing folded: lookalikes are different ids.
"""

import re
from collections.abc import Sequence
from operator import eq
from typing import Final

from bankd.errors import Code, Refusal
from bankd.ledger.commands import CreateAccount, SubmitTransfers
from bankd.types import BALANCE_MAX, BATCH_TRANSFERS_MAX, ID_BYTES_MAX

# Why a request is refused, in the words that programs branch on.
ACCOUNT_ID_INVALID: Final = "ACCOUNT_ID_INVALID"
AMOUNT_NOT_POSITIVE: Final = "AMOUNT_NOT_POSITIVE"
AMOUNT_OUT_OF_RANGE: Final = "AMOUNT_OUT_OF_RANGE"
BATCH_EMPTY: Final = "BATCH_EMPTY"
BATCH_TOO_LARGE: Final = "BATCH_TOO_LARGE"
CLIENT_TX_ID_INVALID: Final = "CLIENT_TX_ID_INVALID"
CLIENT_TX_ID_MISSING: Final = "CLIENT_TX_ID_MISSING"
COLUMNS_UNEQUAL: Final = "COLUMNS_UNEQUAL"
NEGATIVE_INITIAL_BALANCE: Final = "NEGATIVE_INITIAL_BALANCE"
REQUEST_ID_INVALID: Final = "REQUEST_ID_INVALID"
SAME_ACCOUNT: Final = "SAME_ACCOUNT"
SYSTEM_ACCOUNT: Final = "SYSTEM_ACCOUNT"

SYSTEM_PREFIX: Final = "@"  # accounts that begin with it are the bank's own: clients may read them, nothing else

_CONTROL_BYTES: Final = bytes([*range(0x20), 0x7F])
_CONTROL_PAIR: Final = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080-009F in UTF-8; 0xC2 only ever begins a character
_ID_SHAPE: Final = f"must be 1 to {ID_BYTES_MAX} bytes of UTF-8 without control characters"
_SHOWN_CHARS_MAX: Final = 64  # of a faulty id in a message: an id may be megabytes long before it is judged


def judge_create(command: CreateAccount) -> Refusal | None:
    """Judge an account opening (K5, K6). None: it may enter the log."""
    return (
        judge_account_id(command.account, system_allowed=False)
        or _judge_initial_balance(command)
        or _judge_request_id(command.request_id)
    )


def judge_transfers(command: SubmitTransfers, *, first_row: int = 0) -> Refusal | None:
    """Judge a batch of transfers (K1, K2, K4, K5, K16), a single one being a batch of one. None: it may enter the log.

    The refusal names the first faulty row: its number and its ids are in the metadata. Rows are counted from
    `first_row`: a batch may be a part of what its sender counts.
    """
    if not columns_equal(command):
        return _refuse(COLUMNS_UNEQUAL, "a batch's four columns must be equally long")
    rows = len(command.tx_ids)
    if rows == 0:
        return _refuse(BATCH_EMPTY, "a batch holds at least one transfer")
    if rows > BATCH_TRANSFERS_MAX:
        message = f"a batch holds at most {BATCH_TRANSFERS_MAX} transfers, not {rows}"
        return _refuse(BATCH_TOO_LARGE, message, limit=str(BATCH_TRANSFERS_MAX))
    if rows_well_formed(command):
        return None
    faulty = malformed_rows(command).index(True)
    return _name_row(command, faulty, first_row)


def judge_account_id(account: str, *, system_allowed: bool) -> Refusal | None:
    """Judge an account's id (K5). Reads may name a system account, writes may not."""
    if not ids_well_formed((account,)):
        return _refuse(ACCOUNT_ID_INVALID, f"account id {_quoted(account)} {_ID_SHAPE}", account=account)
    if not system_allowed and account.startswith(SYSTEM_PREFIX):
        message = f"account {_quoted(account)} is the system's: ids that begin with {SYSTEM_PREFIX} can only be read"
        return _refuse(SYSTEM_ACCOUNT, message, account=account)
    return None


def judge_tx_id(tx_id: str) -> Refusal | None:
    """Judge a client's transfer id (K4, K5)."""
    if not tx_id:
        return _refuse(CLIENT_TX_ID_MISSING, "client_tx_id is missing: without it a retry could pay twice")
    if not ids_well_formed((tx_id,)):
        return _refuse(CLIENT_TX_ID_INVALID, f"client_tx_id {_quoted(tx_id)} {_ID_SHAPE}", client_tx_id=tx_id)
    return None


def columns_equal(command: SubmitTransfers) -> bool:
    """Say whether the four columns have one length, so that rows exist at all."""
    return len(command.tx_ids) == len(command.sources) == len(command.targets) == len(command.amounts)


def rows_well_formed(command: SubmitTransfers) -> bool:
    """Say whether every row may enter the log. The columns must be equally long."""
    amounts = command.amounts
    if not amounts:
        return True
    accounts = [*command.sources, *command.targets]
    return (
        1 <= min(amounts) <= max(amounts) <= BALANCE_MAX
        and True not in map(eq, command.sources, command.targets)
        and ids_well_formed([*command.tx_ids, *accounts])
        and not _names_system_account(accounts)
    )


def malformed_rows(command: SubmitTransfers) -> list[bool]:
    """Say of each row whether it is malformed. Slow (over 1 us a row): for batches known to hold such a row."""
    return [not rows_well_formed(_row(command, row)) for row in range(len(command.tx_ids))]


def ids_well_formed(ids: Sequence[str]) -> bool:
    """Say whether every one of these ids has the shape of K5."""
    joined = "".join(ids)
    try:
        raw = joined.encode()
    except UnicodeEncodeError:  # a lone surrogate: not UTF-8
        return False
    if not all(ids) or len(raw.translate(None, _CONTROL_BYTES)) != len(raw):
        return False
    if len(raw) <= ID_BYTES_MAX:  # then no id is longer
        return joined.isascii() or _CONTROL_PAIR.search(raw) is None
    if joined.isascii():
        return max(map(len, ids)) <= ID_BYTES_MAX
    return _CONTROL_PAIR.search(raw) is None and max([len(id_.encode()) for id_ in ids]) <= ID_BYTES_MAX


def _names_system_account(accounts: Sequence[str]) -> bool:
    return SYSTEM_PREFIX in "".join(accounts) and any(account.startswith(SYSTEM_PREFIX) for account in accounts)


def _row(command: SubmitTransfers, row: int) -> SubmitTransfers:
    """One row as a batch of its own, so that one rule judges both."""
    return SubmitTransfers(
        command.tx_ids[row : row + 1],
        command.sources[row : row + 1],
        command.targets[row : row + 1],
        command.amounts[row : row + 1],
    )


def _name_row(command: SubmitTransfers, row: int, first_row: int) -> Refusal:
    tx_id, source, target = command.tx_ids[row], command.sources[row], command.targets[row]
    refusal = (
        judge_tx_id(tx_id)
        or judge_account_id(source, system_allowed=False)
        or judge_account_id(target, system_allowed=False)
        or _judge_amount(command.amounts[row])
        or _judge_pair(source, target)
    )
    assert refusal is not None, f"row {row} is malformed, but no rule says why"
    number = first_row + row
    ids = {"row": str(number), "client_tx_id": _cut(tx_id), "from": _cut(source), "to": _cut(target)}
    place = f"row {number}: " if number > 0 or len(command.tx_ids) > 1 else ""
    return Refusal(refusal.code, refusal.reason, place + refusal.message, metadata={**refusal.metadata, **ids})


def _judge_amount(amount: int) -> Refusal | None:
    if amount < 1:
        return _refuse(AMOUNT_NOT_POSITIVE, "amount must be 1 or more minor units")
    if amount > BALANCE_MAX:
        return _refuse(AMOUNT_OUT_OF_RANGE, f"amount must be at most {BALANCE_MAX}", limit=str(BALANCE_MAX))
    return None


def _judge_pair(source: str, target: str) -> Refusal | None:
    if source == target:
        return _refuse(SAME_ACCOUNT, f"a transfer needs two accounts, and {_quoted(source)} is both")
    return None


def _judge_initial_balance(command: CreateAccount) -> Refusal | None:
    if command.initial_balance < 0:
        message = "initial_balance must be 0 or more minor units"
        return _refuse(NEGATIVE_INITIAL_BALANCE, message, account=command.account)
    if command.initial_balance > BALANCE_MAX:
        message = f"initial_balance must be at most {BALANCE_MAX}"
        return _refuse(AMOUNT_OUT_OF_RANGE, message, account=command.account, limit=str(BALANCE_MAX))
    return None


def _judge_request_id(request_id: str | None) -> Refusal | None:
    if request_id is not None and not ids_well_formed((request_id,)):
        return _refuse(REQUEST_ID_INVALID, f"request_id {_quoted(request_id)} {_ID_SHAPE}", request_id=request_id)
    return None


def _refuse(reason: str, message: str, **ids: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, reason, message, metadata={name: _cut(id_) for name, id_ in ids.items()})


def _quoted(faulty: str) -> str:
    """An id as people can read it in one line, whatever it holds."""
    shown = repr(faulty[:_SHOWN_CHARS_MAX])
    return shown if len(faulty) <= _SHOWN_CHARS_MAX else f"{shown}... ({len(faulty)} characters)"


def _cut(id_: str) -> str:
    """An id as metadata can carry it: bounded, and encodable."""
    return id_[:ID_BYTES_MAX].encode(errors="replace").decode()
