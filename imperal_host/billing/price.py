"""What a platform model costs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by model name. A model without a row costs ``default``: a platform call is never free by accident."""

    prices: Mapping[str, Price]
    default: Price

    def price(self, model: str) -> Price:
        return self.prices.get(model, self.default)
