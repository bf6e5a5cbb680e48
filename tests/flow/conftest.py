"""A real host behind its HTTP API, the real embedded model, and a user's own model server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from imperal_host.app import Host
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.local.supervisor import LocalModelServer
from tests.conftest import FIXTURES, host_on, settings_in

OWN_KEY = "sk-ada-7d1b94e0c2f83a56be17"
OWN_MODEL = "ada-own-model"


@dataclass(frozen=True)
class World:
    """``ada`` and ``eve`` have the same user name in two tenants."""

    host: Host
    place: Path
    own: LocalModelServer
    own_url: str
    admin: httpx.AsyncClient
    ada: httpx.AsyncClient
    eve: httpx.AsyncClient


@pytest.fixture(scope="session")
async def own_server(weights: Path) -> AsyncIterator[LocalModelServer]:
    server = LocalModelServer(weights, alias=OWN_MODEL, context_tokens=2048, key=OWN_KEY, shows_requests=True)
    yield server
    await server.aclose()


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, own_server: LocalModelServer
) -> AsyncIterator[World]:
    place = tmp_path_factory.mktemp("flow")
    settings = settings_in(
        place, cache_dir=cache_dir, extensions_dir=FIXTURES / "extensions", private_networks=("127.0.0.0/8",)
    )
    own_url, _ = await own_server.endpoint()
    async with host_on(settings) as host:
        app = host.asgi()
        principals = (
            Principal(TenantId("platform"), UserId("admin"), role="admin"),
            Principal(TenantId("acme"), UserId("ada"), "ada@acme.example"),
            Principal(TenantId("globex"), UserId("ada")),
        )
        clients = []
        for principal in principals:
            token = await host.stores.tokens.create(principal)
            clients.append(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app),
                    base_url="http://host",
                    headers={"authorization": f"Bearer {token}"},
                    timeout=120,
                )
            )
        admin, ada, eve = clients
        yield World(host, place, own_server, own_url, admin, ada, eve)
        for client in clients:
            await client.aclose()
