"""`bench run`: its measure, its workload, and above all that its verification finds what is wrong."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankctl.commands.bench import HEADING
from bankctl.histogram import Histogram, bucket_of, top_of
from bankctl.load import Load, Plan
from bankctl.workload import INITIAL_BALANCE, Verdict, Workload, compare, sample
from bankd.client import BankClient
from bankd.errors import Exit
from bankd.ledger.commands import CreateAccount, Outcome, SubmitTransfers, TransfersDone
from bankd.ledger.queries import GetTransfer, TransferFound
from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId
from tests.bankctl.conftest import Ask
from tests.client.fake_server import Answer, DropAfter, FakeBank, FakeServer, NeverAnswer

# The histogram


@given(st.integers(0, 2**40))
def test_a_bucket_holds_its_value_within_one_percent(us: int) -> None:
    top = top_of(bucket_of(us))
    assert us <= top <= us * 1.01
    assert bucket_of(top + 1) == bucket_of(us) + 1


@given(st.lists(st.integers(0, 2**30), min_size=1, max_size=200), st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_that_of_the_sorted_list_within_one_percent(latencies: list[int], percent: int) -> None:
    histogram = Histogram()
    for us in latencies:
        histogram.add(us)
    exact = sorted(latencies)[max(0, -(-len(latencies) * percent // 100) - 1)]
    assert exact <= histogram.percentile_us(percent) <= max(exact * 1.01, exact)


def test_histograms_add_up() -> None:
    one, other = Histogram(), Histogram()
    one.add(10)
    other.add(5000)
    one.merge(other)
    assert (one.count, one.max_us, one.percentile_us(50), one.percentile_us(100)) == (2, 5000, 10, 5000)
    assert Histogram().percentile_us(99) == 0


# The workload


@given(st.integers(0, 2**20), st.integers(0, 2**40 - 1), st.integers(2, 5))
def test_every_planned_transfer_is_one_the_ledger_takes(caller: int, number: int, accounts: int) -> None:
    source, target, amount = Workload("x", accounts).fields(caller, number)
    assert source != target
    assert 0 <= min(source, target) <= max(source, target) < accounts
    assert 1 <= amount <= 100


def test_expected_balances_leave_out_what_was_not_committed() -> None:
    workload = Workload("x", 3)
    before, after = workload.balances([5, 2], set()), workload.balances([5, 2], {(0, 4)})
    source, target, amount = workload.fields(0, 4)
    assert sum(before) == sum(after) == 3 * INITIAL_BALANCE
    assert after[source] - before[source] == amount == before[target] - after[target]


def test_a_sample_is_everything_when_there_is_little() -> None:
    assert list(sample([2, 1], 100)) == [(0, 0), (0, 1), (1, 0)]
    assert len(list(sample([1000, 1000], 100))) == 100


@pytest.mark.parametrize(
    ("found", "lost", "doubled", "passed"),
    [
        ([10, 20], 0, 0, True),
        ([11, 19], 0, 0, False),
        ([10, 21], 0, 0, False),
        ([10, 20], 1, 0, False),
        ([10, 20], 0, 1, False),
        ([10], 0, 0, False),
    ],
)
def test_a_verdict_passes_only_when_all_is_right(found: list[int], lost: int, doubled: int, passed: bool) -> None:
    assert compare([10, 20], found, lost, doubled).passed is passed


# The verification, against a bank that does wrong


class ForgetfulBank(FakeBank):
    """Acknowledges every second batch and does nothing."""

    batches = 0

    def apply(self, command: CreateAccount | SubmitTransfers) -> Outcome:
        if isinstance(command, SubmitTransfers):
            ForgetfulBank.batches += 1
            if ForgetfulBank.batches % 2 == 0:
                done = bytes([TransferStatus.COMMITTED_OK]) * len(command.tx_ids)
                return TransfersDone(LogIndex(1), TimeNs(1), done, {})
        return super().apply(command)


class DoublingBank(FakeBank):
    """Does everything twice, the second time under an id of its own."""

    def apply(self, command: CreateAccount | SubmitTransfers) -> Outcome:
        if isinstance(command, SubmitTransfers):
            again = [TxId(f"{tx_id}-again") for tx_id in command.tx_ids]
            super().apply(SubmitTransfers(again, command.sources, command.targets, command.amounts))
        return super().apply(command)


class RepeatingBank(FakeBank):
    """Knows no ids: what comes again is done again."""

    times = 0

    def apply(self, command: CreateAccount | SubmitTransfers) -> Outcome:
        if isinstance(command, SubmitTransfers):
            RepeatingBank.times += 1
            ids = [TxId(f"{tx_id}-{RepeatingBank.times}") for tx_id in command.tx_ids]
            super().apply(command)
            return super().apply(SubmitTransfers(ids, command.sources, command.targets, command.amounts))
        return super().apply(command)


CALL_S = 2.0  # a call that is never answered is given up after this; the others must not be on a busy machine


async def verdict_on(server: FakeServer, *, before_verify: Callable[[], None] = lambda: None) -> Verdict:
    async with BankClient(server.address, timeout_s=CALL_S) as client:
        load = Load(client, Plan(Workload("w", 20), concurrency=4, batch=1, duration_s=0.1))
        await load.open_accounts()
        await load.run(lambda interval: None)
        before_verify()
        return await load.verify()


async def test_a_right_bank_passes() -> None:
    with FakeServer() as server:
        assert await verdict_on(server) == Verdict(changed=0, lost=0, doubled=0, wrong=0)


async def test_acknowledged_and_forgotten_is_lost() -> None:
    with FakeServer(ForgetfulBank()) as server:
        assert (await verdict_on(server)).lost > 0


async def test_done_twice_is_seen_in_the_balances() -> None:
    with FakeServer(DoublingBank()) as server:
        assert (await verdict_on(server)).wrong > 0


async def test_a_repeat_that_is_done_again_is_doubled() -> None:
    with FakeServer(RepeatingBank()) as server:
        assert (await verdict_on(server)).doubled > 0


async def test_a_balance_changed_by_another_hand_is_seen() -> None:
    with FakeServer() as server:

        def steal() -> None:
            thief = SubmitTransfers([TxId("theft")], [AccountId("bench-w-000000")], [AccountId("bench-w-000001")], [1])
            server.bank.apply(thief)

        assert await verdict_on(server, before_verify=steal) == Verdict(changed=0, lost=0, doubled=0, wrong=2)


async def test_a_lost_answer_is_no_lost_transfer() -> None:
    with FakeServer() as server:
        server.script(*[Answer()] * 30, DropAfter(), *[Answer()] * 30, DropAfter())
        assert (await verdict_on(server)).passed


@pytest.mark.parametrize("apply", [True, False])
async def test_an_unknown_outcome_is_settled_before_it_is_judged(apply: bool) -> None:
    with FakeServer() as server:
        server.script(*[Answer()] * 30, NeverAnswer(apply=apply))
        assert (await verdict_on(server)).passed


class ClosingBank(FakeBank):
    """Refuses every new id once it is closed."""

    closed = False

    def apply(self, command: CreateAccount | SubmitTransfers) -> Outcome:
        if self.closed and isinstance(command, SubmitTransfers):
            nowhere = AccountId("nowhere")
            known = [isinstance(self.ledger.read(GetTransfer(tx_id)), TransferFound) for tx_id in command.tx_ids]
            targets = [row if old else nowhere for row, old in zip(command.targets, known, strict=True)]
            command = SubmitTransfers(command.tx_ids, command.sources, targets, command.amounts)
        return super().apply(command)


async def test_an_unknown_outcome_may_be_settled_as_refused() -> None:
    bank = ClosingBank()
    with FakeServer(bank) as server:
        server.script(*[Answer()] * 30, NeverAnswer(apply=False))

        def close() -> None:
            bank.closed = True

        assert (await verdict_on(server, before_verify=close)).passed


# The command


def test_a_run_prints_a_line_a_second_and_a_total_with_its_verdict(ask: Ask) -> None:
    ran = ask("bench run --duration 100ms --concurrency 4 --accounts 10 --verify")
    assert ran.exit is Exit.OK
    heading, *_seconds, total = ran.lines  # a line a second: one or none, unless the machine stalls
    assert heading == HEADING
    number = r" +[0-9.]+"
    assert re.fullmatch(
        rf" +[0-9]+\.[0-9]s +0(?:{number}){{6}}  total   verify: sum unchanged, 0 lost, 0 doubled: PASS", total
    )
    assert total.index("  total") == len(HEADING)


def test_a_run_in_json_gives_numbers_to_compare(ask: Ask) -> None:
    run = ask("bench run --duration 100ms --concurrency 2 --batch 10 --accounts 10 --verify -o json").json
    assert run["verified"] is True
    assert run["seconds"][-1]["span"] == "total"
    assert int(run["ops"]) > 0
    assert int(run["ops"]) % 10 == 0
    assert run["ops_per_s"] == pytest.approx(int(run["ops"]) / run["elapsed_s"], rel=0.05)


def test_json_lines_end_in_the_total(ask: Ask) -> None:
    ran = ask("bench run --duration 50ms --concurrency 2 --accounts 10 -o jsonl")
    assert json.loads(ran.lines[-1])["span"] == "total"
    assert "verified" not in json.loads(ran.lines[-1])


def test_a_failed_verification_ends_with_its_code(server: FakeServer, ask: Ask) -> None:
    bank = DoublingBank(addresses=server.bank.addresses)
    server.bank = bank
    ran = ask("bench run --duration 50ms --concurrency 2 --accounts 10 --verify")
    assert ran.exit is Exit.UNHEALTHY
    assert ran.lines[-1].endswith("balances wrong: FAIL")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("bench run --accounts 1", "a transfer needs two"), ("bench run --batch 9000", "at most 8192 transfers")],
)
def test_a_run_that_cannot_be_is_a_usage_error(ask: Ask, line: str, sentence: str) -> None:
    ran = ask(line)
    assert ran.exit is Exit.USAGE
    assert sentence in ran.err


def test_a_run_against_no_cluster_is_unavailable(server: FakeServer, ask: Ask) -> None:
    server.stop()
    ran = ask("bench run --duration 50ms --accounts 2 --timeout 200ms")
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.err.splitlines()[-1].startswith("error: ")
