"""What one running call may ask of its host."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from imperal_host.errors import ForbiddenError, HostError, InvalidError, Problem
from imperal_host.identity import Scope
from imperal_host.log import logger
from imperal_sdk.llm import Completion, LlmRequest
from imperal_sdk.wire.frames import LOG_FIELDS_MAX, PROGRESS_CHARACTERS_MAX, TEXT_CHARACTERS_MAX

JsonObject = dict[str, Any]
Progress = Callable[[float, str], None]


class Models(Protocol):
    async def complete(self, scope: Scope, request: LlmRequest) -> Completion: ...


class _LogEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    level: str = Field(pattern="^(debug|info|warning|error)$")
    message: str = Field(max_length=TEXT_CHARACTERS_MAX)
    fields: dict[str, JsonValue] = Field({}, max_length=LOG_FIELDS_MAX)


class _ProgressReport(BaseModel):
    model_config = ConfigDict(extra="forbid")
    percent: float = Field(ge=0, le=100)
    message: str = Field("", max_length=PROGRESS_CHARACTERS_MAX)


class CallBroker:
    """Deny by absence: a capability that was not granted has no handler.

    ``refusals`` keeps what the host itself refused, by code: the isolate only echoes a code, and the host
    believes its own list. ``completions`` are what the models answered, for the call's usage.
    """

    def __init__(self, scope: Scope, granted: frozenset[str], models: Models, progress: Progress) -> None:
        self._scope = scope
        self._models = models
        self._progress = progress
        self._log = logger("extension").bind(
            extension=scope.extension, function=scope.function, call_id=scope.call, tenant=scope.principal.tenant
        )
        self.refusals: dict[str, HostError] = {}
        self.completions: list[Completion] = []
        handlers: dict[str, Callable[[JsonObject], Awaitable[JsonObject]]] = {
            "llm.complete": self._llm_complete,
            "log.write": self._log_write,
            "progress.report": self._progress_report,
        }
        self._handlers = {name: handler for name, handler in handlers.items() if name in granted}

    async def ask(self, capability: str, payload: JsonObject) -> JsonObject:
        try:
            handler = self._handlers.get(capability)
            if handler is None:
                raise ForbiddenError(f"{self._scope.extension} is not granted {capability[:100]!r}")
            return await handler(payload)
        except ValidationError as error:
            refusal = _invalid(capability, error)
            self.refusals[refusal.code] = refusal
            raise refusal from None
        except HostError as error:
            self.refusals[error.code] = error
            raise

    async def _llm_complete(self, payload: JsonObject) -> JsonObject:
        completion = await self._models.complete(self._scope, LlmRequest.model_validate(payload))
        self.completions.append(completion)
        return completion.model_dump(mode="json")

    async def _log_write(self, payload: JsonObject) -> JsonObject:
        entry = _LogEntry.model_validate(payload)
        write = getattr(self._log, entry.level)
        write("extension.log", message=entry.message, fields=entry.fields)
        return {}

    async def _progress_report(self, payload: JsonObject) -> JsonObject:
        report = _ProgressReport.model_validate(payload)
        self._progress(report.percent, report.message)
        return {}


def _invalid(capability: str, error: ValidationError) -> InvalidError:
    problems = tuple(
        Problem(".".join(map(str, item["loc"])), item["msg"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    )
    return InvalidError(f"{capability}: " + "; ".join(f"{p.field}: {p.message}" for p in problems), problems)
