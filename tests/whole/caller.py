"""A client that speaks raw frames, to see exactly what a node answers."""

import trio

from bankd.wire.frames import FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello


class Caller:
    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.hello: Hello | None = None
        self._decoder = FrameDecoder(FRAME_BYTES_MAX)
        self._frames: list[Frame] = []
        self._last_call_id = 0

    async def send(self, method: int, body: bytes, *, flags: int = 0, deadline_ms: int = 0) -> int:
        self._last_call_id += 1
        frame = encode_frame(FrameKind.REQUEST, method, self._last_call_id, body, flags=flags, deadline_ms=deadline_ms)
        await self.stream.send_all(frame)
        return self._last_call_id

    async def receive(self) -> Frame:
        """The next frame; EndOfStream as trio.EndOfChannel when the node closed the connection."""
        while not self._frames:
            data = await self.stream.receive_some(65536)
            if not data:
                raise trio.EndOfChannel
            self._frames = self._decoder.feed(bytes(data))
        return self._frames.pop(0)

    async def call(self, method: int, body: bytes, *, flags: int = 0, deadline_ms: int = 0) -> Frame:
        call_id = await self.send(method, body, flags=flags, deadline_ms=deadline_ms)
        frame = await self.receive()
        assert frame.call_id == call_id
        return frame
