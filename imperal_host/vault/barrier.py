"""AES-256-GCM with associated data (NIST SP 800-38D): what is sealed here opens only under the same name."""

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imperal_host.errors import SealedError

KEY_BYTES = 32
_NONCE_BYTES = 12
_DOMAIN = b"imperal-host/1"


def _associated(parts: tuple[str, ...]) -> bytes:
    """Length-prefixed, so that ("ab", "c") and ("a", "bc") differ."""
    encoded = [part.encode() for part in parts]
    return _DOMAIN + b"".join(struct.pack(">I", len(part)) + part for part in encoded)


def seal(key: bytes, plaintext: bytes, *name: str) -> bytes:
    """nonce (12 bytes, random) || ciphertext || tag (16 bytes), bound to ``name``."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, _associated(name))


def unseal(key: bytes, sealed: bytes, *name: str) -> bytes:
    """Raises ``SealedError`` for another key, another name, or changed bytes: it cannot tell which."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _associated(name))
    except (InvalidTag, ValueError):
        raise SealedError(f"{'/'.join(name[:1])} does not open: wrong key, or the stored bytes were changed") from None
