"""A live host, asked over HTTP: its newest checkpoint, and that it goes on from the one that was seen before."""

import json
import urllib.error
import urllib.parse
import urllib.request

from imperal_host.verify.merkle import is_consistent
from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.receipt import unpacked

_SECONDS_MAX = 10.0
_BYTES_MAX = 65_536


def verify_host(url: str, key: VerifierKey, seen: Checkpoint | None) -> tuple[str, Checkpoint]:
    """The newest note and what it says. Raises ``NotProvenError``, and ``OSError`` when the host does not answer."""
    note = _get(url, "/v1/ledger/checkpoint").decode("utf-8", "replace")
    newest = open_checkpoint(note, key)
    if seen is None or seen == newest:
        return note, newest
    if newest.size < seen.size:
        raise NotProvenError(f"the host was put back: it shows {newest.size} heads, and has shown {seen.size}")
    sizes = urllib.parse.urlencode({"from": seen.size, "to": newest.size})
    try:
        path = json.loads(_get(url, f"/v1/ledger/consistency?{sizes}"))["path"]
    except (ValueError, LookupError, TypeError):
        raise NotProvenError("the host's answer is no proof") from None
    if not isinstance(path, str) or not is_consistent(seen.size, newest.size, seen.root, newest.root, unpacked(path)):
        raise NotProvenError("the host's log does not go on from the checkpoint that was seen before: it was rebuilt")
    return note, newest


def _get(url: str, path: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise NotProvenError(f"{url!r} is not an http(s) address")
    with urllib.request.urlopen(url.rstrip("/") + path, timeout=_SECONDS_MAX) as answer:  # noqa: S310
        content: bytes = answer.read(_BYTES_MAX)
    return content
