"""Images in tests: a bank in which everything has happened, and ways from an image to a ledger."""

from collections.abc import Iterable

from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.commands import Command
from bankd.ledger.rows import Block
from bankd.ledger.state import Ledger
from tests.ledger.bank import Bank, batch, create

INT64_MAX = 2**63 - 1

# Every outcome that is recorded. In entry 2 an account is opened between transfers, entries 4 and 6 have no commands.
HISTORY: list[list[Command]] = [
    [create("a", 100, "r1"), create("b", 50), create("a", 7, "r2")],
    [
        batch(("t1", "a", "b", 10), ("t2", "a", "b", 1000), ("t3", "a", "nobody", 1)),
        create("c"),
        batch(("t4", "x", "y", 1)),
    ],
    [create("rich", INT64_MAX - 149), batch(("t5", "b", "rich", 60), ("t6", "a", "rich", 90))],
    [],
    [create("late", 1, "r3")],
    [],
]


def eventful_bank() -> Bank:
    """Accounts a, b, c, rich; requests r1 opened, r2 existed, r3 limit exceeded; transfers t1 to t6 in three runs:
    ok, short of funds, unknown target · both unknown · ok, limit exceeded."""
    bank = Bank()
    for entry in HISTORY:
        bank.apply(*entry)
    return bank


def restored(blocks: Iterable[Block]) -> Ledger:
    builder = LedgerBuilder()
    for block in blocks:
        builder.take(block)
    return builder.finish()
