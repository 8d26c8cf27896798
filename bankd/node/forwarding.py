"""Remember the calls that went to the leader over one link, until each is answered exactly once.

By the leader's answer, or by "unknown" when the connection breaks under it or its deadline passes:
only calls that may change something are forwarded, and the leader may have taken each of them in.
"""

from typing import Final

import attrs

from bankd.errors import Code, Refusal
from bankd.node.sender import FrameSender
from bankd.replica import refusals
from bankd.wire.frames import FLAG_HOPPED, Frame, FrameKind, encode_frame
from bankd.wire.methods import WRITES
from bankd.wire.refusals import encode_refusal

LEADERSHIP_UNKNOWN: Final = Refusal(
    Code.UNKNOWN, "OUTCOME_UNKNOWN", "the connection to the leader was lost: ask GetNodeStatus who leads now"
)


@attrs.frozen
class ForwardedCall:
    back: FrameSender
    call_id: int
    method: int
    deadline_s: float


class ForwardedCalls:
    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._calls: dict[int, ForwardedCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def full(self) -> bool:
        return len(self._calls) >= self._calls_max

    def add(self, link_call_id: int, call: ForwardedCall) -> None:
        """Note a call that was sent, under the id that it has on the link."""
        self._calls[link_call_id] = call

    def answered(self, answer: Frame) -> FrameSender | None:
        """Pass the leader's answer on, for the next flush; whom it was for, or None when nobody waits for it any more."""
        call = self._calls.pop(answer.call_id, None)
        if call is None:
            return None
        flags = answer.flags | FLAG_HOPPED  # so that the client may look for the leader itself
        call.back.push(encode_frame(answer.kind, call.method, call.call_id, answer.body, flags=flags))
        return call.back

    def expire(self, now_s: float) -> None:
        """Answer every call whose deadline has passed."""
        for link_call_id in [key for key, call in self._calls.items() if call.deadline_s <= now_s]:
            _lose(self._calls.pop(link_call_id))

    def lose_all(self) -> None:
        """The connection broke: answer every call."""
        lost, self._calls = self._calls, {}
        for call in lost.values():
            _lose(call)


def _lose(call: ForwardedCall) -> None:
    refusal = refusals.outcome_unknown(None) if call.method in WRITES else LEADERSHIP_UNKNOWN
    call.back.push(encode_frame(FrameKind.ERROR, call.method, call.call_id, encode_refusal(refusal)))
    call.back.flush()
