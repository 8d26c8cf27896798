"""A plan as text and back: one line for each thing that a person may want to read, remove or change.

    # what the run once showed
    seed 42
    nodes n1 n2 n3
    clients 2
    safety 40s
    network delay_min=100us delay_max=5ms loss_max=0ppm duplicate_max=0ppm reorder_max=0ppm
    traits n1 drift=20ppm wall_offset=-3s turn=1ms
    at 0.3s client 2 move tx-17 a1 a2 500
    at 1.25s for 3s partition n1>n2 n2>n1
    at 2.1s for 1.5s crash n3 power operations=3
    stays-down n3

`#` begins a comment. Faults and calls stand in the order of their times, and lines of one kind keep the plan's
own order, which counts: `loads(dumps(plan)) == plan`, for every plan. Every setting is written, even where it is the
default, so that a kept text stays the same run when a default changes; what a text leaves out is the default.

A fault's word and its fields follow from its class in `plan` (see plan_fields): a new fault needs nothing here.

Source of the wish: a test that failed should be kept as something to read (TigerBeetle's and etcd's transcripts).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from typing import ClassVar, Final, get_args

import attrs

from bankd.errors import Exit, NodeError
from bankd.sim import plan as plans
from bankd.sim import plan_words as words
from bankd.sim.plan import Fault, NodeTraits, Operation, Plan, ReadKind, Request
from bankd.sim.plan_fields import Value, complete, fields_of, read_fields
from bankd.sim.plan_words import WordWrong, one_of
from bankd.types import AccountId, NodeId, TxId


class PlanInvalid(NodeError):
    """A text is no plan. The message names the line and what is wrong with it."""

    reason: ClassVar[str] = "PLAN_INVALID"
    exit_code: ClassVar[Exit] = Exit.USAGE


def word_of(fault: type[Fault]) -> str:
    """`SlowDisk` is `slow-disk`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", fault.__name__).lower()


FAULTS: Final[Mapping[str, type[Fault]]] = {word_of(fault): fault for fault in get_args(Fault)}
SETTINGS: Final[Mapping[str, type[attrs.AttrsInstance]]] = {
    "product": plans.ProductOptions,
    "limits": plans.Limits,
    "network": plans.NetworkOdds,
    "disk": plans.DiskOdds,
}
CALLS: Final = {
    "open": "ACCOUNT BALANCE [REQUEST-ID]",
    "move": "TX-ID SOURCE TARGET AMOUNT, and so on for each row",
    "balance": "ACCOUNT KIND",
    "outcome": "TX-ID KIND",
}
NEEDED: Final = ("seed", "nodes", "clients", "safety")


# Writing


def dumps(plan: Plan) -> str:
    """The text of a plan, ending in a newline. Traits are one per node, or none."""
    assert len(plan.traits) in (0, len(plan.nodes)), f"{len(plan.traits)} traits for {len(plan.nodes)} nodes"
    return "\n".join([*header(plan), *timed(plan), *footer(plan)]) + "\n"


def header(plan: Plan) -> Iterator[str]:
    yield f"seed {plan.seed}"
    yield " ".join(["nodes", *map(words.name, plan.nodes)])
    yield f"clients {plan.clients}"
    yield f"safety {words.time(plan.safety_ns)}"
    for kind in SETTINGS:
        yield " ".join([kind, *fields_of(getattr(plan, kind))])
    for node, traits in zip(plan.nodes, plan.traits, strict=False):
        yield " ".join(["traits", words.name(node), *fields_of(traits)])


def timed(plan: Plan) -> Iterator[str]:
    faults = ((fault.at_ns, fault_line(fault)) for fault in plan.faults)
    operations = ((operation.at_ns, operation_line(operation)) for operation in plan.operations)
    return (line for _, line in merge(faults, operations, key=lambda item: item[0]))


def footer(plan: Plan) -> Iterator[str]:
    if plan.stays_down:
        yield " ".join(["stays-down", *map(words.name, sorted(plan.stays_down))])


def fault_line(fault: Fault) -> str:
    return f"at {words.seconds(fault.at_ns)} {fault_text(fault)}"


def fault_text(fault: Fault) -> str:
    """All but the time at which it comes."""
    lasting = ["for", words.time(fault.for_ns)] if not isinstance(fault, plans.ClockJump) else []
    return " ".join([*lasting, word_of(type(fault)), *fields_of(fault, defaults=False)])


def operation_line(operation: Operation) -> str:
    call = request_words(operation.request)
    return " ".join(["at", words.seconds(operation.at_ns), "client", str(operation.client), *call])


def request_words(request: Request) -> list[str]:
    match request:
        case plans.Open(account, balance, request_id):
            named = [words.name(request_id)] if request_id is not None else []
            return ["open", words.name(account), str(balance), *named]
        case plans.Move():
            rows = zip(request.tx_ids, request.sources, request.targets, request.amounts, strict=True)
            return ["move", *(word for *ids, amount in rows for word in [*map(words.name, ids), str(amount)])]
        case plans.Balance(account, kind):
            return ["balance", words.name(account), kind.value]
        case plans.OutcomeOf(tx_id, kind):
            return ["outcome", words.name(tx_id), kind.value]


# Reading


def loads(text: str) -> Plan:
    """The plan of a text.

    Raises:
      PlanInvalid: a line cannot be read, or one that every plan has is missing.
    """
    reader = Reader()
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            reader.take(line.partition("#")[0].split())
        except WordWrong as wrong:
            raise PlanInvalid(f"line {number}: {wrong}") from None
    return reader.plan()


