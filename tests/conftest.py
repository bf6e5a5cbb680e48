"""What every test may use: settings in a temporary place, and a real host on them."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from imperal_host import log
from imperal_host.app import Host, open_host, open_stores
from imperal_host.local.weights import present, weights_file
from imperal_host.settings import Settings

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "fixtures"
_CACHE_DIR = Settings().cache_dir


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("IMPERAL_")]:
            patch.delenv(name)
        log.configure("error")
        yield


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """Where the embedded model's weights lie; a test that needs them fails without."""
    assert present(_CACHE_DIR), "the embedded model is not installed; run: imperal-host model pull"
    return _CACHE_DIR


@pytest.fixture(scope="session")
def weights(cache_dir: Path) -> Path:
    return weights_file(cache_dir)


def settings_in(place: Path, **changes: Any) -> Settings:
    """Settings whose data, keys and cache are all below ``place``."""
    base = {"data_dir": place / "data", "kek_file": place / "keys" / "kek", "cache_dir": place / "cache"}
    return Settings.model_validate({**base, **changes})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@asynccontextmanager
async def host_on(settings: Settings) -> AsyncIterator[Host]:
    async with open_stores(settings) as stores, open_host(stores) as host:
        yield host


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A test that sets the log up while its output is captured leaves a log behind that is closed."""
    yield
    log.configure("error")
