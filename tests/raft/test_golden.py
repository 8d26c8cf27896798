"""Every transcript in tests/golden/raft reads today as it did when it was reviewed.

After a change that is meant to change them: RAFT_GOLDEN_REWRITE=1 pytest tests/raft/test_golden.py,
and read the difference.
"""

import os
from pathlib import Path

import pytest

from tests.raft.transcript import replay

GOLDEN = Path(__file__).parent.parent / "golden" / "raft"
TRANSCRIPTS = sorted(GOLDEN.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript_reads_as_reviewed(path: Path) -> None:
    reviewed = path.read_text(encoding="utf-8")
    now = replay(reviewed)
    if os.environ.get("RAFT_GOLDEN_REWRITE"):
        path.write_text(now, encoding="utf-8")
    else:
        assert now == reviewed


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 12
