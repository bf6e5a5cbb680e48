"""One model call, read from top to bottom."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from imperal_host.billing.account import Account
from imperal_host.billing.price import PriceTable
from imperal_host.clock import Clock, new_id
from imperal_host.errors import NotFoundError, UnavailableError, UpstreamError
from imperal_host.gateway.binding import PLATFORM, owner_of
from imperal_host.gateway.cascade import cascade
from imperal_host.gateway.egress import Egress
from imperal_host.gateway.parameters import Layer, Resolved, admin_keys, resolve_parameters
from imperal_host.gateway.providers.base import Parsed, Vendor, most_input_tokens
from imperal_host.gateway.resolver import Plan, Target, resolve
from imperal_host.gateway.store import Bindings, Layers
from imperal_host.identity import CallId, Principal, Scope, TenantId
from imperal_host.ledger.event import Event, Json
from imperal_host.ledger.ledger import Appender
from imperal_host.ledger.recording import recorded
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import SecretView
from imperal_sdk.llm import Completion, LlmRequest, Parameters, TextBlock, Usage

# The platform pays for its models: their output is bounded even if no layer says so.
_PLATFORM_OUTPUT_TOKENS_MAX = 4_096
_PLATFORM_BOUND = Layer("platform bound", Parameters(max_tokens=_PLATFORM_OUTPUT_TOKENS_MAX))


class LocalModel(Protocol):
    """The embedded model: known by name before it runs, started when first asked for."""

    model: str

    async def endpoint(self) -> tuple[str, Secret]:
        """Its base URL on loopback and its key."""
        ...


class Views(Protocol):
    def view(self, tenant: TenantId) -> SecretView: ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be sent, to which model, and which layer says so."""

    target: Target
    resolved: Resolved


class Gateway:
    def __init__(
        self,
        bindings: Bindings,
        layers: Layers,
        vault: Views,
        vendors: Mapping[str, Vendor],
        local: LocalModel | None,
        egress: Egress,
        prices: PriceTable,
        account: Account,
        ledger: Appender,
        clock: Clock,
    ) -> None:
        self._bindings = bindings
        self._layers = layers
        self._vault = vault
        self._vendors = vendors
        self._local = local
        self._egress = egress
        self._prices = prices
        self._account = account
        self._ledger = ledger
        self._clock = clock

    async def complete(self, scope: Scope, request: LlmRequest) -> Completion:
        """Raises ``UpstreamError``, ``BudgetExhaustedError``, ``SealedError`` or ``LedgerError``."""
        steps = cascade(await self._plan(scope.principal))
        target = next(steps)
        while True:
            try:
                target = steps.send(await self._attempt(scope, request, target))
            except StopIteration as done:
                completion: Completion = done.value
                return completion

    async def describe(self, principal: Principal) -> Target:
        """The model that this user's next call goes to first."""
        return (await self._plan(principal)).targets[0]

    async def explain(
        self, principal: Principal, extension: str, purpose: str, call: Parameters | None = None
    ) -> Explanation:
        """Decide everything about a call, and send nothing."""
        target = await self.describe(principal)
        return Explanation(target, await self._parameters(target, extension, purpose, call or Parameters()))

    async def _plan(self, principal: Principal) -> Plan:
        user, platform = await self._bindings.of((owner_of(principal), PLATFORM))
        return resolve(user, platform, self._local.model if self._local else None, self._vendors)

    async def _parameters(self, target: Target, extension: str, purpose: str, call: Parameters) -> Resolved:
        dialect = target.vendor.dialect
        layers = [
            Layer("call", call),
            *await self._layers.of(admin_keys(extension, purpose)),
            Layer("provider default", dialect.defaults(target.model)),
        ]
        if not target.is_byollm:
            layers.append(_PLATFORM_BOUND)
        return resolve_parameters(layers, dialect.accepts(target.model))

    async def _attempt(self, scope: Scope, request: LlmRequest, target: Target) -> Completion | UpstreamError:
        """One target: held, on record, sent, settled, on record again. An upstream's failure is returned."""
        resolved = await self._parameters(target, scope.extension, request.purpose, request.parameters)
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
        outgoing = dialect.build(attempt.request, target.model, base_url, attempt.resolved.values)
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
        output = said if isinstance(said, int) else _PLATFORM_OUTPUT_TOKENS_MAX
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
            content=(TextBlock(text=parsed.text),),
            model=parsed.model or self.target.model,
            provider=self.target.vendor.name,
            stop_reason=parsed.stop_reason,
            usage=parsed.usage,
            is_byollm=self.target.is_byollm,
            cost_nano_usd=cost,
            provenance=self.resolved.provenance,
        )
