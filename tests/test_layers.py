"""Imports run downward only, and the pure layers stay pure (docs/overview.md).

The table says, per unit of bankd (a module or a package right below it), what else of bankd it may
import; standard and third-party modules are free, except in the pure units. "Same log, same balances"
rests on the pure part: no clock, no randomness, no environment, no scheduler can reach a decision.
"""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

VALUES = frozenset({"types", "errors", "status"})
MAY_IMPORT: dict[str, frozenset[str]] = {
    "types": frozenset(),
    "errors": frozenset(),
    "status": frozenset({"types"}),
    "config": frozenset({"types", "errors"}),
    "ledger": VALUES,
    "raft": VALUES,
    "replica": VALUES | {"ledger", "raft"},
    "pb": frozenset(),
    "wire": VALUES | {"ledger", "raft", "replica", "pb"},
    "storage": VALUES | {"raft.messages", "raft.ready", "pb"},
    "snapshot": VALUES | {"ledger", "raft.messages", "wire", "storage"},
    "keeper": VALUES | {"ledger", "raft", "replica", "snapshot", "wire", "storage"},
    "boot": VALUES | {"config", "keeper", "ledger", "raft", "replica", "wire", "storage"},
    "history": VALUES,
    "node": VALUES | {"boot", "config", "keeper", "ledger", "raft", "replica", "wire", "storage"},
    "sim": VALUES | {"boot", "config", "history", "keeper", "ledger", "raft", "replica", "wire", "storage"},
    "campaign": VALUES | {"history", "sim"},
    "client": VALUES | {"ledger", "wire"},
    "gateway": VALUES | {"config", "ledger", "pb", "wire", "client"},
    "local": VALUES | {"client"},
    "demo": VALUES | {"config", "client", "local"},
    "offline": VALUES | {"ledger", "raft.messages", "snapshot", "wire", "storage"},
    "restore": VALUES | {"boot", "config", "ledger", "raft", "snapshot", "storage", "wire"},
    "cli": VALUES | {"campaign", "config", "demo", "gateway", "history", "node", "offline", "restore"},
    "__main__": frozenset({"cli"}),
    "bankctl": VALUES | {"client", "snapshot"},
}
PURE = frozenset({"types", "errors", "status", "ledger", "raft", "replica", "sim"})
PURE_MODULES = frozenset({
    "__future__", "abc", "array", "attrs", "bisect", "collections", "enum", "functools", "google_crc32c", "hashlib",
    "heapq", "itertools", "math", "operator", "re", "struct", "textwrap", "types", "typing", "unicodedata", "zlib",
})  # fmt: skip
ALSO_PURE = {"sim": {"pathlib"}}  # the simulated disk knows paths as names
IMPURE_CALLS = frozenset({"open", "print", "input", "hash", "id", "exec", "eval", "__import__"})
EXCUSED = {"bankd/ledger/row_index.py": {"hash"}}  # picks a shard of a look-up table, whose order nobody sees
FORBIDDEN_MODULES = {
    "config": {"os", "trio"},
    "keeper": {"os", "time", "threading", "trio"},
    "storage": {"trio"},
    "wire": {"trio", "socket"},
}


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Full names of everything that a module imports, wherever in it the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def allowed(unit: str, name: str) -> bool:
    """Whether a module of `unit` may import `name`."""
    top, _, rest = name.partition(".")
    if name == "bankd.__version__" or top == unit:
        return True
    if top in ("bankd", "bankctl"):
        return any(f"{rest}.".startswith(f"{may}.") for may in {unit, *MAY_IMPORT[unit]}) and top == "bankd"
    if unit in PURE:
        return top in PURE_MODULES or top in ALSO_PURE.get(unit, ())
    return top not in FORBIDDEN_MODULES.get(unit, set())


