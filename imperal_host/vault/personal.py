"""What concerns one user, sealed under a key of that user's alone: without the key, none of it opens anywhere."""

import os
from typing import Protocol

from imperal_host.errors import NotFoundError
from imperal_host.identity import TenantId, UserId
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.barrier import KEY_BYTES, seal, unseal
from imperal_host.vault.store import Vault

_ID_BYTES = 8


class Boxes(Protocol):
    """For rooms that keep personal fields: bytes in, a box out, and back while the user's key lives."""

    async def seal(self, tenant: TenantId, user: UserId, plaintext: bytes) -> bytes: ...

    async def open(self, tenant: TenantId, user: UserId, box: bytes) -> bytes: ...


class PersonalKeys:
    """The user's key is sealed with the tenant's. A box is the key's id (8 bytes), then what ``barrier.seal`` gives:
    a user who comes back after an erasure has another key, and nothing from before opens."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def seal(self, tenant: TenantId, user: UserId, plaintext: bytes) -> bytes:
        return await self._database.write(lambda t: self.seal_in(t, tenant, user, plaintext))

    def seal_in(self, transaction: Transaction, tenant: TenantId, user: UserId, plaintext: bytes) -> bytes:
        """As ``seal``, inside the caller's writing transaction."""
        key_id, key = self._key(transaction, tenant, user) or self._new_key(transaction, tenant, user)
        return key_id + seal(key, plaintext, "personal", tenant, user, key_id.hex())

    async def open(self, tenant: TenantId, user: UserId, box: bytes) -> bytes:
        """Raises ``NotFoundError`` once the key is destroyed, ``SealedError`` for a box that was changed or moved."""
        return await self._database.read(lambda t: self._open(t, tenant, user, box))

    def _open(self, transaction: Transaction, tenant: TenantId, user: UserId, box: bytes) -> bytes:
        found = self._key(transaction, tenant, user)
        if found is None or found[0] != box[:_ID_BYTES]:
            raise NotFoundError("the key of this box was destroyed: what it held is erased")
        return unseal(found[1], box[_ID_BYTES:], "personal", tenant, user, found[0].hex())

    async def shred(self, tenant: TenantId, user: UserId) -> bool:
        """Destroy the user's key. False if there was none. Copies of the database elsewhere still have it."""
        statement = "delete from user_key where tenant = ? and user = ?"
        return bool(await self._database.write(lambda t: t.run(statement, (tenant, user))))

    def _key(self, transaction: Transaction, tenant: TenantId, user: UserId) -> tuple[bytes, bytes] | None:
        row = transaction.row("select key_id, sealed from user_key where tenant = ? and user = ?", (tenant, user))
        if row is None:
            return None
        tenant_key = self._vault.view(tenant).key_in(transaction)
        return row[0], unseal(tenant_key, row[1], "user-key", tenant, user, row[0].hex())

    def _new_key(self, transaction: Transaction, tenant: TenantId, user: UserId) -> tuple[bytes, bytes]:
        key_id, key = os.urandom(_ID_BYTES), os.urandom(KEY_BYTES)
        tenant_key = self._vault.view(tenant).key_or_new_in(transaction)
        sealed = seal(tenant_key, key, "user-key", tenant, user, key_id.hex())
        transaction.run("insert into user_key values (?, ?, ?, ?)", (tenant, user, key_id, sealed))
        return key_id, key
