"""Run bankctl in this process, with streams that tests can read."""

import json
from collections.abc import Mapping
from io import BytesIO, StringIO
from typing import Any

import attrs

from bankctl.cli import run
from bankctl.output import Host
from bankd.errors import Exit


class Terminal(StringIO):
    """A stream that says someone sits there."""

    def isatty(self) -> bool:
        return True


@attrs.frozen
class Ran:
    exit: Exit
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The one JSON object on stderr."""
        return json.loads(self.err)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def bankctl(*argv: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None, terminal: bool = False) -> Ran:
    stream = Terminal if terminal else StringIO
    host = Host(BytesIO(stdin), stream(), stream(), environ or {})
    code = run(argv, host)
    assert isinstance(host.stdout, StringIO)
    assert isinstance(host.stderr, StringIO)
    return Ran(code, host.stdout.getvalue(), host.stderr.getvalue())
