"""Why a request of a vendor's library is not answered."""

from typing import Any

from pydantic import ValidationError as PydanticError

from imperal_sdk.errors import APIError, CapabilityDeniedError, ImperalError, RateLimitError, ValidationError
from imperal_sdk.llm import LlmRequest


class FacadeError(Exception):
    """``status`` is HTTP's; each vendor's module knows its form."""

    def __init__(self, status: int, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def from_imperal(error: ImperalError) -> FacadeError:
    match error:
        case ValidationError():
            status = 400
        case CapabilityDeniedError():
            status = 403
        case RateLimitError():
            status = 429
        case APIError():
            status = error.status_code
        case _:
            status = 500
    return FacadeError(status, error.message, error.code)


def refused(message: str) -> FacadeError:
    return FacadeError(400, message)


def request_of(body: dict[str, Any]) -> LlmRequest:
    try:
        return LlmRequest.model_validate(body)
    except PydanticError as error:
        first = error.errors()[0]
        raise refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def chosen(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of ``names`` that the body says something about."""
    return {name: body[name] for name in names if body.get(name) is not None}
