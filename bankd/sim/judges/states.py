"""S3, M1, M2: the same state at the same index on every node, and the state that the judges' own bank comes to.

Digests are compared after every entry that a node applies. They cover what an entry did, so balances need be looked at
once only, on the first node to get there: those that the entry names, against the bank's, and the sum of all. At the
end, and wherever a state comes from a snapshot, everything is compared: balances, how accounts were opened, transfers,
and that there are no others. A snapshot's digest must be the one that nodes had at its index.
"""

from itertools import takewhile

from bankd.ledger.queries import AccountFound, BalanceFound, GetAccount, GetBalance, GetTransfer, TransferFound
from bankd.ledger.state import Ledger
from bankd.replica.core import Replica
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.books import NodeBook
from bankd.sim.judges.violation import Violation
from bankd.types import OPENING_ACCOUNT, AccountId, LogIndex


class States:
    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self.digests: list[bytes | None] = [None]  # by index, of the first node that got there

    def advanced(self, now_ns: int, book: NodeBook, replica: Replica, applied: LogIndex) -> None:
        """A node's applied index changed."""
        if not book.applied_index < applied <= book.commit_index:
            text = f"applied {applied} after {book.applied_index}, with {book.commit_index} committed"
            raise Violation("S4", text, now_ns, book.node)
        digests, known = self.digests, len(self.digests)
        for index in range(book.applied_index + 1, applied + 1):
            digest = replica.digest_at(LogIndex(index))
            if index >= known:
                digests.append(digest)
            elif digest != digests[index]:
                text = f"state digest {_hex(digest)} at {index}, and {_hex(digests[index])} elsewhere"
                raise Violation("S3", text, now_ns, book.node)
        book.applied_index = applied
        if applied >= known:
            self._judge_touched(now_ns, book, replica.ledger, known)

    def installed(self, now_ns: int, book: NodeBook, replica: Replica, index: LogIndex) -> None:
        """A node put the state of a snapshot in the place of its own, and may have gone on from there."""
        digest = replica.digest_at(index)
        if digest is None or digest != self.digests[index]:
            text = f"installs the snapshot at {index}, and its state there is {_hex(digest)}"
            raise Violation("S3", text, now_ns, book.node)
        book.applied_index = index

    def restored(self, now_ns: int, book: NodeBook, index: LogIndex, digest: bytes | None, ledger: Ledger) -> None:
        """A node has read a state from a snapshot, and this digest for its index; `ledger` may have gone on since."""
        expected = self.digests[index] if index < len(self.digests) else None
        if digest is None or digest != expected:
            text = f"state digest {_hex(digest)} in a snapshot at {index}, and {_hex(expected)} elsewhere"
            raise Violation("S3", text, now_ns, book.node)
        self.judge_whole(now_ns, book, ledger)

    def judge_whole(self, now_ns: int, book: NodeBook, ledger: Ledger) -> None:
        """Compare everything that a node holds. Takes some microseconds an account and a transfer."""
        index = ledger.applied_index
        self._judge_sum(now_ns, book, ledger)
        for account in self._bank.accounts:
            self._judge_balance(now_ns, book, ledger, account)
            self._judge_opening(now_ns, book, ledger, account)
        for tx_id, record in takewhile(lambda item: item[1].index <= index, self._bank.transfers.items()):
            found = ledger.read(GetTransfer(tx_id))
            if found != TransferFound(record):
                raise Violation("S1", f"transfer {tx_id} was {record} and is {found}", now_ns, book.node)
        counts = (ledger.account_count, ledger.transfer_count)
        expected = (
            sum(self._bank.balance(account, index) is not None for account in self._bank.accounts) - 1,
            sum(record.index <= index for record in self._bank.transfers.values()),
        )
        if counts != expected:
            text = (
                f"{counts[0]} accounts and {counts[1]} transfers, where the log makes {expected[0]} and {expected[1]}"
            )
            raise Violation("M3", text, now_ns, book.node)

    def _judge_touched(self, now_ns: int, book: NodeBook, ledger: Ledger, first: int) -> None:
        touched = self._bank.touched
        accounts = {account for at in range(first, book.applied_index + 1) for account in touched.get(LogIndex(at), ())}
        if accounts:
            self._judge_sum(now_ns, book, ledger)
        for account in sorted(accounts):
            self._judge_balance(now_ns, book, ledger, account)

    def _judge_balance(self, now_ns: int, book: NodeBook, ledger: Ledger, account: AccountId) -> None:
        found = ledger.read(GetBalance(account))
        balance = found.balance if isinstance(found, BalanceFound) else None
        if balance is not None and balance < 0 and account != OPENING_ACCOUNT:
            raise Violation("M2", f"{account} holds {balance} at {ledger.applied_index}", now_ns, book.node)
        expected = self._bank.balance(account, ledger.applied_index)
        if balance != expected:
            text = f"{account} holds {balance} at {ledger.applied_index}, where the log makes it {expected}"
            raise Violation("M3", text, now_ns, book.node)

    def _judge_opening(self, now_ns: int, book: NodeBook, ledger: Ledger, account: AccountId) -> None:
        found = ledger.read(GetAccount(account))
        if isinstance(found, AccountFound) and account != OPENING_ACCOUNT:
            record, balances = found.record, self._bank.accounts[account]
            if (record.created_index, record.initial_balance) != (balances.indexes[0], balances.amounts[0]):
                text = f"{account} was opened at {balances.indexes[0]} with {balances.amounts[0]}, and is {record}"
                raise Violation("M3", text, now_ns, book.node)

    def _judge_sum(self, now_ns: int, book: NodeBook, ledger: Ledger) -> None:
        imbalance = ledger.imbalance()
        if imbalance:
            raise Violation("M1", f"all balances sum up to {imbalance} at {ledger.applied_index}", now_ns, book.node)


def _hex(digest: bytes | None) -> str:
    return digest.hex()[:8] if digest else "none"
