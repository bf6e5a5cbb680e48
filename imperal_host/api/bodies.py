"""Bodies in and out."""

from typing import TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from starlette.requests import Request

from imperal_host.errors import InvalidError, Problem, TooLargeError
from imperal_host.gateway.binding import Binding, Fallback

B = TypeVar("B", bound=BaseModel)


class CallBody(BaseModel):
    """``params`` is what the published gateway calls the arguments."""

    model_config = ConfigDict(extra="forbid")
    arguments: dict[str, JsonValue] = Field({}, validation_alias=AliasChoices("arguments", "params"))
    confirmed: bool = False


class LlmBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    provider: str
    model: str
    base_url: str = ""
    display_name: str = ""
    is_active: bool = True
    fallback: Fallback = "error"
    api_key: str | None = None


class TokenBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tenant: str
    user: str
    email: str = Field("", max_length=320, pattern=r"^[^\x00-\x20\x7f]*$")
    role: str = Field("user", pattern="^(user|admin)$")
    scopes: list[str] = Field([], max_length=100)


async def read(request: Request, kind: type[B], bytes_max: int) -> B:
    """The JSON body as ``kind``. Raises ``TooLargeError`` before reading past the limit, or ``InvalidError``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise TooLargeError(f"the body is over {bytes_max:,} bytes (IMPERAL_BODY_BYTES_MAX)")
    try:
        return kind.model_validate_json(bytes(body) or b"{}")
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        problems = tuple(Problem(".".join(map(str, item["loc"])) or "(body)", item["msg"]) for item in items[:20])
        raise InvalidError("; ".join(f"{p.field}: {p.message}" for p in problems), problems) from None


def shown(binding: Binding | None) -> dict[str, object]:
    """A binding as it may be shown: the key's first characters, never the key."""
    if binding is None:
        return {"configured": False}
    return {
        "configured": True,
        "provider": binding.provider,
        "model": binding.model,
        "base_url": binding.base_url,
        "display_name": binding.display_name,
        "is_active": binding.is_active,
        "fallback": binding.fallback,
        "api_key_prefix": binding.key_prefix,
        "version": binding.version,
        "updated_at": binding.updated_at,
    }
