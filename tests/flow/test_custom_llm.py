"""A project's Custom LLM, spoken to as the published client of that product does, and answering calls."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from imperal_host.identity import Principal, TenantId, UserId
from tests.flow.conftest import OWN_KEY, OWN_MODEL, World
from tests.flow.test_one_call import bring, rows_of

PATH = "/api/v1/projects/shop/custom-llm"
UNSET = {
    "endpoint": "",
    "api_key_prefix": "",
    "model": "",
    "display_name": "",
    "is_active": False,
    "configured": False,
}


@pytest.fixture
async def owner(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of ada's tenant whose token may use the project ``shop``."""
    who = Principal(TenantId("acme"), UserId("olga"), scopes=("project:shop",))
    token = await world.host.stores.tokens.create(who)
    transport = httpx.ASGITransport(world.host.asgi())
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://host", headers=headers, timeout=120) as client:
        yield client
        await client.delete(PATH)
        await client.delete("/v1/me/llm")


def config(world: World, **changes: Any) -> dict[str, Any]:
    return {"endpoint": world.own_url, "api_key": OWN_KEY, "model": OWN_MODEL, **changes}


async def summarize(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    arguments = {"text": "The cat sat on the mat.", "max_words": 10}
    return await client.post("/v1/extensions/summarizer/functions/summarize", json={"arguments": arguments, **more})


async def test_it_is_set_shown_switched_and_removed(world: World, owner: httpx.AsyncClient) -> None:
    assert (await owner.get(PATH)).json() == UNSET
    made = await owner.put(PATH, json=config(world, display_name="Ours"), headers={"idempotency-key": "one"})
    assert made.status_code == 200
    expected = {
        "endpoint": world.own_url,
        "api_key_prefix": OWN_KEY[:8],
        "model": OWN_MODEL,
        "display_name": "Ours",
        "is_active": True,
        "configured": True,
    }
    assert made.json() == (await owner.get(PATH)).json() == expected
    off = await owner.put(PATH, json={"endpoint": world.own_url, "isActive": False})
    assert off.json() == {**expected, "is_active": False}, "what was not said was kept"
    assert [(await owner.delete(PATH)).status_code for _ in range(2)] == [204, 204]
    assert (await owner.get(PATH)).json() == UNSET


async def test_camel_case_is_understood(world: World, owner: httpx.AsyncClient) -> None:
    body = {"endpoint": world.own_url, "apiKey": OWN_KEY, "model": OWN_MODEL, "displayName": "X", "isActive": False}
    shown = (await owner.put(PATH, json=body)).json()
    assert (shown["api_key_prefix"], shown["display_name"], shown["is_active"]) == (OWN_KEY[:8], "X", False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoint": "http://169.254.169.254/latest"}, "endpoint"),
        ({"endpoint": "http://10.0.0.1/v1"}, "endpoint"),
        ({"endpoint": "ftp://llm.example.org"}, "endpoint"),
        ({"endpoint": 7}, "endpoint"),
        ({"api_key": "with space"}, "api_key"),
        ({"is_active": "perhaps"}, "is_active"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_wrong_one_names_the_field_and_changes_nothing(
    world: World, owner: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    answer = await owner.put(PATH, json=config(world, **changes))
    assert answer.status_code == 422
    assert field in [problem["field"] for problem in answer.json()["errors"]]
    assert answer.json()["message"]
    assert (await owner.get(PATH)).json() == UNSET


async def test_another_tenants_project_of_the_same_name_is_another(world: World, owner: httpx.AsyncClient) -> None:
    await owner.put(PATH, json=config(world))
    stranger = Principal(TenantId("globex"), UserId("olga"), scopes=("project:shop",))
    token = await world.host.stores.tokens.create(stranger)
    shown = await owner.get(PATH, headers={"authorization": f"Bearer {token}"})
    assert shown.json() == UNSET


async def test_without_the_scope_nobody_sees_or_uses_it(world: World, owner: httpx.AsyncClient) -> None:
    await owner.put(PATH, json=config(world))
    answers = [
        await world.ada.get(PATH),
        await world.ada.put(PATH, json=config(world)),
        await world.ada.delete(PATH),
        await summarize(world.ada, project="shop"),
        await owner.get(PATH.replace("shop", "other")),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5


async def test_a_call_of_the_project_is_answered_by_it_and_billed_at_the_flat_rate(
    world: World, owner: httpx.AsyncClient
) -> None:
    await owner.put(PATH, json=config(world))
    body = (await summarize(owner, project="shop")).json()
    usage = body["usage"]
    assert (usage["model"], usage["provider"], usage["is_byollm"]) == (OWN_MODEL, "custom", False)
    assert usage["cost_nano_usd"] > 0
    attempt = next(row for row in await rows_of(owner, body["call_id"]) if row["parent"])
    assert (attempt["details"]["source"], attempt["details"]["project"]) == ("project", "shop")
    by_header = await owner.post(
        "/v1/extensions/summarizer/functions/summarize",
        json={"arguments": {"text": "The cat.", "max_words": 5}},
        headers={"x-project": "shop"},
    )
    assert by_header.json()["usage"]["model"] == OWN_MODEL
    assert (await summarize(owner)).json()["usage"]["model"] != OWN_MODEL, "a call of no project"


async def test_the_users_own_model_goes_before_the_projects(world: World, owner: httpx.AsyncClient) -> None:
    await owner.put(PATH, json=config(world))
    await bring(world, owner, provider="openai_compatible")
    usage = (await summarize(owner, project="shop")).json()["usage"]
    assert (usage["provider"], usage["is_byollm"], usage["cost_nano_usd"]) == ("openai_compatible", True, 0)


async def test_one_that_is_switched_off_counts_as_none(world: World, owner: httpx.AsyncClient) -> None:
    await owner.put(PATH, json=config(world, is_active=False))
    assert (await summarize(owner, project="shop")).json()["usage"]["provider"] == "local"


async def test_one_that_fails_is_an_error_and_not_the_platforms_call(world: World, owner: httpx.AsyncClient) -> None:
    await owner.put(PATH, json=config(world, api_key="sk-wrong-0123456789abcdef"))
    answer = await summarize(owner, project="shop")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream.refused")


@contextmanager
def served(world: World) -> Iterator[str]:
    """The host behind a real port, for a client that brings its own connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


def _use_the_published_client(url: str, token: str, endpoint: str) -> None:
    from sonzai import Sonzai

    with closing(Sonzai(api_key=token, base_url=url)) as client:
        _exercise(client, endpoint)


def _exercise(client: Any, endpoint: str) -> None:
    from sonzai._exceptions import APIError

    assert not client.custom_llm.get("shop").configured
    made = client.custom_llm.set("shop", endpoint=endpoint, api_key=OWN_KEY, model=OWN_MODEL, display_name="Ours")
    assert (made.endpoint, made.api_key_prefix, made.model) == (endpoint, OWN_KEY[:8], OWN_MODEL)
    assert (made.display_name, made.is_active, made.configured) == ("Ours", True, True)
    assert client.custom_llm.get("shop").model == OWN_MODEL
    with pytest.raises(APIError) as failure:
        client.custom_llm.set("shop", endpoint="http://10.0.0.1/v1", api_key=OWN_KEY)
    assert "10.0.0.1" in str(failure.value)
    client.custom_llm.delete("shop")
    assert not client.custom_llm.get("shop").configured


async def test_the_published_client_works_unmodified(world: World, owner: httpx.AsyncClient) -> None:
    """It can be installed on Python 3.12 and newer only; the tests above speak the same requests everywhere."""
    try:
        import sonzai  # noqa: F401
    except ImportError:
        return
    with served(world) as url:
        server = uvicorn.Server(uvicorn.Config(world.host.asgi(), port=int(url.rpartition(":")[2]), log_level="error"))
        serving = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        token = owner.headers["authorization"].removeprefix("Bearer ")
        try:
            await asyncio.to_thread(_use_the_published_client, url, token, world.own_url)
        finally:
            server.should_exit = True
            await serving
    assert threading.active_count() < 100
