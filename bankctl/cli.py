"""The edge between bankctl and its process: streams, signals, exit codes.

`run` is the whole program with the process passed in; `main` is the script. Errors are printed
here and nowhere else: whatever a user or the world did becomes one line and an exit code, our own
bugs show their stack and end with code 10.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from bankctl.errors import CommandFailed, Failure, interrupted, judge, judge_local
from bankctl.output import Format, Host, Printer
from bankctl.parser import HelpAsked, Invocation, parse, wants_json
from bankctl.table import ASK, GRAMMAR
from bankd.errors import BankError, Code, Exit, NodeError


def main() -> int:
    """The console script. Never raises; the result is the process's exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal that can't show an id
    try:
        return run(sys.argv[1:], Host(sys.stdin.buffer, sys.stdout, sys.stderr, os.environ))
    except BrokenPipeError:
        return die_of_broken_pipe()
    except Exception:
        sys.excepthook(*sys.exc_info())
        return Exit.INTERNAL


def run(argv: Sequence[str], host: Host) -> Exit:
    """Do what `argv` (without the program's name) says. The result is the exit code.

    Raises:
      BrokenPipeError: nobody reads stdout any more.
    """
    printer = Printer(host, Format.JSON if wants_json(argv, host.environ) else Format.TEXT)
    try:
        if argv and argv[0] == ASK:
            return complete(argv[1:], printer)
        asked = parse(GRAMMAR, argv, host.environ)
        if isinstance(asked, HelpAsked):
            return show_help(asked, printer)
        options = asked.options
        printer = Printer(host, Format(options.output), options.color, options.quiet, options.verbose)
        return execute(asked, printer)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        failure = interrupted("nothing was under way that changes anything").failure
    except CommandFailed as error:
        failure = error.failure
    except BankError as error:
        failure = judge(error)
    except NodeError as error:
        failure = judge_local(error)
    except OSError as error:
        failure = Failure(
            Exit.INTERNAL, Code.INTERNAL, "OUTPUT_FAILED", f"the result could not be written: {error.strerror}"
        )
    printer.failure(failure)
    return failure.exit


def complete(typed: Sequence[str], printer: Printer) -> Exit:
    from bankctl.completion import candidates

    printer.raw("".join(f"{word}\n" for word in candidates(GRAMMAR, typed)))
    return Exit.OK


def show_help(asked: HelpAsked, printer: Printer) -> Exit:
    from bankctl.help import help_text

    printer.raw(help_text(GRAMMAR, asked.subject))
    return Exit.OK


def execute(asked: Invocation, printer: Printer) -> Exit:
    from bankctl.session import Session

    module, _, function = asked.command.run.partition(":")
    command = getattr(import_module(module), function)
    with Session(asked.options, printer) as session:
        result: Exit = command(session, **asked.values)
    printer.flush()
    return result


def die_of_broken_pipe() -> int:
    """End as any other program whose reader went away: killed by SIGPIPE, without a word."""
    import signal

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would complain
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return Exit.INTERNAL  # not reached unless SIGPIPE is blocked
