"""A receipt: one row, and the way from it to a signed checkpoint, in one JSON object.

Members: ``format``; ``row``, the content whose canonical bytes are the leaf; ``tree_size`` and ``path``, from the row
to the root of its tenant's tree; ``heads_index`` and ``heads_path``, from that head to the root of the heads log; and
``checkpoint``, the signed note. A path is its hashes, leaf to root, one after the other in base64.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from imperal_host.verify.merkle import HASH_BYTES, includes, leaf_hash, root_from_path
from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.record import Head
from imperal_host.verify.rows import canonical

FORMAT = "imperal-receipt/1"
_STEPS_MAX = 63


@dataclass(frozen=True, slots=True)
class Bundle:
    row: bytes
    tree_size: int
    path: Sequence[bytes]
    heads_index: int
    heads_path: Sequence[bytes]
    checkpoint: str

    def to_json(self) -> bytes:
        content = {
            "format": FORMAT,
            "row": orjson.loads(self.row),
            "tree_size": self.tree_size,
            "path": packed(self.path),
            "heads_index": self.heads_index,
            "heads_path": packed(self.heads_path),
            "checkpoint": self.checkpoint,
        }
        return orjson.dumps(content)


@dataclass(frozen=True, slots=True)
class Proven:
    """What a receipt proves: that this row stands in the log of this checkpoint."""

    row: dict[str, Any]
    checkpoint: Checkpoint


def verify_receipt(text: bytes, key: VerifierKey) -> Proven:
    """Raises ``NotProvenError``."""
    try:
        content = orjson.loads(text)
    except ValueError:
        raise NotProvenError("the receipt is not JSON") from None
    match content:
        case {
            "format": str(said),
            "row": {"tenant": str(tenant), "index": int(index)} as row,
            "tree_size": int(tree_size),
            "path": str(path),
            "heads_index": int(heads_index),
            "heads_path": str(heads_path),
            "checkpoint": str(note),
        } if said == FORMAT:
            pass
        case _:
            raise NotProvenError(f"this is not a receipt of the format {FORMAT}")
    checkpoint = open_checkpoint(note, key)
    try:
        leaf = leaf_hash(canonical(row))
    except (ValueError, TypeError):
        raise NotProvenError("the row has no canonical bytes") from None
    root = root_from_path(index, tree_size, leaf, unpacked(path))
    if root is None:
        raise NotProvenError("the row's path does not fit its place in the tenant's tree")
    head = Head(tenant, tree_size, root).leaf
    if not includes(heads_index, checkpoint.size, head, unpacked(heads_path), checkpoint.root):
        raise NotProvenError("the row is not in the log that was signed: its bytes or its proof were changed")
    return Proven(row, checkpoint)


def packed(path: Sequence[bytes]) -> str:
    return base64.b64encode(b"".join(path)).decode()


def unpacked(text: str) -> list[bytes]:
    """Raises ``NotProvenError``."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotProvenError("a path is not base64") from None
    if len(raw) % HASH_BYTES or len(raw) > _STEPS_MAX * HASH_BYTES:
        raise NotProvenError("a path is not made of hashes")
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]
