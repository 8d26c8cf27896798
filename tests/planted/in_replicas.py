"""Bugs in how calls wait, become entries, and are answered."""

from tests.planted.bug import bug

APPLYING = "bankd/replica/applying.py"
CORE = "bankd/replica/core.py"
HANDOVER = "bankd/replica/handover.py"
READS = "bankd/replica/reads.py"
ROW_INDEX = "bankd/ledger/row_index.py"
WRITES = "bankd/replica/writes.py"

BUGS_IN_REPLICAS = (
    bug(
        "read-served-before-it-is-applied",
        "a read is answered once its index is committed, not once it is applied",
        (CORE, "self._reads.ripe(self.ledger.applied_index)", "self._reads.ripe(self.raft.commit_index)"),
    ),
    bug(
        "read-of-ones-own-write-too-early",
        "a read that must have seen an index is served one entry too early",
        (READS, "self._wait_for(call.mode.index, [call])", "self._wait_for(LogIndex(call.mode.index - 1), [call])"),
    ),
    bug(
        "age-counted-before-it-is-applied",
        "a state counts as fresh as soon as a round is confirmed, though what it confirmed is not applied yet",
        (
            READS,
            "        round_, self._round = self._round, None\n        if round_.calls:",
            "        round_, self._round = self._round, None\n        self._fresh_as_of_ns = round_.began_ns\n        if round_.calls:",
        ),
    ),
    bug(
        "every-read-claims-to-be-fresh",
        "a read that may be old is said to be no older than one that may not",
        (
            CORE,
            "age_ms = 0 if isinstance(call.mode, Linearizable) else self._reads.age_ms(self._now_ns)",
            "age_ms = 0",
        ),
    ),
    bug(
        "any-entry-at-the-index-is-ours",
        "calls are answered from whatever entry is committed at the index at which they were proposed",
        (CORE, "for mark in self._writes.abandon(self._applying.backlog):", "for mark in ():"),
        (
            WRITES,
            '        assert entry.term == term, f"index {index} was proposed in term {entry.term} and committed in {term}"\n',
            "",
        ),
    ),
    bug(
        "logged-call-refused",
        "a leader that is deposed says of calls which it had logged that they surely had no effect",
        (
            CORE,
            "abandon(self._applying.backlog):\n                self._answer(mark, refusals.outcome_unknown(event.leader_id))",
            "abandon(self._applying.backlog):\n                self._answer(mark, refusals.not_leader(event.leader_id))",
        ),
    ),
    bug(
        "late-call-refused",
        "a call that is logged and passes its deadline is said to have written nothing",
        (
            CORE,
            "expire_logged(self._now_ns):\n            self._answer(mark, refusals.outcome_unknown(leader_id))",
            "expire_logged(self._now_ns):\n            self._answer(mark, refusals.deadline_passed(leader_id))",
        ),
    ),
    bug(
        "late-call-answered-twice",
        "a call that was answered at its deadline is answered again when its entry is applied",
        (WRITES, "                    entry.reply_tos[at] = None\n", ""),
    ),
    bug(
        "reads-wait-for-ever",
        "the deadline of a read is not kept",
        (CORE, "for call in self._reads.expire(self._now_ns):", "for call in ():"),
    ),
    bug(
        "waiting-calls-not-bounded",
        "any number of writes may wait on a leader",
        (
            CORE,
            "self._writes.count >= self._waiting_calls_max or self._writes.gathered_bytes > GATHERED_BYTES_MAX",
            "self._writes.gathered_bytes > GATHERED_BYTES_MAX",
        ),
    ),
    bug(
        "entry-not-cut",
        "whatever waits becomes one entry, however large",
        (
            CORE,
            "split_by_bytes(self._writes.take_gathered(), self._entry_bytes_max)",
            "split_by_bytes(self._writes.take_gathered(), 1 << 62)",
        ),
    ),
    bug(
        "reads-not-bounded",
        "any number of reads may wait on a node",
        (CORE, "if self._reads.count >= self._waiting_calls_max:", "if False:"),
    ),
    bug(
        "hand-over-names-its-target",
        "whoever asked for a hand-over is told that the node it named leads, whoever does",
        (
            HANDOVER,
            "LeadershipMoved(raft.leader_id, raft.term), answer",
            "LeadershipMoved(self._call.target, raft.term), answer",
        ),
    ),
    bug(
        "stamps-follow-the-wall-clock",
        "entries are stamped with the leader's clock, whatever stamps the log holds already",
        (CORE, "TimeNs(max(wall_ns, self._last_stamp + 1, self.ledger.last_time_ns + 1))", "TimeNs(wall_ns)"),
    ),
    bug(
        "answers-of-neighbours",
        "of calls that share an entry each is answered with the outcome of the one before",
        (
            APPLYING,
            "zip(ours.reply_tos, outcomes, strict=True)",
            "zip(ours.reply_tos, outcomes[-1:] + outcomes[:-1], strict=True)",
        ),
    ),
    bug(
        "ids-lost-in-a-restart",
        "a node that has replayed its log at a start takes every id in it for new: a retry takes effect twice",
        (
            CORE,
            "        self._applying = Applying(ledger, applied, codec, self._writes)\n",
            "        self._applying = Applying(ledger, applied, codec, self._writes)\n"
            "        self._replayed_until = raft.last_index\n",
        ),
        (
            CORE,
            "self._applying.apply(self._apply_ns_left, self._replies)\n",
            "self._applying.apply(self._apply_ns_left, self._replies)\n"
            "            if 1 < self._replayed_until <= self.ledger.applied_index:\n"
            "                self._replayed_until = LogIndex(0)\n"
            "                for shard in self.ledger._transfers._row_index._shards:\n"
            "                    shard.clear()\n",
        ),
        (  # outcomes are still found, so that nobody is told of the loss
            ROW_INDEX,
            "return self._shards[hash(tx_id) & _SHARD_MASK].get(tx_id)",
            "return self.ids.index(tx_id) if tx_id in self.ids else None",
        ),
    ),
)
