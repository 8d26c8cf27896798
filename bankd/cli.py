"""The `bankd` command: find the command, run it, end with a line and an exit code.

Every command is a row of COMMANDS. What a command needs is imported when it runs, so `--help` and a
mistyped word cost nothing. Here is the one place that catches `NodeError` and turns it into
`error: REASON: sentence` on stderr and its exit code; an exception that nobody expected is our bug
and ends with its stack and exit code 10.

argparse cuts the words; finding commands, suggestions and the look of errors are ours, as in bankctl.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from math import nan
from pathlib import Path
from typing import ClassVar, Final, NoReturn

import attrs

from bankd import __version__
from bankd.campaign.output import Output, complain, require_stdout, show, tell, turn_away
from bankd.config import LoadedConfig, Role, load_config
from bankd.errors import ConfigInvalid, Exit, FileUnusable, NodeError


class UsageError(NodeError):
    """What was typed cannot be understood. Nothing was done."""

    reason: ClassVar[str] = "USAGE"
    exit_code: ClassVar[Exit] = Exit.USAGE


class Parser(argparse.ArgumentParser):
    """argparse with our section titles, and a mistake is an exception and never an exit."""

    def __init__(self, command: "Command") -> None:
        super().__init__(
            prog=f"bankd {command.name}",
            description=command.summary,
            epilog=examples(command.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.arguments = self.add_argument_group("arguments")
        self.flags = self.add_argument_group("flags")
        self.flags.add_argument("-h", "--help", action="help", help="show this help")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        options, surplus = self.parse_known_args(words)
        if surplus:
            self.error(f"{surplus[0]!r} is one word too many{suggestion(surplus[0], self._option_string_actions)}")
        return options


@attrs.frozen
class Command:
    """`declare` adds arguments and flags to the parser; `run` does it and returns the exit code."""

    name: str
    summary: str
    examples: tuple[str, str]
    declare: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. Raises SystemExit only where argparse shows a help."""
    if sys.stderr is None:  # closed before we began; print() would take stdout for it
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    try:
        return written(run(sys.argv[1:] if argv is None else argv))
    except ConfigInvalid as invalid:
        for fault in invalid.faults:
            complain(invalid.reason, fault)
        return invalid.exit_code
    except NodeError as error:
        complain(error.reason, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        turn_away(sys.stdout)  # whoever read it has left
        return Exit.OK
    except Exception as error:
        tell(traceback.format_exc())
        complain("INTERNAL", f"{type(error).__name__}: {error} (this is a bug in bankd; please report the lines above)")
        return Exit.INTERNAL


def run(words: Sequence[str]) -> int:
    if not __debug__:
        raise UsageError("bankd guards its state with assertions (run Python without -O and PYTHONOPTIMIZE)")
    if not words or words[0] in ("-h", "--help"):
        print(overview(), end="")
        return Exit.OK
    command = COMMANDS.get(words[0])
    if command is None:
        raise UsageError(f"{words[0]!r} is no command{suggestion(words[0], COMMANDS)} (see bankd --help)")
    parser = Parser(command)
    command.declare(parser)
    return command.run(parser.parse(words[1:]))


def written(code: int) -> int:
    """See that what a command printed is out, and not left to the interpreter, which would end with another code."""
    output = Output()
    if sys.stdout is not None:
        output.attempt(show, "", end="")
    return output.exit_code(code)


def suggestion(word: str, known: Collection[str]) -> str:
    similar = get_close_matches(word, known, n=1) or get_close_matches(word.lstrip("-"), known, n=1)
    return f"; did you mean {similar[0]}?" if similar else ""


def overview() -> str:
    lines = [f"  {command.name:<15}{command.summary}" for command in COMMANDS.values()]
    head = "usage: bankd COMMAND [flags]\n\nThe server of bank-cluster: nodes and their gateway.\n\ncommands:\n"
    return head + "\n".join(lines) + "\n\n" + examples(("bankd demo", "bankd serve bankd.toml")) + "\n"


def examples(lines: Sequence[str]) -> str:
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


# The commands


def declare_config(parser: Parser) -> None:
    parser.arguments.add_argument("config", metavar="CONFIG", help="a TOML file; `bankd init` writes one")
    parser.flags.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="override one key; may be repeated",
    )


def declare_check(parser: Parser) -> None:
    declare_config(parser)
    parser.flags.add_argument("--print", action="store_true", help="show each value and where it came from")


def declare_init(parser: Parser) -> None:
    parser.arguments.add_argument("file", metavar="FILE", nargs="?", default="bankd.toml", help="default: bankd.toml")


