"""The async client against a real socket, on trio and on asyncio."""

from collections.abc import Awaitable, Callable
from threading import Event

import anyio
import anyio.lowlevel
import pytest

from bankd.client import AtLeast, BankClient, Transfer, TransferRequest
from bankd.errors import (
    AccountExists,
    AccountNotFound,
    BankError,
    Code,
    IdConflict,
    InsufficientFunds,
    InvalidAccount,
    InvalidArgument,
    LimitExceeded,
    OutcomeUnknown,
    Refusal,
    SnapshotNotFound,
    Unavailable,
)
from bankd.status import NodeStatus
from bankd.types import BALANCE_MAX, ClusterId, LogIndex, TransferStatus
from bankd.wire.methods import Method
from tests.client.fake_server import (
    WAITED_OUT_S,
    Answer,
    DropAfter,
    DropBefore,
    FakeBank,
    FakeServer,
    Garbage,
    Hang,
    Hold,
    NeverAnswer,
    Refuse,
)

Scenario = Callable[[BankClient, FakeServer], Awaitable[None]]
Play = Callable[[Scenario], None]

HANG_S_MAX = 60.0  # a test that waits this long has found a hang; none comes near it


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def play(backend: str) -> Play:
    """Run a scenario with a client and a server where a has 1000 and b nothing."""

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            with FakeServer() as server:
                server.bank.open_account("a", 1000)
                server.bank.open_account("b", 0)
                with anyio.fail_after(HANG_S_MAX):
                    async with BankClient(server.address) as client:
                        await scenario(client, server)
                        played.append(True)

        played: list[bool] = []
        anyio.run(main, backend=backend)
        assert played, "the scenario was cancelled half way"

    return run


def balance(server: FakeServer, account: str) -> int:
    from bankd.ledger.queries import BalanceFound, GetBalance
    from bankd.types import AccountId

    found = server.bank.ledger.read(GetBalance(AccountId(account)))
    assert isinstance(found, BalanceFound)
    return found.balance


