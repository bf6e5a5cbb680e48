"""A whole record against its signed checkpoint. Pure: heads and rows in, a report out; each is read once, in order."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from imperal_host.verify.merkle import HASH_BYTES, Range, leaf_hash
from imperal_host.verify.note import Checkpoint
from imperal_host.verify.rows import FINDINGS_MAX, Calls, Finding, Report, canonical, content_of

HEADS = "(heads)"  # where a finding stands that is about no tenant's row; no tenant can bear this name
_COLUMNS = ("tenant", "index", "call_id", "parent", "kind", "at_milliseconds", "user", "cost_nano_usd", "boot")
_NEVER = 1 << 62
Columns = tuple[Any, ...]  # in the order of _COLUMNS, then the stored hash
Row = tuple[bytes, Columns | None]  # the bytes, and what stands beside them if they are a database's


@dataclass(frozen=True, slots=True)
class Head:
    """How many rows a tenant has after a commit, and the root of their tree: a leaf of the heads log."""

    tenant: str
    size: int
    root: bytes

    @property
    def body(self) -> bytes:
        return canonical({"root": self.root.hex(), "size": self.size, "tenant": self.tenant})

    @property
    def leaf(self) -> bytes:
        return leaf_hash(self.body)


class Heads:
    """The heads log, recomputed. Says what each tenant's tree must be at which size."""

    def __init__(self) -> None:
        self.log = Range()
        self.findings: list[Finding] = []
        self.of: dict[str, list[Head]] = {}
        self._past: dict[int, bytes] = {}

    def read(self, heads: Iterable[Head], wanted_sizes: frozenset[int]) -> None:
        """Roots at ``wanted_sizes`` are kept, for ``agrees``."""
        for head in heads:
            known = self.of.setdefault(head.tenant, [])
            if len(head.root) != HASH_BYTES or head.size <= (known[-1].size if known else 0):
                self._find(f"head {self.log.size} does not follow the one before it: tenant {head.tenant}")
            known.append(head)
            self.log.append(head.leaf)
            if self.log.size in wanted_sizes:
                self._past[self.log.size] = self.log.root

    def agrees(self, checkpoint: Checkpoint, whose: str) -> None:
        """``whose`` checkpoint must be of this log: of all of it, or of its beginning."""
        if checkpoint.size > self.log.size:
            self._find(f"the heads log ends at {self.log.size}, {whose} checkpoint is of {checkpoint.size}")
        elif checkpoint.size and self._past.get(checkpoint.size) != checkpoint.root:
            self._find(f"the heads log was rebuilt: {whose} checkpoint of {checkpoint.size} has another root")

    def _find(self, problem: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(HEADS, self.log.size, problem))


def verify_record(
    checkpoint: Checkpoint | None, heads: Iterable[Head], rows: Iterable[Row], witnessed: Iterable[Checkpoint] = ()
) -> Report:
    """``rows`` come by tenant and index. ``checkpoint`` is the newest, its signature already checked; ``witnessed``
    are older ones that were kept elsewhere. Findings stop at ``FINDINGS_MAX``."""
    kept = list(witnessed)
    newest = checkpoint or Checkpoint("", 0, b"")
    log = Heads()
    log.read(heads, frozenset(known.size for known in (newest, *kept)))
    log.agrees(newest, "the signed")
    if log.log.size > newest.size:
        log._find(f"heads {newest.size} to {log.log.size - 1} are not signed")
    for known in kept:
        log.agrees(known, "the witness's")
    reading = _Reading(log)
    reading.read(rows)
    findings = tuple(chain(log.findings, reading.findings))[:FINDINGS_MAX]
    return Report(reading.rows, reading.tenants, reading.open_intents, findings, newest.size, bool(kept))


class _Reading:
    def __init__(self, log: Heads) -> None:
        self.rows = 0
        self.tenants = 0
        self.open_intents = 0
        self.calls = Calls()
        self.findings: list[Finding] = []
        self._unread = log.of
        self._tree = Range()
        self._tenant = ""
        self._heads: list[Head] = []
        self._at = 0
        self._next_size = _NEVER
        self._agrees = True

    def read(self, rows: Iterable[Row]) -> None:
        for body, columns in rows:
            self.rows += 1
            self._row(body, columns)
            if len(self.findings) >= FINDINGS_MAX:
                return
        self._end_of_tenant()
        for tenant, heads in self._unread.items():
            self._find(tenant, 0, f"all {heads[-1].size} rows are missing")

    def _begin_tenant(self, tenant: str) -> None:
        self.tenants += 1
        self._tenant, self._tree, self._at, self._agrees = tenant, Range(), 0, True
        self._heads = self._unread.pop(tenant, [])
        self._next_size = self._heads[0].size if self._heads else _NEVER
        self.calls = Calls()

    def _row(self, body: bytes, columns: Columns | None) -> None:
        content = content_of(body)
        if columns is not None:
            tenant, index = columns[:2]
        elif isinstance(content, dict):
            tenant, index = content["tenant"], content["index"]
        else:
            tenant, index = self._tenant, self._tree.size
        if tenant != self._tenant or not self.tenants:
            self._end_of_tenant()
            self._begin_tenant(tenant)
        size = self._tree.size
        if index != size:
            gap = f"rows {size} to {index - 1} are missing" if index > size else "a row stands twice"
            self._find(tenant, index, gap)
        leaf = leaf_hash(body)
        self._tree.append(leaf)
        if size + 1 >= self._next_size:
            self._check_heads(tenant, index)
        if isinstance(content, str):
            self._find(tenant, index, content)
            return
        if columns is not None:
            self._check_columns(content, leaf, columns)
        if problem := self.calls.problem_of(content):
            self._find(tenant, index, problem)

    def _check_heads(self, tenant: str, index: int) -> None:
        at = self._at
        while at < len(self._heads) and self._heads[at].size <= self._tree.size:
            is_signed = self._heads[at].size != self._tree.size or self._heads[at].root == self._tree.root
            if not is_signed and self._agrees:  # and nothing after it can
                self._agrees = False
                before = self._heads[at - 1].size if at else 0
                self._find(tenant, index, f"rows {before} to {index} are not those that were signed")
            at += 1
        self._at = at
        self._next_size = self._heads[at].size if at < len(self._heads) else _NEVER

    def _check_columns(self, content: dict[str, object], leaf: bytes, columns: Columns) -> None:
        said = (*map(content.get, _COLUMNS[:-1]), content.get("boot", 0))
        if said != columns[:-1]:
            for name in (name for name, a, b in zip(_COLUMNS, said, columns, strict=False) if a != b):
                self._find(self._tenant, self._tree.size - 1, f"column {name} differs from the row's bytes")
        if columns[-1] != leaf:
            self._find(self._tenant, self._tree.size - 1, "the row was changed: its bytes do not give its hash")

    def _end_of_tenant(self) -> None:
        if not self.tenants:
            return
        signed, there = self._heads[-1].size if self._heads else 0, self._tree.size
        self.open_intents += self.calls.open
        if there < signed:
            self._find(self._tenant, there, f"the tail is cut off: {there} rows, and {signed} were signed")
        elif there > signed:
            self._find(self._tenant, signed, f"rows {signed} to {there - 1} are not signed")

    def _find(self, tenant: str, index: int, problem: str) -> None:
        self.findings.append(Finding(tenant, index, problem))
