"""What usage costs: integers, monotone, additive."""

from decimal import ROUND_CEILING

import pytest
from genai_prices import Usage as Counted
from genai_prices import calc_price
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
    usage = Usage(input_tokens=10, output_tokens=1)
    assert table.cost("custom", "known", usage) == 12
    costs = {table.cost("custom", name, usage) for name in ("Known", "", "unknown", "gpt-4o")}
    assert costs == {10 * 150 + 600}
    assert table.source("custom", "known") == "operator"
    assert table.source("custom", "unknown") == "default"


def test_a_vendors_model_costs_its_list_price_to_the_nano() -> None:
    table = PriceTable({}, Price(150, 600))
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    assert table.cost("openai", "gpt-4.1-mini", usage) == 1_000 * 400 + 1_000 * 1_600
    assert table.cost("anthropic", "claude-sonnet-4-5", usage) == 1_000 * 3_000 + 1_000 * 15_000
    cached = Usage(input_tokens=1_000, output_tokens=0, cached_input_tokens=500)
    assert table.cost("openai", "gpt-4.1-mini", cached) == 500 * 400 + 500 * 100
    assert table.source("openai", "gpt-4.1-mini").startswith("genai-prices ")
    assert table.cost("openai", "no-such-model", usage) == 1_000 * 150 + 1_000 * 600


@given(
    vendor=st.sampled_from(["openai", "anthropic", "google", "custom", "groq"]),
    model=st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "llama-3.3-70b-versatile", "x"]),
    sent=st.integers(1, 10**6),
    made=st.integers(1, 10**5),
    cached=st.integers(0, 10**6),
)
def test_a_platform_call_is_never_free_and_a_bound_on_tokens_bounds_its_cost(
    vendor: str, model: str, sent: int, made: int, cached: int
) -> None:
    table = PriceTable({}, Price(150, 600))
    usage = Usage(input_tokens=sent, output_tokens=made, cached_input_tokens=min(sent, cached))
    most = Usage(input_tokens=sent + 7, output_tokens=made + 7)
    assert 0 < table.cost(vendor, model, usage) <= table.cost(vendor, model, most)


def test_the_built_in_prices_are_positive_integers() -> None:
    for price in BUILT_IN.values():
        assert type(price.input_nano_usd) is type(price.output_nano_usd) is int
        assert min(price.input_nano_usd, price.output_nano_usd) > 0


@given(
    named=st.sampled_from(
        [
            *[("openai", name) for name in ("gpt-4o-mini", "gpt-4o", "o3-mini", "gpt-5", "gpt-4")],
            *[("anthropic", name) for name in ("claude-3-5-haiku-latest", "claude-sonnet-4-5", "claude-opus-4-1")],
            *[("google", name) for name in ("gemini-2.5-pro", "gemini-2.5-flash")],
            *[("groq", "llama-3.1-8b-instant"), ("deepseek", "deepseek-chat")],
        ]
    ),
    sent=st.integers(0, 2_000_000),
    made=st.integers(0, 200_000),
    cached=st.integers(0, 2_000_000),
)
def test_what_is_kept_of_the_table_says_what_the_table_says(
    named: tuple[str, str], sent: int, made: int, cached: int
) -> None:
    """Prices in tiers and prices with hours among them."""
    vendor, model = named
    cached = min(cached, sent)
    counted = Counted(input_tokens=sent, output_tokens=made, cache_read_tokens=cached)
    try:
        listed = calc_price(counted, model, provider_id=vendor).total_price
    except LookupError:
        return
    usage = Usage(input_tokens=sent, output_tokens=made, cached_input_tokens=cached)
    assert PriceTable({}, Price(1, 1)).cost(vendor, model, usage) == int(
        (listed * 10**9).to_integral_value(ROUND_CEILING)
    )
