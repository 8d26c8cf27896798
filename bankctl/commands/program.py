"""`completion` and `version`: what needs no cluster."""

from typing import Final

from bankctl.columns import TEXT, Column
from bankctl.output import Record
from bankctl.session import Session
from bankd import __version__
from bankd.errors import Exit

VERSION: Final = (Column("version", TEXT),)


def version(session: Session) -> Exit:
    session.printer.record(Record(VERSION, {"version": __version__}, f"bankctl {__version__}"))
    return Exit.OK


def completion(session: Session, *, shell: str) -> Exit:
    from bankctl.completion import script

    session.printer.raw(script(shell))
    return Exit.OK
