"""Whether the judges of real processes would notice: a good history that was spoilt in one place."""

import attrs
import pytest

from bankd.history.json_lines import read_history
from bankd.history.linearizability import Verdict, search
from bankd.history.records import BalanceFound
from bankd.local import LocalCluster
from tests.real.clusters import judged
from tests.real.verdict import HISTORY, SEARCHED, faults_by_index, faults_by_search

pytestmark = pytest.mark.real

FALSE = BalanceFound(-1)  # which no order of any calls explains


def test_one_wrong_answer_of_a_real_run_is_found_by_index_and_by_search(cluster: LocalCluster) -> None:
    with judged(cluster, seed=5):
        pass
    path = cluster.directory / HISTORY
    history = list(read_history(path.read_text().splitlines(), str(path)))
    assert search(history).verdict is Verdict.LINEARIZABLE, "undecided, so that nothing was judged"
    reads = [number for number, record in enumerate(history) if isinstance(record.result, BalanceFound)]
    number = reads[len(reads) // 4]  # a search for what is not there goes through everything before it
    history[number] = attrs.evolve(history[number], result=FALSE)
    assert faults_by_index(history)
    assert faults_by_search(history)
    assert SEARCHED[Verdict.LINEARIZABLE] > 0, "that of the sound history is not counted"
    assert SEARCHED[Verdict.VIOLATED] > 0, "nor that of the spoilt one"
