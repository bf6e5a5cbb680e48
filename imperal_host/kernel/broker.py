"""What one running call may ask of its host."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from imperal_host.errors import ForbiddenError, HostError, InvalidError, Problem
from imperal_host.identity import Scope
from imperal_host.log import Logger, logger
from imperal_sdk.llm import Completion, Embeddings, EmbedRequest, Estimate, LlmRequest
from imperal_sdk.wire.frames import LOG_FIELDS_MAX, PROGRESS_CHARACTERS_MAX, STREAMED, TEXT_CHARACTERS_MAX

JsonObject = dict[str, Any]
Progress = Callable[[float, str], None]
Deliver = Callable[[list[JsonObject]], Awaitable[None]]
M = TypeVar("M", bound=BaseModel)


_FIELD_CHARACTERS_MAX = 1_000
_LOG_CHARACTERS_MAX = 256 << 10


class Models(Protocol):
    """What models do for a call. Each raises ``HostError``."""

    async def complete(self, scope: Scope, request: LlmRequest) -> Completion: ...

    async def stream(self, scope: Scope, request: LlmRequest, deliver: Deliver) -> Completion:
        """``deliver`` is awaited with batches of deltas; cancelling this closes the upstream at once."""
        ...

    async def embed(self, scope: Scope, request: EmbedRequest) -> Embeddings: ...

    async def estimate(self, scope: Scope, request: LlmRequest) -> Estimate: ...


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
    believes its own list. ``answers`` are what the models answered, for the call's usage.
    """

    def __init__(self, scope: Scope, granted: frozenset[str], models: Models, progress: Progress) -> None:
        self._scope = scope
        self._models = models
        self._progress = progress
        self._log_characters_left = _LOG_CHARACTERS_MAX
        self.refusals: dict[str, HostError] = {}
        self.answers: list[Completion | Embeddings] = []
        handlers: dict[str, Callable[[JsonObject], Awaitable[JsonObject]]] = {
            "llm.complete": self._llm_complete,
            "llm.embed": self._llm_embed,
            "llm.estimate": self._llm_estimate,
            "log.write": self._log_write,
            "progress.report": self._progress_report,
        }
        self._streamed = granted & STREAMED
        self._handlers = {name: handler for name, handler in handlers.items() if name in granted}

    @cached_property
    def _log(self) -> Logger:  # most calls log nothing
        scope = self._scope
        return logger("extension").bind(
            extension=scope.extension, function=scope.function, call_id=scope.call, tenant=scope.principal.tenant
        )

    async def ask(self, capability: str, payload: JsonObject) -> JsonObject:
        with self._refusing(capability):
            handler = self._handlers.get(capability)
            if handler is None:
                raise self._denied(capability)
            return await handler(payload)

    async def stream(self, capability: str, payload: JsonObject, deliver: Deliver) -> JsonObject:
        with self._refusing(capability):
            if capability not in self._streamed:
                raise self._denied(capability)
            completion = await self._models.stream(self._scope, _valid(LlmRequest, payload), deliver)
            self.answers.append(completion)
            return completion.model_dump(mode="json")

    @contextmanager
    def _refusing(self, capability: str) -> Generator[None, None, None]:
        try:
            yield
        except HostError as error:
            self.refusals[error.code] = error
            raise
        except Exception as error:
            # A mistake of ours is a refusal too: the call must not wait for an answer that never comes.
            self._log.error("bug", capability=capability, exc_info=error)
            mistake = self.refusals[HostError.code] = HostError("the host made a mistake; its log says more")
            raise mistake from error

    def _denied(self, capability: str) -> ForbiddenError:
        return ForbiddenError(f"{self._scope.extension} is not granted {capability[:100]!r}")

    async def _llm_complete(self, payload: JsonObject) -> JsonObject:
        completion = await self._models.complete(self._scope, _valid(LlmRequest, payload))
        self.answers.append(completion)
        return completion.model_dump(mode="json")

    async def _llm_embed(self, payload: JsonObject) -> JsonObject:
        embeddings = await self._models.embed(self._scope, _valid(EmbedRequest, payload))
        self.answers.append(embeddings)
        return embeddings.model_dump(mode="json")

    async def _llm_estimate(self, payload: JsonObject) -> JsonObject:
        return (await self._models.estimate(self._scope, _valid(LlmRequest, payload))).model_dump(mode="json")

    async def _log_write(self, payload: JsonObject) -> JsonObject:
        entry = _valid(_LogEntry, payload)
        fields = {name[:_FIELD_CHARACTERS_MAX]: _cut(value) for name, value in entry.fields.items()}
        size = len(entry.message) + sum(len(name) + len(str(value)) for name, value in fields.items())
        self._log_characters_left -= size
        if self._log_characters_left >= 0:
            getattr(self._log, entry.level)("extension.log", message=entry.message, fields=fields)
        elif self._log_characters_left + size >= 0:
            self._log.warning("extension.log_cut", at_characters=_LOG_CHARACTERS_MAX)
        return {}

    async def _progress_report(self, payload: JsonObject) -> JsonObject:
        report = _valid(_ProgressReport, payload)
        self._progress(report.percent, report.message)
        return {}


def _cut(value: JsonValue) -> JsonValue:
    if isinstance(value, int | float | None):
        return value
    return (value if isinstance(value, str) else repr(value))[:_FIELD_CHARACTERS_MAX]


def _valid(kind: type[M], payload: JsonObject) -> M:
    """Raises ``InvalidError`` with every problem of the payload."""
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        problems = tuple(Problem(".".join(map(str, item["loc"])), item["msg"]) for item in items[:20])
        raise InvalidError("; ".join(f"{p.field}: {p.message}" for p in problems), problems) from None
