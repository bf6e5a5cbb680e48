"""What an extension author may catch. ``code`` is the stable name that crosses the wire.

Names and constructors follow the published ``imperal-sdk``; ``from_code`` is how the worker turns the
host's refusal of an ask into one of them.
"""


class ImperalError(Exception):
    """Base of everything the SDK raises."""

    def __init__(self, message: str, code: str = "unknown") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class APIError(ImperalError):
    """The host, or the model behind it, answered with an error. ``status_code`` is the HTTP equivalent."""

    def __init__(self, message: str, status_code: int, code: str = "api_error") -> None:
        super().__init__(message, code)
        self.status_code = status_code


class NotFoundError(APIError):
    def __init__(self, resource: str, id: str) -> None:
        super().__init__(f"{resource} {id!r} not found", 404, "not_found")
        self.resource = resource
        self.id = id


class RateLimitError(APIError):
    """``retry_after`` is in seconds."""

    def __init__(self, retry_after: int = 60) -> None:
        super().__init__(f"rate limited; retry after {retry_after} s", 429, "rate_limited")
        self.retry_after = retry_after


class AuthError(ImperalError):
    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message, "auth_error")


class ValidationError(ImperalError):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", "validation_error")
        self.field = field


class AnswerFormatError(ValidationError):
    """A model's answer is not the ``response_model``. ``problems`` are pairs of a dotted path and a sentence."""

    def __init__(self, model: str, problems: tuple[tuple[str, str], ...], text: str) -> None:
        what = "; ".join(f"{field}: {message}" for field, message in problems)
        super().__init__(model, f"the answer does not fit: {what}")
        self.code = "upstream.malformed"
        self.problems = problems
        self.text = text


class ExtensionError(ImperalError):
    """The extension itself is declared wrongly (a duplicate function, a bad id)."""

    def __init__(self, app_id: str, message: str) -> None:
        super().__init__(f"extension {app_id!r}: {message}", "extension_error")
        self.app_id = app_id


class QuotaExceededError(ImperalError):
    def __init__(self, resource: str, limit: int) -> None:
        super().__init__(f"quota exceeded for {resource} (limit: {limit})", "quota_exceeded")
        self.resource = resource
        self.limit = limit


class CapabilityDeniedError(ImperalError):
    """The extension asked for something it was not granted."""


_STATUS = {
    "request.invalid": 422,
    "request.too_large": 413,
    "budget.exhausted": 402,
    "upstream.unavailable": 503,
    "vault.sealed": 503,
    "ledger.unavailable": 503,
}


def from_code(code: str, message: str) -> ImperalError:
    """The exception for a refused ask. ``code`` stays the host's own word for it."""
    if code == "request.forbidden":
        return CapabilityDeniedError(message, code)
    if code in ("upstream.rate_limited", "request.busy"):
        error = RateLimitError()
        error.args = (message,)
        error.message = message
        error.code = code
        return error
    return APIError(message, _STATUS.get(code, 502), code)
