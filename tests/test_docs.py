"""What the pages say can be done, can be done: links and files exist, commands and snippets fit the program."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from bankctl.parser import Invocation, parse
from bankctl.table import GRAMMAR
from bankd.cli import COMMANDS, Parser
from bankd.client import BankClient, SyncBankClient

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


SHELL_LINES = sorted({line.removesuffix(" &") for block in blocks("sh") for line in block.splitlines() if line})
SNIPPETS = list(blocks("python"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    files = re.findall(r"`([a-z_]+/[a-z_/]*[a-z_]+\.(?:py|proto))`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [file for file in files if not ((ROOT / file).exists() or (ROOT / "bankd" / file).exists())]
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


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_uses_names_that_exist(snippet: str) -> None:
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.ImportFrom):
            assert [
                alias.name for alias in node.names if not hasattr(import_module(str(node.module)), alias.name)
            ] == []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bank":
            assert hasattr(BankClient, node.attr)
            assert hasattr(SyncBankClient, node.attr)


def test_pages_hold_something_to_check() -> None:
    assert len(SHELL_LINES) > 15
    assert len(SNIPPETS) >= 2