def declare_demo(parser: Parser) -> None:
    flags = parser.flags
    flags.add_argument("--nodes", metavar="N", type=whole(1, 9), default=3, help="1 to 9; default: 3")
    flags.add_argument(
        "--gateway", action=argparse.BooleanOptionalAction, default=True, help="serve gRPC too; default: yes"
    )
    flags.add_argument("--keep", metavar="DIR", help="keep configuration, data and logs there, or go on from them")
    flags.add_argument("--tour", action="store_true", help="show a killed leader and the money still right, then stop")


def declare_sim(parser: Parser) -> None:
    flags = parser.flags
    which = flags.add_mutually_exclusive_group()
    which.add_argument("--seed", metavar="N", type=whole(0, SEED_MAX), help="run this seed and show what happened")
    which.add_argument("--plan", metavar="FILE", type=Path, help="run a plan that is kept as text")
    which.add_argument(
        "--from", metavar="N", type=whole(0, SEED_MAX), dest="first", help="first of many seeds; default: drawn"
    )
    flags.add_argument("--nodes", metavar="N", type=whole(1, 7), help="1 to 7; default: drawn, 3 to 7")
    flags.add_argument("--seconds", metavar="S", type=whole(1, DAY_S), help="simulated, with faults; default: 60")
    flags.add_argument("--shrink", action="store_true", help="look for the smallest plan in which the same breaks")
    flags.add_argument("--transcript", metavar="FILE", type=Path, help="write the plan as text, shrunk if so asked")
    flags.add_argument("--history", metavar="FILE", type=Path, help="write what clients were told, for check-history")
    flags.add_argument("--trace", action="store_true", help="show every event, in columns")
    flags.add_argument(
        "--count",
        metavar="M",
        type=whole(1, COUNT_MAX),
        help="so many seeds; default: 500, or no end with --hours",
    )
    flags.add_argument("--hours", metavar="H", type=hours, help="begin no seed after so long")
    flags.add_argument("--jobs", metavar="J", type=whole(1, JOBS_MAX), help="processes; default: one for each core")
    flags.add_argument(
        "--failures",
        metavar="FILE",
        type=Path,
        help="add the seeds that failed; default: sim-failures.txt",
    )
    flags.add_argument("--json", action="store_true", help="print one JSON object")


ONE_RUN: Final = ("shrink", "transcript", "history", "trace")
MANY_RUNS: Final = ("count", "hours", "jobs", "failures")
SEEDS: Final = ("nodes", "seconds")


SEED_MAX: Final = 2**63 - 1
COUNT_MAX: Final = 10**12  # years of work
JOBS_MAX: Final = 1_000  # each is a process
DAY_S: Final = 86_400
INDEX_MAX: Final = 2**63 - 1
PPM: Final = 1_000_000
WORD_SHOWN_MAX: Final = 40  # characters of what was typed, in a refusal
HOURS_MAX: Final = 100_000  # ten years and more


def whole(low: int, high: int) -> Callable[[str], int]:
    """Read a whole number within these limits."""

    def read(word: str) -> int:
        digits = word.lstrip("0") or word[:1]
        # The length first: Python refuses to read a number of thousands of digits.
        if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(high)) and low <= int(digits) <= high:
            return int(digits)
        raise argparse.ArgumentTypeError(f"{shortened(word)!r} is no whole number from {low} to {high}")

    return read


def shortened(word: str) -> str:
    return word if len(word) <= WORD_SHOWN_MAX else f"{word[:WORD_SHOWN_MAX]}..."


