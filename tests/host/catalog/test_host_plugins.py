"""The operator's own plugins, of group ``imperal.host``: declared as packages, loaded into the host."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imperal_host.app import open_stores
from imperal_host.catalog.catalog import Catalog
from imperal_host.errors import SetupError
from imperal_host.gateway.binding import BindingDraft, owner_of
from imperal_host.gateway.providers.base import Vendor
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from tests.conftest import FIXTURES, host_on, settings_in
from tests.host.catalog.distribution import install

ADA = Principal(TenantId("acme"), UserId("ada"))
BEGIN = "from imperal_host.catalog.hookspecs import hookimpl\n"
GOOD = (
    BEGIN
    + """
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.providers.openai import OpenAI

@hookimpl
def imperal_vendors():
    return [Vendor("house", OpenAI(), "https://models.house.example/v1"), Vendor("openai", OpenAI(), "https://ours.example")]

@hookimpl
def imperal_prices():
    return {"house-large": (3, 4), "SmolLM2-135M-Instruct": (1_000, 2_000)}
"""
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    yield place
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


def plug_in(site: Path, name: str, source: str, *, module: str = "") -> None:
    file = f"plugin_{name}.py"
    point = f"[imperal.host]\n{name} = {module or file.removesuffix('.py')}\n"
    install(site, name, entry_points=point, modules={file: source})


def test_there_are_none_here() -> None:
    catalog = Catalog()
    assert catalog.load_host_plugins() == 0
    assert (catalog.vendors(), catalog.prices()) == ([], {})


async def test_a_plugins_vendors_can_be_chosen_and_replace_built_in_ones(site: Path, tmp_path: Path) -> None:
    plug_in(site, "house", GOOD)
    async with open_stores(settings_in(tmp_path)) as stores:
        assert isinstance(stores.vendors["house"], Vendor)
        assert stores.vendors["openai"].base_url == "https://ours.example"
        assert stores.vendors["anthropic"].base_url == "https://api.anthropic.com"
        binding = await stores.bindings.put(owner_of(ADA), BindingDraft("house", "house-large", api_key="sk-x"))
        assert binding.base_url == "https://models.house.example/v1"


async def test_a_plugins_prices_are_charged(site: Path, tmp_path: Path, cache_dir: Path) -> None:
    plug_in(site, "house", GOOD)
    settings = settings_in(tmp_path, extensions_dir=FIXTURES / "extensions", cache_dir=cache_dir)
    async with host_on(settings) as host:
        usage = (await host.rooms.kernel.dispatch(ADA, Call("probe", "asks", {"text": "hi"}))).usage
        assert usage.output_tokens > 0
        assert usage.cost_nano_usd == 1_000 * usage.input_tokens + 2_000 * usage.output_tokens


def test_plugins_add_up(site: Path) -> None:
    for name, price in (("one", 1), ("two", 2)):
        plug_in(site, name, BEGIN + f"@hookimpl\ndef imperal_prices():\n    return {{'{name}': ({price}, {price})}}\n")
    catalog = Catalog()
    assert catalog.load_host_plugins() == 2
    assert catalog.prices() == {"one": (1, 1), "two": (2, 2)}


@pytest.mark.parametrize(
    ("source", "module", "why"),
    [
        ("raise ValueError('boom')", "", "ValueError: boom"),
        ("import not_here_at_all", "", "No module named 'not_here_at_all'"),
        ("", "plugin_elsewhere", "No module named 'plugin_elsewhere'"),
        ("def (", "", "SyntaxError"),
        (BEGIN + "@hookimpl\ndef imperal_vendors(surplus): ...\n", "", "PluginValidationError"),
    ],
)
async def test_a_plugin_that_cannot_be_loaded_is_named_and_nothing_starts(
    site: Path, tmp_path: Path, source: str, module: str, why: str
) -> None:
    plug_in(site, "broken", source, module=module)
    plug_in(site, "sound", "")
    with pytest.raises(SetupError, match="the host plugin broken cannot be loaded: ") as raised:
        async with open_stores(settings_in(tmp_path)):
            raise AssertionError("it started")
    assert why in str(raised.value)


async def test_a_vendor_that_is_none_is_refused(site: Path, tmp_path: Path) -> None:
    plug_in(site, "broken", BEGIN + "@hookimpl\ndef imperal_vendors():\n    return ['openai']\n")
    with pytest.raises(SetupError, match="declared 'openai' as a vendor; it must be a Vendor"):
        async with open_stores(settings_in(tmp_path)):
            raise AssertionError("it started")
