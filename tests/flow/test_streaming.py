"""A streamed answer from a real model, through the host, into a real sandbox; and what the ledger says of it."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.flow.conftest import World
from tests.flow.test_one_call import bring, rows_of


async def ask(client: httpx.AsyncClient, function: str, **arguments: Any) -> httpx.Response:
    return await client.post(f"/v1/extensions/modeller/functions/{function}", json={"arguments": arguments})


@pytest.fixture(autouse=True)
async def _nobody_has_a_model(world: World) -> None:
    await world.ada.delete("/v1/me/llm")


@pytest.mark.parametrize("own", ["", "openai_compatible", "anthropic"])
async def test_an_answer_comes_in_pieces_and_is_whole(world: World, own: str) -> None:
    if own:
        await bring(world, world.ada, provider=own)
    body = (await ask(world.ada, "streams")).json()
    data = body["data"]
    assert data["deltas"] > 3
    assert data["text"] == data["whole"] != ""
    assert data["last"] == ["usage", "stop"]
    outcome = next(
        row for row in await rows_of(world.ada, body["call_id"]) if row["parent"] and row["kind"] == "outcome"
    )
    details = outcome["details"]
    assert (details["outcome"], details["exact"], details["is_byollm"]) == ("ok", True, bool(own))
    assert details["output_tokens"] == body["usage"]["output_tokens"] > 3
    assert (outcome["cost_nano_usd"] == 0) is bool(own)


async def test_what_is_left_in_the_middle_is_closed_and_posted_as_partial(world: World) -> None:
    begun = asyncio.get_running_loop().time()
    body = (await ask(world.ada, "streams", text="Tell a very long story.", max_tokens=1_500, stop_after=2)).json()
    assert body["data"]["left"]
    rows = [row for row in await rows_of(world.ada, body["call_id"]) if row["parent"] and row["kind"] == "outcome"]
    (outcome,) = rows
    assert outcome["details"]["outcome"] == "cancelled"
    assert outcome["details"]["partial"] is True
    assert 0 < outcome["details"]["output_tokens"] < 500
    assert 0 < outcome["cost_nano_usd"] < 1_500 * 60
    assert asyncio.get_running_loop().time() - begun < 30, "the rest was waited for"


async def test_a_caller_that_goes_away_ends_the_stream(world: World) -> None:
    call = asyncio.ensure_future(ask(world.ada, "lingers", text="Tell a very long story.", max_tokens=1_500))
    await asyncio.sleep(2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    entries = (await world.ada.get("/v1/me/ledger", params={"limit": 2})).json()["entries"]
    assert [(row["kind"], row["details"]["outcome"]) for row in entries] == [("outcome", "cancelled")] * 2


async def test_an_object_of_a_schema_is_an_object_of_the_schema(world: World) -> None:
    body = (await ask(world.ada, "parses", text="Berlin has 3600000 people.", max_tokens=120)).json()
    assert set(body["data"]) == {"city", "people"}
    assert isinstance(body["data"]["people"], int)


async def test_an_estimate_sends_nothing_and_bounds_the_cost(world: World) -> None:
    body = (await ask(world.ada, "estimates", text="hello", max_tokens=7)).json()
    data = body["data"]
    assert (data["model"], data["output_tokens_max"], data["is_byollm"]) == ("SmolLM2-135M-Instruct", 7, False)
    assert data["counted"] == data["input_tokens"] > 0
    assert data["cost_nano_usd_max"] >= data["input_tokens"] * 20 + 7 * 60
    assert {row["action"] for row in await rows_of(world.ada, body["call_id"])} == {"call"}
