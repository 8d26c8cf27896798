"""Bugs in who leads, what is replicated, and what counts as committed."""

from tests.planted.bug import bug

CORE = "bankd/raft/core.py"
ELECTION = "bankd/raft/election.py"
FOLLOWER = "bankd/raft/follower.py"
LOG = "bankd/raft/log.py"
PROGRESS = "bankd/raft/progress.py"
QUORUM = "bankd/raft/quorum.py"
READS = "bankd/raft/reads.py"
REPLICATION = "bankd/raft/replication.py"
STATE = "bankd/raft/state.py"

BUGS_IN_CONSENSUS = (
    bug(
        "vote-said-before-durable",
        "a vote leaves before the disk has it",
        (
            ELECTION,
            "        else:\n            state.send_durable(answer)\n",
            "        else:\n            state.send(answer)\n",
        ),
    ),
    bug(
        "votes-asked-before-durable",
        "a candidate asks for votes before its own term and vote are durable",
        (ELECTION, "state.send_durable(self._vote_request(", "state.send(self._vote_request("),
    ),
    bug(
        "vote-not-persisted",
        "a vote in a term that the disk knows already is not written",
        (
            STATE,
            "if written.term == self.term and written.voted_for == self.voted_for:",
            "if written.term == self.term:",
        ),
    ),
    bug(
        "term-not-persisted",
        "a new term is written only together with a vote",
        (
            STATE,
            "if written.term == self.term and written.voted_for == self.voted_for:",
            "if self.voted_for is None or (written.term == self.term and written.voted_for == self.voted_for):",
        ),
    ),
    bug(
        "second-vote-in-a-term",
        "a voter that follows nobody votes for everybody who asks",
        (
            ELECTION,
            "or (state.voted_for is None and state.leader_id is None)",
            "or state.leader_id is None",
        ),
    ),
    bug(
        "vote-kept-in-the-next-term",
        "the vote of the last term blocks that of the next one",
        (
            STATE,
            "            self.term = term\n            self.voted_for = None\n",
            "            self.term = term\n",
        ),
    ),
    bug(
        "vote-for-a-shorter-log",
        "votes go to candidates whose log is behind",
        (
            ELECTION,
            "granted = is_free and state.log.is_up_to_date(message.last_index, message.last_term)",
            "granted = is_free",
        ),
    ),
    bug(
        "longer-log-counts-as-newer",
        "logs are compared by length alone, not by the term of the last entry first",
        (
            LOG,
            "return (last_term, last_index) >= (self.last_term, self.last_index)",
            "return last_index >= self.last_index",
        ),
    ),
    bug(
        "half-is-a-majority",
        "in clusters of an even size one half decides without the other",
        (QUORUM, "return size // 2 + 1", "return (size + 1) // 2"),
    ),
    bug(
        "leader-without-a-quorum-stays",
        "a leader that hears nobody any more does not step down",
        (
            ELECTION,
            "elif state.options.check_quorum and not has_quorum(state.configuration, self._replication.counted_members):",
            "elif False:",
        ),
    ),
    bug(
        "leader-with-a-hung-disk-stays",
        "a leader whose disk hangs does not step down",
        (ELECTION, "        if state.is_disk_stalled:\n", "        if False:\n"),
    ),
    bug(
        "append-answered-before-durable",
        "a follower acknowledges entries before its disk has them",
        (FOLLOWER, "state.send_durable(answer)", "state.send(answer)"),
    ),
    bug(
        "previous-term-not-compared",
        "a follower takes entries behind one that is not the leader's",
        (
            FOLLOWER,
            "if log.matches(prev_index, message.prev_term):\n            _take",
            "if prev_index <= log.last_index:\n            _take",
        ),
    ),
    bug(
        "old-append-shortens-the-log",
        "an append that comes late cuts off what was taken since",
        (LOG, "            if self.matches(entry.index, entry.term):\n                continue\n", ""),
    ),
    bug(
        "conflict-kept",
        "a follower keeps its own entries where the leader's differ",
        (
            LOG,
            "            if self.matches(entry.index, entry.term):\n",
            "            if entry.index <= self.last_index:\n",
        ),
    ),
    bug(
        "leader-counts-what-is-not-durable",
        "a leader counts itself for entries that its own disk has not",
        (REPLICATION, "reached[state.node_id] = log.stable_index", "reached[state.node_id] = log.last_index"),
    ),
    bug(
        "commit-beyond-the-match",
        "a follower is told to commit further than its log is known to be the leader's",
        (
            REPLICATION,
            "commit_index = min(state.log.commit_index, progress.match_index)",
            "commit_index = state.log.commit_index",
        ),
    ),
    bug(
        "lost-append-not-sent-again",
        "an append that was lost is never made good",
        (
            REPLICATION,
            "        if not progress.is_overdue(state.now_tick, state.options.heartbeat_ticks):\n            return\n",
            "        if len(progress.window) or progress.probe_sent:\n            return\n",
        ),
    ),
    bug(
        "older-term-committed-by-counting",
        "a leader commits entries of earlier terms by counting their copies",
        (
            REPLICATION,
            "if index > log.commit_index and log.term_at(index) == state.term:",
            "if index > log.commit_index:",
        ),
    ),
    bug(
        "serves-before-its-first-commit",
        "a new leader serves before anything of its own term is committed",
        (
            REPLICATION,
            "return self._state.role is Role.LEADER and self._state.log.commit_index >= self._noop_index",
            "return self._state.role is Role.LEADER",
        ),
    ),
    bug(
        "no-first-entry",
        "a new leader writes no entry of its own and commits older ones only once somebody asks for a write",
        (REPLICATION, '        self._append([(EntryType.NOOP, b"")])\n', "        self._appends_due = True\n"),
        (
            REPLICATION,
            "return self._state.role is Role.LEADER and self._state.log.commit_index >= self._noop_index",
            "return self._state.role is Role.LEADER",
        ),
    ),
    bug(
        "read-without-a-round",
        "a leader serves reads without asking whether it still leads",
        (READS, "reached = quorum_index(self._state.configuration, self._confirmed)", "reached = self.newest_round"),
    ),
    bug(
        "late-answer-confirms-newer-reads",
        "an answer to an earlier heartbeat confirms reads that were asked for later",
        (READS, "confirmed = min(message.read_round, self.newest_round)", "confirmed = self.newest_round"),
    ),
    bug(
        "read-round-lost-on-the-wire",
        "the answer to a heartbeat does not say which read round it confirms, so that no read is ever served",
        (
            "bankd/wire/raft_codec.py",
            "pb.HeartbeatResponse(read_round=read_round, refilling=refilling)",
            "pb.HeartbeatResponse(refilling=refilling)",
        ),
    ),
    bug(
        "window-not-bounded",
        "a follower is sent any number of appends before it answers one",
        (PROGRESS, "return len(self._sent) >= self._messages_max or self._bytes >= self._bytes_max", "return False"),
    ),
    bug(
        "window-bytes-not-bounded",
        "what is under way to a follower is bounded in appends, not in bytes",
        (
            PROGRESS,
            "return len(self._sent) >= self._messages_max or self._bytes >= self._bytes_max",
            "return len(self._sent) >= self._messages_max",
        ),
    ),
    bug(
        "append-not-cut",
        "an append holds whatever a follower misses",
        (
            REPLICATION,
            "log.slice(first_index, log.last_index, self._state.options.append_bytes_max)",
            "log.slice(first_index, log.last_index, 1 << 62)",
        ),
    ),
    bug(
        "uncommitted-not-bounded",
        "a leader without a quorum takes proposals for ever",
        (
            REPLICATION,
            "if uncommitted_bytes and uncommitted_bytes + size_bytes > self._state.options.uncommitted_bytes_max:",
            "if False:",
        ),
    ),
    bug(
        "inherited-not-counted",
        "a new leader does not count what its predecessors left uncommitted",
        (
            REPLICATION,
            "            log.bytes_between(log.commit_index, log.last_index) + ENTRY_OVERHEAD_BYTES\n",
            "            ENTRY_OVERHEAD_BYTES\n",
        ),
    ),
    bug(
        "questions-not-bounded",
        "any number of followers' questions for a read index may wait on a leader",
        (READS, "if self._held >= self._state.options.reads_waiting_max:", "if False:"),
    ),
    bug(
        "timeouts-not-random",
        "every node waits equally long before it campaigns",
        (CORE, "options.election_ticks + random.below(options.election_ticks),", "options.election_ticks,"),
        (
            STATE,
            "self.options.election_ticks + self.random.below(self.options.election_ticks)",
            "self.options.election_ticks",
        ),
    ),
)
