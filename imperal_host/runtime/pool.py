"""Warm isolates, lent one call at a time, each to one principal for its whole life."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from imperal_host.clock import Clock
from imperal_host.errors import BusyError
from imperal_host.identity import Package, Principal, TenantId, UserId
from imperal_host.runtime.isolate import Isolate, Launcher
from imperal_sdk.manifest import Manifest

Who = tuple[TenantId, UserId]
Key = tuple[Package, Who]


@dataclass(frozen=True, slots=True)
class PoolLimits:
    isolates_max: int
    isolates_per_principal_max: int
    idle_seconds_max: float


@dataclass(frozen=True, slots=True, eq=False)
class _Idle:
    isolate: Isolate
    since: float
    timer: asyncio.TimerHandle


class Pool:
    """An isolate is never lent to a second principal: the key under which it rests names the first.

    The limits bound processes, from before their launch until nothing of them is left.
    """

    def __init__(self, launcher: Launcher, limits: PoolLimits, clock: Clock) -> None:
        self._launcher = launcher
        self._limits = limits
        self._clock = clock
        self._idle: dict[Key, list[_Idle]] = {}
        self._living: Counter[Who] = Counter()
        self._endings: dict[asyncio.Task[None], Who] = {}
        self._retired: set[Package] = set()

    async def inspect(self, package: Package) -> Manifest:
        """Load an extension in an isolate of nobody's, learn its manifest, and end it."""
        isolate = await self._launcher.launch(package)
        await isolate.aclose()
        return isolate.manifest

    @asynccontextmanager
    async def lease(self, package: Package, principal: Principal) -> AsyncIterator[Isolate]:
        """Raises ``BusyError`` at the limits, and whatever a launch raises."""
        who = (principal.tenant, principal.user)
        key = (package, who)
        while (isolate := self._wake(key)) is None:
            if endings := self._make_room(who):
                await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            else:
                isolate = await self._start(package, who)
                break
        try:
            yield isolate
        finally:
            if isolate.alive and package not in self._retired:
                self._rest(key, isolate)
            else:
                await asyncio.wait({self._end(who, isolate)})

    def retire(self, package: Package) -> None:
        """Keep no isolate of this package: resting ones end now, lent ones when they come back.

        A call that found the package before it was replaced may lease only after this: it gets its isolate.
        """
        self._retired.add(package)
        for key, resting in list(self._idle.items()):
            for idle in list(resting) if key[0] == package else ():
                self._retire(key, idle)

    async def aclose(self) -> None:
        for key, resting in list(self._idle.items()):
            for idle in list(resting):
                self._retire(key, idle)
        await asyncio.gather(*self._endings)

    def _wake(self, key: Key) -> Isolate | None:
        while resting := self._idle.get(key):
            idle = resting[-1]
            self._take_out(key, idle)
            if idle.isolate.alive:
                idle.isolate.resume()
                return idle.isolate
            self._end(key[1], idle.isolate)
        return None

    async def _start(self, package: Package, who: Who) -> Isolate:
        self._living[who] += 1
        try:
            return await self._launcher.launch(package)
        except BaseException:
            self._forget(who)
            raise

    def _make_room(self, who: Who) -> set[asyncio.Task[None]]:
        """Nothing, if there is room for one more; else the endings of which one must be over before there is."""
        if self._living[who] >= self._limits.isolates_per_principal_max:
            if endings := self._end_one_of({who}):
                return endings
            raise BusyError(f"you have {self._living[who]} calls running; wait for one to end")
        if self._living.total() >= self._limits.isolates_max:
            if endings := self._end_one_of(set(self._living)):
                return endings
            raise BusyError("the host runs as many calls as it may; try again in a moment")
        return set()

    def _end_one_of(self, whose: set[Who]) -> set[asyncio.Task[None]]:
        """Retire the longest-resting of theirs; if none rests, those that are ending anyway."""
        resting = [(key, idle) for key, row in self._idle.items() if key[1] in whose for idle in row]
        if resting:
            return {self._retire(*min(resting, key=lambda pair: pair[1].since))}
        return {ending for ending, who in self._endings.items() if who in whose}

    def _rest(self, key: Key, isolate: Isolate) -> None:
        isolate.pause()
        timer = asyncio.get_running_loop().call_later(self._limits.idle_seconds_max, lambda: self._retire(key, idle))
        idle: _Idle = _Idle(isolate, self._clock.monotonic(), timer)
        self._idle.setdefault(key, []).append(idle)

    def _take_out(self, key: Key, idle: _Idle) -> None:
        idle.timer.cancel()
        self._idle[key].remove(idle)
        if not self._idle[key]:
            del self._idle[key]

    def _retire(self, key: Key, idle: _Idle) -> asyncio.Task[None]:
        self._take_out(key, idle)
        return self._end(key[1], idle.isolate)

    def _end(self, who: Who, isolate: Isolate) -> asyncio.Task[None]:
        ending = asyncio.create_task(self._see_off(who, isolate))
        self._endings[ending] = who
        ending.add_done_callback(self._endings.pop)
        return ending

    async def _see_off(self, who: Who, isolate: Isolate) -> None:
        try:
            await isolate.aclose()
        finally:
            self._forget(who)

    def _forget(self, who: Who) -> None:
        self._living[who] -= 1
        if not self._living[who]:
            del self._living[who]
