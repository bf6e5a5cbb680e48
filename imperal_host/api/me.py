"""What a user may see and set: their own model, their own rows. Whose is never a parameter."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.bodies import LlmBody, read, shown
from imperal_host.api.rooms import Rooms
from imperal_host.errors import InvalidError, NotFoundError, Problem
from imperal_host.gateway.binding import PLATFORM, BindingDraft, Owner, owner_of
from imperal_host.identity import Principal
from imperal_host.ledger.store import Entry

_ROWS_MAX = 200


async def get_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return JSONResponse(shown(await rooms.bindings.get(owner_of(principal))))


async def put_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return await _put(request, rooms, owner_of(principal))


async def delete_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return await _delete(rooms, owner_of(principal))


async def get_platform_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return JSONResponse(shown(await rooms.bindings.get(PLATFORM)))


async def put_platform_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return await _put(request, rooms, PLATFORM)


async def delete_platform_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return await _delete(rooms, PLATFORM)


async def get_ledger(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """Newest first; ``before`` is the index to go on below, ``limit`` at most 200."""
    limit = min(_number(request, "limit", 50), _ROWS_MAX)
    before = _number(request, "before", 0) or None
    rows = await rooms.ledger.of_user(principal.tenant, principal.user, limit, before)
    next_before = rows[-1].index if len(rows) == limit and rows[-1].index else None
    return JSONResponse({"entries": [entry_body(row) for row in rows], "next_before": next_before})


def entry_body(entry: Entry) -> dict[str, object]:
    return {**entry.content, "hash": entry.hash.hex()}


async def _put(request: Request, rooms: Rooms, owner: Owner) -> Response:
    body = await read(request, LlmBody, rooms.body_bytes_max)
    return JSONResponse(shown(await rooms.bindings.put(owner, BindingDraft(**body.model_dump()))))


async def _delete(rooms: Rooms, owner: Owner) -> Response:
    if not await rooms.bindings.delete(owner):
        raise NotFoundError("no model is configured here")
    return Response(status_code=204)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidError(f"{name}: a whole number, not {text[:40]!r}", (Problem(name, "a whole number"),))
    return int(text)
