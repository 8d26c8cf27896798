"""The whole command line, written down once.

Adding a command is adding it here and writing its function; parsing, help, completion and the tests
of all of them follow.
"""

from typing import Final

from bankctl.grammar import Argument, Command, Flag, Grammar, Group
from bankctl.money import parse_amount, parse_money
from bankctl.values import one_of, parse_count, parse_duration, parse_endpoints, parse_read_mode

ASK: Final = "__complete"  # what the completion scripts call; no command of people's

FORMATS: Final = ("text", "table", "json", "jsonl", "csv")
COLORS: Final = ("auto", "always", "never")
READS: Final = ("linearizable", "stale", "bounded:", "at-least:")
FILE_FORMATS: Final = ("csv", "jsonl")
SHELLS: Final = ("bash", "zsh", "fish")

GLOBAL_FLAGS: Final = (
    Flag("--endpoints", "nodes to ask, any of the cluster", "HOST:PORT,...", parse_endpoints, "127.0.0.1:7401", env="BANKCTL_ENDPOINTS"),
    Flag("--cluster", "refuse a cluster of another name", "NAME", env="BANKCTL_CLUSTER"),
    Flag("--timeout", "for the whole command, such as 500ms or 2s", "TIME", parse_duration, env="BANKCTL_TIMEOUT"),
    Flag("--output", "text, table, json, jsonl or csv", "FORMAT", one_of(FORMATS), "text", FORMATS, "-o", "BANKCTL_OUTPUT"),
    Flag("--color", "auto, always or never", "WHEN", one_of(COLORS), "auto", COLORS, env="BANKCTL_COLOR"),
    Flag("--quiet", "no progress and no notes on stderr", short="-q"),
    Flag("--verbose", "tell more on stderr", short="-v"),
    Flag("--help", "show this", short="-h"),
)  # fmt: skip

READ: Final = Flag(
    "--read", "linearizable, stale, bounded:TIME or at-least:INDEX", "MODE", parse_read_mode, "linearizable", READS, env="BANKCTL_READ",
)  # fmt: skip

ACCOUNT: Final = Argument("account", "ACCOUNT", "the account's id")
TX_ID_ABOUT: Final = "The id makes it safe to try again: sent twice, a transfer takes effect once."
BATCH_ABOUT: Final = """\
CSV files begin with the line from,to,amount or from,to,amount,tx_id, in any order, with decimal amounts; JSON lines hold
{"from":"a","to":"b","amount":1250} with amounts in minor units, and tx_id if wanted. Every row is judged before the first is sent.

A row without an id gets one that is made of the file's content and the row's number. So the same file can be sent again after a crash, and
nothing is doubled; but a file that was edited is a new batch: send corrected rows in a file of their own."""
SAVE_ABOUT: Final = """\
Takes a snapshot on one node, fetches its file from that very node, and replays it into a ledger before it gets its name: FILE is whole
and sound, or is not there. The leader's holds everything that was acknowledged before; another node's may lack the last moments.
Without a leader the node that has come furthest gives its own, with a warning.

A connection that breaks is made anew, and the reading goes on where it was. Where a node stays away, it begins anew on the next one."""

