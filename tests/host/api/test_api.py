"""The HTTP doors, and what they do with the worst input."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperal_host import errors
from imperal_host.api.errors import STATUS, status_of
from imperal_host.app import Host
from imperal_host.identity import Principal, TenantId, UserId
from tests.conftest import FIXTURES, host_on, settings_in

KEY = "sk-live-0123456789abcdefghij"
LLM = {"provider": "openai", "model": "gpt-4.1", "api_key": KEY}


@dataclass(frozen=True)
class Doors:
    host: Host
    anyone: httpx.AsyncClient
    ada: httpx.AsyncClient
    admin: httpx.AsyncClient


@pytest.fixture(scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    place = tmp_path_factory.mktemp("api")
    async with host_on(settings_in(place, extensions_dir=FIXTURES / "extensions", body_bytes_max=100_000)) as host:
        transport = httpx.ASGITransport(host.asgi(), raise_app_exceptions=False)
        clients = [httpx.AsyncClient(transport=transport, base_url="http://host")]
        for principal in (
            Principal(TenantId("acme"), UserId("ada")),
            Principal(TenantId("platform"), UserId("root"), role="admin"),
        ):
            token = await host.stores.tokens.create(principal)
            clients.append(
                httpx.AsyncClient(
                    transport=transport, base_url="http://host", headers={"authorization": f"Bearer {token}"}
                )
            )
        yield Doors(host, *clients)
        for client in clients:
            await client.aclose()


ROUTES = [
    ("GET", "/v1/extensions"),
    ("GET", "/v1/extensions/probe"),
    ("POST", "/v1/extensions/probe/functions/double"),
    ("GET", "/v1/me/llm"),
    ("PUT", "/v1/me/llm"),
    ("DELETE", "/v1/me/llm"),
    ("GET", "/v1/me/ledger"),
    ("GET", "/v1/me/ledger/x/receipt"),
]
ROUTES += [("POST", "/v1/me/llm/test"), ("GET", "/v1/me/usage"), ("GET", "/v1/me/statement")]
ROUTES += [(method, "/api/v1/projects/shop/custom-llm") for method in ("GET", "PUT", "DELETE")]
PUBLIC_ROUTES = [
    ("GET", "/healthz"),
    ("GET", "/v1/ledger/key"),
    ("GET", "/v1/ledger/checkpoint"),
    ("GET", "/v1/ledger/consistency"),
]
ADMIN_ROUTES = [
    ("GET", "/v1/admin/llm"),
    ("PUT", "/v1/admin/llm"),
    ("DELETE", "/v1/admin/llm"),
    ("GET", "/v1/admin/parameters"),
    ("GET", "/v1/admin/explain"),
    ("GET", "/v1/admin/tokens"),
    ("POST", "/v1/admin/tokens"),
    ("DELETE", "/v1/admin/tokens/x"),
    *(
        (method, path)
        for method in ("GET", "PUT", "DELETE")
        for path in (
            "/v1/admin/platform",
            "/v1/admin/purposes/p",
            "/v1/admin/extensions/probe",
            "/v1/admin/extensions/probe/purposes/p",
        )
    ),
]
ADMIN_ROUTES += [
    (method, f"/v1/admin/{layer}/llm")
    for layer in ("purposes/draft", "extensions/rewriter")
    for method in ("GET", "PUT", "DELETE")
]
ADMIN_ROUTES += [
    ("POST", f"/v1/admin/{place}/test") for place in ("llm", "purposes/draft/llm", "extensions/rewriter/llm")
]


async def test_health_needs_no_token(doors: Doors) -> None:
    assert (await doors.anyone.get("/healthz")).json() == {"status": "ok"}


async def test_every_route_is_in_these_tables(doors: Doors) -> None:
    app = doors.host.asgi()
    declared = {(m, r.path) for r in app.routes for m in r.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert len(declared) == len(ROUTES) + len(ADMIN_ROUTES) + len(PUBLIC_ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES + ADMIN_ROUTES)
@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer imp_nope"}, {"authorization": "Basic YTpi"}])
async def test_without_a_known_token_nothing_opens(
    doors: Doors, method: str, path: str, header: dict[str, str]
) -> None:
    response = await doors.anyone.request(method, path, headers=header)
    assert (response.status_code, response.json()["code"]) == (401, "request.unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
async def test_a_user_is_no_admin(doors: Doors, method: str, path: str) -> None:
    response = await doors.ada.request(method, path, json={})
    assert (response.status_code, response.json()["code"]) == (403, "request.forbidden")


async def test_a_revoked_token_stops_with_the_next_request(doors: Doors) -> None:
    made = await doors.admin.post("/v1/admin/tokens", json={"tenant": "acme", "user": "temp"})
    assert made.status_code == 201
    headers = {"authorization": f"Bearer {made.json()['token']}"}
    assert (await doors.anyone.get("/v1/me/llm", headers=headers)).status_code == 200
    tokens = (await doors.admin.get("/v1/admin/tokens")).json()["tokens"]
    [token_id] = [token["id"] for token in tokens if token["user"] == "temp"]
    assert (await doors.admin.delete(f"/v1/admin/tokens/{token_id}")).status_code == 204
    assert (await doors.anyone.get("/v1/me/llm", headers=headers)).status_code == 401
    assert (await doors.admin.delete(f"/v1/admin/tokens/{token_id}")).status_code == 404
    assert made.json()["token"] not in str(tokens)


async def test_the_manifest_is_shown_with_its_schemas(doors: Doors) -> None:
    listed = (await doors.ada.get("/v1/extensions")).json()
    assert {m["app_id"] for m in listed["extensions"]} >= {"probe", "summarizer", "rewriter", "twin-a", "twin-b"}
    manifest = (await doors.ada.get("/v1/extensions/probe")).json()
    [double] = [function for function in manifest["functions"] if function["name"] == "double"]
    assert double["parameters"]["properties"]["value"]["type"] == "integer"


async def test_a_call_is_answered_in_the_published_shape(doors: Doors) -> None:
    response = await doors.ada.post("/v1/extensions/probe/functions/double", json={"params": {"value": 4}})
    body = response.json()
    assert set(body) == {"status", "data", "summary", "action_receipt", "call_id", "receipt", "usage"}
    assert (body["status"], body["data"], body["usage"]["cost_nano_usd"]) == ("success", {"double": 8}, 0)
    reported = (await doors.ada.post("/v1/extensions/probe/functions/report_error", json={})).json()
    assert (reported["status"], reported["error"], reported["error_code"], reported["retryable"]) == (
        "error",
        "no such note",
        "NOTE_MISSING",
        True,
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("probe/functions/double", {"arguments": {"value": -1}}, 422, "request.invalid"),
        ("probe/functions/double", {"arguments": []}, 422, "request.invalid"),
        ("probe/functions/double", {"arguments": {}, "tenant": "globex"}, 422, "request.invalid"),
        ("probe/functions/nothing", {}, 404, "request.not_found"),
        ("nothing/functions/double", {}, 404, "request.not_found"),
        ("probe/functions/wipe", {"arguments": {"text": "x"}}, 409, "request.confirmation_required"),
        ("probe/functions/raises", {}, 502, "extension.raised"),
        ("probe/functions/exits", {}, 502, "extension.stopped"),
    ],
)
async def test_what_goes_wrong_is_a_problem_document(
    doors: Doors, path: str, body: Any, status: int, code: str
) -> None:
    response = await doors.ada.post(f"/v1/extensions/{path}", json=body)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["title"]
    assert problem["detail"] == problem["message"] != ""
    assert all(item["field"] and item["message"] for item in problem.get("errors", []))
    assert ("errors" in problem) is (status == 422)


async def test_a_refused_destructive_call_says_what_it_would_do(doors: Doors) -> None:
    path = "/v1/extensions/probe/functions/wipe"
    refused = (await doors.ada.post(path, json={"arguments": {"text": "all"}})).json()
    assert refused["would"]["arguments"] == {"text": "all"}
    confirmed = await doors.ada.post(path, json={"arguments": {"text": "all"}, "confirmed": True})
    assert confirmed.json()["data"] == {"wiped": "all"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 50_000, b'{"arguments":' * 5_000, b"{}" + b" " * 99_000],
)
async def test_any_body_gets_an_answer_and_never_a_server_error(doors: Doors, content: bytes) -> None:
    response = await doors.ada.post("/v1/extensions/probe/functions/double", content=content)
    assert response.status_code == 422


async def test_a_body_over_the_limit_is_not_read_to_its_end(doors: Doors) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield b"x" * 10_000

    response = await doors.ada.post("/v1/extensions/probe/functions/double", content=endless())
    assert (response.status_code, response.json()["code"]) == (413, "request.too_large")
    assert read < 50


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/v1/extensions/a/b/c", 404)])
async def test_an_unknown_path_is_a_problem_document_too(doors: Doors, path: str, status: int) -> None:
    response = await doors.ada.get(path)
    assert (response.status_code, response.json()["code"]) == (status, "request.not_found")
    wrong_method = await doors.ada.delete("/v1/extensions")
    assert (wrong_method.status_code, set(wrong_method.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


async def test_a_users_model_is_stored_shown_without_its_key_and_removed(doors: Doors) -> None:
    assert (await doors.ada.get("/v1/me/llm")).json() == {"configured": False}
    put = await doors.ada.put("/v1/me/llm", json={**LLM, "display_name": "Mine"})
    shown = put.json()
    assert shown == (await doors.ada.get("/v1/me/llm")).json()
    assert (shown["api_key_prefix"], shown["base_url"], shown["version"]) == (KEY[:8], "https://api.openai.com/v1", 1)
    assert KEY not in put.text
    assert (await doors.ada.delete("/v1/me/llm")).status_code == 204
    assert (await doors.ada.delete("/v1/me/llm")).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"api_key": "sk-with\nbreak-0123456789ab"}, "api_key"),
        ({"api_key": "sk with space 0123456789ab"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "k" * 5000}, "api_key"),
        ({"api_key": "schlüssel-0123456789abcdef"}, "api_key"),
        ({"provider": "nobody"}, "provider"),
        ({"model": ""}, "model"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "base_url"),
        ({"base_url": "https://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "https://[::ffff:10.0.0.1]/"}, "base_url"),
        ({"base_url": "file:///etc/passwd"}, "base_url"),
        ({"base_url": "https://user:pass@example.com/"}, "base_url"),
        ({"base_url": "http://example.com/v1"}, "base_url"),
        ({"fallback": "maybe"}, "fallback"),
        ({"owner": "user/eve"}, "owner"),
    ],
)
async def test_a_model_that_cannot_work_is_refused_and_nothing_is_stored(
    doors: Doors, change: dict[str, Any], field: str
) -> None:
    response = await doors.ada.put("/v1/me/llm", json={**LLM, **change})
    assert (response.status_code, response.json()["code"]) == (422, "request.invalid")
    assert field in [item["field"] for item in response.json()["errors"]]
    assert change.get("api_key") in (None, "") or str(change["api_key"]) not in response.text
    assert (await doors.ada.get("/v1/me/llm")).json() == {"configured": False}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/admin/platform",
        "/v1/admin/purposes/chain_narrator",
        "/v1/admin/extensions/probe",
        "/v1/admin/extensions/probe/purposes/chain_narrator",
    ],
)
async def test_a_layer_is_set_shown_and_removed(doors: Doors, path: str) -> None:
    assert (await doors.admin.get(path)).json()["parameters"] == {}
    put = await doors.admin.put(path, json={"temperature": 0.0, "max_tokens": 800})
    assert put.json()["parameters"] == {"temperature": 0.0, "max_tokens": 800}
    assert (await doors.admin.get(path)).json() == put.json()
    assert put.json() in (await doors.admin.get("/v1/admin/parameters")).json()["layers"]
    assert (await doors.admin.delete(path)).status_code == 204
    assert (await doors.admin.delete(path)).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"temperature": 3}, {"max_tokens": 0}, {"top_p": "much"}, {"temprature": 1}, {"stop_sequences": [""]}]
)
async def test_a_layer_with_a_wrong_value_is_refused_whole(doors: Doors, wrong: dict[str, Any]) -> None:
    response = await doors.admin.put("/v1/admin/platform", json={"top_p": 0.5, **wrong})
    assert response.status_code == 422
    assert (await doors.admin.get("/v1/admin/platform")).json()["parameters"] == {}


async def test_the_ledger_is_paged_newest_first_and_only_ones_own(doors: Doors) -> None:
    for value in range(3):
        await doors.ada.post("/v1/extensions/probe/functions/double", json={"arguments": {"value": value}})
    seen: list[int] = []
    before: int | None = None
    while True:
        query = {"limit": 2, **({"before": before} if before else {})}
        page = (await doors.ada.get("/v1/me/ledger", params=query)).json()
        assert {(e["tenant"], e["user"]) for e in page["entries"]} <= {("acme", "ada")}
        seen += [e["index"] for e in page["entries"]]
        before = page["next_before"]
        if before is None:
            break
    assert seen == sorted(set(seen), reverse=True)
    assert seen[-1] == 0
    assert (await doors.admin.get("/v1/me/ledger")).json() == {"entries": [], "next_before": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=-1", "limit=ten", "before=1e3", "limit=٣", "before=" + "9" * 40]
)
async def test_a_page_that_is_no_number_is_refused(doors: Doors, query: str) -> None:
    assert (await doors.ada.get(f"/v1/me/ledger?{query}")).status_code == 422


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HostError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= STATUS.get(kind, 500) < 600 for kind in kinds)
    assert status_of(errors.DeadlineError("x")) == 504
    assert status_of(errors.IntegrityError("x")) == 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(body=json_values)
@settings(max_examples=40, deadline=None)
async def test_no_json_opens_a_door_wrongly_or_breaks_it(doors: Doors, body: Any) -> None:
    for client, method, path in (
        (doors.ada, "POST", "/v1/extensions/probe/functions/nothing"),
        (doors.ada, "PUT", "/v1/me/llm"),
        (doors.admin, "POST", "/v1/admin/tokens"),
        (doors.admin, "PUT", "/v1/admin/purposes/fuzz"),
    ):
        response = await client.request(method, path, content=json.dumps(body))
        harmless = body == {} and path.endswith(("fuzz", "nothing"))
        assert response.status_code in ((200, 404) if harmless else (404, 422)), (path, body, response.text)


@pytest.mark.parametrize("body", ['{"arguments": {"value": NaN}}', '{"arguments": {"value": Infinity}}', "NaN"])
async def test_what_json_has_no_number_for_is_not_json(doors: Doors, body: str) -> None:
    response = await doors.ada.post("/v1/extensions/probe/functions/double", content=body)
    assert (response.status_code, response.json()["code"]) == (422, "request.invalid")


async def test_a_large_integer_is_carried_whole_and_an_endless_one_refused(doors: Doors) -> None:
    path = "/v1/extensions/probe/functions/double"
    response = await doors.ada.post(path, json={"arguments": {"value": 10**30}})
    assert response.json()["data"] == {"double": 2 * 10**30}
    endless = await doors.ada.post(path, content=b'{"arguments": {"value": ' + b"9" * 5_000 + b"}}")
    assert (endless.status_code, endless.json()["code"]) == (422, "request.invalid")


@pytest.mark.parametrize("yes", ["yes", 1, "true", None])
async def test_only_true_confirms(doors: Doors, yes: object) -> None:
    body = {"arguments": {"text": "all"}, "confirmed": yes}
    response = await doors.ada.post("/v1/extensions/probe/functions/wipe", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "request.invalid")


async def test_arguments_beside_their_place_are_told_where_it_is(doors: Doors) -> None:
    response = await doors.ada.post("/v1/extensions/probe/functions/double", json={"value": 1})
    assert 'under "arguments"' in response.json()["message"]


async def test_an_empty_put_is_refused_and_changes_nothing(doors: Doors) -> None:
    path = "/v1/admin/purposes/kept"
    await doors.admin.put(path, json={"max_tokens": 5})
    assert (await doors.admin.put(path, content=b"")).status_code == 422
    assert (await doors.admin.get(path)).json()["parameters"] == {"max_tokens": 5}


@pytest.mark.parametrize("path", ["/v1/admin/purposes/a%20b", "/v1/admin/extensions/No%20Such"])
async def test_a_layer_that_could_never_match_is_refused(doors: Doors, path: str) -> None:
    response = await doors.admin.put(path, json={"max_tokens": 5})
    assert (response.status_code, response.json()["code"]) == (422, "request.invalid")