def test_account_is_opened_once(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        account = await client.create_account("c", initial_balance=7, request_id="r1")
        assert (account.balance, account.index) == (7, 3)
        assert await client.create_account("c", initial_balance=7, request_id="r1") == account
        with pytest.raises(AccountExists, match="'c' was opened before"):
            await client.create_account("c", initial_balance=7)
        with pytest.raises(IdConflict) as conflict:
            await client.create_account("c", initial_balance=8, request_id="r1")
        assert conflict.value.differs == ("initial_balance",)

    play(scenario)


def test_opening_that_the_bank_cannot_fund_is_no_account_that_exists(play: Play) -> None:  # K9
    async def scenario(client: BankClient, server: FakeServer) -> None:
        with pytest.raises(LimitExceeded, match="'c' was not opened"):
            await client.create_account("c", initial_balance=BALANCE_MAX)
        with pytest.raises(AccountNotFound):
            await client.get_account("c")

    play(scenario)


def test_reads_bring_what_the_ledger_holds(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        found = await client.get_balance("a", at_least=2)
        assert (found.balance, found.index, found.read) == (1000, 2, AtLeast(LogIndex(2)))
        account = await client.get_account("a")
        assert (account.initial_balance, account.created_index) == (1000, 1)
        page = await client.list_accounts(limit=1)
        assert ([account.account for account in page.accounts], page.more) == (["a"], True)
        page = await client.list_accounts(after="a", system=True)
        assert [account.account for account in page.accounts] == ["b"]
        with pytest.raises(AccountNotFound, match="'z'"):
            await client.get_balance("z")

    play(scenario)


def test_transfer_moves_money_and_can_be_asked_for(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        moved = await client.transfer("a", "b", 5)
        assert (balance(server, "a"), balance(server, "b")) == (995, 5)
        assert await client.get_transfer_status(moved.tx_id) == moved
        assert await client.get_transfer_status("never-heard-of") is None

    play(scenario)


def test_refusal_of_the_ledger_is_raised_with_its_fields(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        with pytest.raises(InsufficientFunds) as refused:
            await client.transfer("a", "b", 1001)
        assert (refused.value.available, refused.value.needed) == (1000, 1001)
        with pytest.raises(InvalidAccount):
            await client.transfer("a", "z", 1)
        await client.transfer("a", "b", 1, tx_id="t1")
        with pytest.raises(IdConflict) as conflict:
            await client.transfer("a", "b", 2, tx_id="t1")
        assert conflict.value.differs == ("amount",)

    play(scenario)


def test_try_transfer_brings_the_refusal_as_a_result(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        refused = await client.try_transfer("a", "b", 1001, tx_id="t1")
        assert (refused.status, refused.available) == (TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, 1000)
        assert isinstance(refused.error, InsufficientFunds)
        with pytest.raises(InvalidArgument):
            await client.try_transfer("a", "b", 0)

    play(scenario)


@pytest.mark.parametrize("amount", [1.0, "1", True, None])
def test_amount_that_is_no_int_is_the_callers_mistake(play: Play, amount: int) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        with pytest.raises(TypeError, match="int of minor units"):
            await client.transfer("a", "b", amount)

    play(scenario)


def test_empty_id_is_refused_and_none_is_made_in_its_place(play: Play) -> None:  # K4
    async def scenario(client: BankClient, server: FakeServer) -> None:
        with pytest.raises(InvalidArgument) as refused:
            await client.transfer("a", "b", 1, tx_id="")
        assert refused.value.reason == "CLIENT_TX_ID_MISSING"
        assert server.requests == []

    play(scenario)


@pytest.mark.parametrize("step", [DropBefore(), DropAfter(), Garbage(), Refuse()])
def test_transfer_survives_what_a_server_can_do_to_it_and_takes_effect_once(  # C01
    play: Play, step: DropBefore | DropAfter | Garbage | Refuse
) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        server.script(step)
        moved = await client.transfer("a", "b", 5)
        assert server.tx_id_counts[moved.tx_id] == 2
        assert (balance(server, "a"), balance(server, "b")) == (995, 5)

    play(scenario)


def test_lost_answer_ends_in_outcome_unknown_when_the_time_is_up(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        server.script(NeverAnswer(apply=True))
        with pytest.raises(OutcomeUnknown) as unknown:
            await client.transfer("a", "b", 5, tx_id="t1", timeout_s=WAITED_OUT_S)
        assert unknown.value.tx_id == "t1"
        found = await client.get_transfer_status("t1")
        assert found is not None
        assert found.status is TransferStatus.COMMITTED_OK

    play(scenario)


def test_many_tasks_share_one_connection_and_their_transfers_travel_together(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        results: list[Transfer] = []

        async def pay() -> None:
            for _ in range(5):
                results.append(await client.transfer("a", "b", 1))

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(pay)
        assert len({result.tx_id for result in results}) == 200
        assert (balance(server, "a"), balance(server, "b")) == (800, 200)
        assert server.connections == 1
        assert len(server.batch_rows) < 100
        assert sum(server.batch_rows) == 200

    play(scenario)


def test_transfer_many_gives_each_row_its_result_in_order(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        rows = [TransferRequest("a", "b", 1 if number % 10 else 10**6, f"t{number}") for number in range(95)]
        results = await client.transfer_many(rows, batch_size=10)
        assert [result.tx_id for result in results] == [row.tx_id for row in rows]
        assert [bool(result.error) for result in results] == [row.amount > 1 for row in rows]
        assert server.batch_rows == [10] * 9 + [5]

    play(scenario)


def test_transfer_many_of_a_sequence_sends_nothing_when_any_row_is_faulty(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        rows = [TransferRequest("a", "b", 1) for _ in range(4)] + [TransferRequest("a", "b", 0)]
        with pytest.raises(InvalidArgument, match=r"^row 4: ") as caught:
            await client.transfer_many(tuple(rows), batch_size=1)
        assert caught.value.metadata["row"] == "4"
        assert server.requests == []

    play(scenario)


def test_transfer_many_of_an_iterator_judges_request_by_request(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        rows = [TransferRequest("a", "b", amount) for amount in (1, 1, 1, 0)]
        with pytest.raises(InvalidArgument, match=r"^row 3: "):
            await client.transfer_many(iter(rows), batch_size=2)
        assert (await client.get_balance("b")).balance in (0, 2)
        results = await client.transfer_many(iter(rows[:3]), batch_size=2)
        assert [result.error for result in results] == [None] * 3

    play(scenario)


def test_transfer_many_makes_the_ids_that_are_missing(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        given = [None, "t1", None, None, "t4"]
        results = await client.transfer_many([TransferRequest("a", "b", 1, tx_id) for tx_id in given], batch_size=3)
        assert [result.tx_id for result in results if result.tx_id.startswith("t")] == ["t1", "t4"]
        assert len(server.tx_id_counts) == len(given)

    play(scenario)


def test_transfer_many_reports_a_lost_batch_row_by_row(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        server.script(NeverAnswer())
        rows = [TransferRequest("a", "b", 1, f"t{number}") for number in range(4)]
        results = await client.transfer_many(rows, batch_size=2, timeout_s=WAITED_OUT_S)
        errors = [result.error for result in results]
        assert [type(error) for error in errors] == [OutcomeUnknown, OutcomeUnknown, type(None), type(None)]
        assert [error.tx_id for error in errors if isinstance(error, OutcomeUnknown)] == ["t0", "t1"]

    play(scenario)


def test_cancelled_call_is_forgotten_and_cancelled_on_the_server_and_the_rest_goes_on(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        server.script(NeverAnswer())
        with anyio.move_on_after(0.05) as scope:
            await client.get_balance("a")
        assert scope.cancelled_caught
        assert (await client.get_balance("a")).balance == 1000
        assert len(server.cancelled) == 1
        assert server.connections == 1

    play(scenario)


def test_late_answer_goes_to_nobody(play: Play) -> None:  # C09
    async def scenario(client: BankClient, server: FakeServer) -> None:
        release = Event()
        server.script(Hold(release))
        with anyio.move_on_after(0.05):
            await client.get_balance("a")
        release.set()
        for _ in range(20):
            assert (await client.get_balance("b")).balance == 0

    play(scenario)


def test_client_follows_the_leader_and_survives_its_death(backend: str) -> None:
    async def main() -> None:
        bank = FakeBank(leader_id="n2")
        with FakeServer(bank, node_id="n1") as follower, FakeServer(bank, node_id="n2") as leader:
            bank.open_account("a", 1000)
            bank.open_account("b", 0)
            async with BankClient(follower.address) as client:
                await client.transfer("a", "b", 1)
                assert (len(follower.requests), len(leader.requests)) == (0, 1)
                leader.script(DropAfter())
                bank.leader_id = "n1"
                leader.hello_refusal = Refusal(Code.UNAVAILABLE, "STOPPING", "going down", retryable=True)
                await client.transfer("a", "b", 1)
                assert balance(follower, "b") == 2
                assert len(follower.requests) == 1

    anyio.run(main, backend=backend)


def test_operators_calls_reach_the_node_that_they_name(backend: str) -> None:
    async def main() -> None:
        bank = FakeBank(leader_id="n1")
        with FakeServer(bank, node_id="n1") as one, FakeServer(bank, node_id="n2") as two:
            async with BankClient([one.address, two.address]) as client:
                assert (await client.cluster.node_status()).node_id == "n1"
                assert (await client.cluster.node_status(two.address)).node_id == "n2"
                assert (await client.cluster.digest(0, endpoint=two.address)).imbalance == 0
                assert (await client.cluster.transfer_leader("n2")).leader_id == "n2"

    anyio.run(main, backend=backend)


def test_statuses_tell_of_every_member_also_of_the_dead(backend: str) -> None:
    async def main() -> None:
        bank = FakeBank()
        dead = FakeServer(bank, node_id="n2")
        dead.stop()
        with FakeServer(bank, node_id="n1") as alive:
            async with BankClient(alive.address) as client:
                statuses = await client.cluster.statuses()
        assert [address for address, _status in statuses] == [alive.address, dead.address]
        (_, status), (_, error) = statuses
        assert isinstance(status, NodeStatus)
        assert isinstance(error, Unavailable)
        assert "refused" in str(error)

    anyio.run(main, backend=backend)


def test_closing_ends_waiting_calls_and_does_not_hang(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        ended: list[type[BaseException]] = []

        async def pay() -> None:
            try:
                await client.transfer("a", "b", 1)
            except OutcomeUnknown as error:
                ended.append(type(error))

        server.script(Hang())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pay)
            while not server.requests:
                await anyio.lowlevel.checkpoint()
            await client.aclose()
        assert ended == [OutcomeUnknown]
        await anyio.lowlevel.checkpoint()  # the body of `async with` goes on
        with pytest.raises(Unavailable, match="closed"):
            await client.get_balance("a")
        await client.aclose()

    play(scenario)


def test_exception_of_the_body_comes_out_as_it_is(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        await client.get_balance("z")

    with pytest.raises(AccountNotFound):
        play(scenario)


def test_client_that_was_not_opened_says_so(backend: str) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="async with"):
            await BankClient().get_balance("a")

    anyio.run(main, backend=backend)


def test_no_reachable_node_is_unavailable_naming_it(backend: str) -> None:
    server = FakeServer()
    server.stop()

    async def main() -> None:
        async with BankClient(server.address, timeout_s=WAITED_OUT_S) as client:
            with pytest.raises(Unavailable, match=f"{server.address}.*refused"):
                await client.transfer("a", "b", 1)

    anyio.run(main, backend=backend)


def test_write_larger_than_the_sockets_buffers_goes_through(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        rows = [TransferRequest("a", "b", 1, f"{number:0128}") for number in range(12_000)]
        results = await client.transfer_many(rows, batch_size=4000)
        assert len(results) == 12_000
        assert server.requests[0][0] == Method.SUBMIT_TRANSFERS
        assert balance(server, "b") == 1000

    play(scenario)


def test_snapshot_is_read_where_it_was_taken_and_goes_on_after_a_lost_connection(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        taken = await client.cluster.snapshot(server.address)
        assert taken.index == 2
        server.part_bytes_max = -(-taken.size_bytes // 5)
        server.script(Answer(), DropBefore(), Answer(), DropAfter())
        parts: list[bytes] = []

        async def write(data: bytes) -> None:
            await anyio.lowlevel.checkpoint()
            parts.append(data)

        await client.cluster.fetch_snapshot(taken, write, endpoint=server.address)
        assert (len(parts), b"".join(parts)) == (5, server.snapshots[0].data)
        server.snapshots = []
        with pytest.raises(SnapshotNotFound):
            await client.cluster.fetch_snapshot(taken, write, endpoint=server.address)

    play(scenario)


def test_client_that_is_left_before_its_tasks_ran_ends_at_once(play: Play) -> None:
    async def scenario(client: BankClient, server: FakeServer) -> None:
        pass

    play(scenario)


def test_client_refuses_a_cluster_of_the_same_name_that_is_not_the_one_it_has_spoken_to(play: Play) -> None:
    """As one that was restored from a backup of the first, at the same address."""

    async def scenario(client: BankClient, server: FakeServer) -> None:
        await client.transfer("a", "b", 5)
        server.cluster_id = ClusterId(server.cluster_id + 1)
        server.drop_connections()
        with pytest.raises(BankError, match="two clusters are called 'main'") as refused:
            await client.get_balance("a")
        assert refused.value.reason == "WRONG_CLUSTER"
        with pytest.raises(BankError, match="two clusters are called 'main'"):
            await client.cluster.node_status(server.address)

    play(scenario)
