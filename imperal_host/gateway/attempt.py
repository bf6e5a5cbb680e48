"""One attempt to reach one target: held, on record, sent, settled, on record again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import httpx

from imperal_host.billing.account import Account
from imperal_host.billing.price import CUSTOM_LLM, PriceTable
from imperal_host.clock import Clock
from imperal_host.errors import NotFoundError, UnavailableError, UpstreamError
from imperal_host.gateway.egress import Incoming, Outgoing
from imperal_host.gateway.parameters import Resolved
from imperal_host.gateway.planning import PLATFORM_OUTPUT_TOKENS_MAX
from imperal_host.gateway.resolver import Target
from imperal_host.identity import CallId, Scope, TenantId
from imperal_host.ledger.event import Event, Json
from imperal_host.ledger.ledger import Appender
from imperal_host.ledger.recording import Recording, recorded
from imperal_host.vault.secret import Secret
from imperal_host.vault.store import SecretView
from imperal_sdk.llm import Usage


class LocalModel(Protocol):
    """The embedded model: known by name before it runs, started when first asked for."""

    model: str

    async def endpoint(self) -> tuple[str, Secret]:
        """Its base URL on loopback and its key."""
        ...


class Views(Protocol):
    def view(self, tenant: TenantId) -> SecretView: ...


class Made(Protocol):
    """What an upstream made of a request."""

    @property
    def usage(self) -> Usage: ...


M = TypeVar("M", bound=Made)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is asked of one target, and what the ledger says about it. ``input_tokens_max`` bounds what it may cost."""

    id: CallId
    scope: Scope
    target: Target
    resolved: Resolved
    purpose: str
    model_asked: str
    input_tokens_max: int
    makes_text: bool = True

    def intent(self, most: int, price_source: str) -> Event:
        layers: dict[str, Json] = {
            name: origin.layer + (" (dropped)" if origin.dropped else " (clamped)" if origin.clamped else "")
            for name, origin in self.resolved.provenance.items()
        }
        details: dict[str, Json] = {
            "provider": self.target.vendor.name,
            "model": self.target.model,
            "model_asked": self.model_asked,
            "purpose": self.purpose,
            "is_byollm": self.target.is_byollm,
            "source": self.target.source,
            **({"project": self.scope.project} if self.scope.project else {}),
            "binding_version": self.target.binding.version if self.target.binding else 0,
            "parameter_layers": layers,
            "hold_nano_usd": most,
            "price": price_source,
        }
        return Event("intent", "llm", self.id, self.scope, details, parent=self.scope.call)


class Exchange:
    """What the sending side tells about an attempt while it is under way."""

    def __init__(self, base_url: str, secret: Secret, target: Target, recording: Recording) -> None:
        self.base_url = base_url
        self._secret = secret
        self._target = target
        self._recording = recording
        self.so_far: Callable[[], Usage] | None = None

    def outgoing(self, request: httpx.Request) -> Outgoing:
        dialect = self._target.vendor.dialect
        header = (dialect.key_header, dialect.key_format)
        return Outgoing(request, self._secret, header, supervised=self._target.binding is None)

    def began(self, incoming: Incoming) -> None:
        if incoming.allowed_by:
            self._recording.details["allow_listed"] = incoming.allowed_by


class Attempts:
    def __init__(
        self,
        vault: Views,
        local: LocalModel | None,
        prices: PriceTable,
        account: Account,
        ledger: Appender,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._local = local
        self._prices = prices
        self._account = account
        self._ledger = ledger
        self._clock = clock

    async def make(self, attempt: Attempt, send: Callable[[Exchange], Awaitable[M]]) -> tuple[M, int]:
        """What ``send`` makes of it, and its cost in nano-USD. Both rows are durable by then.

        An attempt that ends in the middle of a stream posts what was used until then, marked as partial; one that was
        sent and of which nothing is known, all that was held. Raises what ``send`` raises, ``BudgetExhaustedError``,
        ``SealedError`` and ``LedgerError``.
        """
        target = attempt.target
        hold = await self._account.hold(attempt.scope.principal, self.most_it_may_cost(attempt))
        try:
            intent = attempt.intent(hold.nano_usd, self._price_source(target))
            async with recorded(self._ledger, intent, self._clock) as recording:
                base_url, secret = await self._open(target)
                # From here on the upstream may work, and charge, whether or not its answer is waited for.
                recording.cost_nano_usd = hold.nano_usd
                exchange = Exchange(base_url, secret, target, recording)
                try:
                    made = await send(exchange)
                except BaseException as error:
                    self._settle_broken(exchange, recording, error, hold.nano_usd)
                    raise
                recording.cost_nano_usd = cost = self.cost(target, made.usage)
                recording.details |= made.usage.model_dump()
        finally:
            self._account.release(hold)
        return made, cost

    def _settle_broken(self, exchange: Exchange, recording: Recording, error: BaseException, held: int) -> None:
        if exchange.so_far is not None:
            used = exchange.so_far()
            recording.details |= {**used.model_dump(), "partial": True}
            recording.cost_nano_usd = min(held, self.cost(exchange._target, used))
        elif isinstance(error, UpstreamError) and not error.may_have_charged:
            recording.cost_nano_usd = 0

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

    def most_it_may_cost(self, attempt: Attempt) -> int:
        said = attempt.resolved.values.get("max_tokens")
        output = said if isinstance(said, int) else PLATFORM_OUTPUT_TOKENS_MAX
        usage = Usage(input_tokens=attempt.input_tokens_max, output_tokens=output if attempt.makes_text else 0)
        return self.cost(attempt.target, usage)

    def _price_source(self, target: Target) -> str:
        return "own key" if target.is_byollm else self._prices.source(target.vendor.name, _billed_as(target))

    def cost(self, target: Target, usage: Usage) -> int:
        """Policy A: an attempt on the user's own key costs 0, always."""
        return 0 if target.is_byollm else self._prices.cost(target.vendor.name, _billed_as(target), usage)


def _billed_as(target: Target) -> str:
    return CUSTOM_LLM if target.source == "project" else target.model
