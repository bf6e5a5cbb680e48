"""Where checkpoints are kept that the ledger's disk cannot take back: a file elsewhere, or an HTTP address.

Without one, a host that was put back to an older state cannot be told from one that has never been further.
"""

import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

from imperal_host.errors import SetupError

_NOTE_BYTES_MAX = 65_536
_SECONDS_MAX = 10.0


class Witness(Protocol):
    """Blocking. Raises ``OSError`` when it cannot be reached."""

    def publish(self, note: str) -> None: ...

    def newest(self) -> str | None:
        """The last note that was published, if there is one."""
        ...


class FileWitness:
    """The newest note, in a file that is replaced as a whole."""

    def __init__(self, file: Path, data_dir: Path) -> None:
        if file.resolve().is_relative_to(data_dir.resolve()):
            raise SetupError(
                f"the witness {file} lies inside the data directory {data_dir}, and would be put back with it; "
                "set IMPERAL_WITNESS_FILE to a place on another disk"
            )
        self._file = file

    def publish(self, note: str) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self._file.parent, encoding="utf-8", delete=False) as stream:
            try:
                stream.write(note)
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(stream.name, self._file)
            except BaseException:
                os.unlink(stream.name)
                raise

    def newest(self) -> str | None:
        try:
            return self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


class HttpWitness:
    """``PUT`` takes the newest note, ``GET`` gives it back; 404 means that there is none yet."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("https://", "http://")):
            raise SetupError(f"the witness {url!r} is not an http(s) address; set IMPERAL_WITNESS_URL")
        self._url = url

    def publish(self, note: str) -> None:
        headers = {"content-type": "text/plain; charset=utf-8"}
        self._exchange(urllib.request.Request(self._url, note.encode(), headers, method="PUT"))  # noqa: S310

    def newest(self) -> str | None:
        try:
            return self._exchange(urllib.request.Request(self._url))  # noqa: S310
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def _exchange(self, request: urllib.request.Request) -> str:
        with urllib.request.urlopen(request, timeout=_SECONDS_MAX) as answer:  # noqa: S310
            text: bytes = answer.read(_NOTE_BYTES_MAX)
        return text.decode("utf-8", "replace")
