"""Judge a history by its log indexes: sort by index, replay the bank, compare every answer, check real time.

The log indexes in the answers are a witness: they say in which order things happened, so nothing has to be searched
for. It takes a few microseconds an operation, and holds for all read modes. It is only as good as the indexes: that
two nodes disagree about an index would go unnoticed as long as every answer fits some log.

1. `evidence`: what the answers tell about each id and each index, and where they contradict each other
2. `moments`: whether that order is one that the calls and returns allow
3. `replay`: whether a bank would have answered so in that order, with `orders` for what shares an index and `worlds`
   for writes of unknown outcome

Nothing is shared with bankd.ledger: the rules of the contract are stated once more, in `decisions`.
"""

from collections.abc import Sequence
from typing import Final

from bankd.history.evidence import Evidence
from bankd.history.findings import Finding, Report
from bankd.history.records import Record
from bankd.history.replay import Replay
from bankd.history.worlds import Worlds
from bankd.types import OPENING_ACCOUNT, AccountId

DRIFT_PPM_MAX: Final = 1_000  # of a node's clock against the history's: ten times what crystals do


def check(records: Sequence[Record], *, drift_ppm_max: int = DRIFT_PPM_MAX) -> list[Finding]:
    """What is wrong with this history; nothing found is no proof of more than docs/checkers.md says."""
    return list(examine(records, drift_ppm_max=drift_ppm_max).findings)


def examine(records: Sequence[Record], *, drift_ppm_max: int = DRIFT_PPM_MAX) -> Report:
    """The same, and how much could be judged. The records may come in any order.

    `drift_ppm_max`: how far a node's clock may run apart from the history's, which excuses bounded reads.
    """
    evidence = Evidence(drift_ppm_max)
    evidence.gather(records)
    balances: dict[AccountId, int] = {OPENING_ACCOUNT: 0}
    replay = Replay(balances, _worlds(evidence, balances), evidence.record_of)
    for index in sorted(evidence.groups.keys() | evidence.reads.keys()):
        if group := evidence.groups.get(index):
            replay.decide(index, group)
        if reads := evidence.reads.get(index):
            replay.read(index, reads)
    findings = (*evidence.findings, *evidence.moments.judge(), *replay.findings)
    return Report(findings, evidence.operations, evidence.unjudged + replay.unjudged)


def _worlds(evidence: Evidence, balances: dict[AccountId, int]) -> Worlds:
    if not evidence.loose:
        return Worlds(balances, (), ())
    first_indexes = evidence.moments.first_indexes()
    earliest = [max(write.index_min, first_indexes.after(write.call_ns)) for write in evidence.loose]
    return Worlds(balances, evidence.loose, earliest)
