"""Equal logs give equal digests, and nothing may differ unseen (S3, C04)."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings

from bankd.ledger.commands import Command, Unreadable
from bankd.ledger.rows import RequestAnswer
from bankd.ledger.state import Ledger
from bankd.types import LogIndex, TimeNs
from tests.ledger.bank import Bank, batch, create
from tests.ledger.test_naive_bank_agrees import entries

START: list[Command] = [create("a", 100, "r1"), create("b", 100), create("c", 100)]
ENTRY: list[Command] = [
    create("d", 5, "r"),
    batch(("t1", "a", "b", 10), ("t2", "b", "nobody", 20), ("t3", "c", "a", 300), ("t4", "a", "b", 0)),
    batch(("t1", "a", "b", 10)),
]


def digest_after(entry: list[Command], *, index: int = 2, time_ns: int = 2_000) -> bytes:
    ledger = Ledger()
    ledger.apply(LogIndex(1), TimeNs(1_000), START)
    for skipped in range(2, index):
        ledger.skip(LogIndex(skipped))
    ledger.apply(LogIndex(index), TimeNs(time_ns), entry)
    return ledger.digest


@settings(deadline=None, max_examples=100)
@given(entries)
def test_two_ledgers_fed_the_same_log_have_equal_digests(drawn: list[list[Command]]) -> None:
    first, second = Bank(), Bank()
    for entry in [START, *drawn]:
        before = first.ledger.digest
        assert first.apply(*entry) == second.apply(*entry)
        assert first.ledger.digest == second.ledger.digest != before
        assert len(first.ledger.digest) == 16


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([create("d", 6, "r"), *ENTRY[1:]], id="an opening balance"),
        pytest.param([create("e", 5, "r"), *ENTRY[1:]], id="an account id"),
        pytest.param([create("d", 5, "s"), *ENTRY[1:]], id="a request id"),
        pytest.param([create("d", 5), *ENTRY[1:]], id="no request id"),
        pytest.param([ENTRY[0], batch(("t0", "a", "b", 10)), ENTRY[2]], id="a transfer id"),
        pytest.param(ENTRY[:2], id="one outcome less"),
        pytest.param([*ENTRY, batch(("t9", "a", "b", 0))], id="one malformed row more"),
        pytest.param([*ENTRY, batch(("t1", "a", "b", 10))], id="one retry more"),
        pytest.param([*ENTRY, create("@e")], id="one malformed opening more"),
        pytest.param([*ENTRY, Unreadable()], id="one unreadable command more"),
        pytest.param([*ENTRY[:2], batch(("t1", "a", "b", 11))], id="a conflict for a retry"),
        pytest.param([ENTRY[0], batch(("t1", "a", "b", 11)), ENTRY[2]], id="an amount"),
        pytest.param([ENTRY[0], batch(("t1", "a", "c", 10)), ENTRY[2]], id="a target"),
    ],
)
def test_any_difference_in_commands_shows(other: list[Command]) -> None:
    assert digest_after(ENTRY) == digest_after(ENTRY)
    assert digest_after(other) != digest_after(ENTRY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("t", "b", "nobody", 1), ("t", "b", "no-one", 1), id="an unknown account's id"),
        pytest.param(("t", "b", "nobody", 1), ("t", "b", "nobody", 2), id="a refused amount"),
        pytest.param(("t", "b", "c", 900), ("t", "a", "c", 900), id="a refused source of equal balance"),
    ],
)
def test_a_difference_in_a_refused_transfer_shows(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert digest_after([batch(one)]) != digest_after([batch(other)])


def test_a_difference_in_a_refused_opening_shows() -> None:
    assert digest_after([create("a", 5, "r")]) != digest_after([create("a", 6, "r")])


def test_index_and_time_show() -> None:
    transfers = ENTRY[1:]
    assert digest_after(transfers, index=3) != digest_after(transfers)
    assert digest_after(transfers, time_ns=2_001) != digest_after(transfers)


def test_ids_cannot_be_cut_otherwise_unseen() -> None:
    assert digest_after([create("de", 5, "f")]) != digest_after([create("d", 5, "ef")])
    one = digest_after([batch(("ab", "a", "b", 1), ("c", "a", "b", 1))])
    assert one != digest_after([batch(("a", "a", "b", 1), ("bc", "a", "b", 1))])


def rot_balance(ledger: Ledger) -> None:
    ledger._accounts.balances[1] += 1


def rot_opening(ledger: Ledger) -> None:
    ledger._accounts.balances[0] -= 1


def rot_request(ledger: Ledger) -> None:
    ledger._openings._answers[0] = RequestAnswer.EXISTED


def rot_digest(ledger: Ledger) -> None:
    ledger.digest = bytes(16)


@pytest.mark.parametrize(
    ("rot", "entry"),
    [
        pytest.param(rot_balance, [batch(("t", "a", "b", 1))], id="as a source"),
        pytest.param(rot_balance, [batch(("t", "b", "a", 1))], id="as a target"),
        pytest.param(rot_balance, [batch(("t", "a", "nobody", 1))], id="though refused"),
        pytest.param(rot_balance, [create("a", 100)], id="though it exists"),
        pytest.param(rot_opening, [create("z")], id="the opening account"),
        pytest.param(rot_request, [create("a", 100, "r1")], id="a recorded answer"),
        pytest.param(rot_digest, list[Command](), id="the chain"),
    ],
)
def test_a_rotten_state_shows_once_it_is_touched(rot: Callable[[Ledger], None], entry: list[Command]) -> None:
    sound, rotten = Bank(), Bank()
    for bank in (sound, rotten):
        bank.apply(*START)
    rot(rotten.ledger)
    for bank in (sound, rotten):
        bank.apply(*entry)
    assert sound.ledger.digest != rotten.ledger.digest
