"""A target that fails again and again is left alone for a while. Pure: time is given.

A circuit is one user's way to one configuration (a binding and its version). What another's key or address does, or
what another asks of the platform's model until it breaks, opens nobody else's.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from imperal_host.errors import UnavailableError

_KEPT_MAX = 10_000


@dataclass(slots=True)
class _State:
    failures: int = 0
    open_until: float = 0.0


class Circuits:
    """``failures_max`` failures in a row open a circuit for ``open_seconds``; then one attempt is let through, and
    what becomes of it decides."""

    def __init__(self, failures_max: int = 5, open_seconds: float = 10.0) -> None:
        self._failures_max = failures_max
        self._open_seconds = open_seconds
        self._states: dict[Hashable, _State] = {}

    def refusal(self, key: Hashable, now: float) -> UnavailableError | None:
        """Why it is not asked now; ``None`` if it may be."""
        state = self._states.get(key)
        if state is None or state.failures < self._failures_max:
            return None
        if now < state.open_until:
            return UnavailableError(
                f"the model's server failed {state.failures} times in a row and is left alone; "
                f"try again in {max(1, round(state.open_until - now))} s"
            )
        state.open_until = now + self._open_seconds  # for all but this one
        return None

    def succeeded(self, key: Hashable) -> None:
        self._states.pop(key, None)

    def failed(self, key: Hashable, now: float) -> None:
        if key not in self._states and len(self._states) >= _KEPT_MAX:
            self._states.pop(next(iter(self._states)))
        state = self._states.setdefault(key, _State())
        state.failures += 1
        state.open_until = now + self._open_seconds