def hours(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = nan
    if 0 < number <= HOURS_MAX:
        return number
    raise argparse.ArgumentTypeError(f"{shortened(word)!r} is no number above 0, and at most {HOURS_MAX}")


def declare_check_history(parser: Parser) -> None:
    parser.arguments.add_argument("file", metavar="FILE", help="JSON lines, one call each")
    parser.flags.add_argument(
        "--checker", choices=("witness", "search", "both"), default="witness", help="default: witness"
    )
    parser.flags.add_argument(
        "--drift",
        metavar="PPM",
        type=whole(0, PPM),
        help="how far a clock of a node may run apart from the history's, for bounded reads; default: 1000",
    )
    parser.flags.add_argument("--json", action="store_true", help="for programs")


def declare_verify(parser: Parser) -> None:
    parser.arguments.add_argument(
        "data_dir", metavar="DATA_DIR", type=Path, help="of a node that is stopped; or a snapshot, or a backup"
    )
    declare_output(parser)


def declare_inspect(parser: Parser) -> None:
    parser.arguments.add_argument(
        "what", choices=("wal", "snapshot", "meta"), help="the log, snapshots, or whose directory it is"
    )
    parser.arguments.add_argument(
        "path", metavar="PATH", type=Path, help="a data directory, its wal/ or snap/, or one file"
    )
    declare_output(parser)
    flags = parser.flags
    flags.add_argument("--from", metavar="N", type=whole(1, INDEX_MAX), dest="first", help="entries from this index on")
    flags.add_argument("--to", metavar="N", type=whole(1, INDEX_MAX), dest="last", help="entries up to this index")


def declare_restore(parser: Parser) -> None:
    parser.arguments.add_argument(
        "file", metavar="SNAPSHOT", type=Path, help="what `bankctl snapshot save` has written"
    )
    declare_config(parser)
    declare_output(parser)


def declare_output(parser: Parser) -> None:
    parser.flags.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")


def declare_nothing(parser: Parser) -> None:
    pass


def load(options: argparse.Namespace, role: Role | None) -> LoadedConfig:
    return load_config(options.config, overrides=options.overrides, environ=os.environ, role=role)


def serve(options: argparse.Namespace) -> int:
    config = load(options, Role.NODE).config
    from bankd.node.serve import run

    return run(config)


def gateway(options: argparse.Namespace) -> int:
    config = load(options, Role.GATEWAY).config
    from bankd.gateway.serve import run
    from bankd.node.logs import configure_logging

    configure_logging(config.log)
    return run(config)


def check(options: argparse.Namespace) -> int:
    from bankd.config.render import shown

    try:
        loaded = load(options, None)
    except ConfigInvalid as invalid:
        print("\n".join(invalid.faults))  # what was asked for, so stdout
        return invalid.exit_code
    print("\n".join(shown(loaded)) if options.print else f"{options.config}: no faults")
    return Exit.OK


def init(options: argparse.Namespace) -> int:
    from bankd.config.render import annotated_file

    try:
        with open(options.file, "x", encoding="utf-8") as file:
            file.write(annotated_file())
    except FileExistsError:
        raise FileUnusable(f"{options.file} exists and is left as it is (name another file)") from None
    except OSError as error:
        raise FileUnusable(f"{options.file} cannot be written: {error.strerror}") from None
    print(f"{options.file} written (next: bankd check {options.file}, then bankd serve {options.file})")
    return Exit.OK


def demo(options: argparse.Namespace) -> int:
    from bankd.demo import run

    return run(nodes=options.nodes, gateway=options.gateway, keep=options.keep, tour=options.tour)


def sim(options: argparse.Namespace) -> int:
    from bankd.campaign.endings import endings_interrupt

    refuse_misplaced(options)
    require_stdout()
    with endings_interrupt():
        return one_run(options) if options.seed is not None or options.plan is not None else many_runs(options)


def one_run(options: argparse.Namespace) -> int:
    from bankd.campaign import one
    from bankd.campaign.run import SECONDS, Seed

    wish = one.Wish(options.shrink, options.transcript, options.history, options.trace, options.json)
    if options.plan is not None:
        return one.run_file(options.plan, wish)
    return one.run_drawn(Seed(options.seed, options.nodes, options.seconds or SECONDS), wish)


def many_runs(options: argparse.Namespace) -> int:
    from bankd.campaign import many
    from bankd.campaign.run import SECONDS

    count = 500 if options.count is None and options.hours is None else options.count
    if options.first is not None and count is not None and options.first + count - 1 > SEED_MAX:
        raise UsageError(f"there are no {count:,} seeds from {options.first} on, the largest is {SEED_MAX}")
    order = many.Order(
        first=many.fresh() if options.first is None else options.first,
        count=count,
        hours=options.hours,
        jobs=options.jobs or os.cpu_count() or 1,
        failures=options.failures or Path("sim-failures.txt"),
        nodes=options.nodes,
        seconds=options.seconds or SECONDS,
    )
    return many.run(order, as_json=options.json)


def refuse_misplaced(options: argparse.Namespace) -> None:
    """Leave no flag of `bankd sim` unheeded that the kind of run has no use for."""

    def refuse(flags: Sequence[str], what_for: str) -> None:
        for flag in flags:
            if getattr(options, flag):
                raise UsageError(f"--{flag} is for {what_for} (see bankd sim --help)")

    if options.json and options.trace:
        raise UsageError("--trace is for people and --json for programs: leave one out (see bankd sim --help)")
    if options.plan is not None:
        refuse(SEEDS, "seeds, a plan says its own")
    if options.plan is not None or options.seed is not None:
        refuse(MANY_RUNS, "many seeds")
    else:
        refuse(ONE_RUN, "one run, of --seed or --plan")


def check_history(options: argparse.Namespace) -> int:
    from bankd.campaign.endings import endings_interrupt
    from bankd.history.command import as_json, as_text, judge
    from bankd.history.json_lines import read_history
    from bankd.history.witness import DRIFT_PPM_MAX

    require_stdout()
    with endings_interrupt():
        try:
            with open(options.file, "rb") as file:
                records = list(read_history(file, options.file))
        except OSError as error:
            raise FileUnusable(f"{options.file} cannot be read: {error.strerror}") from None
        drift_ppm_max = DRIFT_PPM_MAX if options.drift is None else options.drift
        judgement = judge(records, options.checker, drift_ppm_max=drift_ppm_max)
        output = Output()
        output.attempt(show, as_json(judgement) if options.json else as_text(judgement))
        return output.exit_code(judgement.exit_code)


def verify(options: argparse.Namespace) -> int:
    from bankd.offline.verify import run

    output = Output()
    code = run(options.data_dir, as_table=options.output == "table", show=lambda text: output.attempt(show, text))
    return output.exit_code(code)


def inspect(options: argparse.Namespace) -> int:
    from bankd.offline.inspect import Range, run_meta, run_wal
    from bankd.offline.inspect_snapshots import run_snapshots

    if options.what == "wal":
        return run_wal(options.path, Range(options.first, options.last), as_table=options.output == "table")
    for flag, value in (("--from", options.first), ("--to", options.last)):
        if value is not None:
            raise UsageError(f"{flag} is for the log (see bankd inspect --help)")
    if options.what == "meta":
        return run_meta(options.path, as_table=options.output == "table")
    output = Output()
    code = run_snapshots(options.path, as_table=options.output == "table", show=lambda text: output.attempt(show, text))
    return output.exit_code(code)


def restore(options: argparse.Namespace) -> int:
    config = load(options, Role.NODE).config
    from bankd.restore import run

    return run(options.file, config, as_table=options.output == "table")


def version(options: argparse.Namespace) -> int:
    print(f"bankd {__version__}")
    return Exit.OK


COMMANDS: Final = {
    command.name: command
    for command in (
        Command(
            "serve",
            "Run one node until SIGTERM or Ctrl-C.",
            ("bankd serve bankd.toml", "bankd serve bankd.toml --set raft.election_timeout=2s"),
            declare_config,
            serve,
        ),
        Command(
            "gateway",
            "Serve gRPC clients (bank.v1) in a process of its own, through the cluster's nodes.",
            ("bankd gateway bankd.toml", "bankd gateway bankd.toml --set gateway.listen=127.0.0.1:50052"),
            declare_config,
            gateway,
        ),
        Command(
            "check",
            "Report all faults of a configuration at once; exit code 8 if there are any.",
            ("bankd check bankd.toml", "bankd check bankd.toml --print"),
            declare_check,
            check,
        ),
        Command(
            "init",
            "Write a configuration to start from, every key explained.",
            ("bankd init", "bankd init n1.toml"),
            declare_init,
            init,
        ),
        Command(
            "demo",
            "Run a whole cluster on this machine, with sample accounts, until Ctrl-C.",
            ("bankd demo --nodes 5 --keep demo-data", "bankd demo --tour"),
            declare_demo,
            demo,
        ),
        Command(
            "sim",
            "Run clusters under faults in a simulated world: one seed, or a campaign over many.",
            ("bankd sim --seed 42 --shrink", "bankd sim --from 1 --count 1000"),
            declare_sim,
            sim,
        ),
        Command(
            "check-history",
            "Judge what clients asked and were answered; exit code 8 if it cannot be right, 6 if undecided.",
            ("bankd check-history history.jsonl", "bankd check-history history.jsonl --checker both --json"),
            declare_check_history,
            check_history,
        ),
        Command(
            "verify",
            "Check a data directory whose node is stopped, or a backup: every checksum, a replay, the balances.",
            ("bankd verify data/n1", "bankd verify data/n1 -o json"),
            declare_verify,
            verify,
        ),
        Command(
            "inspect",
            "Show what stands in the files of a data directory, damaged or not.",
            ("bankd inspect wal data/n1 --from 100 --to 120", "bankd inspect snapshot data/n1 -o json"),
            declare_inspect,
            inspect,
        ),
        Command(
            "restore",
            "Make the data directory of one node of a new cluster that goes on from a backup.",
            ("bankd restore backup.snap n1.toml", "bankd restore backup.snap n1.toml --set cluster.name=drill"),
            declare_restore,
            restore,
        ),
        Command(
            "version",
            "Show the version.",
            ("bankd version", "bankd version | cut -d' ' -f2"),
            declare_nothing,
            version,
        ),
    )
}
