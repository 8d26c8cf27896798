"""Bugs in the money."""

from tests.planted.bug import bug

ACCOUNTS = "bankd/ledger/accounts.py"
OPENINGS = "bankd/ledger/openings.py"
ROW_INDEX = "bankd/ledger/row_index.py"
STATE = "bankd/ledger/state.py"
SUBMIT = "bankd/ledger/submit.py"

BUGS_IN_THE_LEDGER = (
    bug(
        "retry-in-one-entry-takes-effect",
        "an id that comes twice in one entry is taken for new both times",
        (
            ROW_INDEX,
            "[shards[hash(id_) & _SHARD_MASK].setdefault(id_, row) for id_, row in zip(tx_ids, rows, strict=True)]\n",
            "[shards[hash(id_) & _SHARD_MASK].get(id_, row) for id_, row in zip(tx_ids, rows, strict=True)]\n"
            "        for id_, row in zip(tx_ids, rows, strict=True):\n"
            "            shards[hash(id_) & _SHARD_MASK].setdefault(id_, row)\n",
        ),
    ),
    bug(
        "other-fields-same-answer",
        "an id that comes again with other fields gets the answer of the first",
        (
            SUBMIT,
            "        if differs:\n            return ROW_ID_CONFLICT,",
            "        if False:\n            return ROW_ID_CONFLICT,",
        ),
    ),
    bug(
        "refused-id-tried-again",
        "a transfer refused for want of funds is carried out when it is sent again and they are there",
        (
            SUBMIT,
            "        return first.status, RowDetail(first.index, first.time_ns, first.available)\n",
            "        if first.status == _INSUFFICIENT_FUNDS:\n"
            "            numbers = self.accounts.numbers\n"
            "            sides = [numbers[first.source]], [numbers[first.target]]\n"
            "            statuses, available = move(self.accounts.balances, *sides, [first.amount])\n"
            "            return statuses[0], RowDetail(first.index, first.time_ns, available.get(0))\n"
            "        return first.status, RowDetail(first.index, first.time_ns, first.available)\n",
        ),
    ),
    bug(
        "funds-of-the-entrys-beginning",
        "transfers of one entry are held against the balances before it, so that together they overdraw",
        (
            SUBMIT,
            "    available: dict[int, int] = {}\n    for row, source,",
            "    available: dict[int, int] = {}\n    before = list(balances)\n    for row, source,",
        ),
        (
            SUBMIT,
            "        if amount > source_balance:\n",
            "        if amount > before[source]:\n",
        ),
    ),
    bug(
        "last-cent-cannot-be-spent",
        "a transfer of the whole balance is refused",
        (SUBMIT, "        if amount > source_balance:\n", "        if amount >= source_balance:\n"),
    ),
    bug(
        "opening-balance-out-of-nothing",
        "an opening balance is given to the account and taken from nobody",
        (ACCOUNTS, "        self.balances[OPENING_NUMBER] -= initial_balance\n", ""),
    ),
    bug(
        "opening-limit-not-checked",
        "openings may take the bank's own account out of the range of its number",
        (ACCOUNTS, "return self.balances[OPENING_NUMBER] - initial_balance >= BALANCE_MIN", "return True"),
    ),
    bug(
        "opening-limit-too-soon",
        "openings are refused long before the bank's own account is at its limit",
        (
            ACCOUNTS,
            "return self.balances[OPENING_NUMBER] - initial_balance >= BALANCE_MIN",
            "return self.balances[OPENING_NUMBER] - initial_balance >= BALANCE_MIN // 2",
        ),
    ),
    bug(
        "opening-request-forgotten",
        "an opening that is sent again is not recognised",
        (
            OPENINGS,
            "        if command.request_id is not None:\n            self._record(command.request_id, command, answer)\n",
            "",
        ),
    ),
    bug(
        "answers-of-the-first-command",
        "transfers that share an entry with others are answered with the outcomes of the first of them",
        (SUBMIT, "            begin = end\n        return done\n", "        return done\n"),
    ),
    bug(
        "own-clock-in-the-state",
        "transfers are recorded with the time of each node's own clock",
        (
            STATE,
            "from typing import assert_never\n",
            "from time import monotonic_ns\nfrom typing import assert_never\n",
        ),
        (STATE, "max(self.last_time_ns, time_ns)", "TimeNs(monotonic_ns())"),
    ),
    bug(
        "last-row-lost",
        "the last row of a batch of many is answered, and not carried out",
        (
            SUBMIT,
            "        # From here it must succeed: both sides are judged, and both move (M1).\n",
            "        if row and row == len(amounts) - 1:\n            continue\n",
        ),
    ),
)
