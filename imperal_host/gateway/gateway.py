"""One model call, read from top to bottom."""

from dataclasses import dataclass
from typing import Protocol

from imperal_host.billing.account import Account
from imperal_host.billing.price import PriceTable
from imperal_host.clock import Clock, new_id
from imperal_host.errors import NotFoundError, UnavailableError, UpstreamError
from imperal_host.gateway.cascade import cascade
from imperal_host.gateway.egress import Egress
from imperal_host.gateway.parameters import Resolved
from imperal_host.gateway.planning import PLATFORM_OUTPUT_TOKENS_MAX, Planner
from imperal_host.gateway.providers.base import ModelCall, Parsed, most_input_tokens
from imperal_host.gateway.resolver import Target
from imperal_host.identity import CallId, Scope, TenantId
from imperal_host.ledger.event import Event, Json
from imperal_host.ledger.ledger import Appender
from imperal_host.ledger.recording import recorded
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import SecretView
from imperal_sdk.llm import Completion, LlmRequest, Usage


class LocalModel(Protocol):
    """The embedded model: known by name before it runs, started when first asked for."""

    model: str

    async def endpoint(self) -> tuple[str, Secret]:
        """Its base URL on loopback and its key."""
        ...


class Views(Protocol):
    def view(self, tenant: TenantId) -> SecretView: ...


class Gateway:
    def __init__(
        self,
        planner: Planner,
        vault: Views,
        local: LocalModel | None,
        egress: Egress,
        prices: PriceTable,
        account: Account,
        ledger: Appender,
        clock: Clock,
    ) -> None:
        self._planner = planner
        self._vault = vault
        self._local = local
        self._egress = egress
        self._prices = prices
        self._account = account
        self._ledger = ledger
        self._clock = clock

    async def complete(self, scope: Scope, request: LlmRequest) -> Completion:
        """Raises ``UpstreamError``, ``BudgetExhaustedError``, ``SealedError`` or ``LedgerError``."""
        steps = cascade(await self._planner.plan(scope.principal))
        target = next(steps)
        while True:
            try:
                target = steps.send(await self._attempt(scope, request, target))
            except StopIteration as done:
                completion: Completion = done.value
                return completion

    async def _attempt(self, scope: Scope, request: LlmRequest, target: Target) -> Completion | UpstreamError:
        """One target: held, on record, sent, settled, on record again. An upstream's failure is returned."""
        resolved = await self._planner.parameters(target, scope.extension, request.purpose, request.parameters)
        most = self._most_it_may_cost(target, request, resolved)
        attempt = _Attempt(CallId(new_id(self._clock)), scope, request, target, resolved, most)
        hold = await self._account.hold(scope.principal, most)
        try:
            async with recorded(self._ledger, attempt.intent(), self._clock) as recording:
                base_url, secret = await self._open(target)
                # From here on the upstream may work, and charge, whether or not its answer is waited for.
                recording.cost_nano_usd = hold.nano_usd
                try:
                    parsed = await self._exchange(attempt, base_url, secret)
                except UpstreamError as error:
                    recording.cost_nano_usd = hold.nano_usd if error.may_have_charged else 0
                    raise
                recording.cost_nano_usd = cost = self._cost(target, parsed.usage)
                recording.details |= parsed.usage.model_dump()
        except UpstreamError as error:
            return error
        finally:
            self._account.release(hold)
        return attempt.completion(parsed, cost)

    async def _exchange(self, attempt: "_Attempt", base_url: str, secret: Secret) -> Parsed:
        target, dialect = attempt.target, attempt.target.vendor.dialect
        outgoing = dialect.build(ModelCall(attempt.request, target.model, base_url, attempt.resolved.values))
        header = (dialect.key_header, dialect.key_format)
        reply = await self._egress.send(outgoing, secret, header, supervised=target.binding is None)
        return dialect.parse(reply, attempt.request)

    async def _open(self, target: Target) -> tuple[str, Secret]:
        if target.binding is None:
            assert self._local is not None
            return await self._local.endpoint()
        binding, owner = target.binding, target.binding.owner
        try:
            view = self._vault.view(owner.tenant)
            secret = await view.open(owner.secret_name, binding.version, *binding.destination)
        except NotFoundError:
            raise UnavailableError(
                "the model's configuration changed while the call was being made; call again"
            ) from None
        return target.base_url, secret

    def _most_it_may_cost(self, target: Target, request: LlmRequest, resolved: Resolved) -> int:
        if target.is_byollm:
            return 0
        said = resolved.values.get("max_tokens")
        output = said if isinstance(said, int) else PLATFORM_OUTPUT_TOKENS_MAX
        usage = Usage(input_tokens=most_input_tokens(request), output_tokens=output)
        return self._prices.price(target.model).of(usage)

    def _cost(self, target: Target, usage: Usage) -> int:
        """Policy A: an attempt on the user's own key costs 0, always."""
        return 0 if target.is_byollm else self._prices.price(target.model).of(usage)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one attempt says to the ledger and to the extension."""

    id: CallId
    scope: Scope
    request: LlmRequest
    target: Target
    resolved: Resolved
    hold_nano_usd: int

    def intent(self) -> Event:
        layers: dict[str, Json] = {
            name: origin.layer + (" (dropped)" if origin.dropped else "")
            for name, origin in self.resolved.provenance.items()
        }
        details: dict[str, Json] = {
            "provider": self.target.vendor.name,
            "model": self.target.model,
            "model_asked": self.request.model,
            "purpose": self.request.purpose,
            "is_byollm": self.target.is_byollm,
            "binding_version": self.target.binding.version if self.target.binding else 0,
            "parameter_layers": layers,
            "hold_nano_usd": self.hold_nano_usd,
        }
        return Event("intent", "llm", self.id, self.scope, details, parent=self.scope.call)

    def completion(self, parsed: Parsed, cost: int) -> Completion:
        return Completion(
            content=parsed.content,
            model=parsed.model or self.target.model,
            provider=self.target.vendor.name,
            stop_reason=parsed.stop_reason,
            usage=parsed.usage,
            is_byollm=self.target.is_byollm,
            cost_nano_usd=cost,
            provenance=self.resolved.provenance,
        )
