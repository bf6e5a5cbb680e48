"""A configuration and its key change together or not at all."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from imperal_host.errors import InvalidError, NotFoundError, SealedError
from imperal_host.gateway.addresses import AddressGuard
from imperal_host.gateway.binding import PLATFORM, BindingDraft, owner_of
from imperal_host.gateway.parameters import LayerKey, admin_keys
from imperal_host.gateway.providers.vendors import BUILT_IN
from imperal_host.gateway.store import Bindings, Layers
from imperal_host.storage.database import Database
from imperal_host.vault.keyring import FileKek
from imperal_host.vault.store import Vault
from imperal_sdk.llm import Parameters
from tests.host.conftest import FixedClock, bytes_on_disk, principal, sql

KEY, OTHER_KEY = "sk-proj-0123456789abcdefghijklmnop", "sk-ant-zyxwvutsrqponmlkjihgfedcba"
ADA = owner_of(principal("acme", "ada"))
DRAFT = BindingDraft("openai", "gpt-4o", api_key=KEY)


@pytest.fixture
def vault(database: Database) -> Vault:
    return Vault(database, FileKek(bytes(range(32))))


@pytest.fixture
def bindings(database: Database, vault: Vault, clock: FixedClock) -> Bindings:
    return Bindings(database, vault.view, {vendor.name: vendor for vendor in BUILT_IN}, AddressGuard(), clock)


@pytest.fixture
def layers(database: Database, clock: FixedClock) -> Layers:
    return Layers(database, clock)


OPENAI = ("openai", "https://api.openai.com/v1")
ANTHROPIC = ("anthropic", "https://api.anthropic.com")


async def key_of(vault: Vault, version: int, destination: tuple[str, str] = OPENAI) -> str:
    return (await vault.view(ADA.tenant).open(ADA.secret_name, version, *destination)).reveal()


async def test_what_is_put_is_what_is_got(bindings: Bindings, vault: Vault, clock: FixedClock) -> None:
    assert await bindings.get(ADA) is None
    draft = replace(DRAFT, display_name="mine", is_active=False, fallback="platform")
    put = await bindings.put(ADA, draft)
    assert await bindings.get(ADA) == put
    assert (put.version, put.base_url, put.key_prefix) == (1, "https://api.openai.com/v1", "sk-proj-")
    assert (put.display_name, put.is_active, put.fallback, put.updated_at) == ("mine", False, "platform", clock.now())
    assert await key_of(vault, 1) == KEY


async def test_a_put_replaces_the_whole_configuration_and_the_key(bindings: Bindings, vault: Vault) -> None:
    await bindings.put(ADA, replace(DRAFT, display_name="mine", fallback="platform"))
    await bindings.put(ADA, BindingDraft("anthropic", "claude", api_key=OTHER_KEY))
    now = await bindings.get(ADA)
    assert now is not None
    assert (now.version, now.provider, now.display_name, now.fallback, now.key_prefix) == (
        2, "anthropic", "", "error", "sk-ant-z",
    )  # fmt: skip
    assert await key_of(vault, 2, ANTHROPIC) == OTHER_KEY
    with pytest.raises(NotFoundError):
        await key_of(vault, 1)


@pytest.mark.parametrize(
    "bad",
    [
        replace(DRAFT, provider="?"),
        replace(DRAFT, api_key="a\nb"),
        replace(DRAFT, base_url="http://10.0.0.1/", api_key=OTHER_KEY),
        BindingDraft("openai", "gpt-4o", "https://evil.example.org"),
    ],
)
async def test_a_draft_with_a_problem_changes_nothing(bindings: Bindings, vault: Vault, bad: BindingDraft) -> None:
    before = await bindings.put(ADA, DRAFT)
    with pytest.raises(InvalidError):
        await bindings.put(ADA, bad)
    assert await bindings.get(ADA) == before
    assert await key_of(vault, 1) == KEY


async def test_a_draft_with_a_problem_stores_nothing(bindings: Bindings, database_file: Path) -> None:
    with pytest.raises(InvalidError):
        await bindings.put(ADA, replace(DRAFT, model=""))
    assert await bindings.get(ADA) is None
    assert sql(database_file, "select count(*) from secret") == [(0,)]


async def test_switching_off_and_on_keeps_the_key_under_a_new_version(bindings: Bindings, vault: Vault) -> None:
    await bindings.put(ADA, DRAFT)
    for version, is_active in ((2, False), (3, True)):
        toggled = await bindings.put(ADA, BindingDraft("openai", "gpt-4o", is_active=is_active))
        assert (toggled.version, toggled.is_active, toggled.key_prefix) == (version, is_active, "sk-proj-")
        assert await key_of(vault, version) == KEY


async def test_a_stored_key_that_does_not_open_is_not_replaced_by_nothing(
    bindings: Bindings, database_file: Path
) -> None:
    before = await bindings.put(ADA, DRAFT)
    sql(database_file, "update secret set sealed = zeroblob(60)")
    with pytest.raises(SealedError):
        await bindings.put(ADA, BindingDraft("openai", "gpt-4o-mini"))
    assert await bindings.get(ADA) == before
    healed = await bindings.put(ADA, DRAFT)
    assert healed.version == 2


async def test_deleting_removes_the_key_too(bindings: Bindings, vault: Vault, database_file: Path) -> None:
    await bindings.put(ADA, DRAFT)
    assert await bindings.delete(ADA) is True
    assert await bindings.get(ADA) is None
    assert sql(database_file, "select count(*) from secret") == [(0,)]
    with pytest.raises(NotFoundError):
        await key_of(vault, 1)
    assert await bindings.delete(ADA) is False
    assert await bindings.delete(PLATFORM) is False


async def test_a_version_never_stands_for_two_configurations(bindings: Bindings, vault: Vault) -> None:
    """A call that holds version 1 would else send the second key to the first address."""
    first = await bindings.put(ADA, replace(DRAFT, base_url="https://first.example.org"))
    await bindings.delete(ADA)
    second = await bindings.put(ADA, replace(DRAFT, base_url="https://second.example.org", api_key=OTHER_KEY))
    assert second.version > first.version
    with pytest.raises(NotFoundError):
        await key_of(vault, first.version)


async def test_versions_count_up_whoever_writes_at_once(bindings: Bindings, vault: Vault) -> None:
    put = await asyncio.gather(*(bindings.put(ADA, replace(DRAFT, model=f"m{number}")) for number in range(10)))
    assert sorted(binding.version for binding in put) == list(range(1, 11))
    assert await bindings.get(ADA) == max(put, key=lambda binding: binding.version)
    assert await key_of(vault, 10) == KEY


async def test_the_same_user_name_in_two_tenants_has_two_configurations(bindings: Bindings) -> None:
    await bindings.put(ADA, DRAFT)
    other = owner_of(principal("globex", "ada"))
    assert await bindings.get(other) is None
    assert await bindings.delete(other) is False
    assert await bindings.get(ADA) is not None


async def test_no_key_is_on_the_disk(bindings: Bindings, database_file: Path) -> None:
    await bindings.put(ADA, DRAFT)
    await bindings.put(ADA, replace(DRAFT, api_key=OTHER_KEY))
    await bindings.delete(ADA)
    for key in (KEY, OTHER_KEY):
        assert key[8:].encode() not in bytes_on_disk(database_file)


async def test_layers_come_in_the_order_they_were_asked_for_and_unset_ones_not_at_all(layers: Layers) -> None:
    await layers.put(LayerKey(), Parameters(temperature=0.0))
    await layers.put(LayerKey("mail"), Parameters(temperature=0.5, stop_sequences=("END",)))
    await layers.put(LayerKey("other"), Parameters(temperature=1.0))
    found = await layers.of(admin_keys("mail", "draft"))
    assert [(layer.name, layer.parameters.said()) for layer in found] == [
        ("extension mail", {"temperature": 0.5, "stop_sequences": ["END"]}),
        ("platform", {"temperature": 0.0}),
    ]
    assert await layers.get(LayerKey("mail", "draft")) == Parameters()


async def test_a_layer_is_replaced_whole_and_deleted_once(layers: Layers) -> None:
    key = LayerKey("mail", "draft")
    await layers.put(key, Parameters(temperature=0.5, seed=7))
    await layers.put(key, Parameters(top_p=0.5))
    assert await layers.get(key) == Parameters(top_p=0.5)
    assert await layers.all() == [(key, Parameters(top_p=0.5))]
    assert await layers.delete(key) is True
    assert await layers.delete(key) is False
    assert await layers.all() == []


async def test_a_key_opens_for_the_address_it_was_given_for_and_no_other(
    bindings: Bindings, vault: Vault, database_file: Path
) -> None:
    await bindings.put(ADA, DRAFT)
    sql(database_file, "update binding set base_url = 'https://evil.example.org/v1'")
    moved = await bindings.get(ADA)
    assert moved is not None
    with pytest.raises(SealedError):
        await key_of(vault, moved.version, moved.destination)


async def test_what_another_process_sets_counts_from_the_next_look(
    bindings: Bindings, database_file: Path, clock: FixedClock
) -> None:
    assert await bindings.of((ADA, PLATFORM)) == [None, None]
    other = Database.open(database_file)
    vault = Vault(other, FileKek(bytes(range(32))))
    theirs = Bindings(other, vault.view, {vendor.name: vendor for vendor in BUILT_IN}, AddressGuard(), clock)
    for model in ("gpt-4o", "gpt-5"):
        put = await theirs.put(ADA, replace(DRAFT, model=model))
        assert await bindings.of((ADA, PLATFORM)) == [put, None]
    await theirs.delete(ADA)
    assert await bindings.of((ADA, PLATFORM)) == [None, None]
    other.close()


async def test_calls_in_flight_finish_on_the_key_that_they_began_with(
    database: Database, vault: Vault, clock: FixedClock
) -> None:
    vendors = {vendor.name: vendor for vendor in BUILT_IN}
    bindings = Bindings(database, vault.view, vendors, AddressGuard(), clock, 120)
    first = await bindings.put(ADA, BindingDraft("openai", "gpt-4.1-mini", api_key=KEY))
    second = await bindings.put(ADA, BindingDraft("openai", "gpt-4.1-mini", api_key=OTHER_KEY))
    assert [await key_of(vault, version) for version in (first.version, second.version)] == [KEY, OTHER_KEY]
    await bindings.delete(ADA)
    for version in (first.version, second.version):
        with pytest.raises(NotFoundError):
            await key_of(vault, version)
