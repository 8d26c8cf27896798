"""The bank, written to be checked by eye: one dict of balances, two of answers, one command at a time.

It knows nothing of columns, numbers, batches or digests, and judges ids and amounts in its own words. The real ledger
must agree with it on every answer and every balance.
"""

import unicodedata
from dataclasses import dataclass, field

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def good_id(text: str) -> bool:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    return 1 <= size <= 128 and not any(unicodedata.category(letter) == "Cc" for letter in text)


def good_customer(text: str) -> bool:
    return good_id(text) and text[0] != "@"


@dataclass
class NaiveBank:
    balances: dict[str, int] = field(default_factory=lambda: {"@opening": 0})
    transfers: dict[str, tuple[tuple[str, str, int], str]] = field(default_factory=dict)
    requests: dict[str, tuple[tuple[str, int], str]] = field(default_factory=dict)

    def transfer(self, tx_id: str, source: str, target: str, amount: int) -> str:
        fields = (source, target, amount)
        if not (good_id(tx_id) and good_customer(source) and good_customer(target)):
            return "malformed"
        if source == target or not 1 <= amount <= INT64_MAX:
            return "malformed"
        if tx_id not in self.transfers:
            self.transfers[tx_id] = (fields, self.decide(*fields))
        first_fields, answer = self.transfers[tx_id]
        return answer if first_fields == fields else "conflict"

    def decide(self, source: str, target: str, amount: int) -> str:
        if source not in self.balances or target not in self.balances:
            return "invalid account"
        if amount > self.balances[source]:
            return f"insufficient funds: {self.balances[source]}"
        if self.balances[target] + amount > INT64_MAX:
            return "limit exceeded"
        self.balances[source] -= amount
        self.balances[target] += amount
        return "ok"

    def create(self, account: str, initial: int, request_id: str | None) -> str:
        fields = (account, initial)
        if not good_customer(account) or not 0 <= initial <= INT64_MAX:
            return "malformed"
        if request_id is None:
            return self.open(*fields)
        if not good_id(request_id):
            return "malformed"
        if request_id not in self.requests:
            self.requests[request_id] = (fields, self.open(*fields))
        first_fields, answer = self.requests[request_id]
        return answer if first_fields == fields else "conflict"

    def open(self, account: str, initial: int) -> str:
        if account in self.balances:
            return "exists"
        if self.balances["@opening"] - initial < INT64_MIN:
            return "limit exceeded"
        self.balances["@opening"] -= initial
        self.balances[account] = initial
        return "created"
