"""Every route, on one screen."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from imperal_host.api import admin, calls, me, projects, proofs, trials, usage
from imperal_host.api.auth import Doors
from imperal_host.api.errors import on_bug, on_host_error, on_http_error
from imperal_host.api.rooms import Rooms
from imperal_host.errors import HostError

_LAYER_PATHS = (
    "/v1/admin/platform",
    "/v1/admin/purposes/{purpose}",
    "/v1/admin/extensions/{app}",
    "/v1/admin/extensions/{app}/purposes/{purpose}",
)


_PLATFORM_MODEL_PATHS = (
    "/v1/admin/llm",
    "/v1/admin/purposes/{purpose}/llm",
    "/v1/admin/extensions/{app}/llm",
)
_CUSTOM_LLM_PATH = "/api/v1/projects/{project}/custom-llm"


async def healthz(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def build(rooms: Rooms) -> Starlette:
    to = Doors(rooms)
    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/v1/extensions", to.user(calls.list_extensions), methods=["GET"]),
        Route("/v1/extensions/{app}", to.user(calls.show_extension), methods=["GET"]),
        Route("/v1/extensions/{app}/functions/{name}", to.user(calls.call_function), methods=["POST"]),
        Route("/v1/me/llm", to.user(me.get_llm), methods=["GET"]),
        Route("/v1/me/llm", to.user(me.put_llm), methods=["PUT"]),
        Route("/v1/me/llm", to.user(me.delete_llm), methods=["DELETE"]),
        Route("/v1/me/usage", to.user(usage.get_usage), methods=["GET"]),
        Route("/v1/me/statement", to.user(usage.get_statement), methods=["GET"]),
        Route("/v1/me/ledger", to.user(me.get_ledger), methods=["GET"]),
        Route("/v1/me/ledger/{call_id}/receipt", to.user(proofs.get_receipt), methods=["GET"]),
        Route("/v1/ledger/key", to.anybody(proofs.get_key), methods=["GET"]),
        Route("/v1/ledger/checkpoint", to.anybody(proofs.get_checkpoint), methods=["GET"]),
        Route("/v1/ledger/consistency", to.anybody(proofs.get_consistency), methods=["GET"]),
        Route(_CUSTOM_LLM_PATH, to.user(projects.get_custom_llm), methods=["GET"]),
        Route(_CUSTOM_LLM_PATH, to.user(projects.put_custom_llm), methods=["PUT"]),
        Route(_CUSTOM_LLM_PATH, to.user(projects.delete_custom_llm), methods=["DELETE"]),
        *(Route(path, to.admin(admin.get_llm), methods=["GET"]) for path in _PLATFORM_MODEL_PATHS),
        *(Route(path, to.admin(admin.put_llm), methods=["PUT"]) for path in _PLATFORM_MODEL_PATHS),
        *(Route(path, to.admin(admin.delete_llm), methods=["DELETE"]) for path in _PLATFORM_MODEL_PATHS),
        *(Route(f"{path}/test", to.admin(trials.try_platform), methods=["POST"]) for path in _PLATFORM_MODEL_PATHS),
        Route("/v1/me/llm/test", to.user(trials.try_mine), methods=["POST"]),
        Route("/v1/admin/parameters", to.admin(admin.list_layers), methods=["GET"]),
        Route("/v1/admin/explain", to.admin(admin.explain), methods=["GET"]),
        Route("/v1/admin/tokens", to.admin(admin.list_tokens), methods=["GET"]),
        Route("/v1/admin/tokens", to.admin(admin.create_token), methods=["POST"]),
        Route("/v1/admin/tokens/{id}", to.admin(admin.revoke_token), methods=["DELETE"]),
        *(Route(path, to.admin(admin.get_layer), methods=["GET"]) for path in _LAYER_PATHS),
        *(Route(path, to.admin(admin.put_layer), methods=["PUT"]) for path in _LAYER_PATHS),
        *(Route(path, to.admin(admin.delete_layer), methods=["DELETE"]) for path in _LAYER_PATHS),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HostError: on_host_error, HTTPException: on_http_error, Exception: on_bug},
    )
