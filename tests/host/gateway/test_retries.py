"""What is tried again, and what is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import (
    EgressBlockedError,
    MalformedError,
    RateLimitedError,
    RefusedError,
    UnansweredError,
    UnavailableError,
    UpstreamError,
)
from imperal_host.gateway.circuit import Circuits
from imperal_host.gateway.retries import RetryPolicy

POLICY = RetryPolicy(tries_max=3, seconds_max=10.0, first_seconds=1.0)


@pytest.mark.parametrize("kind", [RefusedError, MalformedError, UnansweredError, EgressBlockedError])
def test_what_may_have_worked_or_never_will_is_not_made_again(kind: type[UpstreamError]) -> None:
    assert POLICY.delay(kind("no"), 1, 0.0, 0.5) is None


@given(chance=st.floats(0, 1), tries=st.integers(1, 2), kind=st.sampled_from([RateLimitedError, UnavailableError]))
def test_the_wait_doubles_and_is_spread(chance: float, tries: int, kind: type[UpstreamError]) -> None:
    delay = POLICY.delay(kind("later"), tries, 0.0, chance)
    assert delay is not None
    assert 0.5 * 2 ** (tries - 1) <= delay <= 2 ** (tries - 1)


def test_tries_and_time_are_bounded() -> None:
    assert POLICY.delay(UnavailableError("no"), 3, 0.0, 0.5) is None
    assert POLICY.delay(UnavailableError("no"), 2, 9.5, 0.5) is None


def test_a_wish_for_patience_is_heard_where_there_is_time_for_it() -> None:
    assert POLICY.delay(RateLimitedError("no", retry_after_seconds=7), 1, 0.0, 0.5) == 7
    assert POLICY.delay(RateLimitedError("no", retry_after_seconds=60), 1, 0.0, 0.5) is None


def test_a_circuit_opens_after_failures_in_a_row_and_lets_one_through_later() -> None:
    circuits = Circuits(failures_max=3, open_seconds=10)
    for _ in range(2):
        circuits.failed("a", 0.0)
    assert circuits.refusal("a", 0.0) is None
    circuits.failed("a", 0.0)
    refusal = circuits.refusal("a", 1.0)
    assert isinstance(refusal, UnavailableError)
    assert "try again in 9 s" in str(refusal)
    assert circuits.refusal("b", 1.0) is None, "another's circuit"
    assert circuits.refusal("a", 10.0) is None
    assert circuits.refusal("a", 10.1) is not None, "one at a time"
    circuits.succeeded("a")
    assert circuits.refusal("a", 10.2) is None


def test_the_number_of_circuits_is_bounded() -> None:
    circuits = Circuits()
    for key in range(10_050):
        circuits.failed(key, 0.0)
    assert len(circuits._states) <= 10_000
