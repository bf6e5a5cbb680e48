"""Times: warm-up, rounds, percentiles. Seconds inside, milli- and microseconds in figures."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for one figure. Counts; seconds where the name says so."""

    calls: int
    warm_up_calls: int
    rounds: int
    starts: int
    claims: int
    alive: int
    peers_alive: int
    crowd_calls: int
    crowd_seconds_max: float
    load_seconds: float


FULL = Effort(2_000, 300, 3, 30, 300, 100, 10, 5_000, 240.0, 5.0)
QUICK = Effort(100, 20, 1, 3, 10, 4, 2, 60, 8.0, 0.5)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` (0 to 1) of all are not above: nearest rank, none of them invented."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


async def one_by_one(work: Work, effort: Effort) -> dict[str, float]:
    """``p50_us`` and ``p99_us`` of calls made one after the other: of each, the median of the rounds."""
    for _ in range(effort.warm_up_calls):
        await work()
    rounds = [await _timed(work, effort.calls) for _ in range(effort.rounds)]
    return {name: median(percentile(times, share) for times in rounds) * 1e6 for name, share in _MICROSECONDS}


def milliseconds(times: Sequence[float]) -> dict[str, float]:
    """``p50_ms`` and ``p99_ms`` of times in seconds."""
    return {name: percentile(times, share) * 1e3 for name, share in _MILLISECONDS}


async def many_at_once(works: Sequence[Work], effort: Effort) -> tuple[dict[str, float], list[float]]:
    """Closed loop: each of ``works`` is repeated by a task of its own, so ``len(works)`` calls are in flight.

    Gives ``calls_per_second``, the median of the rounds, and all latencies in seconds.
    """
    each = max(1, effort.calls // len(works))
    await _closed_loop(works, max(1, effort.warm_up_calls // len(works)))
    rates, times = [], []
    for _ in range(effort.rounds):
        begun = time.perf_counter()
        round_ = await _closed_loop(works, each)
        rates.append(len(round_) / (time.perf_counter() - begun))
        times += round_
    return {"calls_per_second": median(rates)}, times


async def _closed_loop(works: Sequence[Work], each: int) -> list[float]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_timed(work, each)) for work in works]
    return [taken for task in tasks for taken in task.result()]


async def _timed(work: Work, count: int) -> list[float]:
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        await work()
        times.append(time.perf_counter() - begun)
    return times


_MICROSECONDS = (("p50_us", 0.50), ("p99_us", 0.99))
_MILLISECONDS = (("p50_ms", 0.50), ("p99_ms", 0.99))
