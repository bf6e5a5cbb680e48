"""A launcher that starts nothing: its isolates do what a test says, and it counts them."""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from imperal_host.errors import SandboxError
from imperal_host.identity import CallId, Package, Principal, TenantId, UserId
from imperal_host.runtime.isolate import Broker
from imperal_host.runtime.pool import Pool, PoolLimits
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import CallContext
from tests.host.conftest import FixedClock

ADA, BOB = (Principal(TenantId("acme"), UserId(name)) for name in ("ada", "bob"))
ADA_ELSEWHERE = Principal(TenantId("globex"), UserId("ada"))
NOTES, MAIL = (Package(name, "main", "", (), (), "") for name in ("notes", "mail"))
NOTES_AGAIN = Package("notes", "main", "", (), (), "", revision="2")


@dataclass
class ScriptedIsolate:
    number: int
    package: Package
    manifest: Manifest = field(default_factory=lambda: Manifest(app_id="notes", version="1.0.0"))
    alive: bool = True
    running: bool = True
    awake: bool = True
    bytes_held: int = 0
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
        assert self.awake
        self.awake = False

    def resume(self) -> None:
        assert not self.awake
        self.awake = True

    def memory_bytes(self) -> int:
        return self.bytes_held

    async def aclose(self) -> None:
        self.alive = False
        await self.may_end.wait()
        self.running = False


class ScriptedLauncher:
    def __init__(self) -> None:
        self.launched: list[ScriptedIsolate] = []
        self.retired: list[Package] = []
        self.fails = False
        self.endings_are_slow = False
        self.closed = False
        self.may_launch = asyncio.Event()
        self.may_launch.set()
        self._numbers = itertools.count()

    async def launch(self, package: Package) -> ScriptedIsolate:
        await self.may_launch.wait()
        if self.fails:
            raise SandboxError("no")
        self.launched.append(ScriptedIsolate(next(self._numbers), package))
        if not self.endings_are_slow:
            self.launched[-1].may_end.set()
        return self.launched[-1]

    def retire(self, package: Package) -> None:
        self.retired.append(package)

    async def aclose(self) -> None:
        self.closed = True

    @property
    def running(self) -> list[ScriptedIsolate]:
        return [isolate for isolate in self.launched if isolate.running]


def pool_of(**changed: Any) -> tuple[Pool, ScriptedLauncher, FixedClock]:
    """One that keeps no spares, shares nothing and does not wait, but for what is changed."""
    limits = PoolLimits(**{
        "isolates_max": 4,
        "isolates_per_principal_max": 2,
        "calls_per_isolate_max": 1,
        "spares": 0,
        "wait_seconds_max": 0,
        "idle_seconds_max": 60,
        "age_seconds_max": 1_000,
        "calls_max": 1_000,
        "resting_memory_bytes_max": 1_000,
        **changed,
    })  # fmt: skip
    launcher, clock = ScriptedLauncher(), FixedClock()
    return Pool(launcher, limits, clock), launcher, clock


async def borrow(pool: Pool, package: Package, principal: Principal) -> int:
    async with pool.lease(package, principal) as isolate:
        assert isinstance(isolate, ScriptedIsolate)
        return isolate.number
