"""What an author may catch: the host's codes become exceptions, and the published constructors hold."""

import pytest

from imperal_sdk import errors
from imperal_sdk.errors import (
    APIError,
    AuthError,
    CapabilityDeniedError,
    ExtensionError,
    ImperalError,
    NotFoundError,
    QuotaExceededError,
    RateLimitError,
    ValidationError,
    from_code,
)


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("request.forbidden", CapabilityDeniedError, None),
        ("request.busy", RateLimitError, 429),
        ("upstream.rate_limited", RateLimitError, 429),
        ("request.invalid", APIError, 422),
        ("request.too_large", APIError, 413),
        ("budget.exhausted", APIError, 402),
        ("upstream.unavailable", APIError, 503),
        ("vault.sealed", APIError, 503),
        ("ledger.unavailable", APIError, 503),
        ("upstream.refused", APIError, 502),
        ("a.code.of.a.later.host", APIError, 502),
    ],
)
def test_a_code_of_the_host_becomes_an_exception(code: str, kind: type[ImperalError], status: int | None) -> None:
    error = from_code(code, "what the host said")

    assert type(error) is kind
    assert getattr(error, "status_code", None) == status
    assert error.code == code, "the host's own word for it stays"
    assert str(error) == error.message == "what the host said"


@pytest.mark.parametrize(
    ("error", "code", "attributes"),
    [
        (ImperalError("m"), "unknown", {"message": "m"}),
        (APIError("m", 418), "api_error", {"status_code": 418}),
        (NotFoundError("note", "n1"), "not_found", {"status_code": 404, "resource": "note", "id": "n1"}),
        (RateLimitError(), "rate_limited", {"status_code": 429, "retry_after": 60}),
        (RateLimitError(5), "rate_limited", {"retry_after": 5}),
        (AuthError(), "auth_error", {"message": "Unauthorized"}),
        (ValidationError("title", "too long"), "validation_error", {"field": "title"}),
        (ExtensionError("my-app", "m"), "extension_error", {"app_id": "my-app"}),
        (QuotaExceededError("notes", 10), "quota_exceeded", {"resource": "notes", "limit": 10}),
    ],
)
def test_constructors_and_attributes_are_the_published_ones(
    error: ImperalError, code: str, attributes: dict[str, object]
) -> None:
    assert error.code == code
    assert {name: getattr(error, name) for name in attributes} == attributes
    assert error.message == str(error)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotFoundError("note", "n1"), ["note", "n1"]),
        (RateLimitError(5), ["5"]),
        (ValidationError("title", "too long"), ["title", "too long"]),
        (ExtensionError("my-app", "is broken"), ["my-app", "is broken"]),
        (QuotaExceededError("notes", 10), ["notes", "10"]),
    ],
)
def test_a_message_says_what_it_is_about(error: ImperalError, told: list[str]) -> None:
    assert all(word in str(error) for word in told)


def test_everything_is_caught_as_an_imperal_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    assert len(kinds) == 10
    assert all(issubclass(kind, ImperalError) for kind in kinds)
    assert {kind.__name__ for kind in kinds if issubclass(kind, APIError)} == {
        "APIError",
        "NotFoundError",
        "RateLimitError",
    }
