"""The commands about one account or one transfer; JSON shapes are pinned whole."""

import re

import pytest

from bankd.errors import Code, Exit, Refusal
from tests.bankctl.conftest import Ask
from tests.client.fake_server import DropAfter, FakeServer, NeverAnswer, Refuse

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_balance_is_one_line_for_people(ask: Ask) -> None:
    ran = ask("balance acct1")
    assert ran.exit is Exit.OK
    assert re.fullmatch(r"acct1  12\.50   index 2  linearizable  [0-9.]+ ms\n", ran.out)
    assert ran.err == ""


def test_balance_in_json_is_minor_units_as_text(ask: Ask) -> None:
    assert (
        ask("balance acct1 -o json").out == '{"account":"acct1","balance":"1250","index":"2","read":"linearizable"}\n'
    )


@pytest.mark.parametrize("read", ["stale", "bounded:1s"])
def test_a_balance_that_may_be_old_says_how_old(ask: Ask, read: str) -> None:
    assert ask(f"balance acct1 --read {read} -o json").json["age_ms"] == "0"
    assert f"{read.partition(':')[0]} (0 ms old)" in ask(f"balance acct1 --read {read}").out


def test_balance_of_no_account_is_not_found(ask: Ask) -> None:
    ran = ask("balance nobody -o json")
    assert ran.exit is Exit.NOT_FOUND
    assert ran.out == ""
    assert ran.error["code"] == "NOT_FOUND"
    assert ran.error["reason"] == "ACCOUNT_NOT_FOUND"
    assert ran.error["metadata"]["account"] == "nobody"


def test_a_new_account_is_shown_as_opened(ask: Ask) -> None:
    opened = ask("account create acct3 --initial 7.05 -o json")
    assert opened.out == (
        '{"account":"acct3","balance":"705","initial_balance":"705","created_index":"3","index":"3"}\n'
    )
    assert ask("account show acct3 -o json").out == (
        '{"account":"acct3","balance":"705","initial_balance":"705","created_at":"2023-11-14T22:13:23.000000000Z",'
        '"created_index":"3","index":"3"}\n'
    )


def test_an_account_is_not_opened_twice(ask: Ask) -> None:
    ran = ask("account create acct1")
    assert ran.exit is Exit.REFUSED
    assert ran.err.startswith("error: ACCOUNT_EXISTS: ")
    assert ran.err.endswith("(see: bankctl account show acct1)\n")


def test_an_opening_whose_answer_is_lost_is_sent_again_under_the_same_id(ask: Ask, server: FakeServer) -> None:
    server.script(DropAfter())
    assert ask("account create acct3").exit is Exit.OK
    assert list(server.tx_id_counts.values()) == [2]


def test_accounts_are_listed_by_page_without_the_systems(ask: Ask, server: FakeServer) -> None:
    for number in range(2500):
        server.bank.open_account(f"many{number:04}", 0)
    assert [line.split("\t")[0] for line in ask("account list").lines] == [
        "acct1",
        "acct2",
        *(f"many{number:04}" for number in range(2500)),
    ]
    assert len(ask("account list --limit 1001").lines) == 1001
    assert ask("account list --after many2498 -o jsonl").out.count('"many2499"') == 1
    assert ask("account list --system --limit 1 -o csv").lines[1] == "@opening,-12.50,0.00,,"


def test_a_transfer_moves_money_under_a_fresh_id(ask: Ask, server: FakeServer) -> None:
    ran = ask("transfer acct1 acct2 10.00")
    assert ran.exit is Exit.OK
    assert re.fullmatch(rf"acct1 -> acct2  10\.00   committed   index 3   id {UUID7}   [0-9.]+ ms\n", ran.out)
    assert ask("balance acct2 -o json").json["balance"] == "1000"


def test_a_transfer_in_json(ask: Ask) -> None:
    shape = (
        '{"tx_id":"t1","status":"COMMITTED_OK","from":"acct1","to":"acct2","amount":"1000","index":"3",'
        '"time":"2023-11-14T22:13:23.000000000Z"}\n'
    )
    assert ask("transfer acct1 acct2 10.00 --tx-id t1 -o json").out == shape
    assert ask("status t1 -o json").out == shape


