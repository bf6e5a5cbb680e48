"""From one target to the next. Pure: it is sent outcomes and yields targets."""

from collections.abc import Generator

from imperal_host.errors import CascadeExhaustedError, UpstreamError
from imperal_host.gateway.resolver import Plan, Target
from imperal_sdk.llm import Completion

Cascade = Generator[Target, Completion | UpstreamError, Completion]


def cascade(plan: Plan) -> Cascade:
    """Yield a target, be sent its outcome; return the first completion.

    One failure is raised as it is, several as ``CascadeExhaustedError``.
    """
    failures: list[UpstreamError] = []
    for target in plan.targets:
        outcome = yield target
        if isinstance(outcome, Completion):
            return outcome
        failures.append(outcome)
        if not outcome.try_next:
            break
    if len(failures) == 1:
        raise failures[0]
    raise CascadeExhaustedError(tuple(failures))
