"""A project's Custom LLM: one OpenAI-compatible endpoint a project, as the published client of that product speaks it
(the package ``sonzai``, ``client.custom_llm``)."""

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imperal_host.api.bodies import read
from imperal_host.api.rooms import Rooms
from imperal_host.errors import ForbiddenError, InvalidError, Problem
from imperal_host.gateway.binding import Binding, BindingDraft, Owner, project_owner
from imperal_host.identity import Principal

_PROVIDER = "custom"
_ANY_MODEL = "default"  # some servers serve one model, whatever it is called


class CustomLlmBody(BaseModel):
    """Snake case or camel case. ``api_key`` and ``model`` left out keep what is stored."""

    model_config = ConfigDict(extra="forbid")
    endpoint: str
    api_key: str | None = Field(None, validation_alias=AliasChoices("api_key", "apiKey"))
    model: str | None = None
    display_name: str | None = Field(None, validation_alias=AliasChoices("display_name", "displayName"))
    is_active: bool | None = Field(None, validation_alias=AliasChoices("is_active", "isActive"))

    def draft(self, stored: Binding | None) -> BindingDraft:
        return BindingDraft(
            _PROVIDER,
            self.model or (stored.model if stored else _ANY_MODEL),
            self.endpoint,
            self.display_name if self.display_name is not None else (stored.display_name if stored else ""),
            self.is_active is not False,
            "error",
            self.api_key,
        )


async def get_custom_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    return JSONResponse(_shown(await rooms.bindings.get(_owner(request, principal))))


async def put_custom_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """Repeating it changes nothing more, so an ``Idempotency-Key`` needs no memory here."""
    owner = _owner(request, principal)
    body = await read(request, CustomLlmBody, rooms.body_bytes_max)
    draft = body.draft(await rooms.bindings.get(owner))
    try:
        return JSONResponse(_shown(await rooms.bindings.put(owner, draft)))
    except InvalidError as error:
        problems = tuple(Problem(p.field.replace("base_url", "endpoint"), p.message) for p in error.problems)
        raise InvalidError("; ".join(f"{p.field}: {p.message}" for p in problems), problems) from None


async def delete_custom_llm(request: Request, rooms: Rooms, principal: Principal) -> Response:
    """204 whether there was one or not."""
    await rooms.bindings.delete(_owner(request, principal))
    return Response(status_code=204)


def _owner(request: Request, principal: Principal) -> Owner:
    project = request.path_params["project"]
    owner = project_owner(principal.tenant, project)
    if not principal.may_use_project(project):
        raise ForbiddenError(f"this token may not use the project {project!r}; it needs the scope project:{project}")
    return owner


def _shown(binding: Binding | None) -> dict[str, object]:
    return {
        "endpoint": binding.base_url if binding else "",
        "api_key_prefix": binding.key_prefix if binding else "",
        "model": binding.model if binding else "",
        "display_name": binding.display_name if binding else "",
        "is_active": binding.is_active if binding else False,
        "configured": binding is not None,
    }
