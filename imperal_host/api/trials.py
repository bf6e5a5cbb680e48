"""``POST .../test``: try a model, before it is saved or after."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.bodies import LlmBody, read, shown
from imperal_host.api.rooms import Rooms
from imperal_host.errors import NotFoundError
from imperal_host.gateway.binding import Owner, owner_of, platform_owner
from imperal_host.gateway.resolver import Source
from imperal_host.identity import Principal


class TrialBody(BaseModel):
    """Empty: the stored model. With ``draft``: that one; and with ``save`` it is stored if it works."""

    model_config = ConfigDict(extra="forbid")
    draft: LlmBody | None = None
    save: bool = False


async def try_mine(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return await _tried(request, rooms, principal, owner_of(principal), "user")


async def try_platform(request: Request, rooms: Rooms, principal: Principal) -> Response:
    asked = request.path_params
    owner = platform_owner(asked.get("app", ""), asked.get("purpose", ""))
    return await _tried(request, rooms, principal, owner, "platform")


async def _tried(request: Request, rooms: Rooms, principal: Principal, owner: Owner, source: Source) -> Response:
    body = await read(request, TrialBody, rooms.body_bytes_max)
    answer: dict[str, Any]
    if body.draft is not None:
        draft = body.draft.draft()
        verdict = await rooms.trials.draft(principal, owner, draft, source)
        answer = {**asdict(verdict), "saved": False}
        if verdict.ok and body.save:
            answer |= {"saved": True, "config": shown(await rooms.bindings.put(owner, draft))}
        return JSONResponse(answer)
    binding = await rooms.bindings.get(owner)
    if binding is None:
        raise NotFoundError('no model is stored here; send one as "draft"')
    return JSONResponse({**asdict(await rooms.trials.stored(principal, binding, source)), "saved": True})
