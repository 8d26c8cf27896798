"""What docs/data-directory.md shows is what is printed."""

import re
from pathlib import Path

import pytest

from bankd.cli import main
from bankd.storage.records import SECTOR_BYTES
from tests.offline.directories import compacted, make, small_history
from tests.offline.test_snapshots import NEWER
from tests.offline.test_verify import NAMES, flip, zeroed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-directory.md"


def test_every_output_on_the_page_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> str:
        main(words)
        return capsys.readouterr().out

    bank = make(Path("data") / "n1", small_history())
    (bank / "LOCK").write_text("12345\n")
    sound = said("verify", "data/n1")
    snapshots = compacted(Path("data") / "n2")
    (snapshots / "LOCK").write_text("12345\n")
    newer = str(snapshots / "snap" / NEWER)
    in_snapshots = said("verify", "data/n2")
    shown = [said("inspect", *words) for words in (["wal", "data/n1"], ["snapshot", newer], ["meta", "data/n1"])]
    rows = said("inspect", "wal", "data/n1", "--from", "4", "--to", "4", "-o", "json")
    flip(bank / "wal" / NAMES[1], 560 * 8 + 2)
    zeroed(bank / "wal" / NAMES[2], 2 * SECTOR_BYTES + 511, 3 * SECTOR_BYTES)
    outputs = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert outputs == [sound, in_snapshots, said("verify", "data/n1"), *shown, rows]
