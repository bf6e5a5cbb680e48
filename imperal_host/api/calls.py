"""Extensions and their functions."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.bodies import CallBody, read
from imperal_host.api.rooms import Rooms
from imperal_host.identity import Principal
from imperal_host.kernel.dispatch import Call, CallAnswer

_ALWAYS_THERE = {"status", "data", "summary"}


async def list_extensions(request: Request, rooms: Rooms, principal: Principal) -> Response:
    manifests = [manifest.model_dump(mode="json") for manifest in rooms.catalog.all()]
    failures = rooms.catalog.failures if principal.is_admin else {}
    return JSONResponse({"extensions": manifests, "failures": failures})


async def show_extension(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return JSONResponse(rooms.catalog.get(request.path_params["app"]).manifest.model_dump(mode="json"))


async def call_function(request: Request, rooms: Rooms, principal: Principal) -> Response:
    body = await read(request, CallBody, rooms.body_bytes_max)
    call = Call(
        request.path_params["app"],
        request.path_params["name"],
        dict(body.arguments),
        body.confirmed,
        body.project or request.headers.get("x-project", ""),
    )
    return JSONResponse(answer_body(await rooms.kernel.dispatch(principal, call)))


def answer_body(answer: CallAnswer) -> dict[str, object]:
    """The ActionResult as the published SDK serialises it (unset members absent), and what the host adds."""
    whole = answer.result.model_dump(mode="json")
    result = {name: value for name, value in whole.items() if name in _ALWAYS_THERE or value not in (None, "", False)}
    return {**result, "call_id": answer.call_id, "receipt": asdict(answer.receipt), "usage": asdict(answer.usage)}
