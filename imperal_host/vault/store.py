"""Sealed secrets, and a tenant's view of them: no path leads out of it."""

import os
import time
from collections.abc import Callable
from typing import Protocol

from imperal_host.errors import NotFoundError, SealedError
from imperal_host.identity import TenantId
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.barrier import KEY_BYTES, seal, unseal
from imperal_host.vault.keyring import Keys
from imperal_host.vault.secret import Secret


class SecretView(Protocol):
    """One tenant's corner of the vault."""

    async def open(self, name: str, version: int, *bound_to: str) -> Secret: ...


_SUPERSEDED_MAX = 8


class Vault:
    """``now`` is in seconds since the epoch."""

    def __init__(self, database: Database, keys: Keys, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._keys = keys
        self._now = now

    def view(self, tenant: TenantId) -> "TenantView":
        return TenantView(self._database, self._keys, tenant, self._now)

    async def purge(self) -> None:
        """Remove what was superseded and opens no more."""
        await self._database.write(lambda t: _purge(t, self._now()))


class TenantView:
    """A secret is bound to its tenant, name and version, and to what the caller says it is for: swapped rows do
    not open, nor does a key whose destination was changed behind the vault's back."""

    def __init__(self, database: Database, keys: Keys, tenant: TenantId, now: Callable[[], float]) -> None:
        self._database = database
        self._keys = keys
        self._tenant = tenant
        self._now = now

    async def open(self, name: str, version: int, *bound_to: str) -> Secret:
        """Raises ``NotFoundError`` if there is none, ``SealedError`` if there is one that does not open."""

        return await self._database.read(lambda t: self.open_in(t, name, version, *bound_to))

    def open_in(self, transaction: Transaction, name: str, version: int, *bound_to: str) -> Secret:
        """As ``open``, inside the caller's transaction."""
        row = transaction.row(
            "select sealed from secret where tenant = ? and name = ? and version = ? and (until is null or until > ?)",
            (self._tenant, name, version, int(self._now())),
        )
        if row is None:
            raise NotFoundError(f"no secret {name!r}")
        key = self.key_in(transaction)
        return Secret(unseal(key, row[0], "secret", self._tenant, name, str(version), *bound_to).decode())

    def put(self, transaction: Transaction, name: str, version: int, secret: Secret, *bound_to: str) -> None:
        """Seal inside the caller's transaction, so that what refers to the secret and the secret are one."""
        key = self.key_or_new_in(transaction)
        sealed = seal(key, secret.reveal().encode(), "secret", self._tenant, name, str(version), *bound_to)
        transaction.run(
            "insert into secret (tenant, name, version, sealed) values (?, ?, ?, ?)",
            (self._tenant, name, version, sealed),
        )

    def forget(self, transaction: Transaction, name: str) -> None:
        """Remove every version of a secret."""
        transaction.run("delete from secret where tenant = ? and name = ?", (self._tenant, name))

    def supersede(self, transaction: Transaction, name: str, seconds: float) -> None:
        """The versions there are open for ``seconds`` more, for calls in flight; of earlier ones, the newest few."""
        now = self._now()
        transaction.run(
            "update secret set until = ? where tenant = ? and name = ? and until is null",
            (int(now + seconds), self._tenant, name),
        )
        transaction.run(
            "delete from secret where tenant = ?1 and name = ?2 and version not in"
            " (select version from secret where tenant = ?1 and name = ?2 order by version desc limit ?3)",
            (self._tenant, name, _SUPERSEDED_MAX),
        )
        _purge(transaction, now)

    def key_in(self, transaction: Transaction) -> bytes:
        """The tenant's key, for what else is sealed with it. Raises ``SealedError``."""
        key = self._tenant_key(transaction)
        if key is None:
            raise SealedError(f"the key of tenant {self._tenant!r} is gone; its secrets do not open")
        return key

    def key_or_new_in(self, transaction: Transaction) -> bytes:
        return self._tenant_key(transaction) or self._new_tenant_key(transaction)

    def _tenant_key(self, transaction: Transaction) -> bytes | None:
        row = transaction.row("select kek_id, wrapped from tenant_key where tenant = ?", (self._tenant,))
        if row is None:
            return None
        return self._keys.of(transaction, row[0]).unwrap(row[1], *tenant_key_name(self._tenant))

    def _new_tenant_key(self, transaction: Transaction) -> bytes:
        key = os.urandom(KEY_BYTES)
        kek = self._keys.current(transaction)
        wrapped = kek.wrap(key, *tenant_key_name(self._tenant))
        transaction.run(
            "insert into tenant_key (tenant, kek_id, wrapped) values (?, ?, ?)", (self._tenant, kek.key_id, wrapped)
        )
        return key


def _purge(transaction: Transaction, now: float) -> None:
    transaction.run("delete from secret where until <= ?", (int(now),))


def tenant_key_name(tenant: str) -> tuple[str, str]:
    """What a wrapped tenant key is bound to."""
    return "tenant-key", tenant
