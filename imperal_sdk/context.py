"""``ctx``: typed doors over one ``ask``. Nothing is decided here; the host decides.

``AskFn`` is all the power an extension has: a capability's name and a JSON payload go to the host, a
JSON payload comes back (in parts, with ``StreamFn``), or an ``ImperalError`` with the host's code.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from imperal_sdk.model.door import AskFn, Llm, StreamFn
from imperal_sdk.types.identity import TenantContext, UserContext
from imperal_sdk.types.models import CompletionResult
from imperal_sdk.wire.frames import (
    LOG_FIELDS_MAX,
    PROGRESS_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    CallContext,
)

Level = Literal["debug", "info", "warning", "error"]
_PUBLISHED_LEVELS: Mapping[str, Level] = {
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "error",
}


class Ai:
    """``ctx.ai``: the published SDK's one-prompt door, over the same broker."""

    def __init__(self, llm: Llm) -> None:
        self._llm = llm

    async def complete(self, prompt: str, model: str = "", **kwargs: Any) -> CompletionResult:
        """``kwargs`` are those of ``ctx.llm.create_message``; ``messages`` go before the prompt."""
        history = list(kwargs.pop("messages", ()))
        done = await self._llm.create_message([*history, {"role": "user", "content": prompt}], model=model, **kwargs)
        usage = {"input_tokens": done.usage.input_tokens, "output_tokens": done.usage.output_tokens}
        return CompletionResult(done.text, done.model, usage, done.stop_reason, done.tokens_used)


class _Sent:
    """Awaitable, and silent when nobody awaits it."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


class Log:
    """``await ctx.log("text")`` and ``ctx.log.info("text", key=value)``, in any mixture.

    The entry is on its way when the call returns; awaiting it is allowed and never needed.
    """

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._emit = emit

    def __call__(self, message: str, /, level: str = "info", **fields: Any) -> _Sent:
        self._write(_PUBLISHED_LEVELS.get(level, "info"), message, fields)
        return _Sent()

    def debug(self, message: str, /, **fields: Any) -> None:
        self._write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        self._write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        self._write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        self._write("error", message, fields)

    def _write(self, level: Level, message: str, fields: dict[str, Any]) -> None:
        plain = {name: _plain(value) for name, value in list(fields.items())[:LOG_FIELDS_MAX]}
        self._emit({"level": level, "message": _text(str(message)), "fields": plain})


def _plain(value: object) -> str | int | float | None:
    if isinstance(value, float | None) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    return _text(value if isinstance(value, str) else repr(value))


def _text(text: str) -> str:
    """Something that can be sent, whatever an extension logs: bounded, without lone surrogates."""
    return text[:TEXT_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()[:TEXT_CHARACTERS_MAX]


class Config:
    """Settings of this extension, read-only. ``get("a.b")`` walks sections."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def get(self, key: str, default: Any = None) -> Any:
        value: Any = self._values
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    def get_section(self, section: str) -> dict[str, Any]:
        value = self.get(section, {})
        return dict(value) if isinstance(value, dict) else {}

    def all(self) -> dict[str, Any]:
        return dict(self._values)


@dataclass(frozen=True, slots=True)
class TimeContext:
    """When the call began, by the host's clock. Times are ISO 8601."""

    now_utc: str
    timezone: str = "UTC"
    utc_offset: str = "+00:00"

    @property
    def now_local(self) -> str:
        return self.now_utc

    @property
    def hour_local(self) -> int:
        return datetime.fromisoformat(self.now_utc).hour


class Context:
    """What a function gets as its first argument. Each part is made when it is first used."""

    def __init__(
        self,
        call: CallContext,
        ask: AskFn,
        emit: Callable[[str, dict[str, Any]], None],
        stream: StreamFn | None = None,
    ) -> None:
        self._call = call
        self._ask = ask
        self._emit = emit
        self._stream = stream

    @cached_property
    def user(self) -> UserContext:
        call = self._call
        return UserContext(
            imperal_id=call.imperal_id,
            email=call.email,
            tenant_id=call.tenant_id,
            role=call.role,
            scopes=call.scopes,
        )

    @cached_property
    def tenant(self) -> TenantContext:
        return TenantContext(tenant_id=self._call.tenant_id, name=self._call.tenant_id)

    @cached_property
    def llm(self) -> Llm:
        return Llm(self._ask, self._call.llm, self._stream)

    @cached_property
    def ai(self) -> Ai:
        return Ai(self.llm)

    @cached_property
    def log(self) -> Log:
        emit = self._emit
        return Log(lambda entry: emit("log.write", entry))

    @cached_property
    def config(self) -> Config:
        return Config(self._call.config)

    @cached_property
    def time(self) -> TimeContext:
        return TimeContext(datetime.fromtimestamp(self._call.now, UTC).isoformat())

    def progress(self, percent: float, message: str = "") -> _Sent:
        """Tell the caller how far the work is: 0 to 100. Works with and without ``await``."""
        shown = _text(message)[:PROGRESS_CHARACTERS_MAX]
        self._emit("progress.report", {"percent": max(0.0, min(100.0, float(percent))), "message": shown})
        return _Sent()
