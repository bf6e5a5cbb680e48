"""Append and read. The whole way in is ``Appender.append``."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from imperal_host.clock import Clock
from imperal_host.errors import IntegrityError, InvalidError, LedgerError, NotFoundError, SetupError, StorageError
from imperal_host.identity import CallId, Principal, Scope, TenantId, UserId
from imperal_host.ledger import boots, store, trees
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.event import Event, Receipt
from imperal_host.ledger.publishing import Publishing
from imperal_host.ledger.store import Entry, Told
from imperal_host.ledger.witness import Witness
from imperal_host.storage.batches import Batches
from imperal_host.storage.database import Database, Transaction
from imperal_host.verify import export
from imperal_host.verify.note import Checkpoint, NotProvenError, VerifierKey, open_checkpoint
from imperal_host.verify.receipt import Bundle
from imperal_host.verify.record import verify_record
from imperal_host.verify.rows import Report

_COMMIT_ROWS_MAX = 64
_SETTLED_AT_ONCE_MAX = 256


class Appender(Protocol):
    """Returns only when the event is durable. Raises ``LedgerError`` rather than lose one.

    A caller that is cancelled meanwhile gets ``CancelledError`` only once the event is durable.
    """

    async def append(self, event: Event) -> Receipt: ...


class Ledger:
    """The SQLite ledger: the trees are read inside each transaction, so several processes may append.

    Appends that come while a commit is on its way to the disk share the next one, and its signature. Without a
    ``signer`` it can only be read.
    """

    def __init__(
        self, database: Database, clock: Clock, signer: Signer | None = None, witness: Witness | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._signer = signer
        self._witness = witness
        self._boot: int | None = None
        self._booting = asyncio.Lock()
        self._publishing = Publishing(witness, self.checkpoint)
        if signer is not None:
            self._appends: Batches[Told, Receipt] = database.batches(partial(_store, signer=signer), _COMMIT_ROWS_MAX)
            database.check_reopened = partial(trees.check_tail, key=signer.key)

    @property
    def key(self) -> VerifierKey:
        """What everything here is signed with. Raises ``SetupError`` when the ledger was opened without it."""
        if self._signer is None:
            raise SetupError("the ledger's key file is missing; set IMPERAL_LEDGER_KEY_FILE, or give the public key")
        return self._signer.key

    async def begin(self) -> None:
        """Make ready to append: rows of an older format are brought over, and the end of the record is whole and no
        older than what the witness knows. Raises ``IntegrityError``, ``SetupError``."""
        signer = self._signer
        assert signer is not None
        if await self._database.read(trees.has_chains):
            await self._database.write(lambda t: trees.adopt_chains(t, signer))
        await self._database.read(lambda t: trees.check_tail(t, signer.key))
        if self._witness is None:
            return
        try:
            kept = await self._kept()
        except NotProvenError as error:
            raise IntegrityError(f"the witness holds no checkpoint of this ledger: {error}") from None
        for checkpoint in kept:
            await self._database.read(lambda t, c=checkpoint: trees.check_begins_with(t, c))  # type: ignore[misc]

    async def append(self, event: Event) -> Receipt:
        at_milliseconds = int(self._clock.now() * 1000)
        try:
            if self._signer is None:
                raise SetupError("it was opened without its key")
            boot = self._boot or await self._begin_boot(at_milliseconds)
            receipt = await self._appends.ask(Told(event, at_milliseconds, boot))
        except (StorageError, IntegrityError, SetupError, ValueError, RuntimeError, OSError) as error:
            raise LedgerError(f"the ledger cannot write ({error}); nothing goes out unrecorded") from error
        self._publishing.soon()
        return receipt

    async def _begin_boot(self, at_milliseconds: int) -> int:
        async with self._booting:
            if self._boot is None:
                epoch = await self._database.write(lambda t: boots.begin(t, at_milliseconds))
                descriptor = boots.lock(boots.folder_of(self._database.file), epoch)
                self._database.at_close.callback(
                    _end_boot, boots.folder_of(self._database.file) / str(epoch), descriptor
                )
                self._boot = epoch
            return self._boot

    async def settle(self) -> int:
        """End what hosts that are no more have left open: each such intent becomes ``unresolved``, at the most that
        it may have cost, until an operator corrects it. The number of them. Raises ``LedgerError``."""
        settled = 0
        epochs = [
            row[0] for row in await self._database.read(lambda t: t.rows("select distinct boot from open_intent"))
        ]
        try:
            dead = boots.over(boots.folder_of(self._database.file), epochs)
        except OSError as error:
            raise LedgerError(f"whether other hosts live cannot be told: {error}") from None
        while dead:
            left = await self._database.scan(lambda t: store.left_open(t, dead, _SETTLED_AT_ONCE_MAX))
            if not left:
                break
            await asyncio.gather(*(self._settle(entry) for entry in left))
            settled += len(left)
        return settled

    async def _settle(self, intent: Entry) -> None:
        try:
            await self.append(_unresolved(intent))
        except LedgerError:
            # Another process may have been faster: then there is nothing left to do.
            if await self._database.read(lambda t: store.of_kind(t, CallId(intent.call_id), "unresolved")) is None:
                raise

    async def correct(self, call: CallId, cost_nano_usd: int, reason: str) -> Receipt:
        """Say what an unresolved action has really cost. Raises ``NotFoundError``, ``LedgerError``."""
        found = await self._database.read(lambda t: store.of_kind(t, call, "unresolved"))
        if found is None:
            raise NotFoundError(f"no action {call} is unresolved")
        if cost_nano_usd < 0:
            raise InvalidError("what it has cost is 0 or more nano-USD")
        details = {"cost_nano_usd": cost_nano_usd, "reason": reason}
        event = _event_of(found, "correction", details, cost_nano_usd - found.cost_nano_usd)
        return await self.append(event)

    async def of_user(self, tenant: TenantId, user: UserId, limit: int, before: int | None = None) -> list[Entry]:
        """The user's rows, newest first, below index ``before`` if given."""
        return await self._database.read(lambda t: store.of_user(t, tenant, user, limit, before))

    async def of_user_between(self, tenant: TenantId, user: UserId, since: int, until: int) -> list[dict[str, Any]]:
        """The contents of the user's rows from ``since`` until before ``until`` (milliseconds since the epoch), oldest
        first."""
        return await self._database.scan(lambda t: store.of_user_between(t, tenant, user, since, until))

    async def of_call(self, call: CallId) -> list[Entry]:
        """All rows of one call and of its model attempts, oldest first."""
        return await self._database.read(lambda t: store.of_call(t, call))

    async def latest(self, limit: int, tenant: TenantId | None = None) -> list[Entry]:
        return await self._database.scan(lambda t: store.latest(t, limit, tenant))

    async def spent_nano_usd(self, tenant: TenantId, user: UserId) -> int:
        return await self._database.scan(lambda t: store.spent(t, tenant, user))

    async def checkpoint(self) -> str | None:
        """The newest one, a signed note; ``None`` before the first row."""
        return await self._database.read(trees.checkpoint)

    async def receipt(self, tenant: TenantId, index: int) -> Bundle:
        """Proof that the row stands in the signed log. Raises ``NotFoundError``."""
        return await self._database.scan(lambda t: trees.receipt(t, tenant, index))

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """Proof that one checkpoint's log is the beginning of another's. Raises ``NotFoundError``."""
        return await self._database.scan(lambda t: trees.consistency(t, old_size, new_size))

    async def export(self, write: Callable[[bytes], object]) -> None:
        """All of it, as ``imperal-verify`` reads it: a line at a time. One consistent state."""
        await self._database.scan(lambda t: _export(t, write))

    async def verify(self, progress: Callable[[int], None] = lambda _: None, key: VerifierKey | None = None) -> Report:
        """Recompute every tree, and check what was signed. Reads one consistent state. Raises ``SetupError`` without
        a key, ``IntegrityError`` where nothing can be told."""
        used = key or self.key
        try:
            kept = await self._kept()
            return await self._database.scan(lambda t: _verify(t, used, kept, progress))
        except NotProvenError as error:
            raise IntegrityError(f"the ledger's signature does not hold: {error}") from None

    async def _kept(self) -> list[Checkpoint]:
        if self._witness is None:
            return []
        try:
            note = await asyncio.to_thread(self._witness.newest)
        except OSError as error:
            raise SetupError(f"the witness cannot be asked: {error}; see IMPERAL_WITNESS_FILE") from None
        return [open_checkpoint(note, self.key)] if note else []

    async def aclose(self) -> None:
        """What was signed last is published."""
        await self._publishing.aclose()


