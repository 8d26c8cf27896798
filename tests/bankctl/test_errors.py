import pytest

from bankctl.errors import exit_code, judge
from bankd import errors
from bankd.errors import BankError, Code, Exit, Refusal

TABLE: list[tuple[type[BankError], Exit]] = [
    (errors.InsufficientFunds, Exit.REFUSED),
    (errors.InvalidAccount, Exit.REFUSED),
    (errors.LimitExceeded, Exit.REFUSED),
    (errors.TransferRefused, Exit.REFUSED),
    (errors.AccountExists, Exit.REFUSED),
    (errors.InvalidArgument, Exit.USAGE),
    (errors.AccountNotFound, Exit.NOT_FOUND),
    (errors.SnapshotNotFound, Exit.NOT_FOUND),
    (errors.NotAllowed, Exit.NOT_ALLOWED),
    (errors.Unavailable, Exit.UNAVAILABLE),
    (errors.Overloaded, Exit.UNAVAILABLE),
    (errors.DeadlineExceeded, Exit.UNAVAILABLE),
    (errors.OutcomeUnknown, Exit.OUTCOME_UNKNOWN),
    (errors.IdConflict, Exit.ID_CONFLICT),
]


def refusal(**fields: object) -> Refusal:
    return Refusal(**{"code": Code.UNKNOWN, "reason": "REASON", "message": "it did not work", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "code"), TABLE)
def test_every_kind_of_error_has_its_exit_code(kind: type[BankError], code: Exit) -> None:
    assert exit_code(kind(refusal())) is code


def test_no_kind_of_error_is_forgotten() -> None:
    def below(kind: type[BankError]) -> set[type[BankError]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert below(BankError) - {BankError} == {kind for kind, _ in TABLE}


@pytest.mark.parametrize("code", [Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE, Code.UNIMPLEMENTED])
def test_what_a_node_cannot_serve_as_things_are_is_unavailable(code: Code) -> None:
    assert judge(BankError(refusal(code=code))).exit is Exit.UNAVAILABLE


def test_an_error_that_fits_no_kind_is_the_servers_fault() -> None:
    assert judge(BankError(refusal(code=Code.ABORTED))).exit is Exit.INTERNAL


def test_a_disk_that_lost_something_is_unhealthy() -> None:
    assert judge(BankError(refusal(code=Code.DATA_LOSS))).exit is Exit.UNHEALTHY


def test_amounts_in_a_refusal_are_shown_as_people_write_them() -> None:
    metadata = {"from": "acct1", "available": "1250", "needed": "3000", "client_tx_id": "t1"}
    failure = judge(errors.InsufficientFunds(refusal(reason="INSUFFICIENT_FUNDS", metadata=metadata)))
    assert failure.sentence == (
        "acct1 has 12.50, 30.00 needed (transfer t1 is recorded as refused; use a new id to try again)"
    )


def test_a_refusal_that_says_less_is_shown_as_it_came() -> None:
    assert judge(errors.InsufficientFunds(refusal())).sentence == "it did not work"
