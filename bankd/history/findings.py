"""What a checker found, and how much it could judge."""

import attrs


@attrs.frozen
class Finding:
    """Answers that no bank which keeps its promises could have given.

    `promise` is a number of the contract: M1 to M3, S1, R1. `records` are the records concerned, by their place in the
    history, from 0.
    """

    promise: str
    text: str
    records: tuple[int, ...] = ()


@attrs.frozen
class Report:
    """`operations` were looked at, a batch counting as many as it has rows.

    `unjudged` of them could not be held against anything: their answer says no index, or too many unknown outcomes
    leave their accounts open. No finding and nothing unjudged is as much as this checker can say.
    """

    findings: tuple[Finding, ...]
    operations: int
    unjudged: int