def impurities(tree: ast.AST, excused: Collection[str]) -> Iterator[str]:
    """What a pure module must not hold beside imports: anything async, and calls that reach the world or the process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield f"line {node.lineno}: async code"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in IMPURE_CALLS - set(excused)
        ):
            yield f"line {node.lineno}: {node.func.id}()"


def violations(unit: str, package: str, source: str, excused: Collection[str] = ()) -> list[str]:
    if unit not in MAY_IMPORT:
        return [f"{unit} is in no layer: add it to MAY_IMPORT"]
    tree = ast.parse(source)
    found = [f"imports {name}" for name in imported(tree, package) if not allowed(unit, name)]
    return found + (list(impurities(tree, excused)) if unit in PURE else [])


def modules() -> Iterator[tuple[str, Path]]:
    for file in sorted([*ROOT.glob("bankd/**/*.py"), *ROOT.glob("bankctl/**/*.py")]):
        top, *rest = file.relative_to(ROOT).with_suffix("").parts
        unit = top if top == "bankctl" else rest[0]
        if unit != "pb" and (top, *rest) != ("bankd", "__init__"):
            yield unit, file


@pytest.mark.parametrize(("unit", "file"), [pytest.param(u, f, id=str(f.relative_to(ROOT))) for u, f in modules()])
def test_module_keeps_to_its_layer(unit: str, file: Path) -> None:
    package = ".".join(file.relative_to(ROOT).parent.parts)
    excused = EXCUSED.get(str(file.relative_to(ROOT)), ())
    assert violations(unit, package, file.read_text(), excused) == []


PLANTED = [
    ("ledger", "import time", "imports time"),
    ("ledger", "from os import urandom", "imports os.urandom"),
    ("ledger", "def f():\n    import random", "imports random"),
    ("ledger", "async def apply(): ...", "line 1: async code"),
    ("ledger", "x = hash('a')", "line 1: hash()"),
    ("ledger", "import bankd.raft.core", "imports bankd.raft.core"),
    ("raft", "from bankd.ledger import state", "imports bankd.ledger.state"),
    ("raft", "from ..ledger.state import Ledger", "imports bankd.ledger.state.Ledger"),
    ("raft", "import asyncio", "imports asyncio"),
    ("replica", "import trio", "imports trio"),
    ("replica", "from bankd.node import loop", "imports bankd.node.loop"),
    ("storage", "import trio.to_thread", "imports trio.to_thread"),
    ("storage", "from bankd.raft.core import Raft", "imports bankd.raft.core.Raft"),
    ("node", "from bankd.pb import bank_pb2", "imports bankd.pb.bank_pb2"),
    ("client", "from bankd.pb.bank_pb2 import AccountId", "imports bankd.pb.bank_pb2.AccountId"),
    ("config", "import os", "imports os"),
    ("bankctl", "from bankd.wire.frames import Frame", "imports bankd.wire.frames.Frame"),
    ("bankctl", "from bankd import config", "imports bankd.config"),
    ("types", "from bankd import errors", "imports bankd.errors"),
    ("helpers", "", "helpers is in no layer: add it to MAY_IMPORT"),
]


@pytest.mark.parametrize(("unit", "source", "violation"), PLANTED)
def test_planted_violation_is_found(unit: str, source: str, violation: str) -> None:
    assert violations(unit, f"bankd.{unit}", source) == [violation]


PERMITTED = [
    ("ledger", "from collections.abc import Mapping\nimport attrs\nfrom bankd.types import TxId"),
    ("ledger", "from bankd.ledger import commands\nfrom .commands import Command"),
    ("storage", "import os\nfrom bankd.raft.messages import Entry\nfrom bankd.pb import entry_pb2"),
    ("node", "import trio\nfrom bankd.replica.core import Replica\nasync def run(): ..."),
    (
        "bankctl",
        "from bankd import __version__, errors\nfrom bankd.client import SyncBankClient\nimport bankctl.output",
    ),
]


@pytest.mark.parametrize(("unit", "source"), PERMITTED)
def test_permitted_import_passes(unit: str, source: str) -> None:
    package = unit if unit == "bankctl" else f"bankd.{unit}"
    assert violations(unit, package, source) == []
