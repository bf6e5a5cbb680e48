"""The one table from what went wrong to what HTTP says: RFC 9457 problem details.

Beside the standard members stand ``code``, ``message`` and ``errors[].field``, which clients of both
products read.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from imperal_host import errors
from imperal_host.log import logger

STATUS: dict[type[errors.HostError], int] = {
    errors.UnauthenticatedError: 401,
    errors.BudgetExhaustedError: 402,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.ConfirmationRequiredError: 409,
    errors.TooLargeError: 413,
    errors.InvalidError: 422,
    errors.BusyError: 429,
    errors.RequestError: 400,
    errors.DeadlineError: 504,
    errors.ExtensionError: 502,
    errors.RateLimitedError: 429,
    errors.UnavailableError: 503,
    errors.UpstreamError: 502,
    errors.SealedError: 503,
    errors.SandboxError: 503,
    errors.StorageError: 503,
    errors.LedgerError: 503,
    errors.HostError: 500,
}
_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    402: "Budget exhausted",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Confirmation required",
    413: "Too large",
    422: "Invalid",
    429: "Too many requests",
    500: "Internal error",
    502: "Failed behind the host",
    503: "Unavailable",
    504: "Deadline exceeded",
}


def status_of(error: errors.HostError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(status: int, code: str, message: str, **more: object) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
        **{name: value for name, value in more.items() if value},
    }
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


async def on_host_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.HostError)
    wrong = [{"field": p.field, "message": p.message} for p in getattr(error, "problems", ())]
    response = problem(
        status_of(error),
        error.code,
        str(error),
        errors=wrong,
        would=getattr(error, "would", None),
        call_id=error.call_id,
    )
    if isinstance(error, errors.BusyError):
        response.headers["retry-after"] = str(error.retry_after_seconds)
    if isinstance(error, errors.UnauthenticatedError):
        response.headers["www-authenticate"] = "Bearer"
    return response


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """What the router itself says: no such path, no such method."""
    assert isinstance(error, HTTPException)
    code = {404: "request.not_found", 405: "request.method_not_allowed"}.get(error.status_code, "request.error")
    response = problem(error.status_code, code, f"{request.method} {request.url.path}: {error.detail}")
    response.headers.update(error.headers or {})
    return response


async def on_bug(request: Request, error: Exception) -> JSONResponse:
    """A mistake of ours: the details go to the log, not to the caller."""
    logger("api").error("bug", path=request.url.path, exc_info=error)
    return problem(500, "host.error", "the host made a mistake; its log says more")
