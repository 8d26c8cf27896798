"""What the pages say is so: links and files exist, commands and snippets work, faults and promises are where they are cited."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest

from bankctl.parser import Invocation, parse
from bankctl.table import GRAMMAR
from bankd.cli import COMMANDS, Parser
from tests.client.fake_server import FakeServer
from tests.sim.test_plan_text import STORY

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [path for top in ("bankd", "bankctl", "bench", "proto", "tests") for path in (ROOT / top).rglob("*.*")]
TEXTS = {path: path.read_text() for path in SOURCES if path.suffix in (".py", ".proto", ".txt", ".mjs")}

# Faults (D01, R16) have two digits; promises (K11, S1) have none in front.
FAULT = re.compile(r"(?<![\w@])([DPNRCGX](?:0[1-9]|1\d|2\d))(?![\w@])")
PROMISE = re.compile(r"(?<![\w@])(K[1-9]\d?|[MSRBDV][1-9])(?![\w@])")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


SHELL_LINES = sorted(
    {line.removesuffix(" &") for page in PAGES for block in blocks(page, "sh") for line in block.splitlines() if line}
)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    missing = []
    for link in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            missing.append(link)
    files = re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]+\.(?:py|proto))`", text)
    missing += [
        file for file in files if not any((top / file).exists() for top in (ROOT, ROOT / "bankd", ROOT / "tests"))
    ]
    assert missing == []


@pytest.mark.parametrize("line", SHELL_LINES)
def test_command_in_a_page_is_understood(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    match program:
        case "bankctl":
            assert isinstance(parse(GRAMMAR, words, {}), Invocation)
        case "bankd":
            parser = Parser(COMMANDS[words[0]])
            COMMANDS[words[0]].declare(parser)
            parser.parse(words[1:])
        case "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case _:
            assert program in {".", "export", "kill"}, "say here how this is checked"


def test_the_plan_with_every_kind_of_line_is_one_that_is_tested() -> None:
    assert blocks(ROOT / "docs" / "simulator.md", "text")[-1] == STORY


def test_python_of_the_readme_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """In order, as a reader would, against one node under another address. bob is there from the section before."""
    snippets = blocks(ROOT / "README.md", "python")
    with FakeServer() as server:
        server.bank.open_account("bob", 0)
        for snippet in snippets:
            code, addresses = re.subn(r"127\.0\.0\.1:\d+", server.address, snippet)
            assert addresses, "the snippet would talk to a real node"
            exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert len(snippets) == 2
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 100
    assert {line.split()[1] for line in printed} == {"COMMITTED_OK", "COMMITTED_INSUFFICIENT_FUNDS"}


# docs/reliability.md


class Row:
    """One fault."""

    def __init__(self, line: str) -> None:
        self.id, self.fault, self.verdict, self.shown_by = (cell.strip() for cell in line.strip("|\n").split("|"))
        self.tests = re.findall(r"`(\w+/\w+\.py)::(\w+)(?:\[(\w+)\])?`", self.shown_by)
        self.bugs = re.findall(r"`([a-z]+(?:-[a-z]+)+)`", self.shown_by)


RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()
ROWS = [Row(line) for line in RELIABILITY.splitlines() if re.match(r"\| [A-Z]\d\d \|", line)]


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_tests_named_for_a_fault_exist(row: Row) -> None:
    assert row.shown_by.count("::") == len(row.tests), "a test is named in a way that this one cannot read"
    for file, name, transcript in row.tests:
        assert name in functions_of(file), f"{file} has no {name}"
        assert not transcript or (ROOT / "tests" / "golden" / "raft" / f"{transcript}.txt").exists()


def test_planted_bugs_named_for_a_fault_are_in_their_table() -> None:
    planted = set(re.findall(r"^\| `([a-z-]+)` \|", RELIABILITY, re.MULTILINE))
    named = {bug for row in ROWS for bug in row.bugs}
    assert len(named) > 25
    assert named - planted == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_verdict_on_a_fault_has_what_it_needs(row: Row) -> None:
    assert row.verdict in ("covered", "partly", "later", "no case")
    assert row.shown_by
    assert bool(row.tests) or row.verdict not in ("covered", "partly"), "tests must show it"
    assert ("open: " in row.shown_by) == (row.verdict == "partly"), "what is open must be said, and only there"


def test_faults_are_numbered_without_gap_or_twin() -> None:
    for letter, group in groupby([row.id for row in ROWS], key=lambda id_: id_[0]):
        ids = list(group)
        assert ids == [f"{letter}{number:02}" for number in range(1, len(ids) + 1)]
    assert len({row.id for row in ROWS}) == len(ROWS)


def cited(pattern: re.Pattern[str], texts: dict[Path, str]) -> Iterator[tuple[str, Path]]:
    for path, text in texts.items():
        yield from ((id_, path) for id_ in set(pattern.findall(text)))


def comments(path: Path, text: str) -> str:
    """What is written for people: all of a page, the comments and docstrings of a program."""
    if path.suffix != ".py":
        return text
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    return "\n".join([*docstrings, *re.findall(r"#.*", text)])


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
WRITTEN = {path: comments(path, text) for path, text in TEXTS.items() if "pb" not in path.parts}
WRITTEN |= {page: page.read_text() for page in PAGES}


def test_every_fault_that_is_cited_has_its_row() -> None:
    known = {row.id for row in ROWS}
    assert [(id_, path.name) for id_, path in cited(FAULT, WRITTEN) if id_ not in known] == []


def test_every_promise_that_is_cited_stands_in_the_contract() -> None:
    known = set(re.findall(r"^\| ([A-Z]\d+) \|", (ROOT / "docs" / "contract.md").read_text(), re.MULTILINE))
    assert len(known) > 25
    assert [(id_, path.name) for id_, path in cited(PROMISE, WRITTEN) if id_ not in known] == []


def test_no_document_is_cited_that_is_not_here() -> None:
    names = {(name, path) for path, text in WRITTEN.items() for name in re.findall(r"[\w/-]*\b\w+\.md\b", text)}
    assert [
        (name, path.name) for name, path in names if not ((ROOT / name).exists() or (path.parent / name).exists())
    ] == []


def test_pages_hold_something_to_check() -> None:
    assert len(SHELL_LINES) > 15
    assert len(ROWS) == 80
