"""A key-encryption key (KEK): 32 bytes that wrap tenant keys, and never show themselves."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import NoReturn, Self

from imperal_host.errors import SealedError, SetupError
from imperal_host.storage.database import Transaction
from imperal_host.vault.barrier import KEY_BYTES, seal, unseal


class Kek:
    """``key_id`` (16 hexadecimal digits of a hash of the key) stands beside every ciphertext.

    On its own it is also a ring of one key: ``current`` and ``of`` are those of ``vault.keyring.Keys``.
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key: bytes) -> None:
        assert len(key) == KEY_BYTES
        self._key = key
        self.key_id = hashlib.sha256(b"imperal-host/kek-id" + key).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"<Kek {self.key_id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KEK is not pickled")

    def wrap(self, plaintext: bytes, *name: str) -> bytes:
        return seal(self._key, plaintext, *name)

    def unwrap(self, wrapped: bytes, *name: str) -> bytes:
        """Raises ``SealedError``."""
        return unseal(self._key, wrapped, *name)

    def current(self, transaction: Transaction) -> "Kek":
        return self

    def of(self, transaction: Transaction, kek_id: str) -> "Kek":
        if kek_id != self.key_id:
            raise SealedError(f"KEK {kek_id} is not loaded")
        return self

    @classmethod
    def from_text(cls, text: str, where: str) -> Self:
        """From hexadecimal. Raises ``SealedError`` that names ``where`` and does not tell the text."""
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SealedError(f"{where} does not hold {KEY_BYTES} bytes in hexadecimal; restore it from a backup")
        return cls(key)


class FileKek(Kek):
    """A KEK in a file, written as hexadecimal, mode 0600, outside the data directory."""

    __slots__ = ()

    @classmethod
    def read(cls, file: Path) -> "FileKek":
        """Raises ``SealedError`` when the file is unreadable, readable by others, or not a key."""
        try:
            mode = file.stat().st_mode
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise SealedError(f"the KEK file {file} cannot be read ({_why(error)})") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SealedError(f"the KEK file {file} can be read by others; run: chmod 600 {file}")
        return cls.from_text(text, f"the KEK file {file}")

    @classmethod
    def create(cls, file: Path) -> "FileKek":
        """A new key. Never overwrites: raises ``SetupError`` if the file exists or cannot be made."""
        key = os.urandom(KEY_BYTES)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="ascii") as stream:  # mode 0600
                stream.write(key.hex() + "\n")
                stream.flush()
                os.fsync(stream.fileno())
                os.link(stream.name, file)  # whole or not at all, and never over another
            directory = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise SetupError(
                f"the KEK file {file} cannot be made ({error}); set IMPERAL_KEK_FILE to another place"
            ) from None
        return cls(key)


def _why(error: Exception) -> str:
    """A file that is no ASCII must not be quoted: it may be a key in another form."""
    return str(error) if isinstance(error, OSError) else "it is not ASCII"
