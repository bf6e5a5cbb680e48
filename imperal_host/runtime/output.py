"""What an extension prints becomes log lines, and no more of them than the bounds allow."""

import asyncio
import os

from imperal_host.log import logger

_LINE_CHARACTERS_MAX = 2_000
_BYTES_MAX = 64 << 10
_LINES_MAX = 1_000
_READ_BYTES = 1 << 16


class Output:
    """Reads a pipe for as long as it is open; past a bound what comes is read and thrown away."""

    def __init__(self, pipe: int, extension: str) -> None:
        self._pipe = pipe
        self._log = logger("runtime").bind(extension=extension)
        self._bytes_left, self._lines_left = _BYTES_MAX, _LINES_MAX
        self._pending = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._read)

    def close(self) -> None:
        """What has been printed until now is logged."""
        while self._pipe >= 0 and self._read():
            pass
        self._finish()

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._finish()
            return False
        *lines, self._pending = (self._pending + data[: max(self._bytes_left, 0)]).split(b"\n")
        self._write(lines)
        was_left, self._bytes_left = self._bytes_left, self._bytes_left - len(data)
        if was_left > 0 >= self._bytes_left:
            self._log.warning("extension.output_cut", at_bytes=_BYTES_MAX)
        return True

    def _finish(self) -> None:
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
            self._write([self._pending])

    def _write(self, lines: list[bytes]) -> None:
        for line in [line for line in lines if line.strip()][: max(self._lines_left, 0)]:
            self._lines_left -= 1
            self._log.info("extension.output", text=line.decode(errors="replace")[:_LINE_CHARACTERS_MAX])
