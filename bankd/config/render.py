"""Show the configuration: the file that `bankd init` writes, the page for docs/, `bankd check --print`.

All three come from the fields of the config classes, so none can lag behind.
"""

import textwrap
from collections.abc import Iterable, Iterator

from bankd.config.load import LoadedConfig
from bankd.config.settings import SETTINGS, Role, Setting, sections

COMMENT_COLUMNS = 100


def annotated_file() -> str:
    """A file to start from: the first of three nodes on loopback, every key with its help."""
    blocks = [
        "\n".join([f"[{name}]", *(line for key in fields for line in annotated_key(key, SETTINGS[key]))])
        for name, _, fields in sections()
    ]
    return (
        "\n\n".join(["# bank-cluster: one node, or its gateway. Commented keys show their defaults.", *blocks]) + "\n"
    )


def annotated_key(key: str, setting: Setting) -> Iterator[str]:
    yield from textwrap.wrap(setting.help, COMMENT_COLUMNS, initial_indent="# ", subsequent_indent="# ")
    line = f"{key.partition('.')[2]} = {setting.sample}"
    yield f"#{line}" if setting.default is not None else line


def reference_page() -> str:
    """docs/configuration.md."""
    return PAGE_HEAD + "".join(section_of_page(name, cls, fields) for name, cls, fields in sections())


def section_of_page(name: str, section: type, keys: Iterable[str]) -> str:
    assert section.__doc__ is not None, f"[{name}] is not described"
    rows = "".join(row_of_page(key, SETTINGS[key]) for key in keys)
    return f"\n## [{name}]\n\n{section.__doc__}\n\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}"


def row_of_page(key: str, setting: Setting) -> str:
    required = " and ".join(role.value for role in Role if role in setting.required_by)
    default = f"`{setting.default}`" if setting.default is not None else f"required by a {required}"
    return f"| `{key.partition('.')[2]}` | {setting.kind.words} | {default} | {setting.help} |\n"


def shown(loaded: LoadedConfig) -> Iterator[str]:
    """One line per key that has a value: `key = value  # origin`."""
    width = max(len(f"{key} = {literal}") for key, literal in loaded.literals.items())
    for key, literal in loaded.literals.items():
        assignment = f"{key} = {literal}"
        yield f"{assignment:<{width}}  # {loaded.origins[key]}"


PAGE_HEAD = """\
# Configuration

<!-- Made by `make docs` from bankd/config/settings.py; do not edit. -->

`bankd serve FILE` and `bankd gateway FILE` read one TOML file each (the same one will do).
`bankd init` writes one with every key explained, `bankd check FILE` reports all faults of a file at
once, and `bankd check --print FILE` shows each value and where it came from.

A value is taken from the first of these that gives one:

1. `--set section.key=value`, which may be repeated;
2. the environment: `BANKD_SECTION__KEY`, for example `BANKD_RAFT__HEARTBEAT=50ms`;
3. the file;
4. the default.

Lists in the first two are separated by commas. Durations are a number and `ms`, `s`, `m` or `h`;
sizes a number and `B`, `KiB`, `MiB`, `GiB` or `TiB`; both in quotes in a file. Relative paths begin
where the process was started.
"""
