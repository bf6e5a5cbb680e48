"""Check stored rows against themselves. Pure: rows in, findings out; no key, no writer, no database."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from imperal_host.ledger.event import GENESIS, canonical, hash_of
from imperal_host.ledger.store import Entry, Head

FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction: the tenant and index where it shows, and what is wrong."""

    tenant: str
    index: int
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """``open_intents`` counts actions without an outcome yet: running now, or cut off by a crash."""

    rows: int
    tenants: int
    open_intents: int
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        return not self.findings


def verify_chain(heads: Iterable[Head], entries: Iterable[Entry], progress: Callable[[int], None]) -> Report:
    """``entries`` come by tenant and index. Findings stop at ``FINDINGS_MAX``."""
    findings: list[Finding] = []
    ends: dict[str, tuple[int, bytes]] = {}
    intents: set[tuple[str, str]] = set()
    outcomes: set[tuple[str, str]] = set()
    rows = 0
    for entry in entries:
        rows += 1
        progress(rows)
        size, previous = ends.get(entry.tenant, (0, GENESIS))
        problems = [*_row_problems(entry, size, previous), *_order_problems(entry, intents, outcomes)]
        findings += [Finding(entry.tenant, entry.index, problem) for problem in problems]
        ends[entry.tenant] = (entry.index + 1, entry.hash)
        if len(findings) >= FINDINGS_MAX:
            break
    else:
        findings += _head_findings({head.tenant: (head.size, head.hash) for head in heads}, ends)
    return Report(rows, len(ends), len(intents - outcomes), tuple(findings[:FINDINGS_MAX]))


def _row_problems(entry: Entry, size: int, previous: bytes) -> list[str]:
    problems = []
    if entry.index != size:
        problems.append(f"rows {size} to {entry.index - 1} are missing" if entry.index > size else "a row stands twice")
    if hash_of(entry.body) != entry.hash:
        problems.append("the row was changed: its bytes do not give its hash")
    try:
        content = orjson.loads(entry.body)
        if canonical(content) != entry.body:
            problems.append("the bytes are not canonical")
    except (ValueError, TypeError, RecursionError):
        return [*problems, "the bytes are not a row"]
    if not isinstance(content, dict):
        return [*problems, "the bytes are not a row"]
    if content.get("previous") != previous.hex():
        problems.append("the row does not follow the one before it")
    columns = {
        "tenant": entry.tenant,
        "index": entry.index,
        "call_id": entry.call_id,
        "parent": entry.parent,
        "kind": entry.kind,
        "at_milliseconds": entry.at_milliseconds,
        "user": entry.user,
        "cost_nano_usd": entry.cost_nano_usd,
    }
    problems += [f"column {name} differs from the row's bytes" for name, v in columns.items() if content.get(name) != v]
    return problems


def _order_problems(entry: Entry, intents: set[tuple[str, str]], outcomes: set[tuple[str, str]]) -> list[str]:
    seen = intents if entry.kind == "intent" else outcomes
    call = (entry.tenant, entry.call_id)
    if call in seen:
        return [f"a second {entry.kind} of call {entry.call_id}"]
    seen.add(call)
    if entry.kind == "outcome" and call not in intents:
        return [f"an outcome without an intent: call {entry.call_id}"]
    return []


def _head_findings(heads: dict[str, tuple[int, bytes]], ends: dict[str, tuple[int, bytes]]) -> list[Finding]:
    findings = []
    for tenant in sorted(heads.keys() | ends.keys()):
        head, end = heads.get(tenant, (0, GENESIS)), ends.get(tenant, (0, GENESIS))
        if head != end:
            findings.append(Finding(tenant, end[0], f"the chain ends at {end[0]} rows, its head says {head[0]}"))
    return findings
