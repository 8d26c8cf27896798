"""Show where no order goes on: the calls among which one would have to be found, and what the bank held before them."""

from collections.abc import Collection

from bankd.history.bank import Bank
from bankd.history.calls import Call, Part
from bankd.history.json_lines import operation_text, result_text
from bankd.types import AccountId


def explained(part: Part, number: int, bank: Bank, ordered: Collection[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Lines for people, and the records they name. `ordered`: calls under way that were in order already."""
    returning = part.returns[number]
    under_way = part.related(number)
    accounts = sorted({id_ for call in under_way for kind, id_ in call.names if kind == "account"})
    began = min(call.call_ns for call in under_way)
    lines = [f"no order of these gives record {returning.number} its answer (times from {began} ns)"]
    lines.append("before: " + ", ".join(f"{account} {_shown(bank, account)}" for account in accounts))
    for call in under_way:
        mark = "=>" if call is returning else " *" if call.number in ordered else "  "
        lines.append(f"{mark} record {call.number}: {_times(call, began)}  {_text(call)}")
    if ordered:
        lines.append("* in order already, before the others")
    return tuple(lines), tuple(call.number for call in under_way)


def _shown(bank: Bank, account: str) -> str:
    balance = bank.balance(AccountId(account))
    return "not open" if balance is None else str(balance)


def _times(call: Call, began: int) -> str:
    returned = "never" if call.return_ns is None else str(call.return_ns - began)
    return f"[{call.call_ns - began}, {returned}]"


def _text(call: Call) -> str:
    answer = "outcome unknown" if call.result is None else result_text(call.result)
    return f"{operation_text(call.operation)} -> {answer}"
