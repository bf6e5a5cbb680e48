"""One model call, read from top to bottom."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from imperal_host.clock import Clock, new_id
from imperal_host.errors import UnavailableError, UpstreamError
from imperal_host.gateway.attempt import Attempt, Attempts, Exchange
from imperal_host.gateway.cascade import Made, cascade
from imperal_host.gateway.circuit import Circuits
from imperal_host.gateway.egress import Egress
from imperal_host.gateway.parameters import Resolved
from imperal_host.gateway.planning import PLATFORM_OUTPUT_TOKENS_MAX, Planner
from imperal_host.gateway.providers.base import (
    ModelCall,
    Parsed,
    ParsedEmbedding,
    estimated_usage,
    most_input_tokens,
)
from imperal_host.gateway.resolver import Plan, Target
from imperal_host.gateway.retries import RetryPolicy, Waited
from imperal_host.identity import CallId, Principal, Scope
from imperal_sdk.llm import Completion, Embeddings, EmbedRequest, Estimate, LlmRequest, Parameters

JsonObject = dict[str, Any]
Deliver = Callable[[list[JsonObject]], Awaitable[None]]


class Gateway:
    """Every method raises ``UpstreamError``, ``BudgetExhaustedError``, ``SealedError`` or ``LedgerError``."""

    def __init__(
        self,
        planner: Planner,
        attempts: Attempts,
        egress: Egress,
        retries: RetryPolicy,
        circuits: Circuits,
        clock: Clock,
    ) -> None:
        self._planner = planner
        self._attempts = attempts
        self._egress = egress
        self._retries = retries
        self._circuits = circuits
        self._clock = clock

    async def aclose(self) -> None:
        await self._egress.aclose()

    async def complete(self, scope: Scope, request: LlmRequest) -> Completion:
        return await self._first_that_answers(
            scope, request.purpose, lambda target: self.complete_at(scope, request, target)
        )

    async def complete_at(self, scope: Scope, request: LlmRequest, target: Target) -> Completion:
        """One attempt at one target."""
        attempt = await self._attempt(scope, request, target)
        dialect = target.vendor.dialect

        async def send(exchange: Exchange) -> Parsed:
            call = ModelCall(request, target.model, exchange.base_url, attempt.resolved.values)
            async with self._egress.open(exchange.outgoing(dialect.build(call))) as incoming:
                exchange.began(incoming)
                return dialect.parse(await incoming.read(), request)

        return _completion(attempt, *await self._attempts.make(attempt, send))

    async def stream(self, scope: Scope, request: LlmRequest, deliver: Deliver) -> Completion:
        """``deliver`` takes deltas in the shape of ``imperal_sdk.llm.Delta``, as many as are there at a time. Awaiting
        it is what slows the upstream down; cancelling this closes it at once. Once a delta is delivered there is no
        other attempt."""
        begun = False

        async def noted(deltas: list[JsonObject]) -> None:
            nonlocal begun
            begun = True
            await deliver(deltas)

        return await self._first_that_answers(
            scope,
            request.purpose,
            lambda target: self.stream_at(scope, request, target, noted),
            may_go_on=lambda: not begun,
        )

    async def stream_at(self, scope: Scope, request: LlmRequest, target: Target, deliver: Deliver) -> Completion:
        """One attempt at one target."""
        attempt = await self._attempt(scope, request, target)
        dialect = target.vendor.dialect

        async def send(exchange: Exchange) -> Parsed:
            call = ModelCall(request, target.model, exchange.base_url, attempt.resolved.values, streamed=True)
            async with self._egress.open(exchange.outgoing(dialect.build(call))) as incoming:
                exchange.began(incoming)
                if incoming.status != 200:
                    return dialect.parse(await incoming.read(), request)
                decoder = dialect.decoder(request)
                exchange.so_far = decoder.so_far
                async for piece in incoming:
                    if deltas := decoder.feed(piece):
                        await deliver(deltas)
                    if decoder.ended:
                        await incoming.run_out()
                        break
                return decoder.finish()

        return _completion(attempt, *await self._attempts.make(attempt, send))

    async def embed(self, scope: Scope, request: EmbedRequest) -> Embeddings:
        async def once(target: Target) -> Embeddings:
            attempt = Attempt(
                CallId(new_id(self._clock)),
                scope,
                target,
                Resolved({}, {}),
                request.purpose,
                request.model,
                _most_tokens(request),
                makes_text=False,
            )

            async def send(exchange: Exchange) -> ParsedEmbedding:
                dialect = target.vendor.dialect
                outgoing = exchange.outgoing(dialect.build_embedding(request.texts, target.model, exchange.base_url))
                async with self._egress.open(outgoing) as incoming:
                    exchange.began(incoming)
                    return dialect.parse_embedding(await incoming.read(), request.texts)

            made, cost = await self._attempts.make(attempt, send)
            return Embeddings(
                vectors=made.vectors,
                model=made.model or target.model,
                provider=target.vendor.name,
                usage=made.usage,
                is_byollm=target.is_byollm,
                cost_nano_usd=cost,
            )

        return await self._first_that_answers(scope, request.purpose, once)

    async def estimate(self, scope: Scope, request: LlmRequest) -> Estimate:
        """Decide everything about a call, and send nothing."""
        target = (await self._plan(scope, request.purpose)).targets[0]
        attempt = await self._attempt(scope, request, target)
        said = attempt.resolved.values.get("max_tokens")
        return Estimate(
            model=target.model,
            provider=target.vendor.name,
            is_byollm=target.is_byollm,
            input_tokens=estimated_usage(request, "").input_tokens,
            output_tokens_max=said if isinstance(said, int) else PLATFORM_OUTPUT_TOKENS_MAX,
            cost_nano_usd_max=self._attempts.most_it_may_cost(attempt),
        )

    async def _attempt(self, scope: Scope, request: LlmRequest, target: Target) -> Attempt:
        resolved = await self._parameters(scope, request.purpose, request.parameters, target)
        return Attempt(
            CallId(new_id(self._clock)),
            scope,
            target,
            resolved,
            request.purpose,
            request.model,
            most_input_tokens(request),
        )

    async def _plan(self, scope: Scope, purpose: str) -> Plan:
        return await self._planner.plan(scope.principal, scope.extension, purpose, scope.project)

    async def _parameters(self, scope: Scope, purpose: str, call: Parameters, target: Target) -> Resolved:
        return await self._planner.parameters(target, scope.extension, purpose, call)

    async def _first_that_answers(
        self,
        scope: Scope,
        purpose: str,
        once: Callable[[Target], Awaitable[Made]],
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> Made:
        steps: Generator[Target, Made | UpstreamError, Made] = cascade(await self._plan(scope, purpose))
        target, waited = next(steps), Waited()
        while True:
            outcome = await self._patiently(scope.principal, target, once, may_go_on, waited)
            if isinstance(outcome, UpstreamError) and not may_go_on():
                raise outcome
            try:
                target = steps.send(outcome)
            except StopIteration as done:
                made: Made = done.value
                return made

    async def _patiently(
        self,
        who: Principal,
        target: Target,
        once: Callable[[Target], Awaitable[Made]],
        may_go_on: Callable[[], bool],
        waited: Waited,
    ) -> Made | UpstreamError:
        """One target, again where that is safe. An upstream's failure is returned."""
        tries, circuit = 0, (who.tenant, who.user, *target.key)
        while True:
            tries += 1
            if refusal := self._circuits.refusal(circuit, self._clock.monotonic()):
                return refusal
            try:
                made = await once(target)
            except UpstreamError as error:
                if isinstance(error, UnavailableError):
                    self._circuits.failed(circuit, self._clock.monotonic())
                delay = self._retries.delay(error, tries, waited.seconds, random.random())  # noqa: S311
                if delay is None or not may_go_on():
                    return error
                waited.seconds += delay
                await asyncio.sleep(delay)
            else:
                self._circuits.succeeded(circuit)
                return made


def _most_tokens(request: EmbedRequest) -> int:
    """No tokenizer makes more than one token of a byte, and marks add a few."""
    return sum(len(text.encode()) + 8 for text in request.texts)


def _completion(attempt: Attempt, parsed: Parsed, cost: int) -> Completion:
    return Completion(
        content=parsed.content,
        model=parsed.model or attempt.target.model,
        provider=attempt.target.vendor.name,
        stop_reason=parsed.stop_reason,
        usage=parsed.usage,
        is_byollm=attempt.target.is_byollm,
        cost_nano_usd=cost,
        provenance=attempt.resolved.provenance,
    )
