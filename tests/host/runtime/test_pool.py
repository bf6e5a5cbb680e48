"""Who is lent which isolate. The launcher is scripted; the isolates of other tests are real."""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imperal_host.clock import SystemClock
from imperal_host.errors import BusyError, SandboxError
from imperal_host.identity import CallId, Package, Principal, TenantId, UserId
from imperal_host.runtime.isolate import Broker
from imperal_host.runtime.pool import Pool, PoolLimits
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import CallContext

ADA, BOB = (Principal(TenantId("acme"), UserId(name)) for name in ("ada", "bob"))
ADA_ELSEWHERE = Principal(TenantId("globex"), UserId("ada"))
NOTES, MAIL = (Package(name, "main", "", (), (), "") for name in ("notes", "mail"))


@dataclass
class ScriptedIsolate:
    number: int
    manifest: Manifest = field(default_factory=lambda: Manifest(app_id="notes", version="1.0.0"))
    alive: bool = True
    running: bool = True
    awake: bool = True
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def invoke(
        self,
        call: CallId,
        function: str,
        arguments: dict[str, Any],
        context: CallContext,
        broker: Broker,
        seconds: float,
    ) -> dict[str, Any]:
        raise AssertionError("the pool calls nothing")

    def pause(self) -> None:
        self.awake = False

    def resume(self) -> None:
        self.awake = True

    async def aclose(self) -> None:
        self.alive = False
        await self.may_end.wait()
        self.running = False


class ScriptedLauncher:
    def __init__(self) -> None:
        self.launched: list[ScriptedIsolate] = []
        self.fails = False
        self.endings_are_slow = False
        self._numbers = itertools.count()

    async def launch(self, package: Package) -> ScriptedIsolate:
        if self.fails:
            raise SandboxError("no")
        self.launched.append(ScriptedIsolate(next(self._numbers)))
        if not self.endings_are_slow:
            self.launched[-1].may_end.set()
        return self.launched[-1]

    @property
    def running(self) -> list[ScriptedIsolate]:
        return [isolate for isolate in self.launched if isolate.running]


def pool_of(isolates_max: int = 4, per_principal: int = 2, idle: float = 60) -> tuple[Pool, ScriptedLauncher]:
    launcher = ScriptedLauncher()
    return Pool(launcher, PoolLimits(isolates_max, per_principal, idle), SystemClock()), launcher


async def borrow(pool: Pool, package: Package, principal: Principal) -> int:
    async with pool.lease(package, principal) as isolate:
        assert isinstance(isolate, ScriptedIsolate)
        return isolate.number


async def test_a_principal_gets_their_own_isolate_back() -> None:
    pool, _ = pool_of()
    assert [await borrow(pool, NOTES, ADA) for _ in range(3)] == [0, 0, 0]
    await pool.aclose()


async def test_an_isolate_runs_only_while_it_is_lent() -> None:
    pool, launcher = pool_of()
    async with pool.lease(NOTES, ADA):
        assert launcher.launched[0].awake
    assert not launcher.launched[0].awake
    async with pool.lease(NOTES, ADA):
        assert launcher.launched[0].awake
    await pool.aclose()


async def test_packages_of_one_name_share_no_isolate() -> None:
    pool, _ = pool_of()
    impostor = Package(NOTES.name, "main", "", (), (), "another folder")
    assert await borrow(pool, NOTES, ADA) != await borrow(pool, impostor, ADA)
    await pool.aclose()


async def test_nobody_else_does() -> None:
    pool, _ = pool_of()
    numbers = [
        await borrow(pool, package, who) for package, who in [(NOTES, ADA), (NOTES, BOB), (NOTES, ADA_ELSEWHERE)]
    ]
    assert len(set(numbers)) == 3
    assert await borrow(pool, MAIL, ADA) not in numbers, "nor for another extension"
    await pool.aclose()


async def test_a_dead_isolate_is_not_lent_again() -> None:
    pool, launcher = pool_of()
    await borrow(pool, NOTES, ADA)
    launcher.launched[0].alive = False
    assert await borrow(pool, NOTES, ADA) == 1
    await pool.aclose()


async def test_over_the_limit_of_one_principal_is_busy_and_others_are_served() -> None:
    pool, _ = pool_of(isolates_max=4, per_principal=2)
    async with pool.lease(NOTES, ADA), pool.lease(NOTES, ADA):
        with pytest.raises(BusyError, match="you have 2 calls running"):
            await borrow(pool, NOTES, ADA)
        assert await borrow(pool, NOTES, BOB) == 2
    await pool.aclose()


async def test_a_full_host_ends_the_longest_resting_isolate_to_make_room() -> None:
    pool, launcher = pool_of(isolates_max=2)
    await borrow(pool, NOTES, ADA)
    await borrow(pool, NOTES, BOB)
    assert await borrow(pool, NOTES, ADA_ELSEWHERE) == 2
    await asyncio.sleep(0)
    assert [isolate.alive for isolate in launcher.launched] == [False, True, True]
    await pool.aclose()


async def test_a_full_host_where_nothing_rests_is_busy() -> None:
    pool, _ = pool_of(isolates_max=1)
    async with pool.lease(NOTES, ADA):
        with pytest.raises(BusyError, match="as many calls as it may"):
            await borrow(pool, NOTES, BOB)
    await pool.aclose()


async def test_a_launch_that_fails_gives_its_place_back() -> None:
    pool, launcher = pool_of(isolates_max=1)
    launcher.fails = True
    for _ in range(3):
        with pytest.raises(SandboxError):
            await borrow(pool, NOTES, ADA)
    launcher.fails = False
    assert await borrow(pool, NOTES, ADA) == 0
    await pool.aclose()