def _store(transaction: Transaction, rows: list[Told], signer: Signer) -> list[Receipt | BaseException]:
    return store.append(transaction, signer, rows)


def _end_boot(file: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
    os.close(descriptor)


def _unresolved(intent: Entry) -> Event:
    hold = intent.content["details"].get("hold_nano_usd", 0)
    return _event_of(intent, "unresolved", {**intent.content["details"], "outcome": "unresolved"}, hold)


def _event_of(entry: Entry, kind: str, details: dict[str, object], cost_nano_usd: int) -> Event:
    """A row about the same action as ``entry``."""
    said = entry.content
    principal = Principal(TenantId(entry.tenant), UserId(entry.user))
    scope = Scope(CallId(entry.call_id), principal, said["extension"], said["extension_version"], said["function"])
    parent = CallId(entry.parent) if entry.parent else None
    return Event(kind, said["action"], scope.call, scope, details, parent, cost_nano_usd)  # type: ignore[arg-type]


def _verify(t: Transaction, key: VerifierKey, kept: list[Checkpoint], progress: Callable[[int], None]) -> Report:
    note = trees.checkpoint(t)
    checkpoint = open_checkpoint(note, key) if note is not None else None
    return verify_record(checkpoint, trees.heads(t), _rows(t, progress), kept)


def _rows(t: Transaction, progress: Callable[[int], None]) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    for number, row in enumerate(store.walk(t), 1):
        progress(number)
        yield row


def _export(t: Transaction, write: Callable[[bytes], object]) -> None:
    heads = trees.log_size(t)
    row = t.row("select count(*) from entry")
    write(export.header(heads, row[0] if row else 0, trees.checkpoint(t)) + b"\n")
    for head in trees.heads(t):
        write(head.body + b"\n")
    for body, _ in store.walk(t):
        write(body + b"\n")
