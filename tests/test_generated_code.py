"""bankd/pb is exactly what `make proto` generates: the same files, the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("bankd/pb")


def contents(package: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(package.glob("*_pb2*"))}


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("generated")
    # -o: whether .venv is up to date is not this test's affair, and a test must not install anything.
    recipe = ["make", "-o", ".venv/.installed", "proto", f"OUT={out}", f"PY={sys.executable}"]
    subprocess.run(recipe, cwd=ROOT, check=True, capture_output=True)
    return contents(out / PACKAGE)


def test_every_proto_is_generated_and_no_generated_file_has_lost_its_proto(regenerated: dict[str, bytes]) -> None:
    committed = contents(ROOT / PACKAGE)
    assert sorted(committed) == sorted(regenerated), "run `make proto`"


def test_committed_code_is_what_the_protos_say(regenerated: dict[str, bytes]) -> None:
    committed = contents(ROOT / PACKAGE)
    stale = [name for name, code in regenerated.items() if committed.get(name) != code]
    assert not stale, "run `make proto`"
