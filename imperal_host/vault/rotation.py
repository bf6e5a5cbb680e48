"""From one KEK to the next, without a pause: add, promote, rewrap, retire.

A new KEK only unwraps at first, so that every process can load it before anything needs it; then it is promoted and
wraps what is new; then what others have wrapped is wrapped again, a batch at a time; and a KEK that wraps nothing any
more may be retired. Each step is one transaction, and says first in the record that it is made. A process that is
killed anywhere leaves a state from which the same step goes on.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from imperal_host.errors import InvalidError, NotFoundError, SealedError, SetupError
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.keyring import Held, Ring, add, held
from imperal_host.vault.store import tenant_key_name

_BATCH = 500
Step = Literal["add", "promote", "rewrap", "retire"]
Record = Callable[[Step, dict[str, str]], Awaitable[object]]


class Rotation:
    """``record`` puts a step on record; what it raises stops the step."""

    def __init__(self, database: Database, ring: Ring, record: Record) -> None:
        self._database = database
        self._ring = ring
        self._record = record

    async def status(self) -> list[Held]:
        """Every KEK that was ever in the ring, oldest first."""
        return await self._database.read(held)

    async def add(self, location: str) -> Held:
        """Make a KEK at ``location``, or take the one that is there. Raises ``SetupError`` and ``SealedError``."""
        kek, kept = self._ring.sources.create(location)
        known = {key.kek_id: key for key in await self.status()}
        if kek.key_id not in known:
            await self._record("add", {"kek_id": kek.key_id, "location": location})
            await self._database.write(lambda t: self._add(t, kek.key_id, lambda: add(t, kek, location, kept, "new")))
        elif known[kek.key_id].state == "retired":
            raise InvalidError(f"the KEK at {location} was retired; make a new one elsewhere")
        return await self.find(kek.key_id)

    def _add(self, transaction: Transaction, kek_id: str, insert: Callable[[], None]) -> None:
        if all(key.kek_id != kek_id for key in held(transaction)):
            insert()

    async def promote(self, kek_id: str) -> Held:
        """From now on it wraps what is new. Raises ``NotFoundError``, and what loading it raises."""
        key = await self.find(kek_id)
        if key.state == "retired":
            raise InvalidError(f"KEK {kek_id} is retired")
        self._ring.load(key)
        if key.state != "promoted":
            await self._record("promote", {"kek_id": kek_id})
            await self._database.write(lambda t: _promote(t, kek_id))
        return await self.find(kek_id)

    async def rewrap(self, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
        """Wrap again what other KEKs than the promoted one have wrapped; how many tenant keys that were.

        Raises ``SealedError`` at the first that does not open; those before it are done.
        """
        promoted = next((key for key in await self.status() if key.state == "promoted"), None)
        if promoted is None:
            raise SealedError("no KEK is promoted; run: imperal-host keys status")
        total = sum(key.uses for key in await self.status() if key is not promoted and key.state != "promoted")
        await self._record("rewrap", {"kek_id": promoted.kek_id, "tenant_keys": str(total)})
        await self._renew(promoted)
        done = 0
        while moved := await self._database.write(self._rewrap_some):
            done += moved
            progress(done, total)
        return done

    async def _renew(self, key: Held) -> None:
        kept = self._ring.sources.renew(key.location, key.kept)
        if kept != key.kept:
            statement = "update key_check set kept = ? where kek_id = ? and kept = ?"
            await self._database.write(lambda t: t.run(statement, (kept, key.kek_id, key.kept)))

    def _rewrap_some(self, transaction: Transaction) -> int:
        current = self._ring.current(transaction)
        rows = transaction.rows(
            "select tenant, kek_id, wrapped from tenant_key where kek_id <> ? limit ?", (current.key_id, _BATCH)
        )
        for tenant, kek_id, wrapped in rows:
            name = tenant_key_name(tenant)
            try:
                key = self._ring.of(transaction, kek_id).unwrap(wrapped, *name)
            except SealedError as error:
                raise SealedError(f"the key of tenant {tenant!r}: {error}") from None
            transaction.run(
                "update tenant_key set kek_id = ?, wrapped = ? where tenant = ? and kek_id = ? and wrapped = ?",
                (current.key_id, current.wrap(key, *name), tenant, kek_id, wrapped),
            )
        return len(rows)

    async def retire(self, kek_id: str) -> Held:
        """It is never loaded again, and may be destroyed. Raises ``InvalidError`` while anything is wrapped by it."""
        key = await self.find(kek_id)
        if key.state == "retired":
            return key
        if key.state == "promoted":
            raise InvalidError(f"KEK {kek_id} is promoted; promote another first")
        if key.uses:
            raise InvalidError(f"KEK {kek_id} still wraps {key.uses:,} tenant keys; run: imperal-host keys rewrap")
        await self._record("retire", {"kek_id": kek_id})
        if not await self._database.write(lambda t: _retire(t, kek_id)):
            raise SetupError(f"KEK {kek_id} came into use again meanwhile; run: imperal-host keys status")
        return await self.find(kek_id)

    async def find(self, kek_id: str) -> Held:
        """By its id or the beginning of it. Raises ``NotFoundError``."""
        found = [key for key in await self.status() if key.kek_id.startswith(kek_id)] if kek_id else []
        if len(found) != 1:
            raise NotFoundError(f"no KEK {kek_id!r} is in the ring; run: imperal-host keys status")
        return found[0]


def _promote(transaction: Transaction, kek_id: str) -> None:
    transaction.run("update key_check set state = 'old' where state = 'promoted' and kek_id <> ?", (kek_id,))
    transaction.run("update key_check set state = 'promoted' where kek_id = ? and state <> 'retired'", (kek_id,))


def _retire(transaction: Transaction, kek_id: str) -> int:
    return transaction.run(
        "update key_check set state = 'retired' where kek_id = ? and state in ('new', 'old')"
        " and not exists (select 1 from tenant_key where tenant_key.kek_id = key_check.kek_id)",
        (kek_id,),
    )
