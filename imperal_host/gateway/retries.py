"""Whether a failed attempt is made again, and when. Pure: what has failed goes in, seconds come out.

Only what cannot have done anything is made again: a connection that was not made, a rate limit, a server that said
at once that it is not available.
"""

from dataclasses import dataclass

from imperal_host.errors import RateLimitedError, UnavailableError, UpstreamError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``tries_max`` of one target, the first included; ``seconds_max`` of waiting in one model call, all together."""

    tries_max: int = 3
    seconds_max: float = 15.0
    first_seconds: float = 0.5

    def delay(self, error: UpstreamError, tries: int, waited_seconds: float, chance: float) -> float | None:
        """Seconds to wait before the next try, or ``None`` for no other. ``tries`` were made; ``chance`` (0 to 1)
        spreads those who failed together."""
        safe = isinstance(error, RateLimitedError | UnavailableError) and not error.may_have_charged
        if not safe or tries >= self.tries_max:
            return None
        seconds = self.first_seconds * 2 ** (tries - 1) * (0.5 + chance / 2)
        if error.retry_after_seconds is not None:
            seconds = max(seconds, error.retry_after_seconds)
        return seconds if waited_seconds + seconds <= self.seconds_max else None


@dataclass(slots=True)
class Waited:
    """By one model call until now, for whichever of its targets."""

    seconds: float = 0.0
