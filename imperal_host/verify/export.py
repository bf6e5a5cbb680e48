"""A whole record in one file: a line of JSON that says what follows, the heads log's leaves, the rows' bytes.

Each leaf is a line as it was hashed: canonical JSON contains no line feed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson

from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.record import Head, verify_record
from imperal_host.verify.rows import Report, canonical

FORMAT = "imperal-export/1"


def header(heads: int, rows: int, checkpoint: str | None) -> bytes:
    return canonical({"format": FORMAT, "heads": heads, "rows": rows, "checkpoint": checkpoint})


def verify_export(lines: Iterable[bytes], key: VerifierKey, witnessed: Sequence[Checkpoint] = ()) -> Report:
    """Raises ``NotProvenError`` where nothing can be told: no export, or a checkpoint that is not signed by ``key``."""
    reading = (line.removesuffix(b"\n") for line in lines)
    match _loaded(next(reading, b"")):
        case {"format": str(said), "heads": int(heads), "rows": int(), "checkpoint": str() | None as note} if (
            said == FORMAT
        ):
            checkpoint = open_checkpoint(note, key) if note is not None else None
        case _:
            raise NotProvenError(f"this is not an export of the format {FORMAT}")
    # The count of rows in the header is for readers who want to know early; what is signed decides.
    return verify_record(checkpoint, _heads(islice(reading, heads)), ((line, None) for line in reading), witnessed)


def _heads(lines: Iterable[bytes]) -> Iterator[Head]:
    for number, line in enumerate(lines):
        match _loaded(line):
            case {"root": str(root), "size": int(size), "tenant": str(tenant)} if _is_hexadecimal(root):
                head = Head(tenant, size, bytes.fromhex(root))
            case _:
                raise NotProvenError(f"head {number} of the export is not one")
        if head.body != line:
            raise NotProvenError(f"head {number} of the export is not canonical")
        yield head


def _loaded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        return None


def _is_hexadecimal(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
