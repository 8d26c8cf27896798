"""A bug fits the shipped text, and stays inside the process that it was planted in."""

import importlib
import sys
from pathlib import Path

import pytest

from tests.planted.bug import ROOT, Bug, DoesNotFit, bug
from tests.planted.bugs import BUGS


@pytest.mark.parametrize("planted", BUGS.values(), ids=lambda planted: planted.name)
def test_a_bug_changes_the_shipped_text_and_nothing_but_behaviour(planted: Bug) -> None:
    for change in planted.changes:
        source = (ROOT / change.file).read_text()
        changed = planted.changed(change.module, source)
        assert changed != source
        compile(changed, change.file, "exec")


@pytest.mark.parametrize(("source", "count"), [("total = 0\n", 0), ("total = a + b\nother = a + b\n", 2)])
def test_a_bug_whose_text_is_not_there_once_names_itself(source: str, count: int) -> None:
    planted = bug("sum-off-by-one", "sums are wrong", ("victim.py", "a + b", "a + b + 1"))
    with pytest.raises(DoesNotFit, match=f"sum-off-by-one: stands {count} times in victim.py"):
        planted.changed("victim", source)


def test_a_bug_is_in_its_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it find bytecode of the shipped text, nor leave any of its own."""
    (tmp_path / "planted_victim.py").write_text("def total(a, b):\n    return a + b\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    planted = bug("sum-off-by-one", "sums are wrong", ("planted_victim.py", "a + b", "a + b + 1"))

    assert total_of(1, 2) == 3
    del sys.modules["planted_victim"]
    planted.install()
    assert total_of(1, 2) == 4
    with pytest.raises(AssertionError, match="were imported before it"):
        planted.install()
    sys.meta_path.pop(0)
    assert total_of(1, 2) == 3
    del sys.modules["planted_victim"]


def total_of(one: int, two: int) -> int:
    """As the module that is imported for it has it."""
    sys.modules.pop("planted_victim", None)
    total: int = importlib.import_module("planted_victim").total(one, two)
    return total
