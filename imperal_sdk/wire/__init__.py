"""The protocol between the host and an isolate: bytes to frames and back, no I/O.

A frame is a u32 length (big-endian) and that many bytes of JSON, a tagged union. (JSON, because its
member names are strings: a decoder that builds other keys can be made to collide.) Each side accepts
only what the other may send; anything else is a ``ProtocolError``, whose only cure is to close. No frame
of an isolate can name a tenant, a user, an extension or a key: the host knows those from the channel.
"""

from imperal_sdk.wire.connection import (
    FRAME_BYTES_MAX,
    Connection,
    FrameTooLargeError,
    ProtocolError,
    Role,
    UnsendableError,
)
from imperal_sdk.wire.frames import (
    STREAMED,
    Answer,
    Ask,
    CallContext,
    Cancel,
    Confined,
    Fault,
    Frame,
    Invoke,
    LlmView,
    Part,
    Problem,
    Ready,
    Refusal,
    Return,
    Start,
)

__all__ = [
    "FRAME_BYTES_MAX",
    "STREAMED",
    "Answer",
    "Ask",
    "CallContext",
    "Cancel",
    "Confined",
    "Connection",
    "Fault",
    "Frame",
    "FrameTooLargeError",
    "Invoke",
    "LlmView",
    "Part",
    "Problem",
    "ProtocolError",
    "Ready",
    "Refusal",
    "Return",
    "Role",
    "Start",
    "UnsendableError",
]
