"""Where KEKs are kept. A source knows one scheme of locations: ``file:``, ``env:``, ``keyring:``, or a KMS's."""

import os
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final, Literal, Protocol

from imperal_host.errors import SealedError, SetupError
from imperal_host.log import logger
from imperal_host.settings import variable
from imperal_host.vault.barrier import KEY_BYTES
from imperal_host.vault.kek import FileKek, Kek


class _Sentinel(Enum):
    NOT_MINE = auto()


NOT_MINE: Final = _Sentinel.NOT_MINE
NotMine = Literal[_Sentinel.NOT_MINE]


class KekSource(Protocol):
    """One way to a KEK. This is all that a KMS plug-in implements.

    ``location`` is what the operator wrote (``scheme:rest``); a source answers ``NOT_MINE`` to any scheme but its
    own, and the next one is asked. Any exception is final: no other source is tried. Raise ``SealedError`` (what
    was kept does not open) or ``SetupError`` (the place cannot be used), saying what to do, and never the key.

    ``kept`` are bytes that the database keeps for the source: for a KMS, the KEK as the KMS has encrypted it;
    empty where the source keeps the key itself. The KMS is asked once for each process and KEK, not for each
    secret: calls are synchronous, may come from a database thread, and must be bounded in time (seconds).
    What ``load`` gives is checked against the key's id, so a swapped ciphertext or key is noticed here.
    """

    def load(self, location: str, kept: bytes) -> Kek | NotMine: ...

    def create(self, location: str) -> tuple[Kek, bytes] | NotMine:
        """A new KEK and what is to be kept. If a key is there already, that one: a step that was killed goes on."""
        ...

    def renew(self, location: str, kept: bytes) -> bytes | NotMine:
        """``kept`` under the KMS's newest key version; unchanged where there is none."""
        ...


class Sources:
    """Asked in turn; the first that does not answer ``NOT_MINE`` has answered for all."""

    def __init__(self, sources: Sequence[KekSource]) -> None:
        self._sources = sources

    def load(self, location: str, kept: bytes) -> Kek:
        for source in self._sources:
            if (found := source.load(location, kept)) is not NOT_MINE:
                return found
        raise _unknown(location)

    def create(self, location: str) -> tuple[Kek, bytes]:
        for source in self._sources:
            if (made := source.create(location)) is not NOT_MINE:
                return made
        raise _unknown(location)

    def renew(self, location: str, kept: bytes) -> bytes:
        for source in self._sources:
            if (renewed := source.renew(location, kept)) is not NOT_MINE:
                return renewed
        raise _unknown(location)


def _unknown(location: str) -> SetupError:
    scheme = location.partition(":")[0]
    return SetupError(f"no source of keys knows {scheme!r}:; there are file:, env:, keyring: and vault-transit:")


class FileSource:
    """``file:PATH``; an empty location or path is the file of ``IMPERAL_KEK_FILE``, wherever that is by now."""

    def __init__(self, default: Path, data_dir: Path) -> None:
        self._default = default
        self._data_dir = data_dir

    def load(self, location: str, kept: bytes) -> Kek | NotMine:
        if (file := self._file(location)) is None:
            return NOT_MINE
        if not _exists(file):
            raise SealedError(
                f"the KEK file {file} is missing, and the data in {self._data_dir} was sealed with it; "
                "restore it from a backup"
            )
        return FileKek.read(file)

    def create(self, location: str) -> tuple[Kek, bytes] | NotMine:
        if (file := self._file(location)) is None:
            return NOT_MINE
        if _exists(file):
            return FileKek.read(file), b""
        try:
            return FileKek.create(file), b""
        except SetupError:
            if _exists(file):  # of two processes that begin at once, the second takes the key of the first
                return FileKek.read(file), b""
            raise

    def renew(self, location: str, kept: bytes) -> bytes | NotMine:
        return NOT_MINE if self._file(location) is None else kept

    def _file(self, location: str) -> Path | None:
        scheme, _, rest = location.partition(":")
        if scheme not in ("", "file"):
            return None
        file = Path(rest).expanduser() if rest else self._default
        if not file.is_absolute() and rest:
            raise SetupError(f"the KEK file {file} needs an absolute path")
        if file.resolve().is_relative_to(self._data_dir.resolve()):
            raise SetupError(
                f"the KEK file {file} lies inside the data directory {self._data_dir}; set IMPERAL_KEK_FILE elsewhere"
            )
        return file


class EnvironmentSource:
    """``env:NAME``: hexadecimal in a variable. Others of this user, and whatever prints an environment, see it."""

    def load(self, location: str, kept: bytes) -> Kek | NotMine:
        scheme, _, name = location.partition(":")
        if scheme != "env":
            return NOT_MINE
        text = variable(name)
        if text is None:
            raise SealedError(f"the KEK is in the environment variable {name}, which is not set")
        logger("vault").warning("a KEK in an environment variable is easily seen; prefer file: or a KMS", name=name)
        return Kek.from_text(text, f"the environment variable {name}")

    def create(self, location: str) -> tuple[Kek, bytes] | NotMine:
        """Nothing can be put there for the operator: it is read."""
        found = self.load(location, b"")
        return NOT_MINE if found is NOT_MINE else (found, b"")

    def renew(self, location: str, kept: bytes) -> bytes | NotMine:
        return kept if location.startswith("env:") else NOT_MINE


class KeyringSource:
    """``keyring:SERVICE/NAME``: the desktop's or system's key ring, by the optional library ``keyring``."""

    def load(self, location: str, kept: bytes) -> Kek | NotMine:
        if not location.startswith("keyring:"):
            return NOT_MINE
        text = _password(location)
        if text is None:
            raise SealedError(f"there is no KEK at {location}; restore it from a backup")
        return Kek.from_text(text, location)

    def create(self, location: str) -> tuple[Kek, bytes] | NotMine:
        if not location.startswith("keyring:"):
            return NOT_MINE
        if _password(location) is None:
            _password(location, os.urandom(KEY_BYTES).hex())
        found = self.load(location, b"")
        assert found is not NOT_MINE
        return found, b""

    def renew(self, location: str, kept: bytes) -> bytes | NotMine:
        return kept if location.startswith("keyring:") else NOT_MINE


def _password(location: str, new: str | None = None) -> str | None:
    """What the key ring holds there; ``new`` is put there first."""
    service, _, name = location.removeprefix("keyring:").partition("/")
    if not (service and name):
        raise SetupError(f"{location}: write keyring:SERVICE/NAME")
    try:
        import keyring
    except ImportError:
        raise SetupError("keyring: needs the library; run: pip install 'imperal-host[keyring]'") from None
    try:
        if new is not None:
            keyring.set_password(service, name, new)
        found: str | None = keyring.get_password(service, name)
    except Exception as error:  # each backend of the library has errors of its own; what they say may be the value
        raise SetupError(f"the key ring does not answer for {location} ({type(error).__name__})") from None
    return found


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError as error:
        raise SealedError(f"the KEK file {file} cannot be reached ({error.strerror}); set IMPERAL_KEK_FILE") from None
