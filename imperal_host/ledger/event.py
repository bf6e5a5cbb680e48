"""One row's content and its canonical bytes.

Canonical JSON is RFC 8785 restricted to what has one spelling everywhere: ASCII member names, no floats,
integers below 2**53. Under these limits sorted compact UTF-8 JSON is RFC 8785.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from imperal_host.identity import CallId, Scope

Kind = Literal["intent", "outcome"]
FORMAT = 1
GENESIS = bytes(32)
_PLAIN = frozenset({str, int, bool, type(None)})
Json = str | int | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Event:
    """A fact about an action.

    ``action`` is what was done (``call`` or ``llm``), ``details`` hold the rest: for an ``llm`` outcome
    provider, model, is_byollm, tokens, provenance; ``cost_nano_usd`` is an integer, 0 for own keys.
    """

    kind: Kind
    action: Literal["call", "llm"]
    call: CallId
    scope: Scope
    details: dict[str, Json]
    parent: CallId | None = None
    cost_nano_usd: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a row stands: its index in its tenant's chain and its hash, hexadecimal."""

    tenant: str
    index: int
    hash: str

    def __str__(self) -> str:
        return f"{self.tenant}:{self.index}:{self.hash}"


def canonical(body: dict[str, Json]) -> bytes:
    """Raises ``ValueError`` for a value without one spelling."""
    _check(body, "")
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError as error:  # an integer beyond 2**53, or a lone surrogate: it has no UTF-8
        raise ValueError(str(error)) from None


def body_of(event: Event, index: int, previous: bytes, at_milliseconds: int) -> dict[str, Json]:
    principal = event.scope.principal
    return {
        "format": FORMAT,
        "index": index,
        "previous": previous.hex(),
        "at_milliseconds": at_milliseconds,
        "kind": event.kind,
        "action": event.action,
        "call_id": event.call,
        "parent": event.parent,
        "tenant": principal.tenant,
        "user": principal.user,
        "extension": event.scope.extension,
        "extension_version": event.scope.extension_version,
        "function": event.scope.function,
        "cost_nano_usd": event.cost_nano_usd,
        "details": event.details,
    }


def hash_of(body: bytes) -> bytes:
    """A leaf hash as in RFC 9162, section 2.1.1: SHA-256(0x00 || body). The body names its predecessor."""
    return hashlib.sha256(b"\x00" + body).digest()


def _check(value: Any, where: str) -> None:
    """What orjson would spell, and RFC 8785 would not, or not so. Twice a call: most values are plain."""
    kind = type(value)
    if kind is dict:
        for name, item in value.items():
            if not (isinstance(name, str) and name.isascii()):
                raise ValueError(f"{where}: member name {name!r} is not ASCII")
            if type(item) not in _PLAIN:
                _check(item, f"{where}.{name}")
    elif kind is list:
        for item in value:
            if type(item) not in _PLAIN:
                _check(item, where)
    elif kind not in _PLAIN:
        raise ValueError(f"{where}: {kind.__name__} has no canonical form")
