"""What a user has used and owes: a fold of ledger rows, that anybody who has the rows can make again. Pure.

Only rows about model attempts carry money: their outcomes, what a crash left unresolved (at the most it may have
cost), and corrections of that. A call's own row adds none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

By = Literal["model", "extension", "purpose", "day"]
_COUNTED = frozenset({"outcome", "unresolved", "correction"})


@dataclass(slots=True)
class Line:
    """Sums. ``attempts`` are those that were sent or might have been; ``own_key_attempts`` cost 0."""

    attempts: int = 0
    own_key_attempts: int = 0
    failed_attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        details = row["details"]
        self.cost_nano_usd += row["cost_nano_usd"]
        if row["kind"] == "correction":
            return
        self.attempts += 1
        self.own_key_attempts += bool(details.get("is_byollm"))
        self.failed_attempts += details.get("outcome") != "ok"
        self.input_tokens += details.get("input_tokens", 0)
        self.output_tokens += details.get("output_tokens", 0)


@dataclass(frozen=True, slots=True)
class Statement:
    """``lines`` by what was asked for, ``total`` over them; ``rows`` is how many were counted."""

    lines: dict[str, Line] = field(default_factory=dict)
    total: Line = field(default_factory=Line)


def statement(rows: Iterable[Mapping[str, Any]], by: By) -> Statement:
    """``rows`` are contents of ledger entries, in any order; what is not about a model attempt is passed over."""
    made = Statement()
    for row in rows:
        if row["action"] == "llm" and row["kind"] in _COUNTED:
            made.lines.setdefault(_key(row, by), Line()).add(row)
            made.total.add(row)
    return made


def day_of(at_milliseconds: int) -> str:
    """UTC, ISO 8601."""
    return datetime.fromtimestamp(at_milliseconds // 1000, UTC).date().isoformat()


def _key(row: Mapping[str, Any], by: By) -> str:
    match by:
        case "day":
            return day_of(row["at_milliseconds"])
        case "extension":
            return str(row["extension"])
        case _:
            return str(row["details"].get(by, ""))
