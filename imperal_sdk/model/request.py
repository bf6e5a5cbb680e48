"""The arguments of a model call, checked before anything is sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import ValidationError as PydanticError

from imperal_sdk.errors import ValidationError
from imperal_sdk.llm import LlmRequest, Parameters, ResponseSchema, Tool, ToolChoice, Unset

Messages = Sequence[Mapping[str, Any]]
_PARAMETERS = frozenset(Parameters.model_fields)


class Said(TypedDict, total=False):
    """What every form of a model call takes beside its messages.

    A parameter left out, or ``UNSET``, is decided by the cascade (admin layers, then the provider's default);
    ``0.0`` is a value. ``purpose`` names the admin's per-purpose settings. ``model`` is a wish that the host
    records; the user's and the admin's choice win. ``thinking``: ``off`` asks a reasoning model to answer at once,
    ``on`` to think first, ``auto`` leaves it to the model.
    """

    purpose: str
    model: str
    temperature: float | Unset
    top_p: float | Unset
    stop_sequences: Sequence[str] | Unset
    presence_penalty: float | Unset
    frequency_penalty: float | Unset
    seed: int | Unset
    thinking: Literal["off", "on", "auto"] | Unset


class SaidWithTools(Said, total=False):
    """``tools`` and ``tool_choice`` have Anthropic's shape; ``tool_choice`` may also be one of its types alone."""

    tools: Sequence[Tool | Mapping[str, Any]]
    tool_choice: ToolChoice | Mapping[str, Any] | Literal["auto", "any", "none"] | None


def request_of(
    messages: Messages,
    system: str,
    max_tokens: int | Unset,
    said: Mapping[str, Any],
    schema: ResponseSchema | None = None,
) -> LlmRequest:
    """Raises ``ValidationError`` naming the argument, ``TypeError`` for one that does not exist."""
    if unknown := said.keys() - SaidWithTools.__annotations__.keys():
        raise TypeError(f"unexpected argument {sorted(unknown)[0]!r}")
    parameters = {"max_tokens": max_tokens, **{name: said[name] for name in said.keys() & _PARAMETERS}}
    choice = said.get("tool_choice")
    return checked(
        {
            "messages": list(messages),
            "system": system,
            "purpose": said.get("purpose", ""),
            "model": said.get("model", ""),
            "parameters": {name: value for name, value in parameters.items() if not isinstance(value, Unset)},
            "tools": list(said.get("tools", ())),
            "tool_choice": {"type": choice} if isinstance(choice, str) else choice,
            "response_schema": schema,
        }
    )


def checked(payload: dict[str, Any]) -> LlmRequest:
    try:
        return LlmRequest.model_validate(payload)
    except PydanticError as error:
        raise invalid(error) from None


def invalid(error: PydanticError) -> ValidationError:
    first = error.errors()[0]
    return ValidationError(".".join(map(str, first["loc"])), first["msg"])


def payload_of(request: LlmRequest) -> dict[str, Any]:
    payload = request.model_dump(mode="json", exclude_none=True)
    if not request.tools:
        del payload["tools"]
    return payload
