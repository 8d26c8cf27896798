"""A planted bug: a shipped module with some of its text exchanged, in one process that was started for it.

Whoever hunts bugs must be seen to find some (docs/reliability.md, "Planted bugs"). Nothing of them is in what is
shipped: an import hook compiles the exchanged text in the place of the module's own. It reads and writes no bytecode
files, so that no other process ever runs a bug.

Rule: install a bug before anything of `bankd` is imported. So this package imports it only where seeds are run.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

import attrs

ROOT: Final = Path(__file__).resolve().parents[2]


class DoesNotFit(Exception):
    """The shipped module has changed, and the bug must be changed with it. Names the bug."""


@attrs.frozen
class Change:
    """`old` stands once in `file`, a path below the repository; `new` takes its place."""

    file: str
    old: str
    new: str

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")


@attrs.frozen
class Bug:
    name: str
    breaks: str  # one sentence, without the full stop
    changes: tuple[Change, ...]
    level: int = 1  # 1: the simulator's seeds (bankd/sim); 2: those of whole programs (tests/whole)

    def changed(self, module: str, source: str) -> str:
        """The text of a module with the bug in it.

        Raises:
          DoesNotFit: an `old` does not stand there exactly once.
        """
        for change in self.changes:
            if change.module == module:
                count = source.count(change.old)
                if count != 1:
                    raise DoesNotFit(f"{self.name}: stands {count} times in {change.file}, not once:\n{change.old}")
                source = source.replace(change.old, change.new)
        return source

    def install(self) -> None:
        """Have this process import the bug."""
        early = [change.file for change in self.changes if change.module in sys.modules]
        assert not early, f"{self.name}: {early} were imported before it"
        sys.meta_path.insert(0, _Finder(self))


@attrs.frozen
class Finding:
    """What a judge said, and where."""

    seed: int
    invariant: str
    judge: str
    sentence: str  # the violation's first line

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.invariant} by {self.judge}: {self.sentence}"


def bug(name: str, breaks: str, *changes: tuple[str, str, str], level: int = 1) -> Bug:
    return Bug(name, breaks, tuple(Change(*change) for change in changes), level)


class _Finder(MetaPathFinder):
    def __init__(self, planted: Bug) -> None:
        self._bug = planted
        self._modules = {change.module for change in planted.changes}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None, f"{self._bug.name}: there is no module {fullname}"
        assert spec.origin is not None, f"{self._bug.name}: {fullname} is no file"
        spec.loader = _Loader(fullname, spec.origin, self._bug)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, planted: Bug) -> None:
        super().__init__(fullname, path)
        self._bug = planted

    def get_code(self, fullname: str) -> CodeType:
        """Compile the text; the module's own bytecode is neither used nor replaced."""
        source = Path(self.path).read_text(encoding="utf-8")
        return compile(self._bug.changed(fullname, source), self.path, "exec", dont_inherit=True)
