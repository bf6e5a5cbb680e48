"""Signed notes and checkpoints, opened with a public key.

Sources: https://c2sp.org/signed-note (Ed25519, signature type 1) and https://c2sp.org/tlog-checkpoint.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from imperal_host.verify.merkle import HASH_BYTES

_DASH = "\N{EM DASH} "
_ED25519 = b"\x01"
_NOTE_CHARACTERS_MAX = 65_536
_DIGITS_MAX = 19


class NotProvenError(Exception):
    """What was shown does not prove what it should; the message says why."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """``name+id+key``: whose key it is, the first four bytes of a hash over both, and the key."""

    name: str
    id: bytes
    public: bytes

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def of(cls, name: str, public: bytes) -> "VerifierKey":
        if not is_key_name(name):
            raise ValueError(f"{name!r} is no name of a key: spaces and plus signs are not allowed")
        return cls(name, hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4], public)

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises ``NotProvenError`` when it is not an Ed25519 verifier key, or its id is not its own."""
        name, _, rest = text.strip().partition("+")
        said, _, encoded = rest.partition("+")
        raw = _decoded(encoded)
        if raw is None or len(raw) != 33 or raw[:1] != _ED25519 or not is_key_name(name):
            raise NotProvenError("the public key is not of the form name+id+key with an Ed25519 key")
        key = cls.of(name, raw[1:])
        if key.id.hex() != said:
            raise NotProvenError(f"the public key's id is {said}, and should be {key.id.hex()}: it was mistyped")
        return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: its origin, how many leaves it has, and their root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def is_key_name(name: str) -> bool:
    return bool(name) and not any(letter.isspace() or letter == "+" for letter in name)


def open_note(note: str, key: VerifierKey) -> str:
    """The text that ``key`` has signed; other signatures are passed over. Raises ``NotProvenError``."""
    if len(note) > _NOTE_CHARACTERS_MAX or not note.endswith("\n"):
        raise NotProvenError("this is not a signed note")
    if any(ord(letter) < 0x20 and letter != "\n" for letter in note):
        raise NotProvenError("the note contains control characters")
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures:
        raise NotProvenError("the note is not signed")
    text += "\n"
    for name, raw in [_signature(line) for line in signatures[:-1].split("\n")]:
        if name == key.name and raw[:4] == key.id:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())
            except (InvalidSignature, ValueError):
                raise NotProvenError(f"the signature of {key.name} is false") from None
            return text
    raise NotProvenError(f"the note is not signed by {key.name} with the key {key.id.hex()}")


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = _decoded(encoded)
    if not line.startswith(_DASH) or not is_key_name(name) or raw is None or len(raw) < 5:
        raise NotProvenError("a line of the note's signatures is not one")
    return name, raw


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Raises ``NotProvenError`` unless it is a checkpoint of the log whose key this is. Extension lines may follow."""
    lines = open_note(note, key).split("\n")
    if len(lines) < 4:
        raise NotProvenError("the note is signed, but no checkpoint")
    origin, size, root = lines[0], lines[1], _decoded(lines[2])
    is_number = size.isascii() and size.isdigit() and len(size) <= _DIGITS_MAX and (size == "0" or size[0] != "0")
    if origin != key.name:
        raise NotProvenError(f"the checkpoint is of the log {origin}, not of {key.name}")
    if not is_number or root is None or len(root) != HASH_BYTES:
        raise NotProvenError("the note is signed, but no checkpoint")
    return Checkpoint(origin, int(size), root)


def _decoded(text: str) -> bytes | None:
    """Base64 in its one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
