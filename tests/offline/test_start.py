"""What `bankd verify` foretells of a start is what a start does: every case is told, and then tried."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import attrs
import pytest

from bankd.boot import cluster_id_of, open_disk
from bankd.config import Config
from bankd.errors import NodeError
from bankd.offline.report import Report, as_text
from bankd.offline.start import Outcome
from bankd.offline.verify import verify
from bankd.raft.messages import Configuration, HardState
from bankd.storage import peers, refill
from bankd.storage.disk import OsDisk
from bankd.storage.identity import Identity
from bankd.storage.records import Write
from bankd.storage.refill import Refill, encode_marker, set_aside
from bankd.storage.segment import Owner, encode_header, parse_header
from bankd.storage.state_file import STATE_BYTES, Slot, encode_slot
from bankd.types import ClusterId, Incarnation, NodeId, Start, Starts, Term
from bankd.wire.entries import encode_configuration
from tests.offline import directories
from tests.offline.directories import (
    compacted,
    final_entries,
    header_of,
    installed,
    ledger_after,
    long_history,
    make,
    save,
    small_history,
    tiny,
)
from tests.offline.test_restore import MEMBERS, config_of
from tests.offline.test_snapshots import LOG, NEWER, OLDER, REFILLING, STARTS, rotten_log
from tests.offline.test_verify import NAMES, flip

OURS = cluster_id_of("main", [NodeId(member) for member in MEMBERS])
ALONE = encode_configuration(Configuration(voters=frozenset({NodeId("n1")})), {NodeId("n1"): MEMBERS["n1"]})


@pytest.fixture(autouse=True)
def made_for_this_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "CLUSTER_ID", OURS)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path)


@pytest.fixture
def bank(config: Config) -> Path:
    return compacted(Path(config.node.data_dir))


def foretold_and_done(config: Config) -> Report:
    """What is foretold, once a start has done it: the same outcome, from the same snapshot."""
    report = verify(Path(config.node.data_dir))
    nonces = count(1)
    try:
        opened = open_disk(config, OsDisk(), lambda: next(nonces))
    except NodeError:
        outcome, from_snapshot = Outcome.REFUSED, None
    else:
        opened.close()
        outcome = Outcome.REFILLING if opened.refilling else Outcome.WHOLE
        from_snapshot = None if opened.restored is None else opened.restored.snapshot.index
    assert report.start.outcome is outcome, report.start.sentence
    assert (report.start.snapshot and report.start.snapshot.index) == from_snapshot, report.start.sentence
    return report


def mark(bank: Path, marker: Refill) -> None:
    (bank / refill.NAME).write_bytes(encode_marker(marker))


def lose(bank: Path, *, state_is_void: bool) -> None:
    """As a node that was told so by the others."""
    identity = Identity("main", OURS, NodeId("n1"), Incarnation(0xABCDEF))
    set_aside(OsDisk(), bank, identity, tiny(), "it forgot", state_is_void=state_is_void)


def refilling_and_rotten(bank: Path) -> None:
    lose(bank, state_is_void=False)
    (segment,) = (bank / "wal").glob("*.wal")
    flip(segment, 0)


def rot_marker(bank: Path) -> None:
    mark(bank, Refill("it forgot", state_is_void=False, first_sequence=9))
    flip(bank / refill.NAME, 100)


def of_one_voter(bank: Path) -> None:
    """Nobody else has this bank."""
    entries = final_entries(long_history())
    ledger = ledger_after(entries, 6)
    (bank / "snap" / NEWER).unlink()
    header = attrs.evolve(header_of(entries, ledger), configuration=ALONE)
    save(bank, header, list(ledger.freeze().blocks()))


def written_state(bank: Path, owner: Owner, term: int) -> None:
    slot = Slot(owner, 0, Starts(1), HardState(Term(term)))
    (bank / "wal" / "STATE").write_bytes(encode_slot(slot).ljust(STATE_BYTES, b"\0"))


def segment_of_another(bank: Path) -> None:
    header, _ = parse_header((bank / "wal" / LOG[0]).read_bytes(), bank)
    data = (bank / "wal" / LOG[0]).read_bytes()
    (bank / "wal" / LOG[0]).write_bytes(
        encode_header(header, Identity("main", OURS, OTHER.node_id, OTHER.incarnation)) + data[512:]
    )


def foreign_snapshot(bank: Path) -> None:
    entries = final_entries(long_history())
    ledger = ledger_after(entries, 6)
    header = attrs.evolve(header_of(entries, ledger), cluster_id=ClusterId(9))
    other = save(bank.parent / "other", header, list(ledger.freeze().blocks()))
    other.replace(bank / "snap" / NEWER)


def unlink_state(bank: Path) -> None:
    (bank / "wal" / "STATE").unlink()


def unreadable(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/proc/self/mem")  # reading its first page is an error of input


def both(*wrongs: Callable[[Path], object]) -> Callable[[Path], None]:
    def wrong(bank: Path) -> None:
        for one in wrongs:
            one(bank)

    return wrong


OWNER = Owner(OURS, NodeId("n1"), Incarnation(0xABCDEF))
OTHER = attrs.evolve(OWNER, node_id=NodeId("n2"))
WHY = f"{REFILLING} (why it is to be: it forgot)"
UNKNOWN = f"{REFILLING} (why it is to be: {refill.UNKNOWN_REASON})"
DOUBT = "none: term and vote are in doubt (expected wal/STATE, not no such file), and it could vote twice"
CASES: list[tuple[str, Callable[[Path], object], Outcome, str]] = [
    *((name, wrong, outcome, sentence) for name, wrong, outcome, sentence, _ in STARTS),
    (
        "a refill stands and has a snapshot",
        lambda bank: lose(bank, state_is_void=False),
        Outcome.REFILLING,
        f"from snapshot 6; the log does not reach it and begins anew behind it, {WHY}",
    ),
    (
        "a refill stands and the state was void",
        lambda bank: lose(bank, state_is_void=True),
        Outcome.REFILLING,
        f"from 0 entries of the log, {WHY}",
    ),
    (
        "a refill was marked and interrupted",
        lambda bank: mark(bank, Refill("it forgot", state_is_void=False, first_sequence=9)),
        Outcome.REFILLING,
        f"with an empty log behind snapshot 6, {WHY}",
    ),
    (
        "a refill of a void state was marked and interrupted",
        lambda bank: mark(bank, Refill("it forgot", state_is_void=True, first_sequence=9)),
        Outcome.REFILLING,
        f"with an empty log, {WHY}",
    ),
    ("the marker is rotten", rot_marker, Outcome.REFILLING, f"with an empty log, {UNKNOWN}"),
    ("the marker is rotten and term and vote are lost", both(rot_marker, unlink_state), Outcome.REFUSED, DOUBT),
    (
        "the marker is not given back",
        lambda bank: unreadable(bank / refill.NAME),
        Outcome.REFUSED,
        "none: the disk does not give back REFILL",
    ),
    (
        "a refill stands and the new log is rotten",
        refilling_and_rotten,
        Outcome.REFILLING,
        f"with an empty log behind snapshot 6, {WHY}",
    ),
    (
        "term and vote are lost and the log has them",
        unlink_state,
        Outcome.WHOLE,
        "from snapshot 6 and 2 entries of the log",
    ),
    ("term and vote are lost with the log", both(rotten_log, unlink_state), Outcome.REFUSED, DOUBT),
    (
        "term and vote are not given back",
        lambda bank: unreadable(bank / "wal" / "STATE"),
        Outcome.REFUSED,
        "none: the disk does not give back wal/STATE",
    ),
    (
        "what is known of peers is not given back",
        lambda bank: unreadable(bank / peers.NAME),
        Outcome.WHOLE,
        "from snapshot 6 and 2 entries of the log",
    ),
    (
        "the log has forgotten a term",
        lambda bank: written_state(bank, OWNER, 9),
        Outcome.REFILLING,
        f"with an empty log behind snapshot 6, {REFILLING}",
    ),
    (
        "term and vote are another node's",
        lambda bank: written_state(bank, OTHER, 1),
        Outcome.REFUSED,
        f"none: wal/STATE belongs to {OTHER}",
    ),
    (
        "a segment is another node's",
        segment_of_another,
        Outcome.REFUSED,
        f"none: wal/{LOG[0]} belongs to {OTHER}",
    ),
    (
        "the log is rotten in a cluster of one",
        both(of_one_voter, rotten_log),
        Outcome.REFUSED,
        "none: n1 is the only voter, so nobody can refill it; put back a backup",
    ),
    (
        "the newest snapshot is of another cluster",
        foreign_snapshot,
        Outcome.REFUSED,
        f"none: snap/{NEWER} belongs to another cluster",
    ),
]


@pytest.mark.parametrize(("wrong", "outcome", "sentence"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_is_foretold_is_what_a_start_does(
    bank: Path, config: Config, wrong: Callable[[Path], object], outcome: Outcome, sentence: str
) -> None:
    wrong(bank)
    start = foretold_and_done(config).start
    assert (start.outcome, start.sentence) == (outcome, sentence)


def test_segment_that_the_disk_does_not_give_back_ends_a_start(bank: Path) -> None:
    unreadable(bank / "wal" / LOG[1])
    assert verify(bank).start.sentence == f"none: the disk does not give back wal/{LOG[1]}"
    flip(bank / "wal" / LOG[0], 600 * 8)  # is read first, and then the log is put aside
    assert verify(bank).start.outcome is Outcome.REFILLING


def test_log_that_is_rotten_where_nobody_else_is_a_member_is_not_put_aside(tmp_path: Path) -> None:
    """Without a snapshot the first configuration in the log says who they are."""
    alone = attrs.evolve(final_entries(small_history())[0], body=ALONE)
    history: list[list[Write]] = [[(directories.vote(1, "n1"), [alone])], *small_history()[1:]]
    config = config_of(tmp_path)
    config = attrs.evolve(config, cluster=attrs.evolve(config.cluster, bootstrap={NodeId("n1"): MEMBERS["n1"]}))
    directories.CLUSTER_ID = cluster_id_of("main", [NodeId("n1")])  # put back by the fixture
    bank = make(Path(config.node.data_dir), history)
    flip(bank / "wal" / NAMES[1], 600 * 8)
    assert foretold_and_done(config).start.outcome is Outcome.REFUSED


def test_crash_between_an_installed_snapshot_and_the_base_of_its_log_is_foretold(config: Config) -> None:
    bank = installed(Path(config.node.data_dir), with_base=False)
    assert foretold_and_done(config).start.sentence.endswith("begins anew behind it")
    assert (bank / "snap" / NEWER).exists()


def test_rot_in_a_snapshot_whose_log_began_anew_behind_it_makes_a_node_refilling(config: Config) -> None:
    bank = installed(Path(config.node.data_dir))
    (bank / "snap" / NEWER).write_bytes(b"rot")
    assert foretold_and_done(config).start.sentence == f"with an empty log, {REFILLING}"


def test_directory_without_meta_in_which_a_log_was_opened_is_refused(config: Config) -> None:
    bank = make(Path(config.node.data_dir), [])
    (bank / "META").unlink()
    report = foretold_and_done(config)
    assert (report.start.outcome, report.is_sound) == (Outcome.REFUSED, False)


def test_every_flipped_bit_of_a_marker_and_of_what_is_known_of_peers_is_found(bank: Path) -> None:
    mark(bank, Refill("it forgot", state_is_void=True, first_sequence=1))
    seen = {NodeId("n2"): Start(Incarnation(7), 3, 1)}
    (bank / peers.NAME).write_bytes(peers.encode_peers(seen))
    report = verify(bank)
    assert report.is_sound
    assert [(line.file, line.state) for line in report.files[1:3]] == [("REFILL", "sound"), ("PEERS", "sound")]
    for name in (refill.NAME, peers.NAME):
        for bit in range((bank / name).stat().st_size * 8):
            flip(bank / name, bit)
            assert [(damage.file, damage.offset) for damage in verify(bank).damages] == [(name, 0)], f"{name} bit {bit}"
            flip(bank / name, bit)


def test_what_was_set_aside_is_named_as_that_and_is_no_damage(bank: Path) -> None:
    rotten_log(bank)
    lose(bank, state_is_void=True)
    report = verify(bank)
    assert report.is_sound
    kept = [line.file for line in report.files if line.state == "set aside"]
    assert kept == sorted([f"snap/{name}.damaged" for name in (OLDER, NEWER)] + [f"wal/{name}.damaged" for name in LOG])
    assert as_text(report, None).endswith("verdict  sound")
