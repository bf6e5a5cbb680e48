"""Does this model work? One tiny call, one stream, one tool; and what came of it, for the one who set it up."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from imperal_host.clock import Clock, new_id
from imperal_host.errors import (
    EgressBlockedError,
    MalformedError,
    RateLimitedError,
    UnavailableError,
    UpstreamError,
)
from imperal_host.gateway.binding import Binding, BindingDraft, Owner
from imperal_host.gateway.gateway import Gateway
from imperal_host.gateway.providers.base import Vendor
from imperal_host.gateway.resolver import Source, Target, bound
from imperal_host.gateway.store import Bindings
from imperal_host.identity import CallId, Principal, Scope
from imperal_sdk.llm import Completion, LlmRequest, Message, Parameters, Tool, ToolChoice

_HELLO = LlmRequest(
    messages=(Message(role="user", content="say hi"),), purpose="test", parameters=Parameters(max_tokens=10)
)
_TIME = Tool(name="tell_time", description="Tells the time.")
_WITH_TOOL = _HELLO.model_copy(
    update={"tools": (_TIME,), "tool_choice": ToolChoice(type="any"), "parameters": Parameters(max_tokens=60)}
)
_BY_REASON = {
    "bad_key": "The key is wrong, or may not use this model.",
    "no_model": "The server does not know a model of this name.",
    "quota": "The account has no credit or quota left.",
    "redirect": "The server answers with a redirect; give the address that it leads to.",
    "overloaded": "The server is overloaded just now; try again later.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` is stable: ``ok`` or why not. ``tools`` and ``streaming`` are ``None`` where it did not come to that."""

    ok: bool
    code: str
    message: str
    model: str = ""
    streaming: bool | None = None
    tools: bool | None = None


class Trials:
    def __init__(self, gateway: Gateway, bindings: Bindings, vendors: Mapping[str, Vendor], clock: Clock) -> None:
        self._gateway = gateway
        self._bindings = bindings
        self._vendors = vendors
        self._clock = clock

    async def stored(self, principal: Principal, binding: Binding, source: Source) -> Verdict:
        """Every attempt has its rows and its price, like any other."""
        scope = Scope(CallId(new_id(self._clock)), principal, "", "", "llm.test")
        target = bound(binding, self._vendors, source)
        try:
            done = await self._gateway.complete_at(scope, _HELLO, target)
        except UpstreamError as error:
            return _verdict(error)
        streaming = await _works(lambda: self._gateway.stream_at(scope, _HELLO, target, _nobody))
        tools = await self._uses_tools(scope, target)
        but = [what for what, works in (("streaming", streaming), ("tools", tools)) if not works]
        message = f"It works, but without {' and '.join(but)}." if but else "It works, with streaming and tools."
        return Verdict(True, "ok", message, done.model, streaming, tools)

    async def draft(self, principal: Principal, owner: Owner, draft: BindingDraft, source: Source) -> Verdict:
        """As ``stored``, for what is not stored: it is for as long as the trial takes, under a name of its own.
        Raises ``InvalidError``."""
        aside = replace(owner, name=f"trial/{new_id(self._clock)}")
        binding = await self._bindings.put(aside, replace(draft, is_active=True))
        try:
            return await self.stored(principal, binding, source)
        finally:
            await self._bindings.discard(aside)

    async def _uses_tools(self, scope: Scope, target: Target) -> bool:
        try:
            return bool((await self._gateway.complete_at(scope, _WITH_TOOL, target)).tool_uses)
        except UpstreamError:
            return False


async def _works(attempt: Callable[[], Awaitable[Completion]]) -> bool:
    try:
        await attempt()
    except UpstreamError:
        return False
    return True


async def _nobody(deltas: object) -> None:
    pass


def _verdict(error: UpstreamError) -> Verdict:
    if error.reason in _BY_REASON:
        return Verdict(False, error.reason, f"{_BY_REASON[error.reason]} ({error})")
    match error:
        case EgressBlockedError():
            return Verdict(False, "not_public", f"The address is not public. ({error})")
        case MalformedError():
            return Verdict(False, "not_compatible", f"The server does not speak this provider's dialect. ({error})")
        case RateLimitedError():
            return Verdict(False, "rate", f"The key works, and its rate is used up just now. ({error})")
        case UnavailableError():
            return Verdict(False, "unreachable", f"The server does not answer. ({error})")
        case _:
            return Verdict(False, error.reason or "refused", str(error))
