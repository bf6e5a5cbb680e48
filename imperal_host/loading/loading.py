"""What is found is loaded once in a sandbox, then called; what is replaced drains."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from imperal_host.catalog import locks
from imperal_host.catalog.catalog import Catalog
from imperal_host.catalog.discovery import beside_the_host, package_of
from imperal_host.catalog.installed import Installed
from imperal_host.errors import ExtensionLoadError, HostError, IntegrityError, NotFoundError
from imperal_host.identity import Package
from imperal_host.loading.folders import Candidate, FolderSource
from imperal_host.log import logger
from imperal_host.runtime.pool import Pool
from imperal_sdk.manifest import Manifest

_LOADS_AT_ONCE = 4
_LOOK_SECONDS = 0.5
_AFTER_A_FAILURE_SECONDS = 5.0
_TRIES_MAX = 5


@dataclass(frozen=True, slots=True)
class _Loaded:
    """``package`` is the candidate's, with a revision that no other loading has."""

    candidate: Candidate
    package: Package
    manifest: Manifest


class Loading:
    """Owns what is in the catalog. ``drain_seconds``: after that no call can run on a replaced version."""

    def __init__(
        self, catalog: Catalog, pool: Pool, installed: Installed, folders: FolderSource, drain_seconds: float
    ) -> None:
        self._catalog = catalog
        self._pool = pool
        self._installed = installed
        self._folders = folders
        self._drain_seconds = drain_seconds
        self._beside, self._beside_failures = beside_the_host()
        self._serving: dict[str, _Loaded] = {}
        self._draining: dict[asyncio.TimerHandle, Callable[[], object]] = {}
        self._numbers = itertools.count(1)
        self._seen: object = None
        self._log = logger("loading")

    async def refresh(self) -> None:
        """Find, load, and put into the catalog. Raises ``SandboxError`` where no isolate can be started."""
        self._seen = await asyncio.to_thread(self._stamp)
        failures = dict(self._beside_failures)
        found = await asyncio.to_thread(self._find, failures)
        self._put(await self._load_new(found, failures), failures)

    async def watch(self) -> NoReturn:
        """Load again whenever something on disk has changed, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self._stamp) != self._seen:
                    before = self._catalog.failures
                    await self.refresh()
                    self._say(before)
            except (HostError, OSError) as error:
                self._seen = None  # what could not be done is tried again
                self._log.warning("loading.failed", why=str(error))
                await asyncio.sleep(_AFTER_A_FAILURE_SECONDS)

    def close(self) -> None:
        """Let go of all files. Only when no isolate is left."""
        for timer, release in self._draining.items():
            timer.cancel()
            release()
        for loaded in self._serving.values():
            loaded.candidate.release()
        self._draining, self._serving = {}, {}

    def _stamp(self) -> object:
        return self._installed.stamp(), self._folders.stamp()

    def _find(self, failures: dict[str, str]) -> list[Candidate]:
        """Those beside the host come before installed ones, and these before folders: of one id, the first is used."""
        found = [Candidate(package, lambda: None) for package in self._beside]
        for name in self._installed.names():
            try:
                candidate = self._hold(name)
            except NotFoundError:  # removed since
                continue
            except (ExtensionLoadError, IntegrityError) as error:
                failures[name] = str(error)
            else:
                found += [candidate] if candidate else []
        return [*found, *self._folders.find(failures)]

    def _hold(self, name: str) -> Candidate | None:
        """The current version, held; nothing if it is disabled. A command may be replacing it at this moment."""
        for _ in range(_TRIES_MAX):
            record = self._installed.record(name)
            if not record.enabled:
                return None
            files = self._installed.files_of(record)
            if not (hold := locks.share(files)):
                continue
            if self._installed.record(name).directory == record.directory:
                origin = f"installed from {record.kind} {record.source}"
                try:
                    package = package_of(name, record.id, record.module, record.attribute, files, origin)
                except ExtensionLoadError:
                    hold.release()
                    raise
                return Candidate(replace(package, revision=record.directory), hold.release)
            hold.release()
        raise ExtensionLoadError("its files are not there; add it again")

    async def _load_new(self, found: list[Candidate], failures: dict[str, str]) -> list[_Loaded]:
        """Each as it is loaded already, or loaded now, or as it was before if it cannot be."""
        room = asyncio.Semaphore(_LOADS_AT_ONCE)
        known = {loaded.candidate.package: loaded for loaded in self._serving.values()}

        async def one(candidate: Candidate) -> _Loaded | HostError:
            if same := known.get(candidate.package):
                if candidate is not same.candidate:
                    candidate.release()
                return same
            package = candidate.package
            package = replace(package, revision=f"{package.revision}#{next(self._numbers)}")
            async with room:
                try:
                    return _Loaded(candidate, package, await self._pool.inspect(package))
                except HostError as error:
                    candidate.release()
                    return error

        results = await asyncio.gather(*map(one, found))
        loaded = [result for result in results if isinstance(result, _Loaded)]
        for candidate, result in zip(found, results, strict=True):
            if isinstance(result, ExtensionLoadError):
                name = candidate.package.name
                failures[name] = str(result).removeprefix(f"{name}: ")
            elif isinstance(result, HostError):  # it says nothing about this extension
                self._release_new(loaded)
                raise result
        return loaded

    def _release_new(self, loaded: list[_Loaded]) -> None:
        for one in loaded:
            if one not in self._serving.values():
                one.candidate.release()

    def _put(self, loaded: list[_Loaded], failures: dict[str, str]) -> None:
        """One step for everybody on the loop: a call finds the old version or the new one."""
        there = {one.package.name for one in loaded}
        for name in failures.keys() - there & self._serving.keys():
            loaded.append(self._serving[name])
            failures[name] += "; the version loaded before stays in service"
        callable_ = set(self._catalog.replace([(one.package, one.manifest) for one in loaded], failures))
        before, self._serving = self._serving, {one.package.name: one for one in loaded if one.package in callable_}
        for one in loaded:
            if one.package not in callable_ and one not in before.values():
                one.candidate.release()
        for one in before.values():
            if one.package not in callable_:
                self._drain(one)

    def _drain(self, gone: _Loaded) -> None:
        self._pool.retire(gone.package)
        loop = asyncio.get_running_loop()

        def let_go() -> None:
            release = self._draining.pop(timer)
            loop.run_in_executor(None, release)

        timer = loop.call_later(self._drain_seconds, let_go)
        self._draining[timer] = gone.candidate.release

    def _say(self, before: dict[str, str]) -> None:
        serving = [f"{one.manifest.app_id} {one.manifest.version}" for one in self._serving.values()]
        self._log.info("loading.changed", extensions=serving)
        for name, why in self._catalog.failures.items():
            if before.get(name) != why:
                self._log.warning("loading.refused", extension=name, why=why)
