"""One end of the protocol: feed it bytes, it gives frames; give it a frame, it gives bytes."""

from enum import Enum

import msgspec

from imperal_sdk.wire.frames import (
    Answer,
    Ask,
    Cancel,
    Confined,
    Fault,
    Frame,
    Invoke,
    Part,
    Ready,
    Refusal,
    Return,
    Start,
)

FRAME_BYTES_MAX = 4 << 20
# A few bytes of JSON can become many of Python: what an isolate sends is bounded in values as well.
VALUES_MAX = 500_000
_LENGTH_BYTES = 4
_CANCEL_BEGINS = b'{"type":"cancel",'  # as our encoder writes it: the tag first


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
    Role.HOST: (Start, Invoke, Part, Answer, Refusal),
    Role.ISOLATE: (Confined, Ready, Ask, Cancel, Return, Fault),
}
_DECODE_FROM = {
    Role.HOST: msgspec.json.Decoder(Start | Invoke | Part | Answer | Refusal),
    Role.ISOLATE: msgspec.json.Decoder(Confined | Ready | Ask | Cancel | Return | Fault),
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

    def feed(self, data: bytes) -> None:
        """Raises ``ProtocolError`` for a length over the limit before a byte of that body is kept."""
        self._buffer += data
        self._check_length()

    def next(self) -> Frame | None:
        """The next whole frame, decoded now and not before; ``None`` when there is none yet."""
        if len(self._buffer) < _LENGTH_BYTES:
            return None
        end = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        if len(self._buffer) < end:
            return None
        frame = self._decode(bytes(self._buffer[_LENGTH_BYTES:end]))
        del self._buffer[:end]
        self._check_length()
        return frame

    def receive(self, data: bytes) -> list[Frame]:
        """All frames that are whole with ``data``; the rest waits."""
        self.feed(data)
        return list(iter(self.next, None))

    @property
    def is_mid_frame(self) -> bool:
        """Whether a part of a frame is here, and its rest is awaited."""
        return bool(self._buffer)

    @property
    def holds_up(self) -> bool:
        """Whether what is here begins a frame that is no ``Cancel``: a cancel makes room, so it needs none."""
        begins = self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + len(_CANCEL_BEGINS)]
        return bool(begins) and not _CANCEL_BEGINS.startswith(begins)

    def _check_length(self) -> None:
        if len(self._buffer) >= _LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if size > FRAME_BYTES_MAX:
                raise ProtocolError(f"frame of {size:,} bytes, over the limit of {FRAME_BYTES_MAX:,}")

    def _decode(self, body: bytes) -> Frame:
        if len(body) > self._values_max and sum(map(body.count, (b",", b"[", b"{"))) > self._values_max:
            raise ProtocolError(f"more than {self._values_max:,} values in one message")
        try:
            frame: Frame = self._decoder.decode(body)
            return frame
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise ProtocolError(f"malformed frame: {error}") from None
