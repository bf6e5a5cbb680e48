"""HTTP to ledger, with the real sandbox and the real model, in both dialects."""

import asyncio
import json
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flow.conftest import OWN_KEY, OWN_MODEL, World

DOCUMENT = (Path(__file__).parents[2] / "examples" / "document.txt").read_text()
OWN = {"provider": "anthropic", "model": OWN_MODEL, "api_key": OWN_KEY}


async def summarize(client: httpx.AsyncClient, text: str = "The cat sat on the mat.") -> httpx.Response:
    return await client.post(
        "/v1/extensions/summarizer/functions/summarize", json={"arguments": {"text": text, "max_words": 10}}
    )


async def probe(client: httpx.AsyncClient, function: str, **arguments: Any) -> httpx.Response:
    return await client.post(f"/v1/extensions/probe/functions/{function}", json={"arguments": arguments})


async def bring(world: World, client: httpx.AsyncClient, **changes: Any) -> None:
    response = await client.put("/v1/me/llm", json={**OWN, "base_url": world.own_url, **changes})
    assert response.status_code == 200, response.text


async def rows_of(client: httpx.AsyncClient, call_id: str) -> list[dict[str, Any]]:
    """The rows of one call and its attempts, oldest first."""
    entries = (await client.get("/v1/me/ledger", params={"limit": 200})).json()["entries"]
    return [e for e in reversed(entries) if call_id in (e["call_id"], e["parent"])]


