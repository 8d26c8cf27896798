"""Wait for the other side's first words."""

from bankd.node.receiver import Receive
from bankd.wire.frames import Frame, FrameDecoder


async def receive_first(receive: Receive, decoder: FrameDecoder) -> list[Frame]:
    """The first frame, and whatever came whole behind it; empty when the other side ended before it.

    Raises:
      ProtocolError: these are no frames.
    """
    while data := await receive():
        if frames := decoder.feed(data):
            return frames
    return []