class Reader:
    """What the lines so far have said."""

    def __init__(self) -> None:
        self.nodes: tuple[NodeId, ...] = ()
        self.traits: dict[NodeId, NodeTraits] = {}
        self.once: dict[str, object] = {}  # by the line's first word
        self.faults: list[Fault] = []
        self.operations: list[Operation] = []

    def take(self, line: Sequence[str]) -> None:
        match line:
            case []:
                pass
            case ["at", at, "client", client, kind, *rest]:
                request = read_request(kind, rest)
                self.operations.append(Operation(words.read_time(at), words.read_count(client), request))
            case ["at", at, "for", length, kind, *rest]:
                self.faults.append(self.fault(kind, rest, at_ns=words.read_time(at), for_ns=words.read_time(length)))
            case ["at", at, kind, *rest]:
                self.faults.append(self.fault(kind, rest, at_ns=words.read_time(at)))
            case ["traits", node, *rest]:
                self.take_traits(self.known(words.read_name(node)), rest)
            case [kind, *rest]:
                if kind in self.once:
                    raise WordWrong(f"{kind} stands above already")
                self.once[kind] = self.read_once(kind, rest)

    def take_traits(self, node: NodeId, rest: Sequence[str]) -> None:
        if node in self.traits:
            raise WordWrong(f"the traits of {node} stand above already")
        make: Callable[..., NodeTraits] = NodeTraits
        self.traits[node] = make(**read_fields(NodeTraits, "traits", rest))

    def read_once(self, kind: str, rest: Sequence[str]) -> object:
        match kind, rest:
            case "seed" | "clients", [count]:
                return words.read_count(count)
            case "safety", [length]:
                return words.read_time(length)
            case "nodes", _:
                self.nodes = tuple(NodeId(words.read_name(word)) for word in rest)
                return self.nodes
            case "stays-down", _:
                return frozenset(self.known(words.read_name(word)) for word in rest)
            case _ if kind in SETTINGS:
                return SETTINGS[kind](**read_fields(SETTINGS[kind], kind, rest))
            case "seed" | "clients" | "safety", _:
                raise WordWrong(f"{kind} takes one word, not {len(rest)}")
        raise WordWrong(f"no line begins with {kind!r}")

    def fault(self, kind: str, rest: Sequence[str], **timing: int) -> Fault:
        if kind not in FAULTS:
            raise WordWrong(f"there is no fault {kind!r} (one of {', '.join(FAULTS)})")
        fault = FAULTS[kind]
        lasts = "for_ns" in attrs.fields_dict(fault)
        if lasts != ("for_ns" in timing):
            raise WordWrong(f"{kind} {'needs' if lasts else 'has no'} `for`, how long it lasts")
        given = read_fields(fault, kind, rest)
        for node in named_nodes(given):
            self.known(node)
        make: Callable[..., Fault] = fault
        return make(**complete(fault, kind, {**timing, **given}))

    def known(self, node: str) -> NodeId:
        if node not in self.nodes:
            raise WordWrong(f"{node} is not one of the nodes ({' '.join(self.nodes) or 'which must come first'})")
        return NodeId(node)

    def plan(self) -> Plan:
        missing = [kind for kind in NEEDED if kind not in self.once]
        if missing:
            raise PlanInvalid(f"the text ends without {' and '.join(missing)}")
        given = {kind.replace("-", "_"): value for kind, value in self.once.items()}
        given["safety_ns"] = given.pop("safety")
        given["traits"] = tuple(self.traits.get(node, NodeTraits()) for node in self.nodes) if self.traits else ()
        make: Callable[..., Plan] = Plan
        return make(**given, faults=tuple(self.faults), operations=tuple(self.operations))


def named_nodes(given: Mapping[str, Value]) -> Iterator[str]:
    for name, value in given.items():
        match value:
            case str() if name == "node":
                yield value
            case tuple():
                yield from (node for link in value for node in link)


def read_request(kind: str, rest: Sequence[str]) -> Request:
    match kind, rest:
        case "open", [account, balance, *named] if len(named) <= 1:
            request_id = TxId(words.read_name(named[0])) if named else None
            return plans.Open(AccountId(words.read_name(account)), words.read_count(balance), request_id)
        case "move", _ if len(rest) % 4 == 0:
            ids, sources, targets = (map(words.read_name, rest[column::4]) for column in range(3))
            return plans.Move(
                tuple(map(TxId, ids)),
                tuple(map(AccountId, sources)),
                tuple(map(AccountId, targets)),
                tuple(map(words.read_count, rest[3::4])),
            )
        case "balance", [account, mode]:
            return plans.Balance(AccountId(words.read_name(account)), read_kind(mode))
        case "outcome", [tx_id, mode]:
            return plans.OutcomeOf(TxId(words.read_name(tx_id)), read_kind(mode))
    if kind not in CALLS:
        raise WordWrong(f"a client makes no call {kind!r}{one_of(CALLS)}")
    raise WordWrong(f"the words of the call are: {kind} {CALLS[kind]}")


def read_kind(word: str) -> ReadKind:
    try:
        return ReadKind(word)
    except ValueError:
        raise WordWrong(f"{word!r} is no kind of read{one_of([kind.value for kind in ReadKind])}") from None
