"""One end of the protocol: feed it bytes, it gives frames; give it a frame, it gives bytes."""

from enum import Enum

import msgspec

from imperal_sdk.wire.frames import Answer, Ask, Fault, Frame, Invoke, Ready, Refusal, Return

FRAME_BYTES_MAX = 4 << 20
# A few bytes of JSON can become many of Python: what an isolate sends is bounded in values as well.
VALUES_MAX = 500_000
_LENGTH_BYTES = 4


class ProtocolError(Exception):
    """The peer broke the protocol: the only cure is to close."""


class UnsendableError(Exception):
    """Our own frame has no wire form; nothing was sent. The message is plain ASCII."""


class FrameTooLargeError(UnsendableError):
    """Our own frame would be over ``FRAME_BYTES_MAX``."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a message of {size:,} bytes is over the limit of {FRAME_BYTES_MAX:,} bytes")


class Role(Enum):
    HOST = "host"
    ISOLATE = "isolate"


_MAY_SEND: dict[Role, tuple[type, ...]] = {
    Role.HOST: (Invoke, Answer, Refusal),
    Role.ISOLATE: (Ready, Ask, Return, Fault),
}
_DECODE_FROM = {
    Role.HOST: msgspec.json.Decoder(Invoke | Answer | Refusal),
    Role.ISOLATE: msgspec.json.Decoder(Ready | Ask | Return | Fault),
}


class Connection:
    def __init__(self, role: Role) -> None:
        self._ours = _MAY_SEND[role]
        self._decoder = _DECODE_FROM[Role.ISOLATE if role is Role.HOST else Role.HOST]
        self._values_max = VALUES_MAX if role is Role.HOST else FRAME_BYTES_MAX
        self._encoder = msgspec.json.Encoder()
        self._buffer = bytearray()

    def send(self, frame: Frame) -> bytes:
        """Raises ``UnsendableError``: too large, or a value that has no JSON."""
        assert isinstance(frame, self._ours), frame
        try:
            body = self._encoder.encode(frame)
        except Exception as error:  # each kind of value has its own: TypeError, OverflowError, UnicodeEncodeError...
            raise UnsendableError(ascii(str(error))[1:-1]) from None
        if len(body) > FRAME_BYTES_MAX:
            raise FrameTooLargeError(len(body))
        return len(body).to_bytes(_LENGTH_BYTES, "big") + body

    def receive(self, data: bytes) -> list[Frame]:
        """Whole frames only; the rest waits. The length is checked before a byte of the body is kept."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= _LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if size > FRAME_BYTES_MAX:
                raise ProtocolError(f"frame of {size:,} bytes, over the limit of {FRAME_BYTES_MAX:,}")
            end = _LENGTH_BYTES + size
            if len(self._buffer) < end:
                break
            frames.append(self._decode(bytes(self._buffer[_LENGTH_BYTES:end])))
            del self._buffer[:end]
        return frames

    def _decode(self, body: bytes) -> Frame:
        if sum(map(body.count, (b",", b"[", b"{"))) > self._values_max:
            raise ProtocolError(f"more than {self._values_max:,} values in one message")
        try:
            frame: Frame = self._decoder.decode(body)
            return frame
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise ProtocolError(f"malformed frame: {error}") from None
