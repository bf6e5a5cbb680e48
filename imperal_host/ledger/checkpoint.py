"""The signing key: checkpoints of the heads log as C2SP signed notes, and commitments to arguments.

It lies in a file of its own, 32 random bytes (an Ed25519 seed) in hexadecimal, mode 0600, outside the data directory.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from imperal_host.errors import SealedError, SetupError
from imperal_host.verify.note import Checkpoint, VerifierKey

_SEED_BYTES = 32


class Signer:
    """Signs for one log, whose origin is made of its key, so that no two logs share one."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._committing = hmac.digest(seed, b"imperal-host/commitment", "sha256")
        public = self._private.public_key().public_bytes_raw()
        self.key = VerifierKey.of(f"imperal-host/{hashlib.sha256(public).hexdigest()[:16]}", public)

    def __repr__(self) -> str:
        return f"Signer({self.key.name})"

    def checkpoint(self, size: int, root: bytes) -> str:
        """A signed note."""
        text = Checkpoint(self.key.name, size, root).text
        signature = base64.b64encode(self.key.id + self._private.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.key.name} {signature}\n"

    def commitment(self, tenant: str, arguments: Mapping[str, Any]) -> str:
        """HMAC-SHA256 over the arguments as sorted JSON, under a key of the tenant's own. It says whether they are
        those, and nothing about them to anybody without the key."""
        key = hmac.digest(self._committing, tenant.encode(), "sha256")
        text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
        return hmac.digest(key, text.encode(), "sha256").hex()

    @classmethod
    def generate(cls) -> "Signer":
        return cls(os.urandom(_SEED_BYTES))

    @classmethod
    def read(cls, file: Path) -> "Signer":
        """Raises ``SealedError`` when the file is unreadable, readable by others, or not a key."""
        try:
            mode = file.stat().st_mode
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise SealedError(f"the ledger's key file {file} cannot be read ({error})") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SealedError(f"the ledger's key file {file} can be read by others; run: chmod 600 {file}")
        seed = b""
        with contextlib.suppress(ValueError):
            seed = bytes.fromhex(text.strip())
        if len(seed) != _SEED_BYTES:
            raise SealedError(f"the file {file} does not hold the ledger's key; restore it from a backup")
        return cls(seed)

    @classmethod
    def read_or_create(cls, file: Path) -> "Signer":
        """Of two processes that begin at once, the second takes the key that the first made. Raises ``SetupError``."""
        if not file.exists():
            _create(file, os.urandom(_SEED_BYTES))
        return cls.read(file)


def _create(file: Path, seed: bytes) -> None:
    """Whole or not at all, on disk, and never over another."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="ascii") as stream:  # mode 0600
            stream.write(seed.hex() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(stream.name, file)
        directory = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise SetupError(
            f"the ledger's key file {file} cannot be made ({error}); set IMPERAL_LEDGER_KEY_FILE to another place"
        ) from None
