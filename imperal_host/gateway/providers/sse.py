"""Server-sent events, read as their bytes come (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Bytes in, bytes out: a character that is split between two reads is whole again before anyone decodes it. What
reconnecting needs (``id``, ``retry``) is not read: a model's answer cannot be resumed.
"""

from imperal_host.errors import MalformedError
from imperal_host.gateway.providers.lines import Lines

EVENT_BYTES_MAX = 4_194_304
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """Bounds: ``LINE_BYTES_MAX`` for a line, ``EVENT_BYTES_MAX`` for the data of an event."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._head: bytes | None = b""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The data of each event that is whole now. Raises ``MalformedError``.

        An event without data is none, and one that the end of the stream cuts is never given: both as the
        standard says. Its name is left out: every dialect repeats it in the data.
        """
        if self._head is not None:
            data = self._without_mark(data)
        events: list[bytes] = []
        for line in self._lines.feed(data):
            if not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data = []
                    self._data_bytes = 0
            elif line.startswith(b"data:"):
                self._take(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                self._take(b"")
        return [event for event in events if event]

    def _take(self, value: bytes) -> None:
        self._data.append(value)
        self._data_bytes += len(value) + 1
        if self._data_bytes > EVENT_BYTES_MAX:
            raise MalformedError(f"the model's server sent an event of more than {EVENT_BYTES_MAX:,} bytes")

    def _without_mark(self, data: bytes) -> bytes:
        """A byte order mark may stand at the very start, and it may be split too."""
        assert self._head is not None
        data = self._head + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._head = data
            return b""
        self._head = None
        return data.removeprefix(_BOM)
