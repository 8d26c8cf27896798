"""Replay the log as the answers tell it, index by index, and hold every answer against the balances of that moment.

What is decided at an index is tried in the order in which it was told, which is nearly always right and costs a
few dict operations; only what does not fit goes to `orders` and `worlds`. What was answered is believed for what
follows, so one wrong answer is one finding; its accounts are not judged any further.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from bankd.history.decisions import NO_ACCOUNT_READ, OK, OPENED, Decision, described, fits, moves
from bankd.history.findings import Finding
from bankd.history.orders import apart, misfits, place
from bankd.history.worlds import Worlds
from bankd.types import BALANCE_MAX, OPENING_ACCOUNT, AccountId

SHOWN_MAX: Final = 6  # decisions of one index in a finding


@attrs.define(eq=False)
class Replay:
    """`balances` begin with `@opening` alone and are those that `worlds` knows."""

    balances: dict[AccountId, int]
    worlds: Worlds
    record_of: Mapping[int, int]  # of decisions that are in no order with the rest of their record
    findings: list[Finding] = attrs.field(factory=list)
    unjudged: int = 0

    def decide(self, index: int, group: Sequence[Decision]) -> None:
        """Everything that was decided at this index."""
        if self._as_told(group):
            return
        for part in apart(group, self.worlds):
            judged = place(part, index, self.worlds)
            if judged is None:
                doubtful = misfits(part, self.worlds)
                self.worlds.give_up({account for decision in doubtful for account in decision[:2]} - {OPENING_ACCOUNT})
            for decision in part:
                if moves(decision):
                    self._post(decision)
            if judged is False:
                self._refute(index, part)
            elif self.worlds.given_up:
                self.unjudged += sum(not self.worlds.given_up.isdisjoint(decision[:2]) for decision in part)

    def read(self, index: int, reads: Sequence[Decision]) -> None:
        """Everything that was read of the state after this index."""
        balance_of, special = self.balances.get, self.worlds.special
        for decision in reads:
            account, _, amount, status, _, _, _ = decision
            if balance_of(account) != (None if status == NO_ACCOUNT_READ else amount) or account in special:
                self._judge_reads(index, reads)
                return

    def _judge_reads(self, index: int, reads: Sequence[Decision]) -> None:
        """Those that a loose write may have to do with all at once, for they saw one state; the others by themselves."""
        worlds = self.worlds
        uncertain = [decision for decision in reads if worlds.touches(decision[0])]
        if uncertain and not self._judged(index, uncertain):
            for decision in uncertain:
                if not self._judged(index, [decision]):
                    worlds.give_up(decision[:1])
        self.unjudged += sum(decision[0] in worlds.given_up for decision in reads)
        for decision in reads:
            if not worlds.touches(decision[0]) and not worlds.fits(decision, self.balances.get):
                self._refute(index, [decision])

    def _judged(self, index: int, reads: Sequence[Decision]) -> bool:
        """Whether these could be judged, right or wrong."""
        fit = self.worlds.judge(reads, index)
        if fit is False:
            self._refute(index, [one for one in reads if not fits(one, self.balances.get)] or reads)
        return fit is not None

    def _as_told(self, group: Sequence[Decision]) -> bool:
        """Replay in the order told if that fits; else leave all as it was. The hot path, hence inline."""
        balances, special = self.balances, self.worlds.special
        balance_of = balances.get
        replayed = 0
        for decision in group:
            source, target, amount, status, _, _, _ = decision
            if special and (source in special or target in special):
                break
            if status == OK:
                source_balance, target_balance = balance_of(source, -1), balance_of(target, -1)
                if source_balance < amount or target_balance < 0 or target_balance + amount > BALANCE_MAX:
                    break
                balances[source] = source_balance - amount
                balances[target] = target_balance + amount
            elif not fits(decision, balance_of):
                break
            elif status == OPENED:
                self._post(decision)
            replayed += 1
        if replayed == len(group):
            return True
        for decision in reversed(group[:replayed]):
            if moves(decision):
                self._take_back(decision)
        return False

    def _post(self, decision: Decision) -> None:
        source, target, amount, _, _, _, _ = decision
        self.balances[source] = self.balances.get(source, 0) - amount
        self.balances[target] = self.balances.get(target, 0) + amount

    def _take_back(self, decision: Decision) -> None:
        source, target, amount, status, _, _, _ = decision
        self.balances[source] += amount
        self.balances[target] -= amount
        if status == OPENED:
            del self.balances[target]

    def _refute(self, index: int, decisions: Sequence[Decision]) -> None:
        accounts = sorted({account for decision in decisions for account in decision[:2]} - {OPENING_ACCOUNT})
        before = ", ".join(f"{account} {self._balance(account)}" for account in accounts[:SHOWN_MAX])
        told = "; ".join(described(decision) for decision in decisions[:SHOWN_MAX])
        more = f" and {len(decisions) - SHOWN_MAX} more" if len(decisions) > SHOWN_MAX else ""
        text = f"at index {index} this cannot be: {told}{more} (then the log has {before})"
        self.findings.append(
            Finding("R1", text, tuple(self.record_of.get(decision[5], decision[5]) for decision in decisions))
        )
        self.worlds.give_up(accounts or [OPENING_ACCOUNT])

    def _balance(self, account: AccountId) -> str:
        balance = self.balances.get(account)
        return "not open" if balance is None else str(balance)
