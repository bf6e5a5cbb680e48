"""What a row says, whether its bytes are canonical, and whether it may follow what was said before. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

FINDINGS_MAX = 100
FORMATS = (1, 2)

# What may follow what, for one call id of one tenant. A correction corrects what was charged unasked.
_NEXT = {
    ("", "intent"): "open",
    ("open", "outcome"): "ended",
    ("open", "unresolved"): "unresolved",
    ("unresolved", "correction"): "corrected",
    ("", "key-op"): "operation",
    ("", "config-op"): "operation",
}
KINDS = frozenset(kind for _, kind in _NEXT)


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction: the tenant and index where it shows, and what is wrong."""

    tenant: str
    index: int
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """``open_intents`` counts actions without an end on record: running now, or cut off by a crash.
    ``checkpoint_size`` is that of the signed heads log, in leaves; ``is_witnessed`` says that a checkpoint kept
    elsewhere was compared, so that an older state in place of a newer one would have been noticed."""

    rows: int
    tenants: int
    open_intents: int
    findings: tuple[Finding, ...]
    checkpoint_size: int = 0
    is_witnessed: bool = False

    @property
    def holds(self) -> bool:
        return not self.findings


def canonical(content: Any) -> bytes:
    """RFC 8785 for what the writer stores: ASCII names, no floats, integers below 2**53."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)


def content_of(body: bytes) -> dict[str, Any] | str:
    """What the bytes say, or what is wrong with them."""
    try:
        content = orjson.loads(body)
        if canonical(content) != body:
            return "the bytes are not canonical"
    except (ValueError, TypeError, RecursionError):
        return "the bytes are not a row"
    if type(content) is not dict or content.get("format") not in FORMATS:
        return "the bytes are not a row"
    if type(content.get("tenant")) is not str or type(content.get("index")) is not int:
        return "the bytes are not a row"
    return content


class Calls:
    """The lives of a tenant's calls: each row is asked whether it may come now."""

    def __init__(self) -> None:
        self._states: dict[Any, str] = {}
        self.open = 0

    def problem_of(self, content: dict[str, Any]) -> str:
        """Empty if it may."""
        kind, call = content.get("kind"), content.get("call_id")
        if type(kind) is not str or type(call) is not str:
            return "the row names no call, or no kind"
        state = self._states.get(call, "")
        following = _NEXT.get((state, kind))
        if following is None:
            return _refusal(state, kind, call)
        self._states[call] = following
        if kind == "intent":
            self.open += 1
        elif state == "open":
            self.open -= 1
        return ""


def _refusal(state: str, kind: str, call: str) -> str:
    if kind not in KINDS:
        return f"a row of no known kind: {kind[:40]}"
    if not state:
        return f"{'a' if kind == 'correction' else 'an'} {kind} without an intent: call {call}"
    return f"no {kind} may follow: call {call} is {state}"
