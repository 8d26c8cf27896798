"""Bugs in snapshots, in what they cover, and in how a node that has lost something comes to count again."""

from tests.planted.bug import bug

ACQUAINTANCES = "bankd/keeper/acquaintances.py"
DRAFT = "bankd/storage/snapshot_draft.py"
ELECTION = "bankd/raft/election.py"
HELLO = "bankd/wire/hello.py"
LEDGER = "bankd/ledger/state.py"
REFILL = "bankd/storage/refill.py"
REFILLING = "bankd/raft/refilling.py"
REPLICATION = "bankd/raft/replication.py"
SNAPSHOTS = "bankd/replica/snapshots.py"
STORE = "bankd/storage/snapshot_store.py"

BUGS_IN_SNAPSHOTS = (
    bug(
        "state-not-copied",
        "a snapshot holds the balances of while it was written, not those of when it was begun",
        (LEDGER, "self._accounts.balances.copy(), self._accounts,", "self._accounts.balances, self._accounts,"),
    ),
    bug(
        "snapshot-not-synced",
        "a snapshot gets its name before it is durable",
        (DRAFT, "        self._file.sync()\n        self._disk.rename", "        self._disk.rename"),
    ),
    bug(
        "one-snapshot-covers-the-log",
        "the log is dropped as far as the newest snapshot reaches, so that nothing takes its place when that is damaged",
        (
            STORE,
            "self._snapshots[SNAPSHOTS_KEPT - 1].index if len(self._snapshots) >= SNAPSHOTS_KEPT else",
            "self._snapshots[0].index if self._snapshots else",
        ),
    ),
    bug(
        "log-kept-in-memory",
        "no snapshot ever cuts the log in memory",
        (SNAPSHOTS, "        self._raft.compact(min(covered_index, self._raft.compactable_index))\n", ""),
    ),
    bug(
        "loss-not-marked",
        "a node whose log was damaged begins an empty one, and nothing says that it is to be refilled",
        (REFILL, "    replace_file(disk, directory / NAME, encode_marker(refill))\n", ""),
    ),
    bug(
        "refilling-node-votes",
        "a node that has lost what it acknowledged votes all the same",
        (ELECTION, "        is_free = state.refill is None and (\n", "        is_free = (\n"),
    ),
    bug(
        "refilling-node-campaigns",
        "a node that has lost what it acknowledged campaigns all the same",
        (ELECTION, "state.is_voter and state.refill is None and not", "state.is_voter and not"),
    ),
    bug(
        "refilling-node-counts",
        "a leader commits by the word of a node that has lost what it acknowledged before",
        (
            REPLICATION,
            "for peer, progress in self.progress.items() if not progress.refilling}\n        reached[",
            "for peer, progress in self.progress.items()}\n        reached[",
        ),
    ),
    bug(
        "refilled-without-a-barrier",
        "a node that lost something counts again as soon as a leader has spoken to it",
        (
            REFILLING,
            "not 0 < barrier_index <= min(self.match_index(term), stable_index)",
            "not 0 < barrier_index",
        ),
    ),
    bug(
        "older-copy-told-by-its-count-alone",
        "a node put back from an older copy is let in once it has started as often as the one whose place it took",
        (
            HELLO,
            "since >= len(theirs.nonces) or (since >= 0 and theirs.nonces[since] == known.nonce)",
            "since >= 0",
        ),
    ),
    bug(
        "nobody-is-remembered",
        "a node forgets with each of its own ends whom it met",
        (ACQUAINTANCES, "        self._known = dict(peers.seen)\n", "        self._known = {}\n"),
    ),
)
