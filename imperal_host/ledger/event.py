"""One row's content and its canonical bytes.

Canonical JSON is RFC 8785 restricted to what has one spelling everywhere: ASCII member names, no floats,
integers below 2**53. Under these limits sorted compact UTF-8 JSON is RFC 8785.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from imperal_host.identity import CallId, Principal, Scope

Kind = Literal["intent", "outcome", "unresolved", "correction", "key-op", "config-op"]
FORMAT = 2
_PLAIN = frozenset({str, int, bool, type(None)})
Json = str | int | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Event:
    """A fact about an action.

    ``action`` is what was done: ``call``, ``llm``, or the name of an operation. ``details`` hold the rest: for an
    ``llm`` intent provider, model, is_byollm, provenance and ``hold_nano_usd``, the most that it may cost; for its
    outcome the tokens as well. ``cost_nano_usd`` is an integer, 0 for own keys; a correction's may be negative.
    ``arguments`` are never stored: an intent's row commits to them (``Signer.commitment``).
    """

    kind: Kind
    action: str
    call: CallId
    scope: Scope
    details: dict[str, Json]
    parent: CallId | None = None
    cost_nano_usd: int = 0
    arguments: Mapping[str, Any] | None = None


def operation(
    kind: Literal["key-op", "config-op"], action: str, call: CallId, principal: Principal, details: dict[str, Json]
) -> Event:
    """What an operator or an admin did, as one row: it has no intent, and costs nothing."""
    return Event(kind, action, call, Scope(call, principal, "", "", ""), details)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a row stands: its index in its tenant's tree and its hash, hexadecimal."""

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


def body_of(
    event: Event, index: int, at_milliseconds: int, boot: int = 0, commitment: str | None = None
) -> dict[str, Json]:
    principal = event.scope.principal
    return {
        "format": FORMAT,
        "index": index,
        "boot": boot,
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
        **({"arguments_hmac": commitment} if commitment else {}),
    }


def _check(value: Any, where: str) -> None:
    """What orjson would spell, and RFC 8785 would not, or not so. Twice a call: most values are plain."""
    kind = type(value)
    if kind is dict:
        if not {str}.issuperset(map(type, value)) or not "".join(value).isascii():
            raise ValueError(f"{where}: a member name is not ASCII: {list(value)!r:.200}")
        if not _PLAIN.issuperset(map(type, value.values())):
            for name, item in value.items():
                if type(item) not in _PLAIN:
                    _check(item, f"{where}.{name}")
    elif kind is list:
        if not _PLAIN.issuperset(map(type, value)):
            for item in value:
                if type(item) not in _PLAIN:
                    _check(item, where)
    elif kind not in _PLAIN:
        raise ValueError(f"{where}: {kind.__name__} has no canonical form")
