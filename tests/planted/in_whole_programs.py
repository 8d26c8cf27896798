"""Bugs that only a whole program can have: in its client, and on the way from one node to another."""

from tests.planted.bug import bug

DISK = "bankd/node/disk.py"
FORWARDING = "bankd/node/forwarding.py"
LINKS = "bankd/node/links.py"
LOOP = "bankd/node/loop.py"
PENDING = "bankd/client/pending.py"
READ_MODES = "bankd/wire/read_modes.py"
SESSION = "bankd/client/session.py"

BUGS_IN_WHOLE_PROGRAMS = (
    bug(
        "retry-under-a-new-id",
        "a client whose connection broke sends its transfers again under new ids",
        (
            SESSION,
            "            if self._may_retry(request):\n                self._enqueue(request, now, delay_s=self._backoff.delay_s(request.tries))\n",
            "            if request.coalesced:\n"
            "                self._over(request)\n"
            "                for row in request.pendings:\n"
            "                    row.intent_id = self.ids.make()\n"
            "                    self._coalescer.rows.append(row)\n"
            "            elif self._may_retry(request):\n"
            "                self._enqueue(request, now, delay_s=self._backoff.delay_s(request.tries))\n",
        ),
        level=2,
    ),
    bug(
        "client-forgets-that-it-sent",
        "a client whose connection broke says of what it had sent that it surely had no effect",
        (
            SESSION,
            "            request.in_doubt = request.in_doubt or (request.write and request.on_wire)\n            request.on_wire = False\n",
            "            request.on_wire = False\n",
        ),
        level=2,
    ),
    bug(
        "answer-to-the-oldest-call",
        "a node hands the leader's answer to the call that it forwarded first, whichever that answer is for",
        (
            FORWARDING,
            "call = self._calls.pop(answer.call_id, None)",
            "call = self._calls.pop(next(iter(self._calls), answer.call_id), None)",
        ),
        level=2,
    ),
    bug(
        "lost-link-is-a-refusal",
        "a node whose link to the leader broke says of forwarded writes that they surely had no effect",
        (
            FORWARDING,
            "refusal = refusals.outcome_unknown(None) if call.method in WRITES else LEADERSHIP_UNKNOWN",
            "refusal = refusals.deadline_passed(None) if call.method in WRITES else LEADERSHIP_UNKNOWN",
        ),
        level=2,
    ),
    bug(
        "ended-row-sent-again",
        "a transfer whose time ended after a refusal is sent again with those that shared its request",
        (PENDING, "if self.regather is not None and any(", "if self.regather is None and any("),
        level=2,
    ),
    bug(
        "doubt-lifted-by-a-refusal",
        "a client forgets at the next refusal that an earlier try of a write may have taken effect",
        (
            SESSION,
            "request.in_doubt = request.in_doubt or (unknown and request.write)",
            "request.in_doubt = unknown and request.write",
        ),
        level=2,
    ),
    bug(
        "number-of-a-forgotten-call-used-again",
        "a client gives the number of a call that timed out to its next one, which then gets the late answer",
        (
            SESSION,
            "                    link.forget(call_id)\n",
            "                    link.forget(call_id)\n                    self._last_call_id = call_id - 1\n",
        ),
        level=2,
    ),
    bug(
        "half-a-frame-outlives-its-connection",
        "what a broken link brought half of a frame of is read on with the first bytes of the next connection",
        (
            LINKS,
            "        decoder = FrameDecoder(FRAME_BYTES_MAX)\n        with",
            '        decoder = self.__dict__.setdefault("decoder", FrameDecoder(FRAME_BYTES_MAX))\n        with',
        ),
        level=2,
    ),
    bug(
        "messages-leave-with-the-write",
        "a node sends what was to wait for its disk as soon as the write is handed to the log's thread",
        (
            DISK,
            "        self._held.append((persist.write_seq, persist.then_send))\n",
            "        self._durable(0, list(persist.then_send))\n        self._held.append((persist.write_seq, ()))\n",
        ),
        level=2,
    ),
    bug(
        "disk-failure-ignored",
        "a node whose disk failed runs on",
        (LOOP, "failed=self._fail)", "failed=lambda error: None)"),
        level=2,
    ),
    bug(
        "bounded-read-served-like-a-stale-one",
        "a bound on the age of a read is lost on the way to the node",
        (READ_MODES, "            return Bounded(options.max_age_ms)\n", "            return Stale()\n"),
        level=2,
    ),
)
