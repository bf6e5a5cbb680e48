"""What a platform model costs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING
from importlib.metadata import version

from genai_prices import Usage as Counted
from genai_prices import calc_price

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
        nothing = Usage(input_tokens=0, output_tokens=0)
        return "default" if _listed(vendor, model, nothing) is None else TABLE_VERSION


def _listed(vendor: str, model: str, usage: Usage) -> int | None:
    """The vendor's list price. Input tokens include those read from a cache, which cost less."""
    counted = Counted(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=min(usage.cached_input_tokens, usage.input_tokens),
    )
    try:
        price = calc_price(counted, model, provider_id=vendor).total_price
    except LookupError:
        return None
    return int((price * _NANO).to_integral_value(ROUND_CEILING))
