"""The key-encryption key (KEK): where it comes from, and the proof that it is the right one."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Protocol

from imperal_host.errors import SealedError, SetupError
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.barrier import KEY_BYTES, seal, unseal

_CHECK = b"the right key"


class KeySource(Protocol):
    """Wraps and unwraps tenant keys. ``key_id`` stands beside every ciphertext."""

    key_id: str

    def wrap(self, plaintext: bytes, *name: str) -> bytes: ...

    def unwrap(self, wrapped: bytes, *name: str) -> bytes: ...


class FileKek:
    """A KEK of 32 random bytes in a file, written as hexadecimal, mode 0600, outside the data directory."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = hashlib.sha256(b"imperal-host/kek-id" + key).hexdigest()[:16]

    def wrap(self, plaintext: bytes, *name: str) -> bytes:
        return seal(self._key, plaintext, *name)

    def unwrap(self, wrapped: bytes, *name: str) -> bytes:
        return unseal(self._key, wrapped, *name)

    @classmethod
    def read(cls, file: Path) -> "FileKek":
        """Raises ``SealedError`` when the file is unreadable, readable by others, or not a key."""
        try:
            mode = file.stat().st_mode
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise SealedError(f"the KEK file {file} cannot be read ({error})") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SealedError(f"the KEK file {file} can be read by others; run: chmod 600 {file}")
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SealedError(
                f"the KEK file {file} does not hold {KEY_BYTES} bytes in hexadecimal; restore it from a backup"
            )
        return cls(key)

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


async def open_keyring(database: Database, file: Path, data_dir: Path) -> FileKek:
    """The KEK that opens this data: read, or made on the very first run.

    Raises ``SealedError`` when the data was sealed with a KEK that is not in the file, and ``SetupError``
    when the file would lie beside the data it protects.
    """
    if file.resolve().is_relative_to(data_dir.resolve()):
        raise SetupError(
            f"the KEK file {file} lies inside the data directory {data_dir}; set IMPERAL_KEK_FILE elsewhere"
        )
    known = await database.read(lambda t: t.rows("select kek_id, sealed from key_check"))
    if _exists(file):
        kek = FileKek.read(file)
    elif known:
        raise SealedError(
            f"the KEK file {file} is missing, and the data in {data_dir} was sealed with it; restore it from a backup"
        )
    else:
        kek = _create_or_read(file)
    checks: dict[str, bytes] = {row[0]: row[1] for row in known}
    if not checks:
        await database.write(lambda t: _remember(t, kek))
    elif kek.key_id not in checks:
        raise SealedError(
            f"the KEK in {file} is not the one that sealed the data in {data_dir}; restore the right file"
        )
    else:
        kek.unwrap(checks[kek.key_id], "key-check", kek.key_id)
    return kek


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError as error:
        raise SealedError(f"the KEK file {file} cannot be reached ({error.strerror}); set IMPERAL_KEK_FILE") from None


def _create_or_read(file: Path) -> FileKek:
    """Of two processes that begin on empty data at once, the second takes the key that the first made."""
    try:
        return FileKek.create(file)
    except SetupError:
        if _exists(file):
            return FileKek.read(file)
        raise


def _remember(transaction: Transaction, kek: FileKek) -> None:
    transaction.run(
        "insert or ignore into key_check values (?, ?)", (kek.key_id, kek.wrap(_CHECK, "key-check", kek.key_id))
    )
