"""The SQL of trees: one a tenant, and the heads log over all of them."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from imperal_host.errors import IntegrityError, NotFoundError
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.merkle import Kept, append, consistency_spans, inclusion_spans, root_of
from imperal_host.storage.database import Transaction, Value
from imperal_host.verify.merkle import HASH_BYTES, Range
from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.receipt import Bundle
from imperal_host.verify.record import Head

HEADS = ""  # the heads log's name among the trees; no tenant's name is empty
_PAGE = 1_000
_HEAD = 'select tenant, size, root from tenant_head where "index" >= ? order by "index" limit ?'


class Growing:
    """Some tenants' trees and the heads log, as of this transaction, growing in memory until ``sign`` stores them."""

    def __init__(self, transaction: Transaction, tenants: Iterable[str]) -> None:
        self._transaction = transaction
        names = [HEADS, *tenants]
        rows = transaction.rows(
            f"select name, size, peaks from tree where name in (?{', ?' * (len(names) - 1)})", names
        )
        self._trees = {name: Range() for name in names} | {name: Range(size, _split(p)) for name, size, p in rows}
        self._heads = {name: self._trees[HEADS].size + at for at, name in enumerate(names[1:])}
        self._kept: list[tuple[str, Kept]] = []

    def size_of(self, name: str) -> int:
        size: int = self._trees[name].size
        return size

    def head_of(self, name: str) -> int:
        """Where in the heads log the head will stand that covers what is appended now."""
        index: int = self._heads[name]
        return index

    def append(self, name: str, leaf: bytes) -> None:
        self._kept += ((name, kept) for kept in append(self._trees[name], leaf))

    def sign(self, signer: Signer) -> None:
        """What has grown becomes leaves of the heads log, and the heads log's new checkpoint is signed."""
        heads = [Head(name, tree.size, tree.root) for name, tree in self._trees.items() if name != HEADS]
        log = self._trees[HEADS]
        first = log.size
        for head in heads:
            self.append(HEADS, head.leaf)
        note = signer.checkpoint(log.size, log.root)
        notes = [*[None] * (len(heads) - 1), note]
        leaves = [(first + at, head.tenant, head.size, head.root, notes[at]) for at, head in enumerate(heads)]
        _insert(self._transaction, "insert into tenant_head", leaves)
        grown = [(name, tree.size, b"".join(tree.peaks)) for name, tree in self._trees.items()]
        _insert(self._transaction, "insert or replace into tree", grown)
        nodes = [(name, kept.level, kept.index, kept.hash) for name, kept in self._kept]
        _insert(self._transaction, "insert into node", nodes)


def heads(transaction: Transaction) -> Iterator[Head]:
    """The leaves of the heads log, a page at a time."""
    at = 0
    while rows := transaction.rows(_HEAD, (at, _PAGE)):
        yield from (Head(*row) for row in rows)
        at += len(rows)


def checkpoint(transaction: Transaction) -> str | None:
    """The newest one."""
    row = transaction.row('select note from tenant_head where note is not null order by "index" desc limit 1')
    return row[0] if row else None


def log_size(transaction: Transaction) -> int:
    return Growing(transaction, ()).size_of(HEADS)


def receipt(transaction: Transaction, tenant: str, index: int) -> Bundle:
    """Of a row that is there, by the checkpoint of the commit that it came with: such proofs are the shortest."""
    row = transaction.row('select body, head from entry where tenant = ? and "index" = ?', (tenant, index))
    if row is None:
        raise NotFoundError(f"there is no row {index} of tenant {tenant}")
    body, at = row
    head = transaction.row('select tenant, size from tenant_head where "index" = ?', (at,))
    signed = transaction.row(
        'select "index" + 1, note from tenant_head where "index" >= ? and note is not null order by "index" limit 1',
        (at,),
    )
    if head is None or head[0] != tenant or head[1] <= index or signed is None:
        raise IntegrityError(f"row {index} of tenant {tenant} is not signed; run: imperal-host ledger verify")
    size = head[1]
    return Bundle(
        body,
        size,
        _path(transaction, tenant, inclusion_spans(index, size)),
        at,
        _path(transaction, HEADS, inclusion_spans(at, signed[0])),
        signed[1],
    )


def consistency(transaction: Transaction, old_size: int, new_size: int) -> list[bytes]:
    """The proof that the heads log of ``old_size`` leaves is the beginning of that of ``new_size``."""
    log = log_size(transaction)
    if not 0 <= old_size <= new_size <= log:
        raise NotFoundError(f"the heads log has {log} leaves; a proof goes from fewer to no more than these")
    return _path(transaction, HEADS, consistency_spans(old_size, new_size))


