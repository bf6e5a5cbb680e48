"""What a platform model costs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices import Usage as Counted
from genai_prices import calc_price
from genai_prices.types import ModelPrice

from imperal_sdk.llm import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-USD a token. (150 nano-USD a token is 0.15 USD a million.)"""

    input_nano_usd: int
    output_nano_usd: int

    def of(self, usage: Usage) -> int:
        return usage.input_tokens * self.input_nano_usd + usage.output_tokens * self.output_nano_usd


# The embedded model: 0.02 and 0.06 USD a million tokens.
BUILT_IN = {"SmolLM2-135M-Instruct": Price(20, 60)}


CUSTOM_LLM = "custom_llm"  # what a project's own model is billed as, whatever it is
TABLE_VERSION = f"genai-prices {version('genai-prices')}"
_NANO = 10**9


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model name: the operator's own, else the vendor's by genai-prices (offline), else ``default``: a
    platform call is never free by accident."""

    prices: Mapping[str, Price]
    default: Price

    def cost(self, vendor: str, model: str, usage: Usage) -> int:
        """Nano-USD, rounded up."""
        own = self.prices.get(model)
        if own is None and (listed := _listed(vendor, model, usage)) is not None:
            return listed
        return (own or self.default).of(usage)

    def source(self, vendor: str, model: str) -> str:
        """Which of the three a model's price comes from."""
        if model in self.prices:
            return "operator"
        return "default" if _listing(vendor, model) is None else TABLE_VERSION


def _listed(vendor: str, model: str, usage: Usage) -> int | None:
    """The vendor's list price. Input tokens include those read from a cache, which cost less."""
    listing = _listing(vendor, model)
    if listing is None:
        return None
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    if listing.flat is not None:
        fresh_price, cached_price, output_price = listing.flat
        nano = (usage.input_tokens - cached) * fresh_price + cached * cached_price + usage.output_tokens * output_price
    else:
        nano = _calculated(vendor, model, usage.input_tokens, usage.output_tokens, cached)
    return int(nano.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class _Listing:
    """Nano-USD a token (fresh input, cached input, output), if they do not depend on how much it is, or when."""

    flat: tuple[Decimal, Decimal, Decimal] | None


@lru_cache(1_024)
def _listing(vendor: str, model: str) -> _Listing | None:
    """The table is searched once for a model: that takes longer than all the rest of a call's decisions."""
    try:
        listed = calc_price(Counted(input_tokens=0, output_tokens=0), model, provider_id=vendor)
    except LookupError:
        return None
    price = listed.model_price
    fresh, output, cached = price.input_mtok, price.output_mtok, price.cache_read_mtok
    dated = not isinstance(listed.model.prices, ModelPrice)
    if dated or price.requests_kcount or not isinstance(fresh, Decimal) or not isinstance(output, Decimal):
        return _Listing(None)
    if cached is not None and not isinstance(cached, Decimal):
        return _Listing(None)
    # USD a million tokens are 1,000 nano-USD a token
    return _Listing((fresh * 1_000, (fresh if cached is None else cached) * 1_000, output * 1_000))


def _calculated(vendor: str, model: str, input_tokens: int, output_tokens: int, cached: int) -> Decimal:
    counted = Counted(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached)
    return calc_price(counted, model, provider_id=vendor).total_price * _NANO