def test_the_same_id_again_moves_nothing_more(ask: Ask) -> None:
    first = ask("transfer acct1 acct2 10.00 --tx-id t1 -o json")
    assert ask("transfer acct1 acct2 10.00 --tx-id t1 -o json").out == first.out
    assert ask("balance acct2 -o json").json["balance"] == "1000"


def test_a_refusal_names_amounts_and_the_burned_id(ask: Ask) -> None:
    ran = ask("transfer acct1 acct2 30.00 --tx-id t1")
    assert ran.exit is Exit.REFUSED
    assert ran.out == ""
    assert ran.err == (
        "error: INSUFFICIENT_FUNDS: acct1 has 12.50, 30.00 needed "
        "(transfer t1 is recorded as refused; use a new id to try again)\n"
    )


def test_status_ends_as_the_transfer_ended(ask: Ask) -> None:
    ask("transfer acct1 acct2 30.00 --tx-id t1")
    ran = ask("status t1")
    assert ran.exit is Exit.REFUSED
    assert ran.out == "acct1 -> acct2  30.00   refused: insufficient funds (acct1 had 12.50)   index 3   id t1\n"
    assert ask("status t1 -o json").json["available"] == "1250"


def test_status_of_an_unknown_id_says_that_it_has_not_happened(ask: Ask) -> None:
    ran = ask("status t9")
    assert ran.exit is Exit.NOT_FOUND
    assert ran.err.startswith("error: TRANSFER_NOT_FOUND: transfer t9 is not recorded")


def test_an_id_used_for_something_else_is_a_conflict(ask: Ask) -> None:
    ask("transfer acct1 acct2 1.00 --tx-id t1")
    ran = ask("transfer acct1 acct2 2.00 --tx-id t1 -o json")
    assert ran.exit is Exit.ID_CONFLICT
    assert ran.error["metadata"]["differs"] == "amount"


@pytest.mark.parametrize("line", ["transfer acct1 acct1 1", "transfer acct1 @opening 1", "account create @mine"])
def test_what_the_ledger_would_never_take_is_a_usage_error_and_never_sent(
    ask: Ask, server: FakeServer, line: str
) -> None:
    assert ask(line).exit is Exit.USAGE
    assert server.requests == []


def test_an_unknown_outcome_names_the_id_and_the_command_to_ask(ask: Ask, server: FakeServer) -> None:
    server.script(NeverAnswer(apply=True))
    ran = ask("transfer acct1 acct2 1.00 --tx-id t1 --timeout 2s")
    assert ran.exit is Exit.OUTCOME_UNKNOWN
    assert ran.err.startswith("error: OUTCOME_UNKNOWN: ")
    assert ran.err.endswith("(ask: bankctl status t1)\n")
    assert ask("status t1").exit is Exit.OK


def test_an_unknown_outcome_of_an_opening_points_to_the_account(ask: Ask, server: FakeServer) -> None:
    server.script(NeverAnswer())
    assert ask("account create acct3 --timeout 2s").err.endswith("(ask: bankctl account show acct3)\n")


def test_without_any_endpoint_nothing_was_changed(ask: Ask, server: FakeServer) -> None:
    server.stop()
    ran = ask("transfer acct1 acct2 1.00 --timeout 2s -o json")
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.error["code"] == "UNAVAILABLE"
    assert "nothing was changed" in ran.error["message"]


def test_a_command_whose_time_is_up_sends_nothing(ask: Ask, server: FakeServer) -> None:
    ran = ask("transfer acct1 acct2 1.00 --timeout 0.001ms")
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.err.startswith("error: DEADLINE_EXCEEDED: the command did not end within ")
    assert server.requests == []


def test_a_cluster_of_another_name_is_not_spoken_to(ask: Ask) -> None:
    ran = ask("balance acct1 --cluster other --timeout 2s")
    assert ran.exit is Exit.UNAVAILABLE
    assert ran.err.startswith("error: WRONG_CLUSTER: ")


def test_who_may_not_is_told_so(ask: Ask, server: FakeServer) -> None:
    server.script(Refuse(Refusal(Code.PERMISSION_DENIED, "PERMISSION_DENIED", "not allowed")))
    assert ask("balance acct1").exit is Exit.NOT_ALLOWED


def test_verbose_tells_the_id_before_it_is_sent(ask: Ask) -> None:
    assert ask("transfer acct1 acct2 1.00 --tx-id t1 -v").err == "transfer id t1\n"
