"""One host a tier, attacked by one hostile extension in every test of the table."""

from collections.abc import AsyncIterator

import pytest

from imperal_host.app import open_host, open_stores
from imperal_host.prove.row import Tier
from imperal_host.prove.stage import staged
from imperal_host.prove.trial import Trial
from imperal_host.settings import Settings

# Every tier that promises anything.
TIERS: tuple[Tier, ...] = ("strict", "no-namespaces")


@pytest.fixture(scope="session", params=TIERS)
async def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    async with staged(tmp_path_factory.mktemp("prove")) as stage:
        settings = Settings.model_validate({**stage.settings, "sandbox": request.param})
        async with open_stores(settings) as stores, open_host(stores) as host:
            trial = Trial(host, stage, request.param)
            await trial.prepare()
            yield trial
