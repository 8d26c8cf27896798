"""Bugs that only a whole program can have: in its client, and on the way from one node to another."""

from tests.planted.bug import bug

FORWARDING = "bankd/node/forwarding.py"
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
)
