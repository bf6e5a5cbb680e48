"""One call, in order: on record before anything happens, on record before the answer is let go."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SkipValidation, ValidationError

from imperal_host.catalog.catalog import Catalog, ExtensionHandle
from imperal_host.clock import Clock, new_id
from imperal_host.errors import (
    BusyError,
    ConfirmationRequiredError,
    ExtensionRaisedError,
    ForbiddenError,
    HostError,
    InvalidError,
    UnavailableError,
)
from imperal_host.gateway.gateway import Gateway
from imperal_host.gateway.planning import Planner
from imperal_host.identity import CallId, Principal, Scope
from imperal_host.kernel.broker import CallBroker, Progress
from imperal_host.kernel.grants import granted
from imperal_host.ledger.event import Event, Receipt
from imperal_host.ledger.ledger import Appender
from imperal_host.ledger.recording import recorded
from imperal_host.log import logger
from imperal_host.runtime.isolate import Leases
from imperal_sdk.llm import Completion, Embeddings
from imperal_sdk.wire import CallContext, LlmView


@dataclass(frozen=True, slots=True)
class Call:
    """What the caller asks for. ``confirmed``: the caller has agreed to a destructive function. ``project``: whose
    Custom LLM answers, where the user has no model of their own."""

    extension: str
    function: str
    arguments: dict[str, Any]
    confirmed: bool = False
    project: str = ""


# What was read from JSON text is JSON: to look at each of its values again costs more than all the rest.
Json = Annotated[JsonValue, SkipValidation]


class Result(BaseModel):
    """An ``ActionResult`` as it may leave an isolate. Made from JSON text only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["success", "error"]
    data: Json = {}
    summary: str = ""
    error: str | None = None
    error_code: str = Field("", max_length=100)
    retryable: bool = False
    ui: Json = None
    refresh_panels: list[str] | None = None
    undo: Json = None
    diff: Json = None
    action_receipt: str | None = None


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What the models of one call used. ``model`` and ``provider`` are those of the last completion."""

    model: str
    provider: str
    is_byollm: bool
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int
    llm_calls: int


@dataclass(frozen=True, slots=True)
class CallAnswer:
    call_id: CallId
    result: Result
    receipt: Receipt
    usage: CallUsage


_NOTHING_USED = CallUsage("", "", is_byollm=False, input_tokens=0, output_tokens=0, cost_nano_usd=0, llm_calls=0)
_to_json = json.JSONEncoder(allow_nan=False).encode


def _no_progress(percent: float, message: str) -> None:
    pass


class Kernel:
    def __init__(
        self,
        catalog: Catalog,
        leases: Leases,
        planner: Planner,
        gateway: Gateway,
        ledger: Appender,
        clock: Clock,
        call_seconds_max: float,
    ) -> None:
        self._catalog = catalog
        self._leases = leases
        self._planner = planner
        self._gateway = gateway
        self._ledger = ledger
        self._clock = clock
        self._call_seconds_max = call_seconds_max
        self._running: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._log = logger("kernel")

    async def aclose(self) -> None:
        """Take no more calls, cancel those that run, and return when each has its outcome on record."""
        self._closing = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def dispatch(
        self,
        principal: Principal,
        call: Call,
        *,
        progress: Progress = _no_progress,
    ) -> CallAnswer:
        """Run one call. Raises ``HostError``; every raise after the call is accepted is in the ledger too."""
        if self._closing:
            raise BusyError("the host is stopping", retry_after_seconds=10)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            return await self._dispatch(principal, call, progress)
        finally:
            self._running.discard(task)

    async def _dispatch(self, principal: Principal, call: Call, progress: Progress) -> CallAnswer:
        handle = self._catalog.get(call.extension)
        function = handle.function(call.function)
        if call.project and not principal.may_use_project(call.project):
            raise ForbiddenError(f"this token may not use the project {call.project[:128]!r}")
        call_id = CallId(new_id(self._clock))
        scope = Scope(call_id, principal, handle.manifest.app_id, handle.manifest.version, function.name, call.project)
        broker = CallBroker(scope, granted(handle.manifest), self._gateway, progress)
        intent = Event(
            "intent", "call", call_id, scope, {"action_type": function.action_type}, arguments=call.arguments
        )
        try:
            async with recorded(self._ledger, intent, self._clock) as recording:
                recording.details["confirmed"] = call.confirmed
                if function.action_type == "destructive" and not call.confirmed:
                    raise _confirmation(handle, call)
                result = await self._run(handle, scope, call, broker)
                # The money stands in the rows of the model attempts; this row adds none, so that sums are right.
                recording.details |= {"status": result.status, "llm_calls": len(broker.answers)}
        except HostError as error:
            error.call_id = call_id
            self._log.info("call.failed", call_id=call_id, function=call.function, code=error.code, message=str(error))
            raise
        assert recording.receipt is not None
        filled = result.model_copy(update={"action_receipt": str(recording.receipt)})
        return CallAnswer(call_id, filled, recording.receipt, _usage(broker.answers))

    async def _run(self, handle: ExtensionHandle, scope: Scope, call: Call, broker: CallBroker) -> Result:
        context = await self._context(scope)
        async with self._leases.lease(handle.package, scope.principal) as isolate:
            try:
                answer = await isolate.invoke(
                    scope.call, scope.function, call.arguments, context, broker, self._call_seconds_max
                )
            except ExtensionRaisedError as error:
                raise _cause(error, broker) from None
        return _result(answer)

    async def _context(self, scope: Scope) -> CallContext:
        principal = scope.principal
        try:
            target = await self._planner.describe(principal, scope.extension, project=scope.project)
            view = LlmView(target.is_byollm, target.vendor.name, target.model)
        except UnavailableError:  # no model at all: a function that asks none still runs
            view = LlmView(False, "", "")
        return CallContext(
            imperal_id=principal.user,
            email=principal.email,
            tenant_id=principal.tenant,
            role=principal.role,
            scopes=list(principal.scopes),
            llm=view,
            now=self._clock.now(),
            config={},
        )


def _result(answer: dict[str, Any]) -> Result:
    """Only what is JSON, and an ``ActionResult``, leaves: no NaN, no bytes, no other members."""
    try:
        return Result.model_validate_json(_to_json(answer))
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (TypeError, ValueError, RecursionError) as error:
        why = str(error)
    raise ExtensionRaisedError(f"the extension's answer is no ActionResult: {why}", echoes="extension.bad_answer")


def _confirmation(handle: ExtensionHandle, call: Call) -> ConfirmationRequiredError:
    function = handle.function(call.function)
    would: dict[str, object] = {
        "extension": handle.manifest.app_id,
        "function": function.name,
        "description": function.description,
        "arguments": call.arguments,
    }
    return ConfirmationRequiredError(
        f'{handle.manifest.app_id}.{function.name} is destructive; send "confirmed": true to run it', would
    )


def _cause(error: ExtensionRaisedError, broker: CallBroker) -> HostError:
    """What really went wrong: our own refusal if the extension only passed it on, else what it says."""
    if error.echoes in broker.refusals:
        return broker.refusals[error.echoes]
    if error.echoes == InvalidError.code and error.problems:
        return InvalidError(str(error), error.problems)
    return error


def _usage(answers: Sequence[Completion | Embeddings]) -> CallUsage:
    if not answers:
        return _NOTHING_USED
    last = answers[-1]
    return CallUsage(
        model=last.model,
        provider=last.provider,
        is_byollm=last.is_byollm,
        input_tokens=sum(a.usage.input_tokens for a in answers),
        output_tokens=sum(a.usage.output_tokens for a in answers),
        cost_nano_usd=sum(a.cost_nano_usd for a in answers),
        llm_calls=len(answers),
    )
