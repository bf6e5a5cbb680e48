"""The ledger's SQL."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from imperal_host.identity import CallId, TenantId, UserId
from imperal_host.ledger.event import GENESIS, Event, Receipt, body_of, canonical, hash_of
from imperal_host.storage.database import Row, Transaction, Value

_COLUMNS = 'tenant, "index", call_id, parent, kind, at_milliseconds, user, cost_nano_usd, body, hash'
_SELECT = f"select {_COLUMNS} from entry"
_PAGE = 1_000
Told = tuple[Event, int]  # an event, and when it was told of: milliseconds since the epoch, UTC


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


def append(transaction: Transaction, rows: Sequence[Told]) -> list[Receipt | BaseException]:
    """Each row's receipt, or what is wrong with that row: one that cannot be stored takes no other along."""
    if len(rows) == 1:
        return [*_append(transaction, rows)]
    try:
        return [*_append(transaction, rows)]
    except Exception:
        transaction.begin_again()
        return [_append_alone(transaction, row) for row in rows]


def _append_alone(transaction: Transaction, row: Told) -> Receipt | BaseException:
    try:
        with transaction.apart():
            return _append(transaction, [row])[0]
    except Exception as error:
        if not transaction.is_open:  # the rows before it are gone with it
            raise
        return error


def _append(transaction: Transaction, rows: Sequence[Told]) -> list[Receipt]:
    """As few statements as can be: at each of them the thread may have to wait for its turn with the event loop."""
    tenants = list({event.scope.principal.tenant for event, _ in rows})
    heads: dict[str, tuple[int, bytes]] = dict.fromkeys(tenants, (0, GENESIS))
    found = transaction.rows(
        f"select tenant, size, hash from head where tenant in (?{', ?' * (len(tenants) - 1)})", tenants
    )
    heads |= {tenant: (size, digest) for tenant, size, digest in found}
    receipts: list[Receipt] = []
    values: list[Value] = []
    for event, at_milliseconds in rows:
        principal = event.scope.principal
        index, previous = heads[principal.tenant]
        body = canonical(body_of(event, index, previous, at_milliseconds))
        digest = hash_of(body)
        heads[principal.tenant] = index + 1, digest
        receipts.append(Receipt(principal.tenant, index, digest.hex()))
        values += (principal.tenant, index, event.call, event.parent, event.kind, at_milliseconds)
        values += (principal.user, event.cost_nano_usd, body, digest)
    row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    transaction.run(f"insert into entry ({_COLUMNS}) values {row}{f', {row}' * (len(rows) - 1)}", values)
    transaction.run(
        f"insert or replace into head values (?, ?, ?){', (?, ?, ?)' * (len(heads) - 1)}",
        [value for tenant, head in heads.items() for value in (tenant, *head)],
    )
    return receipts


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
