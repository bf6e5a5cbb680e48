"""Lines out of bytes that come split anywhere. Each byte is searched once."""

from imperal_host.errors import MalformedError

LINE_BYTES_MAX = 1_048_576


class Lines:
    """Ends a line at LF, CRLF or CR. Bound: ``LINE_BYTES_MAX`` for one line."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_return = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends. Raises ``MalformedError``."""
        if self._after_return and data:
            self._after_return = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:
            self._rest += data
            self._check(self._rest)
            return []
        lines = data.split(b"\n")
        if self._rest:
            lines[0] = bytes(self._rest) + lines[0]
        self._rest = bytearray(lines.pop())
        self._check(lines[0])
        self._check(self._rest)
        if len(data) > LINE_BYTES_MAX:
            for line in lines:
                self._check(line)
        return lines

    def rest(self) -> bytes:
        """What came after the last line end."""
        return bytes(self._rest)

    @staticmethod
    def _check(line: bytes | bytearray) -> None:
        if len(line) > LINE_BYTES_MAX:
            raise MalformedError(f"the model's server sent a line of more than {LINE_BYTES_MAX:,} bytes")
