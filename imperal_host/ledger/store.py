"""The SQL of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from imperal_host.identity import CallId, TenantId, UserId
from imperal_host.ledger import trees
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.event import Event, Receipt, body_of, canonical
from imperal_host.storage.database import Row, Transaction, Value
from imperal_host.verify.merkle import leaf_hash

_COLUMNS = 'tenant, "index", call_id, parent, kind, at_milliseconds, user, cost_nano_usd, boot, body, hash'
_COMPARED = 'tenant, "index", call_id, parent, kind, at_milliseconds, user, cost_nano_usd, boot, hash'
_SELECT = f"select {_COLUMNS} from entry"
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COSTS = "kind in ('outcome', 'unresolved', 'correction')"  # word for word as in the index entry_of_user
_PAGE = 1_000


class Told(NamedTuple):
    """An event, when it was told of (milliseconds since the epoch, UTC), and in which life of the host."""

    event: Event
    at_milliseconds: int
    boot: int


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
    boot: int
    body: bytes
    hash: bytes

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self.body)
        return content


def append(transaction: Transaction, signer: Signer, rows: Sequence[Told]) -> list[Receipt | BaseException]:
    """Each row's receipt, or what is wrong with that row: one that cannot be stored takes no other along."""
    if len(rows) == 1:
        return [*_append(transaction, signer, rows)]
    try:
        return [*_append(transaction, signer, rows)]
    except Exception:
        transaction.begin_again()
        return [_append_alone(transaction, signer, row) for row in rows]


def _append_alone(transaction: Transaction, signer: Signer, row: Told) -> Receipt | BaseException:
    try:
        with transaction.apart():
            return _append(transaction, signer, [row])[0]
    except Exception as error:
        if not transaction.is_open:  # the rows before it are gone with it
            raise
        return error


def _append(transaction: Transaction, signer: Signer, rows: Sequence[Told]) -> list[Receipt]:
    """As few statements as can be: at each of them the thread may have to wait for its turn with the event loop."""
    growing = trees.Growing(transaction, {told.event.scope.principal.tenant for told in rows})
    receipts: list[Receipt] = []
    values: list[Value] = []
    for event, at_milliseconds, boot in rows:
        principal = event.scope.principal
        index = growing.size_of(principal.tenant)
        secret = None if event.arguments is None else signer.commitment(principal.tenant, event.arguments)
        body = canonical(body_of(event, index, at_milliseconds, boot, secret))
        leaf = leaf_hash(body)
        growing.append(principal.tenant, leaf)
        receipts.append(Receipt(principal.tenant, index, leaf.hex()))
        values += (principal.tenant, index, event.call, event.parent, event.kind, at_milliseconds)
        values += (principal.user, event.cost_nano_usd, boot, body, leaf, growing.head_of(principal.tenant))
    transaction.run(f"insert into entry ({_COLUMNS}, head) values {_ROW}{f', {_ROW}' * (len(rows) - 1)}", values)
    growing.sign(signer)
    return receipts


def of_user(transaction: Transaction, tenant: TenantId, user: UserId, limit: int, before: int | None) -> list[Entry]:
    where = ' where tenant = ? and user = ? and "index" < ? order by "index" desc limit ?'
    rows = transaction.rows(_SELECT + where, (tenant, user, before if before is not None else 2**62, limit))
    return [_entry(row) for row in rows]


def of_user_between(
    transaction: Transaction, tenant: TenantId, user: UserId, since: int, until: int
) -> list[dict[str, Any]]:
    where = ' where tenant = ? and user = ? and at_milliseconds >= ? and at_milliseconds < ? order by "index"'
    rows = transaction.rows(f"select body from entry{where}", (tenant, user, since, until))
    return [orjson.loads(row[0]) for row in rows]


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
        f"select coalesce(sum(cost_nano_usd), 0) from entry where tenant = ? and user = ? and {_COSTS}",
        (tenant, user),
    )
    total: int = row[0] if row else 0
    return total


def of_kind(transaction: Transaction, call: CallId, kind: str) -> Entry | None:
    row = transaction.row(_SELECT + " where call_id = ? and kind = ?", (call, kind))
    return _entry(row) if row else None


def left_open(transaction: Transaction, boots: Sequence[int], limit: int) -> list[Entry]:
    """Intents without an end, of these lives of the host."""
    of_boots = f"select call_id from open_intent where boot in (?{', ?' * (len(boots) - 1)}) limit ?"
    rows = transaction.rows(f"{_SELECT} where kind = 'intent' and call_id in ({of_boots})", (*boots, limit))
    return [_entry(row) for row in rows]


def walk(transaction: Transaction) -> Iterator[tuple[bytes, Row]]:
    """Every row, by tenant and index, a page at a time: its bytes, and the columns that verification compares."""
    after: tuple[str, int] = ("", -1)
    where = 'where (tenant, "index") > (?, ?) order by tenant, "index" limit ?'
    while rows := transaction.rows(f"select body, {_COMPARED} from entry {where}", (*after, _PAGE)):
        for row in rows:
            yield row[0], row[1:]
        after = rows[-1][1:3]


def _entry(row: Row) -> Entry:
    return Entry(*row)
