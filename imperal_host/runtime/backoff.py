"""What fails again and again is tried less and less often."""

import math
from collections.abc import Hashable
from dataclasses import dataclass

from imperal_host.clock import Clock
from imperal_host.errors import BusyError

_DELAY_SECONDS_MAX = 60.0
_FORGET_SECONDS = 600.0


@dataclass(slots=True)
class _Row:
    failures: int
    until: float


class Backoff:
    """Some failures in a row are free; then 1 s, 2 s, 4 s... until something succeeds."""

    def __init__(self, clock: Clock, failures_max: int) -> None:
        self._clock = clock
        self._failures_max = failures_max
        self._rows: dict[Hashable, _Row] = {}

    def check(self, what: Hashable) -> None:
        """Raises ``BusyError`` while it is too early."""
        row = self._rows.get(what)
        left = row.until - self._clock.monotonic() if row else 0.0
        if row and left > 0:
            why = f"it stopped {row.failures} times in a row; the next try is in {math.ceil(left)} s"
            raise BusyError(why, retry_after_seconds=math.ceil(left))

    def failed(self, what: Hashable) -> None:
        now = self._clock.monotonic()
        self._rows = {key: row for key, row in self._rows.items() if row.until > now - _FORGET_SECONDS}
        row = self._rows.setdefault(what, _Row(0, now))
        row.failures += 1
        if row.failures >= self._failures_max:
            row.until = now + min(_DELAY_SECONDS_MAX, 2.0 ** min(row.failures - self._failures_max, 10))

    def succeeded(self, what: Hashable) -> None:
        self._rows.pop(what, None)
