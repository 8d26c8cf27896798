"""What a bench run sends: a pure function of its name, so that nothing need be remembered to verify it.

Transfer number n of caller c is always the same one. What the balances must be afterwards follows from
how many each caller sent and which of them the ledger did not commit.
"""

from collections.abc import Iterator, Sequence, Set
from itertools import zip_longest
from typing import Final

import attrs

from bankd.client import TransferRequest

INITIAL_BALANCE: Final = 1_000_000_00  # minor units; far more than a run's random walk takes away
AMOUNT_MAX: Final = 100

MASK_64: Final = 2**64 - 1

Sent = tuple[int, int]  # a transfer, by caller and number


@attrs.frozen
class Workload:
    """`name` is new for every run, and so are its accounts and ids. At least two accounts."""

    name: str
    accounts: int = attrs.field(validator=attrs.validators.ge(2))

    def account(self, number: int) -> str:
        return f"bench-{self.name}-{number:06}"

    @property
    def before_accounts(self) -> str:
        """An id right before all of the run's accounts, in byte order."""
        return f"bench-{self.name}-"

    def transfer(self, caller: int, number: int) -> TransferRequest:
        source, target, amount = self.fields(caller, number)
        return TransferRequest(
            self.account(source), self.account(target), amount, f"bench-{self.name}-{caller}-{number}"
        )

    def fields(self, caller: int, number: int) -> tuple[int, int, int]:
        """Numbers of source and target, and the amount."""
        random = splitmix64(caller << 40 | number)
        source = random % self.accounts
        target = (source + 1 + (random >> 32) % (self.accounts - 1)) % self.accounts
        return source, target, 1 + (random >> 16) % AMOUNT_MAX

    def balances(self, sent: Sequence[int], not_committed: Set[Sent]) -> list[int]:
        """What each account must hold when every caller c has sent `sent[c]` transfers."""
        balances = [INITIAL_BALANCE] * self.accounts
        for caller, count in enumerate(sent):
            for number in range(count):
                if (caller, number) not in not_committed:
                    source, target, amount = self.fields(caller, number)
                    balances[source] -= amount
                    balances[target] += amount
        return balances


def sample(sent: Sequence[int], most: int) -> Iterator[Sent]:
    """About `most` of all the transfers sent, evenly spread; all of them when they are fewer."""
    step = max(1, sum(sent) // most)
    for caller, count in enumerate(sent):
        yield from ((caller, number) for number in range(0, count, step))


def splitmix64(value: int) -> int:
    """Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the output function."""
    value = (value + 0x9E3779B97F4A7C15) & MASK_64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK_64
    return value ^ (value >> 31)


@attrs.frozen
class Verdict:
    """`wrong` counts accounts that do not hold what they must; `changed` is by how much their sum is off."""

    changed: int
    lost: int
    doubled: int
    wrong: int

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)  # a changed sum has a wrong balance in it


def compare(expected: Sequence[int], found: Sequence[int], lost: int, doubled: int) -> Verdict:
    """`expected` and `found` are balances in the order of the accounts' numbers."""
    wrong = sum(a != b for a, b in zip_longest(expected, found))
    return Verdict(sum(found) - sum(expected), lost, doubled, wrong)
