"""What a platform admin sets: the platform's model, parameter layers, tokens; and why a value is what it is."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.bodies import LlmBody, TokenBody, read, shown
from imperal_host.api.rooms import Rooms
from imperal_host.errors import NotFoundError
from imperal_host.gateway.binding import Owner, platform_owner
from imperal_host.gateway.parameters import LayerKey
from imperal_host.gateway.planning import Explanation
from imperal_host.identity import Principal, TenantId, UserId
from imperal_sdk.llm import Parameters


async def list_layers(request: Request, rooms: Rooms, principal: Principal) -> Response:
    layers = await rooms.layers.all()
    return JSONResponse({"layers": [layer_body(key, parameters) for key, parameters in layers]})


async def get_layer(request: Request, rooms: Rooms, principal: Principal) -> Response:
    key = _key(request)
    return JSONResponse(layer_body(key, await rooms.layers.get(key)))


async def put_layer(request: Request, rooms: Rooms, principal: Principal) -> Response:
    key = _key(request)
    parameters = await read(request, Parameters, rooms.body_bytes_max)
    await rooms.layers.put(key, parameters)
    return JSONResponse(layer_body(key, parameters))


async def delete_layer(request: Request, rooms: Rooms, principal: Principal) -> Response:
    key = _key(request)
    if not await rooms.layers.delete(key):
        raise NotFoundError(f"nothing is set for {key}")
    return Response(status_code=204)


async def explain(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """``tenant`` and ``user`` say for whom; ``extension`` and ``purpose`` say for what."""
    asked = request.query_params
    subject = Principal(TenantId(asked.get("tenant", principal.tenant)), UserId(asked.get("user", principal.user)))
    found = await rooms.planner.explain(
        subject, asked.get("extension", ""), asked.get("purpose", ""), asked.get("project", "")
    )
    return JSONResponse(explanation_body(found))


async def get_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return JSONResponse(shown(await rooms.bindings.get(_platform_owner(request))))


async def put_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    body = await read(request, LlmBody, rooms.body_bytes_max)
    return JSONResponse(shown(await rooms.bindings.put(_platform_owner(request), body.draft())))


async def delete_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    if not await rooms.bindings.delete(_platform_owner(request)):
        raise NotFoundError("no platform model is configured here")
    return Response(status_code=204)


async def list_tokens(request: Request, rooms: Rooms, principal: Principal) -> Response:
    tokens = [
        {
            "id": info.id,
            "tenant": info.principal.tenant,
            "user": info.principal.user,
            "role": info.principal.role,
            "created_at": info.created_at,
            "revoked": info.revoked,
        }
        for info in await rooms.tokens.all()
    ]
    return JSONResponse({"tokens": tokens})


async def create_token(request: Request, rooms: Rooms, principal: Principal) -> Response:
    body = await read(request, TokenBody, rooms.body_bytes_max)
    subject = Principal(TenantId(body.tenant), UserId(body.user), body.email, body.role, tuple(body.scopes))
    return JSONResponse({"token": await rooms.tokens.create(subject)}, status_code=201)


async def revoke_token(request: Request, rooms: Rooms, principal: Principal) -> Response:
    await rooms.tokens.revoke(request.path_params["id"])
    return Response(status_code=204)


def layer_body(key: LayerKey, parameters: Parameters) -> dict[str, object]:
    return {"extension": key.extension, "purpose": key.purpose, "parameters": parameters.said()}


def explanation_body(found: Explanation) -> dict[str, object]:
    return {
        "provider": found.target.vendor.name,
        "model": found.target.model,
        "is_byollm": found.target.is_byollm,
        "chosen_by": found.target.chosen_by,
        "parameters": found.resolved.values,
        "provenance": {name: origin.model_dump() for name, origin in found.resolved.provenance.items()},
    }


def _platform_owner(request: Request) -> Owner:
    key = _key(request)
    return platform_owner(key.extension, key.purpose)


def _key(request: Request) -> LayerKey:
    return LayerKey(request.path_params.get("app", ""), request.path_params.get("purpose", ""))
