"""Start isolates: a zygote per package, from which each is cloned."""

import asyncio
import contextlib
from dataclasses import dataclass

from imperal_host.errors import ExtensionLoadError, SandboxError
from imperal_host.identity import Package
from imperal_host.runtime import outside
from imperal_host.runtime.cgroups import Cgroups
from imperal_host.runtime.channel import Channel
from imperal_host.runtime.ids import endless, ids_for
from imperal_host.runtime.interpreter import Interpreter
from imperal_host.runtime.policy import SandboxLimits, SandboxPolicy, Tier, policy_for
from imperal_host.runtime.process import Process
from imperal_host.runtime.view import View
from imperal_host.runtime.zygote import Clone, Zygote
from imperal_sdk.manifest import Manifest


@dataclass(frozen=True, slots=True)
class LaunchLimits:
    launch_seconds_max: float
    asks_per_call_max: int
    zygote_idle_seconds_max: float


@dataclass(slots=True)
class _Nursery:
    zygote: Zygote
    policy: SandboxPolicy
    view: View | None
    manifest: Manifest | None = None


class ZygoteLauncher:
    """A layer that does not hold is a ``SandboxError``: nothing runs.

    A zygote is started on demand, and ended once it has had no isolate for a while.
    """

    def __init__(
        self, interpreter: Interpreter, tier: Tier, limits: SandboxLimits, launch_limits: LaunchLimits
    ) -> None:
        self._interpreter = interpreter
        self._tier = tier
        self._limits = limits
        self._launch_limits = launch_limits
        self._ids = ids_for(tier, interpreter)
        self._numbers = endless(self._ids)
        self._cgroups = Cgroups.here(limits.memory_bytes_max)
        self._nurseries: dict[Package, asyncio.Task[_Nursery]] = {}
        self._timers: dict[Package, asyncio.TimerHandle] = {}
        self._endings: set[asyncio.Task[None]] = set()

    async def launch(self, package: Package) -> Channel:
        if self._tier is Tier.NONE and not package.is_operators_own:
            raise ExtensionLoadError(
                f"{package.name}: without a sandbox (IMPERAL_SANDBOX=none) only folders of the operator's own run"
            )
        try:
            nursery, clone = await self._born(package)
        except OSError as error:
            raise SandboxError(f"{package.name}: no process can be started: {error}") from None
        return await self._open(package, nursery, clone)

    async def _born(self, package: Package) -> tuple[_Nursery, Clone]:
        nursery = await self._ready(package)
        try:
            return nursery, await self._clone(package, nursery.zygote)
        except OSError:
            if nursery.zygote.is_alive:
                raise
        nursery = await self._ready(package)  # it had ended unseen: once more, with a new one
        return nursery, await self._clone(package, nursery.zygote)

    async def _clone(self, package: Package, zygote: Zygote) -> Clone:
        seconds = self._launch_limits.launch_seconds_max
        try:
            async with asyncio.timeout(seconds):
                return await zygote.clone(next(self._numbers))
        except TimeoutError:
            self._give_up(package, zygote)
            raise SandboxError(f"{package.name}: its zygote does not answer within {_late(seconds)}") from None

    def _give_up(self, package: Package, zygote: Zygote) -> None:
        """One that stands still (stopped, say) ends, and its isolates with it: the next launch has a new one."""
        starting = self._nurseries.get(package)
        if starting and starting.done() and _is_usable(starting) and starting.result().zygote is zygote:
            self._retire(package)

    async def _ready(self, package: Package) -> _Nursery:
        seconds = self._launch_limits.launch_seconds_max
        try:
            async with asyncio.timeout(seconds):
                return await self._nursery(package)
        except TimeoutError:
            raise SandboxError(f"{package.name}: its zygote is not ready within {_late(seconds)}") from None

    async def _open(self, package: Package, nursery: _Nursery, clone: Clone) -> Channel:
        seconds = self._launch_limits.launch_seconds_max
        confined = False

        def look(pid: int) -> None:
            nonlocal confined
            outside.check(pid, nursery.policy)
            process.limit_by(self._cgroups)
            confined = True

        process = Process(clone, package.name, self._limits)
        try:
            async with asyncio.timeout(seconds):
                asks_max = self._launch_limits.asks_per_call_max
                channel = await Channel.open(clone.channel, process, asks_max, look, nursery.manifest)
                nursery.manifest = channel.manifest
                return channel
        except TimeoutError:
            kind = ExtensionLoadError if confined else SandboxError
            raise kind(f"{package.name}: not ready within {_late(seconds)}") from None
        except OSError as error:
            raise SandboxError(f"{package.name}: it could not be made ready: {error}") from None
        finally:
            self._watch(package)

    async def _nursery(self, package: Package) -> _Nursery:
        """The package's zygote, started now if need be; several who wait for one share it."""
        starting = self._nurseries.get(package)
        if starting is None or (starting.done() and not _is_usable(starting)):
            self._retire(package)
            starting = self._nurseries[package] = asyncio.create_task(self._start(package))
        return await asyncio.shield(starting)

    async def _start(self, package: Package) -> _Nursery:
        view = None if self._tier is Tier.STRICT else View.of(package)
        try:
            policy = policy_for(
                package, self._interpreter, self._limits, self._tier, self._ids, view.path if view else ""
            )
            zygote = await Zygote.start(self._interpreter.executable, policy)
        except BaseException:
            if view:
                view.remove()
            raise
        return _Nursery(zygote, policy, view)

    def _watch(self, package: Package) -> None:
        """End the zygote when nothing was launched for a while and none of its isolates lives."""
        if timer := self._timers.pop(package, None):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[package] = loop.call_later(self._launch_limits.zygote_idle_seconds_max, self._end_if_idle, package)

    def _end_if_idle(self, package: Package) -> None:
        del self._timers[package]
        starting = self._nurseries.get(package)
        if starting and starting.done() and _is_usable(starting) and starting.result().zygote.clones:
            self._watch(package)
        else:
            self._retire(package)

    def retire(self, package: Package) -> None:
        """It is not to be launched again: its zygote ends with the last of its isolates."""
        if package in self._timers:
            self._timers[package].cancel()
            self._end_if_idle(package)

    def _retire(self, package: Package) -> None:
        if (starting := self._nurseries.pop(package, None)) is not None:
            ending = asyncio.create_task(_end(starting))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def aclose(self) -> None:
        """End every zygote, and with them whatever of their isolates is left."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for package in list(self._nurseries):
            self._retire(package)
        await asyncio.gather(*self._endings)
        self._cgroups.remove()


def _is_usable(starting: asyncio.Task[_Nursery]) -> bool:
    return not starting.cancelled() and starting.exception() is None and starting.result().zygote.is_alive


async def _end(starting: asyncio.Task[_Nursery]) -> None:
    with contextlib.suppress(Exception):
        nursery = await starting
        await nursery.zygote.aclose()
        if nursery.view:
            nursery.view.remove()


def _late(seconds: float) -> str:
    return f"{seconds:g} s (IMPERAL_LAUNCH_SECONDS_MAX)"
