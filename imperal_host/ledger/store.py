"""The ledger's SQL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from imperal_host.identity import CallId, TenantId, UserId
from imperal_host.ledger.event import GENESIS, Event, Receipt, body_of, canonical, hash_of
from imperal_host.storage.database import Row, Transaction

_COLUMNS = 'tenant, "index", call_id, parent, kind, at_milliseconds, user, cost_nano_usd, body, hash'
_SELECT = f"select {_COLUMNS} from entry"
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored row: its columns, its canonical bytes, its hash."""

    tenant: str
    index: int
    call_id: str
    parent: str | None
    kind: str
    at_milliseconds: int
    user: str
    cost_nano_usd: int
    body: bytes
    hash: bytes

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self.body)
        return content


@dataclass(frozen=True, slots=True)
class Head:
    """How long a tenant's chain is, and its last hash."""

    tenant: str
    size: int
    hash: bytes


def append(transaction: Transaction, event: Event, at_milliseconds: int) -> Receipt:
    tenant = event.scope.principal.tenant
    head = transaction.row("select size, hash from head where tenant = ?", (tenant,))
    index, previous = (0, GENESIS) if head is None else (head[0], head[1])
    body = canonical(body_of(event, index, previous, at_milliseconds))
    digest = hash_of(body)
    transaction.run(
        f"insert into entry ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tenant,
            index,
            event.call,
            event.parent,
            event.kind,
            at_milliseconds,
            event.scope.principal.user,
            event.cost_nano_usd,
            body,
            digest,
        ),
    )
    transaction.run(
        "insert or replace into head values (?, ?, ?)",
        (tenant, index + 1, digest),
    )
    return Receipt(tenant, index, digest.hex())


def of_user(transaction: Transaction, tenant: TenantId, user: UserId, limit: int, before: int | None) -> list[Entry]:
    where = ' where tenant = ? and user = ? and "index" < ? order by "index" desc limit ?'
    rows = transaction.rows(_SELECT + where, (tenant, user, before if before is not None else 2**62, limit))
    return [_entry(row) for row in rows]


def of_call(transaction: Transaction, call: CallId) -> list[Entry]:
    own = "(select tenant from entry where call_id = ?1)"
    where = f' where tenant = {own} and (call_id = ?1 or parent = ?1) order by "index"'
    return [_entry(row) for row in transaction.rows(_SELECT + where, (call,))]


def latest(transaction: Transaction, limit: int, tenant: TenantId | None) -> list[Entry]:
    """Oldest first among the ``limit`` newest."""
    where = ' where (?1 is null or tenant = ?1) order by at_milliseconds desc, tenant, "index" desc limit ?2'
    return [_entry(row) for row in reversed(transaction.rows(_SELECT + where, (tenant, limit)))]


def spent(transaction: Transaction, tenant: TenantId, user: UserId) -> int:
    row = transaction.row(
        "select coalesce(sum(cost_nano_usd), 0) from entry where tenant = ? and user = ? and kind = 'outcome'",
        (tenant, user),
    )
    total: int = row[0] if row else 0
    return total


def heads(transaction: Transaction) -> list[Head]:
    rows = transaction.rows("select tenant, size, hash from head order by tenant")
    return [Head(tenant, size, digest) for tenant, size, digest in rows]


def walk(transaction: Transaction) -> Iterator[Entry]:
    """Every row, by tenant and index, a page at a time."""
    after: tuple[str, int] = ("", -1)
    while rows := transaction.rows(
        _SELECT + ' where (tenant, "index") > (?, ?) order by tenant, "index" limit ?', (*after, _PAGE)
    ):
        for row in rows:
            entry = _entry(row)
            after = (entry.tenant, entry.index)
            yield entry


def _entry(row: Row) -> Entry:
    return Entry(*row)