COMMANDS: Final = (
    Command(
        ("account", "create"), "open an account", "bankctl.commands.accounts:create",
        ("account create acct1 --initial 12.50", "account create acct2 -o json"),
        (ACCOUNT,),
        (Flag("--initial", "opening balance", "AMOUNT", parse_money, "0.00"),),
    ),
    Command(
        ("account", "show"), "one account with its opening data", "bankctl.commands.accounts:show",
        ("account show acct1", "account show acct1 --read stale"), (ACCOUNT,), (READ,),
    ),
    Command(
        ("account", "list"), "accounts, by id", "bankctl.commands.accounts:list_all",
        ("account list --limit 20", "account list --system -o csv"), (),
        (
            Flag("--after", "begin behind this account", "ACCOUNT", default=""),
            Flag("--limit", "at most so many (without it: all)", "COUNT", parse_count),
            Flag("--system", "also the system's accounts (they begin with @)"),
            READ,
        ),
        timeout_s=None,
    ),
    Command(
        ("balance",), "the balance of an account", "bankctl.commands.accounts:balance",
        ("balance acct1", "balance acct1 --read bounded:500ms -o json"), (ACCOUNT,), (READ,),
    ),
    Command(
        ("transfer",), "move money from one account to another", "bankctl.commands.transfers:transfer",
        ("transfer acct1 acct2 30.00", "transfer acct1 acct2 30.00 --tx-id rent-2025-01"),
        (
            Argument("source", "FROM", "the account that pays"),
            Argument("target", "TO", "the account that is paid"),
            Argument("amount", "AMOUNT", "such as 12.50", parse_amount),
        ),
        (Flag("--tx-id", "id of this transfer (without it: a new one)", "ID"),),
        about=TX_ID_ABOUT,
    ),
    Command(
        ("status",), "what became of a transfer", "bankctl.commands.transfers:status",
        ("status rent-2025-01", "status rent-2025-01 -o json"),
        (Argument("tx_id", "TX_ID", "the transfer's id"),), (READ,),
        about="Ends with the code that the transfer itself ends with: 0 committed, 1 refused; 3 when it is not recorded.",
    ),
    Command(
        ("batch",), "send many transfers from a file", "bankctl.commands.batch:batch",
        ("batch payments.csv", "batch - --format jsonl -o csv < payments.jsonl"),
        (Argument("file", "FILE", "a .csv or .jsonl file, or - for stdin", takes_file=True),),
        (Flag("--format", "csv or jsonl (without it: by the file's name)", "FORMAT", one_of(FILE_FORMATS), offers=FILE_FORMATS),),
        about=BATCH_ABOUT, timeout_s=None,
    ),
    Command(
        ("cluster", "status"), "who leads, and how far every node is", "bankctl.commands.cluster:status",
        ("cluster status", "cluster status -o json"),
    ),
    Command(
        ("cluster", "members"), "the nodes of the cluster", "bankctl.commands.cluster:members",
        ("cluster members", "cluster members -o csv"),
    ),
    Command(
        ("cluster", "health"), "whether all is well", "bankctl.commands.cluster:health",
        ("cluster health", "cluster health --timeout 1s -q"),
        about="Asks every node, and reads once through the quorum. Ends with code 8 when anything is not as it should be.",
    ),
    Command(
        ("cluster", "transfer-leader"), "hand leadership to another node", "bankctl.commands.cluster:transfer_leader",
        ("cluster transfer-leader", "cluster transfer-leader n2"),
        (Argument("node", "NODE", "who shall lead (without it: the most up-to-date voter)", required=False),),
    ),
    Command(
        ("snapshot", "trigger"), "have a node take a snapshot of its state", "bankctl.commands.snapshot:trigger",
        ("snapshot trigger", "snapshot trigger n2 -o json"),
        (Argument("node", "NODE", "which node (without it: the leader)", required=False),),
        about="Answers when the snapshot is durable on that node, which can then let go of the log before it.", timeout_s=300.0,
    ),
    Command(
        ("snapshot", "save"), "write a backup of the whole bank to a file", "bankctl.commands.snapshot:save",
        ("snapshot save bank.snap", "snapshot save bank.snap --node n2 --force"),
        (Argument("file", "FILE", "the file to write", takes_file=True),),
        (
            Flag("--node", "whose snapshot (without it: the leader's, if there is one)", "NODE"),
            Flag("--force", "replace FILE if it is there"),
        ),
        about=SAVE_ABOUT, timeout_s=None,
    ),
    Command(
        ("snapshot", "show"), "what a backup holds, and whether it is sound", "bankctl.commands.snapshot:show",
        ("snapshot show bank.snap", "snapshot show bank.snap -o json"),
        (Argument("file", "FILE", "a backup, or a node's own .snap file", takes_file=True),),
        about="Reads all of it, and replays it as a node would. Asks no node. Ends with code 8 when it is damaged.", timeout_s=None,
    ),
    Command(
        ("audit",), "sum of all balances, and every node's state at one index", "bankctl.commands.audit:audit",
        ("audit", "audit -o json"),
        about="Ends with code 8 when the sum is not 0, when two nodes differ, or when a node could not be asked.", timeout_s=30.0,
    ),
    Command(
        ("bench", "run"), "measure transfers against a running cluster", "bankctl.commands.bench:run",
        ("bench run --duration 10s --verify", "bench run --concurrency 8 --batch 1000"), (),
        (
            Flag("--concurrency", "callers at once", "COUNT", parse_count, "64"),
            Flag("--batch", "transfers in each call", "COUNT", parse_count, "1"),
            Flag("--duration", "how long to send", "TIME", parse_duration, "30s"),
            Flag("--accounts", "accounts to open and use", "COUNT", parse_count, "1000"),
            Flag("--verify", "afterwards compare balances and outcomes with the answers"),
        ),
        about="Opens new accounts, which stay in the ledger.", timeout_s=None,
    ),
    Command(
        ("completion",), "the completion script of a shell", "bankctl.commands.program:completion",
        ("completion bash > ~/.local/share/bash-completion/completions/bankctl", "completion fish | source"),
        (Argument("shell", "SHELL", "bash, zsh or fish", one_of(SHELLS), offers=SHELLS),),
    ),
    Command(
        ("version",), "the version of this program", "bankctl.commands.program:version",
        ("version", "version -o json"),
    ),
)  # fmt: skip

GROUPS: Final = (
    Group((), "the command line of a bank-cluster", ("balance acct1", "cluster status --endpoints 127.0.0.1:7411")),
    Group(("account",), "accounts", ("account create acct1 --initial 12.50", "account list")),
    Group(("cluster",), "the nodes", ("cluster status", "cluster health")),
    Group(("snapshot",), "snapshots and backups", ("snapshot save bank.snap", "snapshot show bank.snap")),
    Group(("bench",), "measurements", ("bench run --duration 10s", "bench run --concurrency 8 --batch 1000 --verify")),
)

GRAMMAR: Final = Grammar(COMMANDS, GROUPS, GLOBAL_FLAGS)
