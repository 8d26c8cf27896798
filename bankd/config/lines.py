"""Find the line of each key in a TOML text.

tomllib tells no positions, and a fault without its line sends people searching. This is no second
parser: the text has passed tomllib already, so only the places where keys can stand need finding.
Strings and brackets are skipped whole, because what looks like a key inside them is none.

Limits: keys inside inline tables are found as their table (`raft = { heartbeat = "1s" }` has the
line of `raft`), and of an array of tables the last one counts.
"""

import re
from collections.abc import Iterator
from typing import Final

TOKEN: Final = re.compile(
    r'''
      (?P<string> """(?:\\.|[^\\])*?"{3,5} | \'\'\'.*?\'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<comment> \#[^\n]* )
    | (?P<newline> \n )
    | (?P<open> [\[{] ) | (?P<close> [\]}] ) | (?P<equals> = )
    | (?P<other> [^\s\[\]{}="'#]+ | [ \t\r]+ )
    ''',
    re.VERBOSE | re.DOTALL,
)
KEY_PART: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(?:\.|$)""")


def key_lines(text: str) -> dict[str, int]:
    """Return the line, counted from 1, of every dotted key and of every table header."""
    lines: dict[str, int] = {}
    table = ""
    for line, statement in statements(text):
        if statement.startswith("["):
            table = dotted(statement.strip("[] \t"))
            lines[table] = line
        elif statement:
            lines[".".join(filter(None, [table, dotted(statement)]))] = line
    return lines


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, head) per statement; the head is a table header, or the key before the first `=`."""
    line, start, depth, head, in_value = 1, 1, 0, "", False
    for token in TOKEN.finditer(text + "\n"):
        kind = token.lastgroup
        if kind == "newline" and depth == 0:
            yield start, head.strip()
            start, head, in_value = line + 1, "", False
        elif kind == "equals":
            in_value = True
        elif kind != "comment" and not in_value:
            head += token[0]
        depth += (kind == "open") - (kind == "close")
        line += token[0].count("\n")


def dotted(key: str) -> str:
    """Normalize `a . "b"` to `a.b`."""
    return ".".join(next(filter(None, part.groups()), "") for part in KEY_PART.finditer(key))
