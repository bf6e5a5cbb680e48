"""What somebody needs who checks the ledger: the public key, checkpoints, proofs; and a user's own receipts."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from imperal_host.api.rooms import Rooms
from imperal_host.errors import InvalidError, NotFoundError, Problem
from imperal_host.identity import CallId, Principal
from imperal_host.ledger.store import Entry
from imperal_host.verify.receipt import packed

_DIGITS_MAX = 15


async def get_key(request: Request, rooms: Rooms) -> Response:
    return JSONResponse({"key": str(rooms.ledger.key)})


async def get_checkpoint(request: Request, rooms: Rooms) -> Response:
    note = await rooms.ledger.checkpoint()
    if note is None:
        raise NotFoundError("the ledger has no row yet, and no checkpoint")
    return PlainTextResponse(note)


async def get_consistency(request: Request, rooms: Rooms) -> Response:
    """From the checkpoint of ``from`` heads to that of ``to``."""
    old, new = _size(request, "from"), _size(request, "to")
    return JSONResponse({"path": packed(await rooms.ledger.consistency(old, new))})


async def get_receipt(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """Of the call's last row, or of the one whose kind is asked for. An action of somebody else is none."""
    call, kind = CallId(request.path_params["call_id"]), request.query_params.get("kind")
    rows = [row for row in await rooms.ledger.of_call(call) if row.call_id == call and _is_of(row, principal)]
    chosen = [row for row in rows if kind in (None, row.kind)]
    if not chosen:
        raise NotFoundError(
            f"you have no row of the call {call[:80]!r}" + (f" of that kind: {kind[:20]}" if kind else "")
        )
    bundle = await rooms.ledger.receipt(principal.tenant, chosen[-1].index)
    return Response(bundle.to_json(), media_type="application/json")


def _is_of(row: Entry, principal: Principal) -> bool:
    return (row.tenant, row.user) == (principal.tenant, principal.user)


def _size(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        message = "a number of heads"
        raise InvalidError(f"{name}: {message}, not {text[:40]!r}", (Problem(name, message),))
    return int(text)
