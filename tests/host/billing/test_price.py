"""What usage costs: integers, monotone, additive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.billing.price import BUILT_IN, Price, PriceTable
from imperal_sdk.llm import Usage

PRICES = st.builds(Price, st.integers(0, 10**6), st.integers(0, 10**6))
TOKENS = st.integers(0, 2**40)
USAGES = st.builds(lambda i, o: Usage(input_tokens=i, output_tokens=o), TOKENS, TOKENS)


def plus(a: Usage, b: Usage) -> Usage:
    return Usage(input_tokens=a.input_tokens + b.input_tokens, output_tokens=a.output_tokens + b.output_tokens)


@pytest.mark.parametrize(
    ("price", "input_tokens", "output_tokens", "nano_usd"),
    [
        (Price(150, 600), 1_000_000, 0, 150_000_000),  # 0.15 USD a million
        (Price(150, 600), 0, 1_000_000, 600_000_000),
        (Price(150, 600), 0, 0, 0),
        (Price(150, 600), 3, 5, 3_450),
        (Price(0, 0), 10**9, 10**9, 0),
    ],
)
def test_a_price_is_nano_usd_a_token(price: Price, input_tokens: int, output_tokens: int, nano_usd: int) -> None:
    assert price.of(Usage(input_tokens=input_tokens, output_tokens=output_tokens)) == nano_usd


@given(price=PRICES, a=USAGES, b=USAGES)
def test_cost_is_an_integer_additive_and_monotone(price: Price, a: Usage, b: Usage) -> None:
    both = price.of(plus(a, b))
    assert type(both) is int
    assert both == price.of(a) + price.of(b)
    assert both >= max(price.of(a), price.of(b)) >= 0


@given(price=PRICES, usage=USAGES, cached=TOKENS, exact=st.booleans())
def test_only_the_two_counts_matter(price: Price, usage: Usage, cached: int, exact: bool) -> None:
    other = usage.model_copy(update={"cached_input_tokens": cached, "exact": exact})
    assert price.of(other) == price.of(usage)


def test_a_model_without_a_row_costs_the_default_and_is_never_free_by_accident() -> None:
    table = PriceTable({"known": Price(1, 2)}, Price(150, 600))
    assert table.price("known") == Price(1, 2)
    assert table.price("Known") == table.price("") == table.price("unknown") == Price(150, 600)


def test_the_built_in_prices_are_positive_integers() -> None:
    for price in BUILT_IN.values():
        assert type(price.input_nano_usd) is type(price.output_nano_usd) is int
        assert min(price.input_nano_usd, price.output_nano_usd) > 0
