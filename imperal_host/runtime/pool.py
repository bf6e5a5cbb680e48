"""Isolates, each lent to one principal for its whole life, and some that belong to nobody yet."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from imperal_host.clock import Clock
from imperal_host.errors import BusyError, ExtensionError, HostError
from imperal_host.identity import Package, Principal, TenantId, UserId
from imperal_host.log import logger
from imperal_host.runtime.backoff import Backoff
from imperal_host.runtime.isolate import Isolate, Launcher
from imperal_host.runtime.turns import Turns
from imperal_sdk.manifest import Manifest

# A claim comes first: what replaces the claimed one would take the processor from it.
_FILL_SECONDS = 0.003
# Who calls again at once finds it running: to stop and to wake a process takes longer than a short call.
_PAUSE_SECONDS = 0.1
# A call that found a package before it was retired may lease it a little later; not this much.
_RETIRED_SECONDS = 3_600.0
Who = tuple[TenantId, UserId]
Key = tuple[Package, Who]


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """``spares`` is for each package; all spares together are at most half of ``isolates_max``."""

    isolates_max: int
    isolates_per_principal_max: int
    calls_per_isolate_max: int
    spares: int
    wait_seconds_max: float
    idle_seconds_max: float
    age_seconds_max: float
    calls_max: int
    resting_memory_bytes_max: int
    failures_max: int = 3


@dataclass(slots=True, eq=False)
class _Bound:
    """An isolate that has its principal. ``timer`` runs while it rests, since ``since``."""

    isolate: Isolate
    key: Key
    born: float
    since: float
    calls_now: int = 0
    calls: int = 0
    is_paused: bool = False
    timer: asyncio.TimerHandle | None = None
    ending: asyncio.Task[None] | None = None


class Pool:
    """What an isolate was bound with stays with it: it is never lent to a second principal.

    The limits bound processes, from before their launch until nothing of them is left. At the limits a call
    waits its turn, and tenants take turns.
    """

    def __init__(self, launcher: Launcher, limits: PoolLimits, clock: Clock) -> None:
        self._launcher = launcher
        self._limits = limits
        self._clock = clock
        self._bound: dict[Key, list[_Bound]] = {}
        self._spares: dict[Package, deque[Isolate]] = {}
        self._spare_timers: dict[Package, asyncio.TimerHandle] = {}
        self._filling: dict[Package, asyncio.Task[None]] = {}
        self._living: Counter[Who | None] = Counter()  # None: nobody's yet
        self._endings: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._retired: dict[Package, float] = {}
        self._backoff = Backoff(clock, limits.failures_max)
        self._log = logger("runtime")
        self._closed = False

    async def inspect(self, package: Package) -> Manifest:
        """Load an extension in an isolate of nobody's and learn its manifest; then that one is a spare."""
        isolate = await self._launch(package, None)
        self._keep_spare(package, isolate)
        return isolate.manifest

    def spares(self, package: Package) -> int:
        """How many isolates of the package wait for their principal."""
        return len(self._spares.get(package, ()))

    def retire(self, package: Package) -> None:
        """Lend no more isolates of it: resting ones end now, lent ones when they come back."""
        now = self._clock.monotonic()
        self._retired = {old: since for old, since in self._retired.items() if now - since < _RETIRED_SECONDS}
        self._retired[package] = now
        self._drop_spares(package)
        for bound in [bound for key, row in self._bound.items() if key[0] == package for bound in row]:
            if not bound.calls_now:
                self._retire(bound)
        self._launcher.retire(package)

    @asynccontextmanager
    async def lease(self, package: Package, principal: Principal) -> AsyncIterator[Isolate]:
        """Raises ``BusyError`` at the limits, and whatever a launch raises."""
        bound = await self._take((package, (principal.tenant, principal.user)))
        try:
            yield bound.isolate
        except ExtensionError:
            if not bound.isolate.alive and bound.ending is None:  # one crash, however many calls it ends
                self._backoff.failed(bound.key)
            raise
        else:
            self._backoff.succeeded(bound.key)
        finally:
            bound.calls_now -= 1
            if not bound.isolate.alive:
                await asyncio.wait({self._retire(bound)})
            elif not bound.calls_now:
                self._rest(bound)
            else:
                self._call_next()

    async def aclose(self) -> None:
        self._closed = True
        filling = list(self._filling.values())
        for task in filling:
            task.cancel()
        await asyncio.gather(*filling, return_exceptions=True)
        for package in list(self._spares):
            self._drop_spares(package)
        for bound in [bound for row in self._bound.values() for bound in row]:
            self._retire(bound)
        while self._endings:
            await asyncio.gather(*self._endings)
        await self._launcher.aclose()

    # -- taking one

    async def _take(self, key: Key) -> _Bound:
        try:
            bound = await self._take_in_turn(key)
            bound.calls_now += 1
            bound.calls += 1
            return bound
        finally:
            self._call_next()  # a turn that was not used is the next one's

    async def _take_in_turn(self, key: Key) -> _Bound:
        deadline = self._clock.monotonic() + self._limits.wait_seconds_max
        is_called = False
        while True:
            if self._closed:
                raise BusyError("the host is stopping")
            if (own := self._take_resting(key)) is not None:
                return own
            self._backoff.check(key)
            if self._living[key[1]] < self._limits.isolates_per_principal_max:
                if is_called or not self._turns.is_anyone_before:
                    if (isolate := self._take_spare(key)) is not None:
                        return self._bind(key, isolate)
                    if self._living.total() < self._limits.isolates_max:
                        return self._bind(key, await self._start(key))
                    if (ending := self._end_one()) is not None:
                        return self._bind(key, await self._start(key, ending))
                if (shared := self._take_shared(key)) is not None:
                    return shared
            elif (shared := self._take_shared(key)) is not None:
                return shared
            elif resting := [bound for bound in self._resting() if bound.key[1] == key[1]]:
                return self._bind(key, await self._start(key, self._retire(self._longest(resting))))
            elif self._are_all_at_work(key[1]):
                raise BusyError(f"you have {self._living[key[1]]} isolates at work; wait for a call to end")
            try:
                await self._turns.wait(key[1][0], max(0.0, deadline - self._clock.monotonic()))
            except TimeoutError:
                raise BusyError("the host runs as many calls as it may; try again in a moment", 2) from None
            is_called = True

    def _are_all_at_work(self, who: Who) -> bool:
        """Whether none of the principal's is starting or ending: a call waits for those."""
        bound = sum(len(row) for key, row in self._bound.items() if key[1] == who)
        return bound >= self._living[who]

    def _take_resting(self, key: Key) -> _Bound | None:
        """One that is the principal's already."""
        for bound in reversed([bound for bound in self._bound.get(key, ()) if not bound.calls_now]):
            if bound.isolate.alive:
                self._wake(bound)
                return bound
            self._retire(bound)
        return None

    def _take_spare(self, key: Key) -> Isolate | None:
        package, who = key
        row = self._spares.get(package)
        while row:
            isolate = row.popleft()
            if isolate.alive:
                self._forget(None)
                self._living[who] += 1
                isolate.resume()
                asyncio.get_running_loop().call_later(_FILL_SECONDS, self._fill, package)
                return isolate
            self._end(isolate, None)
        return None

    def _take_shared(self, key: Key) -> _Bound | None:
        """One that works on other calls of the same principal."""
        alive = [bound for bound in self._bound.get(key, ()) if bound.isolate.alive]
        least = min(alive, key=lambda bound: bound.calls_now, default=None)
        return least if least and least.calls_now < self._limits.calls_per_isolate_max else None

    async def _start(self, key: Key, ending: asyncio.Task[None] | None = None) -> Isolate:
        package, who = key
        try:
            isolate = await self._launch(package, who, ending)
        except HostError:
            self._backoff.failed(key)
            raise
        self._fill(package)
        return isolate

    async def _launch(self, package: Package, who: Who | None, ending: asyncio.Task[None] | None = None) -> Isolate:
        """In the place of the one that is ending, if any: nobody else gets that."""
        if self._closed:
            raise BusyError("the host is stopping")
        self._living[who] += 1
        try:
            if ending is not None:
                await asyncio.wait({ending})
            isolate = await self._launcher.launch(package)
        except BaseException:
            self._forget(who)
            raise
        if self._closed:
            await asyncio.wait({self._end(isolate, who)})
            raise BusyError("the host is stopping")
        return isolate

    def _bind(self, key: Key, isolate: Isolate) -> _Bound:
        now = self._clock.monotonic()
        bound = _Bound(isolate, key, born=now, since=now)
        self._bound.setdefault(key, []).append(bound)
        return bound

    # -- resting

    def _rest(self, bound: _Bound) -> None:
        now = self._clock.monotonic()
        if self._is_worn_out(bound, now):
            self._retire(bound)
            return
        bound.since = now
        bound.timer = asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._pause, bound)
        self._call_next()

    def _pause(self, bound: _Bound) -> None:
        """It rests: what a call left behind in it stands still, or ends if it holds too much."""
        if bound.isolate.memory_bytes() > self._limits.resting_memory_bytes_max:
            self._retire(bound)
            return
        bound.isolate.pause()
        bound.is_paused = True
        bound.timer = asyncio.get_running_loop().call_later(self._limits.idle_seconds_max, self._retire, bound)

    def _wake(self, bound: _Bound) -> None:
        if bound.timer is not None:
            bound.timer.cancel()
            bound.timer = None
        if bound.is_paused:
            bound.isolate.resume()
            bound.is_paused = False

    def _is_worn_out(self, bound: _Bound, now: float) -> bool:
        limits = self._limits
        return (
            self._closed
            or bound.key[0] in self._retired
            or bound.calls >= limits.calls_max
            or now - bound.born >= limits.age_seconds_max
        )

    # -- ending

    def _retire(self, bound: _Bound) -> asyncio.Task[None]:
        if bound.timer is not None:
            bound.timer.cancel()
        if bound.ending is None:
            row = self._bound[bound.key]
            row.remove(bound)
            if not row:
                del self._bound[bound.key]
            bound.ending = self._end(bound.isolate, bound.key[1])
        return bound.ending

    def _end_one(self) -> asyncio.Task[None] | None:
        """Of the tenant that holds most: the one that has rested longest. Failing that, a spare."""
        if resting := self._resting():
            return self._retire(self._longest(resting))
        for row in self._spares.values():
            if row:
                return self._end(row.popleft(), None)
        return None

    def _longest(self, resting: list[_Bound]) -> _Bound:
        held = Counter(bound.key[1][0] for row in self._bound.values() for bound in row)
        return min(resting, key=lambda bound: (-held[bound.key[1][0]], bound.since))

    def _resting(self) -> list[_Bound]:
        return [bound for row in self._bound.values() for bound in row if not bound.calls_now]

    def _end(self, isolate: Isolate, who: Who | None) -> asyncio.Task[None]:
        ending = asyncio.create_task(self._see_off(isolate, who))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    async def _see_off(self, isolate: Isolate, who: Who | None) -> None:
        try:
            await isolate.aclose()
        finally:
            self._forget(who)

    def _forget(self, who: Who | None) -> None:
        self._living[who] -= 1
        if not self._living[who]:
            del self._living[who]
        self._call_next()

    def _call_next(self) -> None:
        """One who waits, if there may be room for more than were called."""
        if self._turns.is_anyone_before:
            may_end = len(self._resting()) + sum(map(len, self._spares.values()))
            if self._turns.called < self._limits.isolates_max - self._living.total() + may_end:
                self._turns.call_next()

    # -- spares

    def _fill(self, package: Package) -> None:
        if not self._closed and package not in self._retired and package not in self._filling:
            task = self._filling[package] = asyncio.create_task(self._fill_up(package))
            task.add_done_callback(lambda _: self._filling.pop(package, None))

    async def _fill_up(self, package: Package) -> None:
        """As many as there should be. What cannot be launched now is launched, and explained, at a call."""
        try:
            while self.spares(package) < self._limits.spares and self._has_room_for_spare():
                is_full = self._living.total() >= self._limits.isolates_max
                ending = self._retire(self._longest(self._resting())) if is_full else None
                self._keep_spare(package, await self._launch(package, None, ending))
        except HostError as error:
            self._log.warning("runtime.no_spare", extension=package.name, why=str(error))

    def _has_room_for_spare(self) -> bool:
        """Those who wait come first, but what rests may go: a spare serves whoever comes next."""
        if self._turns.is_anyone_before or self._living[None] >= self._limits.isolates_max // 2:
            return False
        return self._living.total() < self._limits.isolates_max or bool(self._resting())

    def _keep_spare(self, package: Package, isolate: Isolate) -> None:
        too_many = self.spares(package) >= self._limits.spares or self._living[None] > self._limits.isolates_max // 2
        if self._closed or package in self._retired or too_many:
            self._end(isolate, None)
            return
        isolate.pause()
        self._spares.setdefault(package, deque()).append(isolate)
        if (timer := self._spare_timers.pop(package, None)) is not None:
            timer.cancel()
        later = asyncio.get_running_loop().call_later
        self._spare_timers[package] = later(self._limits.idle_seconds_max, self._drop_spares, package)
        self._call_next()

    def _drop_spares(self, package: Package) -> None:
        if (timer := self._spare_timers.pop(package, None)) is not None:
            timer.cancel()
        for isolate in self._spares.pop(package, ()):
            self._end(isolate, None)
