"""When what keeps failing may be tried again. The clock is scripted."""

import pytest

from imperal_host.errors import BusyError
from imperal_host.runtime.backoff import Backoff
from tests.host.conftest import FixedClock


def failed(clock: FixedClock, times: int, what: str = "notes") -> Backoff:
    backoff = Backoff(clock, 3)
    for _ in range(times):
        backoff.failed(what)
    return backoff


def seconds_left(backoff: Backoff, what: str = "notes") -> int:
    with pytest.raises(BusyError) as refused:
        backoff.check(what)
    return refused.value.retry_after_seconds


def test_what_never_failed_and_what_failed_twice_may_be_tried(clock: FixedClock) -> None:
    for times in range(3):
        failed(clock, times).check("notes")


@pytest.mark.parametrize(("times", "seconds"), [(3, 1), (4, 2), (5, 4), (8, 32), (9, 60), (10, 60), (5_000, 60)])
def test_each_further_failure_doubles_the_wait_up_to_a_minute(clock: FixedClock, times: int, seconds: int) -> None:
    backoff = failed(clock, times)
    assert seconds_left(backoff) == seconds
    clock.seconds += seconds - 0.25
    assert seconds_left(backoff) == 1
    clock.seconds += 0.25
    backoff.check("notes")


def test_who_comes_back_when_told_to_is_not_too_early(clock: FixedClock) -> None:
    backoff = failed(clock, 4)
    clock.seconds += 0.75  # 1.25 s are left
    clock.seconds += seconds_left(backoff)
    backoff.check("notes")


def test_a_success_forgets_them_all(clock: FixedClock) -> None:
    backoff = failed(clock, 6)
    backoff.succeeded("notes")
    backoff.failed("notes")
    backoff.failed("notes")
    backoff.check("notes")


def test_one_that_fails_holds_up_no_other(clock: FixedClock) -> None:
    failed(clock, 6).check("mail")


def test_failures_are_remembered_while_they_are_in_a_row_and_forgotten_after_a_while(clock: FixedClock) -> None:
    backoff = failed(clock, 3)
    clock.seconds += 500
    backoff.failed("notes")
    assert seconds_left(backoff) == 2
    clock.seconds += 603
    backoff.failed("mail")
    backoff.failed("notes")
    backoff.check("notes")


def test_nothing_is_kept_of_what_failed_long_ago(clock: FixedClock) -> None:
    backoff = Backoff(clock, 3)
    for number in range(50):
        backoff.failed(str(number))
        clock.seconds += 100
    assert len(backoff._rows) < 10
