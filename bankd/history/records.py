"""The record of one client call: what was asked, when, and what came back; as values and as JSON lines.

A history is the records of all clients of one run, in any order. Calls are recorded as they left the client: a
client that tries again after a time-out records each try, with the same tx id. A batch is one record for each
`SubmitTransfers` that was sent.

Rules
- All times of a history are nanoseconds of one clock. `call_ns` is taken before the request leaves, `return_ns` after
  the answer is there: the checkers believe that whatever happened in between, happened in between.
- No answer, no return: a write whose outcome is unknown has neither `return_ns` nor `result`, whatever error said so,
  because it may still take effect after the error.
- `Refused` is an answer: the call surely had no effect and never will have one. Whoever is not sure records an
  unknown outcome. For a read it says that nothing was read, and so means as much as no answer.
- `index` is the log index of the entry that carried a write, or of the state that a read was answered from, and None
  where the answer does not say. Of a retry, the answer names the entry that decided it *first*: that index stands
  in the result, not here.

Which index an answer of the product carries, and where it is recorded:

| answer | `index` | in the result |
|---|---|---|
| `TransfersDone` (a batch, the framed door) | its index | `decided`: the index in the detail of each retried row |
| `TransferResponse`, the client's `Transfer` | None | `decided[row]`: its index, be it a retry or not |
| `AccountCreated`, `CreateAccountResponse` | None | `Opened.decided`: its index |
| reads | the index of the state | `OutcomeFound.decided`: where the transfer was decided |

How they look as JSON is `json_lines.py`. docs/checkers.md shows an example of each.
"""

from collections.abc import Mapping

import attrs

from bankd.types import AccountId, LogIndex, ReadMode, TxId

# What was asked


@attrs.frozen
class Open:
    account: AccountId
    balance: int
    request_id: TxId | None = None


@attrs.frozen
class Move:
    """One transfer, or a batch of them: equally long columns, which take effect in order."""

    tx_ids: tuple[TxId, ...]
    sources: tuple[AccountId, ...]
    targets: tuple[AccountId, ...]
    amounts: tuple[int, ...]


@attrs.frozen
class Balance:
    account: AccountId
    mode: ReadMode


@attrs.frozen
class OutcomeOf:
    tx_id: TxId
    mode: ReadMode


Operation = Open | Move | Balance | OutcomeOf


# What was answered


@attrs.frozen
class Opened:
    """`decided` is the index at which this answer was first given, None where it was not told."""

    success: bool
    decided: LogIndex | None
    limit_exceeded: bool = False


@attrs.frozen
class Moved:
    """One byte a row: a TransferStatus, ROW_ID_CONFLICT or ROW_MALFORMED. The mappings are by row.

    `decided` holds every row that was decided at another index than the record's. `available`: funds were
    insufficient, and this was the balance. `differs`: an id conflict, and these fields were others ("from", "to", "amount").
    """

    statuses: bytes
    decided: Mapping[int, LogIndex] = attrs.field(factory=dict)
    available: Mapping[int, int] = attrs.field(factory=dict)
    differs: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict)


@attrs.frozen
class Conflict:
    """The request id of an opening is recorded with other fields ("account", "initial_balance")."""

    differs: tuple[str, ...]


@attrs.frozen
class BalanceFound:
    balance: int


@attrs.frozen
class OutcomeFound:
    source: AccountId
    target: AccountId
    amount: int
    status: int
    decided: LogIndex
    available: int | None = None


@attrs.frozen
class NotFound:
    """No such account or transfer in the state that was asked."""


@attrs.frozen
class Refused:
    """The call surely had no effect: turned away before the log, or judged malformed."""

    reason: str


Result = Opened | Moved | Conflict | BalanceFound | OutcomeFound | NotFound | Refused


@attrs.frozen
class Record:
    """One call. `client` is only a name: a client may have several calls under way."""

    client: int
    operation: Operation
    call_ns: int
    return_ns: int | None = None
    result: Result | None = None
    index: LogIndex | None = None