def check_tail(transaction: Transaction, key: VerifierKey) -> Checkpoint | None:
    """That the last commit is whole, and signed with this key. Raises ``IntegrityError``."""
    note = checkpoint(transaction)
    growing = Growing(transaction, ())
    log = growing._trees[HEADS]
    if note is None:
        if log.size or (transaction.row("select 1 from entry limit 1") and not has_chains(transaction)):
            raise IntegrityError("the ledger has rows and no checkpoint; restore it from a backup")
        return None
    try:
        signed = open_checkpoint(note, key)
    except NotProvenError as error:
        raise IntegrityError(
            f"the ledger was not signed with this host's key ({error}); restore the right key file, or the ledger"
        ) from None
    last = transaction.row('select tenant, size, root from tenant_head order by "index" desc limit 1')
    if (signed.size, signed.root) != (log.size, log.root) or last is None:
        raise IntegrityError("the ledger does not end where its last checkpoint says; run: imperal-host ledger verify")
    row = transaction.row('select max("index") from entry where tenant = ?', (last[0],))
    if row is None or row[0] != last[1] - 1:
        raise IntegrityError("the ledger's last rows are not those that were signed; run: imperal-host ledger verify")
    return signed


def check_begins_with(transaction: Transaction, known: Checkpoint) -> None:
    """That the log goes on from a checkpoint that was kept elsewhere. Raises ``IntegrityError``."""
    size = log_size(transaction)
    if size < known.size:
        raise IntegrityError(
            f"the ledger was put back to an older state: it has {size} heads, the witness knows {known.size}; "
            "restore the newer one"
        )
    stored = partial(_stored, transaction, HEADS)
    if root_of((0, known.size), stored) != known.root:
        raise IntegrityError("the ledger is not the one that the witness knows: it was rebuilt; restore it")


def adopt_chains(transaction: Transaction, signer: Signer) -> None:
    """Bring the rows of the first format, which were chained, into trees; once, and all of them."""
    if not has_chains(transaction):
        return
    sizes: dict[str, int] = dict(transaction.rows("select tenant, size from head order by tenant"))
    if sizes:
        growing = Growing(transaction, sizes)
        for tenant, size in sizes.items():
            for index, leaf in enumerate(_leaves(transaction, tenant)):
                if leaf[0] != index:
                    raise IntegrityError(f"row {index} of tenant {tenant} is missing; restore the ledger from a backup")
                growing.append(tenant, leaf[1])
            transaction.run("update entry set head = ? where tenant = ?", (growing.head_of(tenant), tenant))
            if growing.size_of(tenant) != size:
                raise IntegrityError(f"tenant {tenant} has lost rows: {size} were written; restore from a backup")
        growing.sign(signer)
    transaction.run("drop table head")


def has_chains(transaction: Transaction) -> bool:
    return transaction.row("select 1 from sqlite_schema where name = 'head'") is not None


def _leaves(transaction: Transaction, tenant: str) -> Iterator[tuple[int, bytes]]:
    after = -1
    sql = 'select "index", hash from entry where tenant = ? and "index" > ? order by "index" limit ?'
    while rows := transaction.rows(sql, (tenant, after, _PAGE)):
        yield from rows
        after = rows[-1][0]


def _path(transaction: Transaction, tree: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
    return [root_of(span, partial(_stored, transaction, tree)) for span in spans]


def _stored(transaction: Transaction, tree: str, level: int, first: int, count: int) -> list[bytes]:
    if level:
        sql = 'select hash from node where tree = ? and level = ? and "index" >= ? order by "index" limit ?'
        found = [row[0] for row in transaction.rows(sql, (tree, level, first, count))]
    elif tree == HEADS:
        found = [Head(*row).leaf for row in transaction.rows(_HEAD, (first, count))]
    else:
        sql = 'select hash from entry where tenant = ? and "index" >= ? order by "index" limit ?'
        found = [row[0] for row in transaction.rows(sql, (tree, first, count))]
    if len(found) != count:
        raise IntegrityError("rows of the ledger are missing; run: imperal-host ledger verify")
    return found


def _insert(transaction: Transaction, statement: str, rows: Sequence[tuple[Value, ...]]) -> None:
    """SQLite bounds how many values one statement takes."""
    for at in range(0, len(rows), _PAGE):
        page = rows[at : at + _PAGE]
        row = f"({', '.join('?' * len(page[0]))})"
        values = [value for row in page for value in row]
        transaction.run(f"{statement} values {', '.join([row] * len(page))}", values)


def _split(peaks: bytes) -> list[bytes]:
    return [peaks[at : at + HASH_BYTES] for at in range(0, len(peaks), HASH_BYTES)]