def received(world: World) -> dict[str, Any]:
    """What the own model's server says it was last asked for."""
    address = world.own_url.removesuffix("/v1")
    request = urllib.request.Request(f"{address}/slots", headers={"authorization": f"Bearer {OWN_KEY}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        parameters: dict[str, Any] = json.load(response)[0]["params"]
    return parameters


@pytest.fixture(autouse=True)
async def _nobody_has_a_model(world: World) -> None:
    for client in (world.ada, world.eve):
        await client.delete("/v1/me/llm")


async def test_without_an_own_model_the_platforms_answers_and_is_priced(world: World) -> None:
    response = await summarize(world.ada, DOCUMENT)
    body = response.json()
    assert response.status_code == 200
    assert body["status"] == "success"
    assert body["data"]["text"].strip()
    usage = body["usage"]
    assert (usage["provider"], usage["model"], usage["is_byollm"]) == ("local", "SmolLM2-135M-Instruct", False)
    assert usage["cost_nano_usd"] == usage["input_tokens"] * 20 + usage["output_tokens"] * 60 > 0
    assert body["action_receipt"] == "{tenant}:{index}:{hash}".format(**body["receipt"])


async def test_with_an_own_model_the_same_call_costs_nothing(world: World) -> None:
    await bring(world, world.ada)
    body = (await summarize(world.ada, DOCUMENT)).json()
    assert body["data"]["text"].strip()
    usage = body["usage"]
    assert (usage["provider"], usage["model"], usage["is_byollm"]) == ("anthropic", OWN_MODEL, True)
    assert usage["cost_nano_usd"] == 0
    assert usage["input_tokens"] > 400
    assert usage["output_tokens"] > 0


async def test_the_four_rows_of_a_call_stand_in_order(world: World) -> None:
    await bring(world, world.ada)
    call_id = (await summarize(world.ada)).json()["call_id"]
    rows = await rows_of(world.ada, call_id)
    assert [(row["action"], row["kind"]) for row in rows] == [
        ("call", "intent"),
        ("llm", "intent"),
        ("llm", "outcome"),
        ("call", "outcome"),
    ]
    assert [row["details"].get("outcome") for row in rows] == [None, None, "ok", "ok"]
    details = rows[2]["details"]
    assert (details["provider"], details["model"], details["is_byollm"]) == ("anthropic", OWN_MODEL, True)
    assert details["parameter_layers"] == {"max_tokens": "call"}
    assert {row["extension"] for row in rows} == {"summarizer"}
    for before, after in pairwise(rows):
        assert after["index"] == before["index"] + 1


async def test_ctx_llm_knows_whose_model_it_is_before_the_first_call(world: World) -> None:
    await bring(world, world.ada)
    ada, eve = [(await probe(client, "whoami")).json()["data"] for client in (world.ada, world.eve)]
    assert ada["llm"] == [True, "anthropic", OWN_MODEL]
    assert eve["llm"] == [False, "local", "SmolLM2-135M-Instruct"], "the same user name in another tenant"


async def test_one_tenants_model_never_serves_another(world: World) -> None:
    await bring(world, world.ada)
    usage = (await summarize(world.eve)).json()["usage"]
    assert (usage["provider"], usage["is_byollm"]) == ("local", False)
    assert (await world.eve.get("/v1/me/llm")).json() == {"configured": False}


async def test_the_admins_parameters_reach_the_users_model_and_say_where_they_came_from(world: World) -> None:
    await bring(world, world.ada)
    layers = {
        "/v1/admin/platform": {"temperature": 0.9, "top_p": 0.5},
        "/v1/admin/purposes/content_rewrite": {"temperature": 0.4, "max_tokens": 9},
        "/v1/admin/extensions/rewriter": {"stop_sequences": ["zzz"]},
    }
    for path, parameters in layers.items():
        assert (await world.admin.put(path, json=parameters)).status_code == 200
    explained = await world.admin.get(
        "/v1/admin/explain",
        params={"tenant": "acme", "user": "ada", "extension": "rewriter", "purpose": "content_rewrite"},
    )
    assert {name: origin["layer"] for name, origin in explained.json()["provenance"].items()} == {
        "temperature": "purpose content_rewrite",
        "max_tokens": "purpose content_rewrite",
        "stop_sequences": "extension rewriter",
        "top_p": "platform",
    }
    path = "/v1/extensions/rewriter/functions/rewrite"
    body = (await world.ada.post(path, json={"arguments": {"text": "hey you"}})).json()
    assert body["status"] == "success"
    assert body["usage"]["output_tokens"] <= 9
    arrived = received(world)
    assert (round(arrived["temperature"], 3), round(arrived["top_p"], 3), arrived["max_tokens"]) == (0.4, 0.5, 9)
    for layer in layers:
        assert (await world.admin.delete(layer)).status_code == 204


async def test_a_call_wins_over_every_layer_and_zero_is_a_value(world: World) -> None:
    await bring(world, world.ada)
    await world.admin.put("/v1/admin/extensions/probe", json={"temperature": 1.5, "max_tokens": 100})
    data = (await probe(world.ada, "asks", text="Say hi")).json()["data"]
    assert data["layers"] == {"temperature": "call", "max_tokens": "call"}
    assert received(world)["temperature"] == 0.0
    assert (data["provider"], data["model"], data["is_byollm"]) == ("anthropic", OWN_MODEL, True)
    assert data["stop_reason"] in ("max_tokens", "end_turn")
    await world.admin.delete("/v1/admin/extensions/probe")


async def test_ctx_ai_reaches_the_same_model_whatever_it_wishes_for(world: World) -> None:
    await bring(world, world.ada)
    body = (await probe(world.ada, "completes", text="Say hi")).json()
    data = body["data"]
    assert data["model"] == OWN_MODEL
    assert data["tokens_used"] == data["usage"]["input_tokens"] + data["usage"]["output_tokens"]
    attempt = (await rows_of(world.ada, body["call_id"]))[1]
    assert attempt["details"]["model_asked"] == "claude-sonnet-4-6"


async def test_a_wrong_key_fails_closed(world: World) -> None:
    await bring(world, world.ada, api_key="sk-wrong-7d1b94e0c2f83a56be17")
    response = await summarize(world.ada)
    body = response.json()
    assert (response.status_code, body["code"]) == (502, "upstream.refused")
    assert "refused the key" in body["message"]
    rows = await rows_of(world.ada, body["call_id"])
    assert [row["details"].get("provider") for row in rows if row["action"] == "llm"] == ["anthropic", "anthropic"]
    assert rows[-1]["details"]["outcome"] == "upstream.refused"


async def test_falling_back_is_the_users_choice_and_each_attempt_is_a_row(world: World) -> None:
    await bring(world, world.ada, api_key="sk-wrong-7d1b94e0c2f83a56be17", fallback="platform")
    body = (await summarize(world.ada)).json()
    assert body["status"] == "success"
    assert (body["usage"]["provider"], body["usage"]["is_byollm"]) == ("local", False)
    attempts = [r for r in await rows_of(world.ada, body["call_id"]) if r["action"] == "llm" and r["kind"] == "outcome"]
    assert [(a["details"]["provider"], a["details"]["outcome"]) for a in attempts] == [
        ("anthropic", "upstream.refused"),
        ("local", "ok"),
    ]
    assert attempts[0]["cost_nano_usd"] == 0 < attempts[1]["cost_nano_usd"]


async def test_an_upstream_that_is_down_is_said_so(world: World) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await bring(world, world.ada, base_url=f"http://127.0.0.1:{port}")
    response = await summarize(world.ada)
    assert (response.status_code, response.json()["code"]) == (503, "upstream.unavailable")


async def test_an_inactive_model_counts_as_none_and_keeps_its_configuration(world: World) -> None:
    await bring(world, world.ada, is_active=False)
    assert (await summarize(world.ada)).json()["usage"]["provider"] == "local"
    stored = (await world.ada.get("/v1/me/llm")).json()
    assert (stored["is_active"], stored["model"], stored["api_key_prefix"]) == (False, OWN_MODEL, OWN_KEY[:8])
    on_again = {**OWN, "base_url": world.own_url, "is_active": True}
    del on_again["api_key"]
    assert (await world.ada.put("/v1/me/llm", json=on_again)).status_code == 200
    assert (await summarize(world.ada)).json()["usage"]["is_byollm"] is True


async def test_a_text_longer_than_the_model_takes_is_refused_by_name(world: World) -> None:
    await bring(world, world.ada)
    response = await summarize(world.ada, "word " * 20_000)
    assert (response.status_code, response.json()["code"]) == (502, "upstream.refused")
    assert "context" in response.json()["message"]


async def test_what_a_function_leaves_running_ends_with_its_call(world: World) -> None:
    body = (await probe(world.ada, "asks_in_the_background", text="Tell me a long story")).json()
    assert body["status"] == "success"
    rows = await rows_of(world.ada, body["call_id"])
    assert [(row["action"], row["kind"]) for row in rows][-2:] == [("llm", "outcome"), ("call", "outcome")]
    assert rows[-2]["details"]["outcome"] == "cancelled"


async def test_the_key_is_nowhere_that_the_host_writes(world: World) -> None:
    await bring(world, world.ada)
    answers = [await summarize(world.ada), await world.ada.get("/v1/me/llm"), await world.ada.get("/v1/me/ledger")]
    for response in answers:
        assert OWN_KEY not in response.text
    files = [path for path in world.place.rglob("*") if path.is_file()]
    assert any(path.name.endswith("sqlite3") for path in files)
    for path in files:
        assert OWN_KEY.encode() not in path.read_bytes(), path


async def test_the_ledger_of_all_this_holds(world: World) -> None:
    report = await world.host.rooms.ledger.verify()
    assert report.holds
    assert report.open_intents == 0


async def test_what_one_tenant_asked_shows_in_no_count_of_another(world: World) -> None:
    secret = "The patient Zephyrine Quill was admitted on the ninth with a rare condition."
    for client in (world.ada, world.ada, world.eve):
        call_id = (await summarize(client, secret)).json()["call_id"]
        [outcome] = [r for r in await rows_of(client, call_id) if (r["action"], r["kind"]) == ("llm", "outcome")]
        assert (outcome["details"]["provider"], outcome["details"]["cached_input_tokens"]) == ("local", 0)
