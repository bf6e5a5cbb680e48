"""Bindings and parameter layers in the database. A binding and its key change in one transaction."""

from collections.abc import Callable, Mapping, Sequence

import orjson
from pydantic import ValidationError

from imperal_host.clock import Clock
from imperal_host.errors import IntegrityError
from imperal_host.gateway.addresses import AddressGuard
from imperal_host.gateway.binding import Binding, BindingDraft, Owner, checked, keeps_key
from imperal_host.gateway.parameters import Layer, LayerKey
from imperal_host.gateway.providers.base import Vendor
from imperal_host.identity import TenantId
from imperal_host.storage.database import Database, Transaction
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import TenantView
from imperal_sdk.llm import Parameters

_SELECT = (
    "select version, provider, model, base_url, display_name, is_active, fallback, key_prefix, updated_at, models"
    " from binding where tenant = ? and owner = ? and provider <> ''"
)
# A deleted configuration leaves its version behind: a call that still holds it must never open a later key.
_BURY = (
    "update binding set provider = '', model = '', base_url = '', display_name = '', is_active = 0,"
    " fallback = 'error', key_prefix = '', models = '{}', updated_at = ?"
    " where tenant = ? and owner = ? and provider <> ''"
)


class Bindings:
    def __init__(
        self,
        database: Database,
        view: Callable[[TenantId], TenantView],
        vendors: Mapping[str, Vendor],
        guard: AddressGuard,
        clock: Clock,
        overlap_seconds: float = 0.0,
    ) -> None:
        """A replaced key opens ``overlap_seconds`` longer, for calls that hold its version."""
        self._overlap_seconds = overlap_seconds
        self._database = database
        self._view = view
        self._vendors = vendors
        self._guard = guard
        self._clock = clock

    async def get(self, owner: Owner) -> Binding | None:
        return await self._database.read(lambda t: _get(t, owner))

    async def of(self, owners: Sequence[Owner]) -> list[Binding | None]:
        """As ``get`` for each, from one consistent state."""
        return await self._database.read(lambda t: [_get(t, owner) for owner in owners])

    async def put(self, owner: Owner, draft: BindingDraft) -> Binding:
        """Store a configuration whole. Raises ``InvalidError`` with every problem, and then changes nothing.

        The version counts up, so that a key sealed for one configuration never opens for another.
        """
        view = self._view(owner.tenant)

        def work(transaction: Transaction) -> Binding:
            stored = _get(transaction, owner)
            base_url = checked(draft, self._vendors, self._guard, stored)
            secret = Secret(draft.api_key or "")
            if stored is not None and keeps_key(draft, base_url, stored):
                secret = view.open_in(transaction, owner.secret_name, stored.version, *stored.destination)
            binding = Binding(
                owner,
                _last_version(transaction, owner) + 1,
                draft.provider,
                draft.model,
                base_url,
                draft.display_name,
                draft.is_active,
                draft.fallback,
                secret.display_prefix(),
                int(self._clock.now()),
                dict(draft.models),
            )
            _put(transaction, binding)
            view.supersede(transaction, owner.secret_name, self._overlap_seconds)
            view.put(transaction, owner.secret_name, binding.version, secret, *binding.destination)
            return binding

        return await self._database.write(work)

    async def delete(self, owner: Owner) -> bool:
        """Remove the configuration and its key. False if there was none."""
        view = self._view(owner.tenant)

        def work(transaction: Transaction) -> bool:
            view.forget(transaction, owner.secret_name)
            return bool(transaction.run(_BURY, (int(self._clock.now()), owner.tenant, owner.name)))

        return await self._database.write(work)

    async def discard(self, owner: Owner) -> None:
        """As ``delete``, for a name that is never used again."""
        view = self._view(owner.tenant)

        def work(transaction: Transaction) -> None:
            view.forget(transaction, owner.secret_name)
            transaction.run("delete from binding where tenant = ? and owner = ?", (owner.tenant, owner.name))

        await self._database.write(work)


def _get(transaction: Transaction, owner: Owner) -> Binding | None:
    row = transaction.row(_SELECT, (owner.tenant, owner.name))
    if row is None:
        return None
    version, provider, model, base_url, display_name, is_active, fallback, key_prefix, updated_at, models = row
    return Binding(
        owner,
        version,
        provider,
        model,
        base_url,
        display_name,
        bool(is_active),
        fallback,
        key_prefix,
        updated_at,
        orjson.loads(models),
    )


def _last_version(transaction: Transaction, owner: Owner) -> int:
    row = transaction.row("select version from binding where tenant = ? and owner = ?", (owner.tenant, owner.name))
    return row[0] if row else 0


def _put(transaction: Transaction, b: Binding) -> None:
    transaction.run(
        "insert or replace into binding values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            b.owner.tenant,
            b.owner.name,
            b.version,
            b.provider,
            b.model,
            b.base_url,
            b.display_name,
            int(b.is_active),
            b.fallback,
            b.key_prefix,
            b.updated_at,
            orjson.dumps(b.models).decode(),
        ),
    )


class Layers:
    """The admin's parameter layers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, key: LayerKey) -> Parameters:
        """What a layer says; an unset layer says nothing."""
        return await self._database.read(lambda t: _layer(t, key)) or Parameters()

    async def put(self, key: LayerKey, parameters: Parameters) -> None:
        """Replace what a layer says."""
        await self._database.write(lambda t: self._store(t, key, parameters))

    async def merge(self, key: LayerKey, parameters: Parameters) -> Parameters:
        """Set what ``parameters`` say and leave the rest; what the layer says now."""

        def work(transaction: Transaction) -> Parameters:
            stored = _layer(transaction, key) or Parameters()
            merged = Parameters.model_validate({**stored.said(), **parameters.said()})
            self._store(transaction, key, merged)
            return merged

        return await self._database.write(work)

    async def delete(self, key: LayerKey) -> bool:
        """False if nothing was set."""
        statement = "delete from parameter_layer where extension = ? and purpose = ?"
        return bool(await self._database.write(lambda t: t.run(statement, (key.extension, key.purpose))))

    async def of(self, keys: tuple[LayerKey, ...]) -> list[Layer]:
        """The layers that are set, in the order of ``keys``, from one consistent state."""

        def work(transaction: Transaction) -> list[Layer]:
            found = [(key, _layer(transaction, key)) for key in keys]
            return [Layer(str(key), parameters) for key, parameters in found if parameters is not None]

        return await self._database.read(work)

    async def all(self) -> list[tuple[LayerKey, Parameters]]:
        def work(transaction: Transaction) -> list[tuple[LayerKey, Parameters]]:
            rows = transaction.rows("select extension, purpose from parameter_layer order by extension, purpose")
            keys = [LayerKey(extension, purpose) for extension, purpose in rows]
            return [(key, _layer(transaction, key) or Parameters()) for key in keys]

        return await self._database.read(work)

    def _store(self, transaction: Transaction, key: LayerKey, parameters: Parameters) -> None:
        text = parameters.model_dump_json(exclude_none=True)
        transaction.run(
            "insert or replace into parameter_layer values (?, ?, ?, ?)",
            (key.extension, key.purpose, text, int(self._clock.now())),
        )


def _layer(transaction: Transaction, key: LayerKey) -> Parameters | None:
    """Raises ``IntegrityError`` for a stored layer that says no parameters."""
    row = transaction.row(
        "select parameters from parameter_layer where extension = ? and purpose = ?", (key.extension, key.purpose)
    )
    if row is None:
        return None
    try:
        return Parameters.model_validate_json(row[0])
    except ValidationError:
        raise IntegrityError(f"the stored parameters of {key} are damaged; set them again") from None
