"""What a user has used: sums of their own ledger rows."""

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.rooms import Rooms
from imperal_host.billing.statement import By, statement
from imperal_host.errors import InvalidError, Problem
from imperal_host.identity import Principal

_DAYS = 30
_FAR = date(9999, 1, 1)


async def get_usage(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """``from`` and ``to`` are days (UTC, ISO 8601), the last is left out; the last 30 days if neither is given.
    ``by`` is model, extension, purpose or day."""
    asked = request.query_params
    to = _day(asked.get("to"), "to") or datetime.now(UTC).date() + timedelta(days=1)
    since = _day(asked.get("from"), "from") or to - timedelta(days=_DAYS)
    return await _answer(rooms, principal, since, to, _by(asked.get("by", "model")))


async def get_statement(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """``month`` is YYYY-MM, this one if it is not given."""
    text = request.query_params.get("month") or datetime.now(UTC).strftime("%Y-%m")
    since = _day(f"{text}-01", "month")
    assert since is not None
    to = (since + timedelta(days=32)).replace(day=1)
    return await _answer(rooms, principal, since, to, _by(request.query_params.get("by", "model")))


async def _answer(rooms: Rooms, principal: Principal, since: date, to: date, by: By) -> Response:
    rows = await rooms.ledger.of_user_between(principal.tenant, principal.user, _milliseconds(since), _milliseconds(to))
    made = statement(rows, by)
    return JSONResponse(
        {
            "from": since.isoformat(),
            "to": to.isoformat(),
            "by": by,
            "lines": {key: asdict(line) for key, line in sorted(made.lines.items())},
            "total": asdict(made.total),
        }
    )


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = _FAR
    if day >= _FAR:
        shown = "YYYY-MM" if name == "month" else "YYYY-MM-DD"
        raise InvalidError(f"{name}: a date, {shown}, not {text[:40]!r}", (Problem(name, f"a date, {shown}"),))
    return day


def _by(text: str) -> By:
    if text not in get_args(By):
        message = f"one of {', '.join(get_args(By))}"
        raise InvalidError(f"by: {message}, not {text[:40]!r}", (Problem("by", message),))
    return cast(By, text)


def _milliseconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
