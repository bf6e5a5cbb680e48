"""What a user may see and set: their own model, their own rows. Whose is never a parameter."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.bodies import LlmBody, read, shown
from imperal_host.api.rooms import Rooms
from imperal_host.errors import InvalidError, NotFoundError, Problem
from imperal_host.gateway.binding import owner_of
from imperal_host.identity import Principal
from imperal_host.ledger.store import Entry

_ROWS_MAX = 200
_INDEX_MAX = 2**53


async def get_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return JSONResponse(shown(await rooms.bindings.get(owner_of(principal))))


async def put_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    body = await read(request, LlmBody, rooms.body_bytes_max)
    return JSONResponse(shown(await rooms.bindings.put(owner_of(principal), body.draft())))


async def delete_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    if not await rooms.bindings.delete(owner_of(principal)):
        raise NotFoundError("you have no model of your own configured")
    return Response(status_code=204)


async def get_ledger(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """Newest first; ``before`` is the index to go on below, ``limit`` is 1 to 200."""
    limit = _number(request, "limit", _ROWS_MAX) or 50
    before = _number(request, "before", _INDEX_MAX)
    rows = await rooms.ledger.of_user(principal.tenant, principal.user, limit, before)
    next_before = rows[-1].index if len(rows) == limit and rows[-1].index else None
    return JSONResponse({"entries": [entry_body(row) for row in rows], "next_before": next_before})


def entry_body(entry: Entry) -> dict[str, object]:
    return {**entry.content, "hash": entry.hash.hex()}


def _number(request: Request, name: str, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0
    if not 1 <= number <= most:
        message = f"a number from 1 to {most:,}"
        raise InvalidError(f"{name}: {message}, not {text[:40]!r}", (Problem(name, message),))
    return number
