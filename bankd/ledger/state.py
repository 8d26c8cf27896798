"""Apply committed entries to the bank, and answer reads of it.

The ledger is a deterministic state machine: equal logs give equal states, answers and digests on every node (S3). It
reads no clock and no randomness, and it does no I/O. `apply` is total (K14): whatever an entry's commands hold, each
gets an outcome and nothing is raised.

How it is cut: `checks` judges rows without state, `submit` decides transfers, `openings` decides account openings,
`accounts` and `transfers` hold the state, `digest` chains the state digest. For snapshots `image` shows the state as of
one index, in blocks of `rows`, and `builder` makes a ledger of them, whose every block `verify` has judged.

Invariants: M1 to M3 of the contract, stated where they are kept; `applied_index` takes every log index once, in order.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

import attrs

from bankd.ledger.accounts import OPENING_NUMBER, Accounts
from bankd.ledger.checks import columns_equal
from bankd.ledger.commands import Command, CreateAccount, Malformed, Outcome, SubmitTransfers, Unreadable
from bankd.ledger.digest import EMPTY_DIGEST, chained
from bankd.ledger.image import Image
from bankd.ledger.openings import Openings
from bankd.ledger.queries import (
    AccountFound,
    AccountsPage,
    Answer,
    BalanceFound,
    GetAccount,
    GetBalance,
    GetTransfer,
    ListAccounts,
    NotFound,
    Query,
    TransferFound,
)
from bankd.ledger.rows import ImageHead
from bankd.ledger.submit import Submission
from bankd.ledger.transfers import Transfers
from bankd.types import LogIndex, TimeNs


@attrs.define(eq=False)
class Ledger:
    """The state of the bank as of `applied_index`; `Ledger()` is a new one, `builder` makes one of an image.

    `last_time_ns` is the stamp of the last entry with commands, 0 before the first. `digest` is 16 bytes, equal on all
    nodes at an equal index.
    """

    applied_index: LogIndex = LogIndex(0)
    last_time_ns: TimeNs = TimeNs(0)
    digest: bytes = EMPTY_DIGEST
    _accounts: Accounts = attrs.field(factory=Accounts)
    _transfers: Transfers = attrs.field(
        default=attrs.Factory(lambda own: Transfers(own._accounts.ids), takes_self=True)
    )
    _openings: Openings = attrs.field(default=attrs.Factory(lambda own: Openings(own._accounts), takes_self=True))

    @property
    def account_count(self) -> int:
        """Customers' accounts: `@opening` is not counted."""
        return len(self._accounts.ids) - 1

    @property
    def transfer_count(self) -> int:
        """Recorded transfers, whatever their outcome."""
        return len(self._transfers)

    def imbalance(self) -> int:
        """The sum of all balances, `@opening` included, added up anew: 0, or something is very wrong (M1).

        Takes about 5 ms for a million accounts.
        """
        return sum(self._accounts.balances)

    def apply(self, index: LogIndex, time_ns: TimeNs, commands: Sequence[Command]) -> list[Outcome]:
        """Apply one entry's commands in order. Returns one outcome a command, in the same order.

        `time_ns` is an unsigned 64-bit number. Should an entry be stamped earlier than the one before, which no
        leader does (K15), it is applied as of that one's time: recorded times never run backwards.
        """
        self._advance(index)
        self.last_time_ns = max(self.last_time_ns, time_ns)
        trace: list[bytes] = []
        submission = Submission(self._accounts, self._transfers, index, self.last_time_ns, trace)
        outcomes: list[Outcome] = []
        for run, single in _runs(commands):
            if run:
                outcomes += submission.decide(run)
            if single is not None:
                outcomes.append(self._decide_single(single, index, trace))
        self.digest = chained(self.digest, index, self.last_time_ns, trace)
        return outcomes

    def skip(self, index: LogIndex) -> None:
        """Pass an entry that holds no commands (a leader's first, a configuration): only `applied_index` moves."""
        self._advance(index)

    def read(self, query: Query) -> Answer:
        """Answer from the state as it is. How fresh that must be is the caller's affair."""
        match query:
            case GetBalance(account):
                balance = self._accounts.balance(account)
                return NotFound() if balance is None else BalanceFound(balance)
            case GetTransfer(tx_id):
                transfer = self._transfers.find(tx_id)
                return NotFound() if transfer is None else TransferFound(transfer)
            case GetAccount(account):
                record = self._accounts.find(account)
                return NotFound() if record is None else AccountFound(record)
            case ListAccounts(after, limit, system):
                return AccountsPage(*self._accounts.page(after, limit, system=system))
            case _:
                assert_never(query)

    def freeze(self) -> Image:
        """The state as it is now, to be read while this ledger goes on applying. Costs a copy of the balances."""
        head = ImageHead(
            applied_index=self.applied_index,
            last_time_ns=self.last_time_ns,
            digest=self.digest,
            opening_balance=self._accounts.balances[OPENING_NUMBER],
            accounts=self.account_count,
            requests=len(self._openings),
            entries=self._transfers.entry_count,
            transfers=self.transfer_count,
        )
        return Image(head, self._accounts.balances.copy(), self._accounts, self._openings, self._transfers)

    def _decide_single(self, command: Command, index: LogIndex, trace: list[bytes]) -> Outcome:
        match command:
            case CreateAccount():
                return self._openings.decide(command, index, self.last_time_ns, trace)
            case SubmitTransfers() | Unreadable():
                trace.append(b"malformed")
                return Malformed()
            case _:
                assert_never(command)

    def _advance(self, index: LogIndex) -> None:
        assert index == self.applied_index + 1, f"entry {index} cannot follow {self.applied_index}"
        self.applied_index = index


def _runs(commands: Sequence[Command]) -> Iterator[tuple[list[SubmitTransfers], Command | None]]:
    """Split commands into runs of transfers, each with the single command that ended it; the last ends with None.

    Unequal columns hold no rows: such a command is no part of a run.
    """
    run: list[SubmitTransfers] = []
    for command in commands:
        if isinstance(command, SubmitTransfers) and columns_equal(command):
            run.append(command)
        else:
            yield run, command
            run = []
    yield run, None
