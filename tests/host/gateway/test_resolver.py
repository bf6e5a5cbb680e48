"""Which model a request goes to, and which one is asked next."""

import pytest

from imperal_host.errors import (
    CascadeExhaustedError,
    EgressBlockedError,
    MalformedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UpstreamError,
)
from imperal_host.gateway.binding import PLATFORM, Binding, Fallback, owner_of
from imperal_host.gateway.cascade import cascade
from imperal_host.gateway.providers.vendors import BUILT_IN
from imperal_host.gateway.resolver import Found, Plan, Target, resolve
from imperal_sdk.llm import Completion, Usage
from tests.host.conftest import principal

VENDORS = {vendor.name: vendor for vendor in BUILT_IN}


def own(*, is_active: bool = True, fallback: Fallback = "error", provider: str = "openai") -> Binding:
    url = "https://api.example.org/v1"
    return Binding(owner_of(principal()), 1, provider, "own-model", url, "", is_active, fallback, "sk-", 0)


def platform(*, is_active: bool = True) -> Binding:
    return Binding(PLATFORM, 1, "anthropic", "platform-model", "https://p.example.org", "", is_active, "error", "", 0)


@pytest.mark.parametrize(
    ("user", "admin", "local", "models"),
    [
        (None, None, "embedded", ["embedded"]),
        (None, platform(), None, ["platform-model"]),
        (None, platform(), "embedded", ["platform-model"]),
        (None, platform(is_active=False), "embedded", ["embedded"]),
        (own(), None, None, ["own-model"]),
        (own(), platform(), "embedded", ["own-model"]),
        (own(fallback="platform"), platform(), "embedded", ["own-model", "platform-model"]),
        (own(fallback="platform"), platform(is_active=False), "embedded", ["own-model", "embedded"]),
        (own(fallback="platform"), None, "embedded", ["own-model", "embedded"]),
        (own(fallback="platform"), None, None, ["own-model"]),
        (own(is_active=False), platform(), None, ["platform-model"]),
        (own(is_active=False, fallback="platform"), platform(), "embedded", ["platform-model"]),
        (own(is_active=False), None, "embedded", ["embedded"]),
    ],
)
def test_the_plan_is(user: Binding | None, admin: Binding | None, local: str | None, models: list[str]) -> None:
    plan = resolve(Found(user=user, platform=admin, local_model=local), "", VENDORS)
    assert [target.model for target in plan.targets] == models
    assert [target.is_byollm for target in plan.targets] == [model == "own-model" for model in models]
    assert [target.binding is None for target in plan.targets] == [model == "embedded" for model in models]


@pytest.mark.parametrize("user", [None, own(is_active=False), own(is_active=False, fallback="platform")])
@pytest.mark.parametrize("admin", [None, platform(is_active=False)])
def test_without_any_model_it_says_what_to_do(user: Binding | None, admin: Binding | None) -> None:
    with pytest.raises(UnavailableError, match="imperal-host llm set --platform"):
        resolve(Found(user=user, platform=admin), "", VENDORS)


def test_a_provider_that_is_gone_is_an_error_and_not_another_model() -> None:
    with pytest.raises(UnavailableError, match="'gone'"):
        resolve(
            Found(user=own(provider="gone", fallback="platform"), platform=platform(), local_model="e"), "", VENDORS
        )


DONE = Completion(
    content=(), model="m", provider="p", stop_reason="end_turn", usage=Usage(input_tokens=1, output_tokens=1),
    is_byollm=False,
)  # fmt: skip
TWO = resolve(Found(user=own(fallback="platform"), platform=platform()), "", VENDORS)
ONE = Plan(TWO.targets[:1])


def run(plan: Plan, *outcomes: Completion | UpstreamError) -> tuple[list[Target], Completion | UpstreamError]:
    """The targets that were asked, and what came of it."""
    steps = cascade(plan)
    asked = [next(steps)]
    for outcome in outcomes:
        try:
            asked.append(steps.send(outcome))
        except StopIteration as done:
            return asked, done.value
        except UpstreamError as error:
            return asked, error
    raise AssertionError("the cascade wants more outcomes")


def test_the_first_completion_ends_it() -> None:
    assert run(TWO, DONE) == ([TWO.targets[0]], DONE)
    assert run(TWO, UnavailableError("a"), DONE) == (list(TWO.targets), DONE)


@pytest.mark.parametrize("failure", [UnavailableError, RateLimitedError, RefusedError, MalformedError])
def test_a_failure_of_this_target_goes_to_the_next_and_all_are_told(failure: type[UpstreamError]) -> None:
    first, second = failure("own"), failure("platform")
    asked, error = run(TWO, first, second)
    assert asked == list(TWO.targets)
    assert isinstance(error, CascadeExhaustedError)
    assert error.failures == (first, second)
    assert str(error) == "own; then platform"


@pytest.mark.parametrize("failure", [EgressBlockedError, UpstreamError])
def test_a_failure_that_another_target_does_not_cure_stops_at_once(failure: type[UpstreamError]) -> None:
    error = failure("blocked")
    asked, raised = run(TWO, error)
    assert asked == [TWO.targets[0]]
    assert raised is error


def test_one_failure_is_raised_as_it_is() -> None:
    error = RefusedError("no")
    assert run(ONE, error) == ([ONE.targets[0]], error)