async def test_an_idle_isolate_ends() -> None:
    pool, launcher = pool_of(idle=0.01)
    await borrow(pool, NOTES, ADA)
    async with asyncio.timeout(5):
        while launcher.launched[0].alive:
            await asyncio.sleep(0.005)
    assert await borrow(pool, NOTES, ADA) == 1
    await pool.aclose()


async def test_closing_the_pool_leaves_none_alive() -> None:
    pool, launcher = pool_of()
    await asyncio.gather(borrow(pool, NOTES, ADA), borrow(pool, NOTES, ADA), borrow(pool, MAIL, BOB))
    await pool.aclose()
    assert not any(isolate.alive for isolate in launcher.launched)


async def test_an_isolate_takes_a_place_until_it_has_ended() -> None:
    pool, launcher = pool_of(isolates_max=2)
    launcher.endings_are_slow = True
    await borrow(pool, NOTES, ADA)
    await borrow(pool, NOTES, BOB)
    strangers = [Principal(TenantId("acme"), UserId(str(number))) for number in range(6)]
    waiting = [asyncio.create_task(borrow(pool, NOTES, stranger)) for stranger in strangers]
    await asyncio.wait(waiting, timeout=0.02)
    assert len(launcher.running) == 2
    for isolate in itertools.islice(launcher.launched, 2):
        isolate.may_end.set()
    launcher.endings_are_slow = False
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} <= {int, BusyError}
    assert sum(isinstance(result, int) for result in results) >= 2
    assert len(launcher.running) <= 2
    await pool.aclose()
    assert launcher.running == []


async def test_a_lease_that_is_given_up_while_it_waits_takes_no_place() -> None:
    pool, launcher = pool_of(isolates_max=1)
    launcher.endings_are_slow = True
    await borrow(pool, NOTES, ADA)
    waiting = asyncio.create_task(borrow(pool, NOTES, BOB))
    await asyncio.wait({waiting}, timeout=0.02)
    waiting.cancel()
    await asyncio.wait({waiting})
    launcher.launched[0].may_end.set()
    launcher.endings_are_slow = False
    assert await borrow(pool, NOTES, BOB) == 1
    await pool.aclose()


async def test_an_isolate_that_died_at_rest_is_closed_too() -> None:
    pool, launcher = pool_of()
    await borrow(pool, NOTES, ADA)
    launcher.launched[0].alive = False
    assert await borrow(pool, NOTES, ADA) == 1
    await asyncio.sleep(0)
    assert [isolate.number for isolate in launcher.running] == [1]
    await pool.aclose()


async def test_nothing_is_kept_of_a_principal_who_has_left() -> None:
    pool, _ = pool_of(isolates_max=2)
    for number in range(20):
        await borrow(pool, NOTES, Principal(TenantId("acme"), UserId(str(number))))
    assert (len(pool._idle), len(pool._living)) == (2, 2)
    await pool.aclose()
    assert (len(pool._idle), len(pool._living)) == (0, 0)


class PoolMachine(RuleBasedStateMachine):
    """Any order of borrowing, returning and dying: the limits hold and no isolate changes its principal."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.pool, self.launcher = pool_of(isolates_max=4, per_principal=2)
        self.out: list[tuple[Any, ScriptedIsolate]] = []
        self.owner: dict[int, tuple[str, Principal]] = {}

    @rule(package=st.sampled_from([NOTES, MAIL]), principal=st.sampled_from([ADA, BOB, ADA_ELSEWHERE]))
    def borrow(self, package: Package, principal: Principal) -> None:
        lease = self.pool.lease(package, principal)
        try:
            isolate = self.loop.run_until_complete(self.while_endings_go_on(lease.__aenter__()))
        except BusyError:
            return
        assert isinstance(isolate, ScriptedIsolate)
        assert self.owner.setdefault(isolate.number, (package.name, principal)) == (package.name, principal)
        assert isolate.number not in [other.number for _, other in self.out]
        self.out.append((lease, isolate))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), dies=st.booleans())
    def give_back(self, data: st.DataObject, dies: bool) -> None:
        lease, isolate = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        isolate.alive = not dies
        self.loop.run_until_complete(self.while_endings_go_on(lease.__aexit__(None, None, None)))

    async def while_endings_go_on(self, doing: Awaitable[Any]) -> Any:
        """Slow endings come to an end only when somebody waits for one; the limits hold all the while."""
        task = asyncio.ensure_future(doing)
        while True:
            for _ in range(10):  # nothing here waits for time or for another thread
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            self.the_limits_hold_now()
            next(isolate for isolate in self.launcher.running if not isolate.may_end.is_set()).may_end.set()

    @rule(slow=st.booleans())
    def endings_become(self, slow: bool) -> None:
        self.launcher.endings_are_slow = slow

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def dies_at_rest(self, data: st.DataObject) -> None:
        lent = [isolate.number for _, isolate in self.out]
        resting = [isolate for isolate in self.launcher.launched if isolate.alive and isolate.number not in lent]
        if resting:
            data.draw(st.sampled_from(resting)).alive = False

    @invariant()
    def the_limits_hold(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.the_limits_hold_now()

    def the_limits_hold_now(self) -> None:
        alive = self.launcher.running
        assert len(alive) <= 4
        for principal in (ADA, BOB, ADA_ELSEWHERE):
            assert sum(self.owner[isolate.number][1] == principal for isolate in alive) <= 2

    def teardown(self) -> None:
        for isolate in self.launcher.launched:
            isolate.may_end.set()
        while self.out:
            lease, _ = self.out.pop()
            self.loop.run_until_complete(lease.__aexit__(None, None, None))
        self.loop.run_until_complete(self.pool.aclose())
        assert self.launcher.running == []
        self.loop.close()


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPool = PoolMachine.TestCase
