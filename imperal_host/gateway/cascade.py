"""From one target to the next. Pure: it is sent outcomes and yields targets."""

from collections.abc import Generator
from typing import TypeVar

from imperal_host.errors import CascadeExhaustedError, UpstreamError
from imperal_host.gateway.resolver import Plan, Target

Made = TypeVar("Made")


def cascade(plan: Plan) -> Generator[Target, Made | UpstreamError, Made]:
    """Yield a target, be sent its outcome; return the first that is no failure.

    One failure is raised as it is, several as ``CascadeExhaustedError``.
    """
    failures: list[UpstreamError] = []
    for target in plan.targets:
        outcome = yield target
        if not isinstance(outcome, UpstreamError):
            return outcome
        failures.append(outcome)
        if not outcome.try_next:
            break
    if len(failures) == 1:
        raise failures[0]
    raise CascadeExhaustedError(tuple(failures))
