"""Bodies in and out."""

import asyncio
import json
from typing import NoReturn, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, JsonValue, StrictBool, ValidationError, model_validator
from starlette.requests import Request

from imperal_host.errors import InvalidError, Problem, TooLargeError
from imperal_host.gateway.binding import Binding, BindingDraft, Fallback

B = TypeVar("B", bound=BaseModel)
_BODY_SECONDS_MAX = 30.0


class CallBody(BaseModel):
    """``params`` is what the published gateway calls the arguments."""

    model_config = ConfigDict(extra="forbid")
    arguments: dict[str, JsonValue] = Field({}, validation_alias=AliasChoices("arguments", "params"))
    confirmed: StrictBool = False
    project: str = Field("", max_length=128)

    @model_validator(mode="before")
    @classmethod
    def _arguments_are_below(cls, body: object) -> object:
        if isinstance(body, dict) and not body.keys() <= {"arguments", "params", "confirmed", "project"}:
            raise ValueError('put the function\'s arguments under "arguments": {"arguments": {...}}')
        return body


class LlmBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    provider: str
    model: str
    base_url: str = ""
    display_name: str = ""
    is_active: bool = True
    fallback: Fallback = "error"
    api_key: str | None = None
    models: dict[str, str] = {}

    def draft(self) -> BindingDraft:
        return BindingDraft(**self.model_dump())


class TokenBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tenant: str
    user: str
    email: str = ""
    role: str = Field("user", pattern="^(user|admin)$")
    scopes: list[str] = Field([], max_length=100)


async def read(request: Request, kind: type[B], bytes_max: int) -> B:
    """The JSON body as ``kind``. Raises ``TooLargeError`` before reading past the limit, or ``InvalidError``."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise TooLargeError(f"the body is over {bytes_max:,} bytes (IMPERAL_BODY_BYTES_MAX)")
    except TimeoutError:
        raise InvalidError(f"the body did not arrive within {_BODY_SECONDS_MAX:g} s") from None
    try:
        return kind.model_validate(json.loads(bytes(body), parse_constant=_refused))
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        problems = tuple(Problem(".".join(map(str, item["loc"])) or "(body)", item["msg"]) for item in items[:20])
        raise InvalidError("; ".join(f"{p.field}: {p.message}" for p in problems), problems) from None
    except (ValueError, RecursionError) as error:
        why = "it is empty" if not body else str(error)
        raise InvalidError(f"the body is not JSON: {why}", (Problem("(body)", "not JSON"),)) from None


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


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
        "models": dict(binding.models),
        "version": binding.version,
        "updated_at": binding.updated_at,
    }
