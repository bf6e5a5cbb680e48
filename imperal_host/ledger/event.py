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
_INTEGER_MAX = 2**53 - 1
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
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


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
    match value:
        case bool() | None:
            pass
        case int():
            if abs(value) > _INTEGER_MAX:
                raise ValueError(f"{where}: integer beyond 2**53")
        case str():
            value.encode()  # a lone surrogate has no UTF-8
        case list():
            for item in value:
                _check(item, where)
        case dict():
            for name, item in value.items():
                if not (isinstance(name, str) and name.isascii()):
                    raise ValueError(f"{where}: member name {name!r} is not ASCII")
                _check(item, f"{where}.{name}")
        case _:
            raise ValueError(f"{where}: {type(value).__name__} has no canonical form")
