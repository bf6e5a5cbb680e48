"""The composition root: settings become a host. Only here are concrete classes named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from imperal_host.api.rooms import Rooms
from imperal_host.api.routes import build
from imperal_host.billing.account import Account
from imperal_host.billing.price import BUILT_IN as BUILT_IN_PRICES
from imperal_host.billing.price import CUSTOM_LLM, Price, PriceTable
from imperal_host.catalog.catalog import Catalog
from imperal_host.catalog.installed import Installed
from imperal_host.clock import Clock, SystemClock, new_id
from imperal_host.errors import SealedError, SetupError
from imperal_host.gateway.addresses import AddressGuard
from imperal_host.gateway.attempt import Attempts, LocalModel
from imperal_host.gateway.binding import PLATFORM_TENANT
from imperal_host.gateway.circuit import Circuits
from imperal_host.gateway.egress import Egress, Limits
from imperal_host.gateway.gateway import Gateway
from imperal_host.gateway.planning import Planner
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.providers.vendors import BUILT_IN as BUILT_IN_VENDORS
from imperal_host.gateway.retries import RetryPolicy
from imperal_host.gateway.store import Bindings, Layers
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.gateway.trial import Trials
from imperal_host.identity import CallId, Package, Principal, UserId
from imperal_host.kernel.dispatch import Kernel
from imperal_host.ledger import trees
from imperal_host.ledger.checkpoint import Signer
from imperal_host.ledger.event import operation
from imperal_host.ledger.ledger import Ledger
from imperal_host.ledger.witness import FileWitness, HttpWitness, Witness
from imperal_host.loading.folders import CopiedFolders, Folders
from imperal_host.loading.loading import Loading
from imperal_host.local.supervisor import LocalModelServer
from imperal_host.local.weights import present, weights_file
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.launcher import LaunchLimits, ZygoteLauncher
from imperal_host.runtime.policy import SandboxLimits, Tier
from imperal_host.runtime.pool import Pool, PoolLimits
from imperal_host.settings import Settings, variable
from imperal_host.storage.database import Database
from imperal_host.tokens import Tokens
from imperal_host.vault.keyring import Ring, open_keyring
from imperal_host.vault.personal import PersonalKeys
from imperal_host.vault.rotation import Rotation, Step
from imperal_host.vault.sources import EnvironmentSource, KekSource, KeyringSource
from imperal_host.vault.store import Vault
from imperal_host.vault.transit import TransitSource
from imperal_sdk.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept, without anything that runs: enough for the commands that set and show."""

    settings: Settings
    clock: Clock
    catalog: Catalog
    tokens: Tokens
    database: Database
    ring: Ring
    vault: Vault
    personal: PersonalKeys
    vendors: dict[str, Vendor]
    guard: AddressGuard
    bindings: Bindings
    layers: Layers
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Host:
    stores: Stores
    rooms: Rooms
    loading: Loading

    def asgi(self) -> Starlette:
        return build(self.rooms)


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """Raises ``SetupError``, ``SealedError`` or ``IntegrityError``, each with what to do."""
    clock = SystemClock()
    database = Database.open(settings.database_file)
    try:
        ring = await open_keyring(database, settings.kek_file, settings.data_dir, _key_sources(settings), settings.kek)
        vault = Vault(database, ring, clock.now)
        await vault.purge()
        ledger = Ledger(database, clock, await _signer(database, settings), _witness(settings))
        await ledger.begin()
        catalog = Catalog()
        catalog.load_host_plugins()
        vendors = _vendors(catalog)
        guard = AddressGuard(settings.private_networks)
        stores = Stores(
            settings=settings,
            clock=clock,
            catalog=catalog,
            tokens=Tokens(database, clock),
            database=database,
            ring=ring,
            vault=vault,
            personal=PersonalKeys(database, vault),
            vendors=vendors,
            guard=guard,
            bindings=Bindings(database, vault.view, vendors, guard, clock, settings.call_seconds_max),
            layers=Layers(database, clock),
            ledger=ledger,
        )
        try:
            yield stores
        finally:
            await ledger.aclose()
    finally:
        database.close()


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger alone, to be read: no KEK, no plugin, and nothing made where there is nothing. Where its own key
    file is missing, what it is to be checked with must be given. Raises ``SetupError``."""
    if not await asyncio.to_thread(_is_file, settings.database_file):
        raise SetupError(f"there is no ledger at {settings.database_file}; is IMPERAL_DATA_DIR right?")
    database = Database.open(settings.database_file)
    try:
        file = settings.signing_key_file
        signer = Signer.read(file) if await asyncio.to_thread(_is_file, file) else None
        yield Ledger(database, SystemClock(), signer, _witness(settings))
    finally:
        database.close()


@asynccontextmanager
async def open_host(stores: Stores) -> AsyncIterator[Host]:
    """Load the extensions and make ready to call them; on leaving, every child process has ended."""
    settings = stores.settings
    pool = make_pool(settings, stores.clock)
    local = LocalModelServer(weights_file(settings.cache_dir)) if present(settings.cache_dir) else None
    planner = make_planner(stores, local)
    gateway = make_gateway(stores, planner, local)
    kernel = Kernel(stores.catalog, pool, planner, gateway, stores.ledger, stores.clock, settings.call_seconds_max)
    loading = make_loading(settings, stores.catalog, pool)
    try:
        await stores.ledger.settle()
        await loading.refresh()
        rooms = Rooms(
            stores.tokens,
            stores.catalog,
            kernel,
            planner,
            Trials(gateway, stores.bindings, stores.vendors, stores.clock),
            stores.bindings,
            stores.layers,
            stores.ledger,
            settings.body_bytes_max,
        )
        yield Host(stores, rooms, loading)
    finally:
        await kernel.aclose()
        await pool.aclose()
        await gateway.aclose()
        loading.close()
        if local is not None:
            await local.aclose()


async def record_key_op(stores: Stores, action: str, details: dict[str, str]) -> None:
    operator = Principal(PLATFORM_TENANT, UserId("operator"))
    await stores.ledger.append(operation("key-op", action, CallId(new_id(stores.clock)), operator, {**details}))


def make_rotation(stores: Stores) -> Rotation:
    async def record(step: Step, details: dict[str, str]) -> None:
        await record_key_op(stores, f"keys.{step}", details)

    return Rotation(stores.database, stores.ring, record)


def _key_sources(settings: Settings) -> tuple[KekSource, ...]:
    transit = TransitSource(settings.vault_address, variable(settings.vault_token_variable), settings.vault_seconds_max)
    return EnvironmentSource(), KeyringSource(), transit


def make_planner(stores: Stores, local: LocalModel | None) -> Planner:
    return Planner(stores.bindings, stores.layers, stores.vendors, local.model if local else None)


def make_gateway(stores: Stores, planner: Planner, local: LocalModel | None) -> Gateway:
    settings = stores.settings
    default = Price(settings.price_input_nano_usd, settings.price_output_nano_usd)
    custom_llm = Price(settings.custom_llm_input_nano_usd, settings.custom_llm_output_nano_usd)
    attempts = Attempts(
        stores.vault,
        local,
        PriceTable({**BUILT_IN_PRICES, **_prices(stores.catalog), CUSTOM_LLM: custom_llm}, default),
        Account(stores.ledger, settings.user_budget_nano_usd),
        stores.ledger,
        stores.clock,
    )
    limits = Limits(
        settings.upstream_first_byte_seconds_max,
        settings.upstream_idle_seconds_max,
        settings.upstream_seconds_max,
        settings.upstream_bytes_max,
    )
    at_home = Limits(
        settings.local_first_byte_seconds_max,
        settings.local_idle_seconds_max,
        settings.local_seconds_max,
        settings.upstream_bytes_max,
    )
    retries = RetryPolicy(settings.upstream_tries_max, settings.upstream_retry_seconds_max)
    egress = Egress(AiohttpTransport(), stores.guard, limits, at_home)
    return Gateway(planner, attempts, egress, retries, Circuits(), stores.clock)


def make_pool(settings: Settings, clock: Clock) -> Pool:
    launcher = ZygoteLauncher(
        this_interpreter(),
        Tier(settings.sandbox),
        SandboxLimits(
            settings.isolate_memory_bytes_max, settings.isolate_cpu_seconds_max, settings.isolate_scratch_bytes_max
        ),
        LaunchLimits(settings.launch_seconds_max, settings.asks_per_call_max, settings.isolate_idle_seconds_max),
    )
    limits = PoolLimits(
        isolates_max=settings.isolates_max,
        isolates_per_principal_max=settings.isolates_per_principal_max,
        calls_per_isolate_max=settings.isolate_calls_at_once_max,
        spares=settings.isolates_spare,
        wait_seconds_max=settings.isolate_wait_seconds_max,
        idle_seconds_max=settings.isolate_idle_seconds_max,
        age_seconds_max=settings.isolate_age_seconds_max,
        calls_max=settings.isolate_calls_max,
        resting_memory_bytes_max=settings.isolate_resting_memory_bytes_max,
        failures_max=settings.isolate_failures_max,
    )
    return Pool(launcher, limits, clock)


async def inspect(settings: Settings, package: Package) -> Manifest:
    """What an extension says about itself, asked in a sandbox. Raises ``ExtensionLoadError`` and ``SandboxError``."""
    pool = make_pool(settings, SystemClock())
    try:
        return await pool.inspect(package)
    finally:
        await pool.aclose()


def make_loading(settings: Settings, catalog: Catalog, pool: Pool) -> Loading:
    installed = Installed(settings.installed_dir)
    folder = settings.extensions_dir
    folders = CopiedFolders(folder, installed) if settings.reload and folder else Folders(folder)
    # Nobody uses a replaced version longer than a call that had just found it may take.
    drain_seconds = settings.call_seconds_max + settings.launch_seconds_max + 10
    return Loading(catalog, pool, installed, folders, drain_seconds)


async def _signer(database: Database, settings: Settings) -> Signer:
    """Made on the very first run, and never over a record that another key has signed."""
    file = settings.signing_key_file
    if file.resolve().is_relative_to(settings.data_dir.resolve()):
        raise SetupError(f"the ledger's key file {file} lies beside the data; set IMPERAL_LEDGER_KEY_FILE elsewhere")
    if not await asyncio.to_thread(_is_file, file) and await database.read(trees.checkpoint) is not None:
        raise SealedError(f"the ledger's key file {file} is missing, and the ledger was signed with it; restore it")
    return await asyncio.to_thread(Signer.read_or_create, file)


def _witness(settings: Settings) -> Witness | None:
    if settings.witness_file is not None:
        return FileWitness(settings.witness_file, settings.data_dir)
    return HttpWitness(settings.witness_url) if settings.witness_url is not None else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _prices(catalog: Catalog) -> dict[str, Price]:
    prices = {}
    for model, declared in catalog.prices().items():
        match declared:
            case (int(given), int(taken)) if given >= 0 and taken >= 0:
                prices[model] = Price(given, taken)
            case _:
                raise SetupError(f"a host plugin declared {declared!r} as the price of {model!r}; it is two integers")
    return prices


def _vendors(catalog: Catalog) -> dict[str, Vendor]:
    vendors = {vendor.name: vendor for vendor in BUILT_IN_VENDORS}
    for declared in catalog.vendors():
        if not isinstance(declared, Vendor):
            raise SetupError(f"a host plugin declared {declared!r} as a vendor; it must be a Vendor")
        vendors[declared.name] = declared
    return vendors
