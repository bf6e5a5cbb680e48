"""Any order of borrowing, returning, dying, retiring and waiting: the pool's limits hold at every moment."""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imperal_host.errors import BusyError
from imperal_host.identity import Package, Principal
from tests.host.conftest import turns_of_the_loop
from tests.host.runtime.scripted import (
    ADA,
    ADA_ELSEWHERE,
    BOB,
    MAIL,
    NOTES,
    NOTES_AGAIN,
    ScriptedIsolate,
    pool_of,
)

PACKAGES = st.sampled_from([NOTES, MAIL, NOTES_AGAIN])
PEOPLE = st.sampled_from([ADA, BOB, ADA_ELSEWHERE])
SETTLED = 25  # nothing here waits for another thread


class PoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        limits = {"isolates_max": 4, "isolates_per_principal_max": 2, "calls_per_isolate_max": 2, "spares": 1}
        self.pool, self.launcher, self.clock = pool_of(**limits, wait_seconds_max=30, calls_max=6)
        self.out: list[tuple[Any, ScriptedIsolate]] = []
        self.waiting: list[tuple[Any, asyncio.Task[Any], Package, Principal]] = []
        self.owner: dict[int, tuple[Package, Principal]] = {}

    def settle(self) -> None:
        """Let all that can happen happen, one step of the loop at a time."""
        for _ in range(SETTLED):
            self.loop.run_until_complete(turns_of_the_loop(1))
            self.the_limits_hold()
        for row in [row for row in self.waiting if row[1].done()]:
            self.waiting.remove(row)
            self.received(*row)

    def received(self, lease: Any, task: asyncio.Task[Any], package: Package, principal: Principal) -> None:
        if task.cancelled() or isinstance(task.exception(), BusyError):
            return
        isolate = task.result()
        assert isinstance(isolate, ScriptedIsolate)
        assert isolate.package == package
        assert self.owner.setdefault(isolate.number, (package, principal)) == (package, principal)
        assert isolate.awake
        self.out.append((lease, isolate))
        assert sum(other is isolate for _, other in self.out) <= 2

    @rule(package=PACKAGES, principal=PEOPLE, at_once=st.booleans())
    def borrow(self, package: Package, principal: Principal, at_once: bool) -> None:
        lease = self.pool.lease(package, principal)
        self.waiting.append((lease, self.loop.create_task(lease.__aenter__()), package, principal))
        if at_once:
            self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.waiting))[1].cancel()
        self.settle()

    @precondition(lambda self: self.out)
    @rule(data=st.data(), dies=st.booleans())
    def give_back(self, data: st.DataObject, dies: bool) -> None:
        lease, isolate = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        isolate.alive = isolate.alive and not dies
        returning = self.loop.create_task(lease.__aexit__(None, None, None))
        self.settle()
        isolate.may_end.set()
        self.settle()
        assert returning.done()

    @rule(data=st.data())
    def dies_at_rest(self, data: st.DataObject) -> None:
        lent = [isolate for _, isolate in self.out]
        if resting := [isolate for isolate in self.launcher.running if isolate.alive and isolate not in lent]:
            data.draw(st.sampled_from(resting)).alive = False

    @rule(package=PACKAGES)
    def inspect(self, package: Package) -> None:
        if len(self.launcher.running) < 3 and not self.waiting:
            inspecting = self.loop.create_task(self.pool.inspect(package))
            self.settle()
            assert inspecting.done()

    @rule(package=PACKAGES)
    def retire(self, package: Package) -> None:
        async def retire() -> None:
            self.pool.retire(package)

        self.loop.run_until_complete(retire())
        assert self.pool.spares(package) == 0

    @rule()
    def time_passes(self) -> None:
        self.clock.seconds += 1

    @rule(slow=st.booleans())
    def endings_become(self, slow: bool) -> None:
        self.launcher.endings_are_slow = slow
        if not slow:
            for isolate in self.launcher.launched:
                isolate.may_end.set()
            self.settle()

    @invariant()
    def the_limits_hold(self) -> None:
        running = self.launcher.running
        assert len(running) <= 4
        for principal in (ADA, BOB, ADA_ELSEWHERE):
            owned = [isolate for isolate in running if isolate.number in self.owner]
            assert sum(self.owner[isolate.number][1] == principal for isolate in owned) <= 2

    @invariant()
    def nobody_waits_beside_room(self) -> None:
        """What rests or is nobody's makes room: who may have it is not kept waiting."""
        if not self.launcher.endings_are_slow and all(isolate.may_end.is_set() for isolate in self.launcher.running):
            self.settle()
            held = {id(isolate) for _, isolate in self.out}
            assert not self.waiting or {id(isolate) for isolate in self.launcher.running} == held
            assert not self.waiting or len(self.launcher.running) == 4

    def teardown(self) -> None:
        self.launcher.endings_are_slow = False
        for isolate in self.launcher.launched:
            isolate.may_end.set()
        closing = self.loop.create_task(self.pool.aclose())
        self.settle()
        while self.out:
            lease, _ = self.out.pop()
            self.loop.run_until_complete(lease.__aexit__(None, None, None))
        self.settle()
        assert closing.done()
        assert self.waiting == []
        assert (self.launcher.running, self.pool._living.total(), self.launcher.closed) == ([], 0, True)
        self.loop.close()


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPool = PoolMachine.TestCase
