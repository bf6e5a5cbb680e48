"""While a host runs: what changes on disk is swapped in, calls that run finish on what they began with."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from imperal_host.app import Host, make_pool
from imperal_host.catalog.install import prepare, source_of
from imperal_host.catalog.installed import Installed, Record
from imperal_host.clock import SystemClock
from imperal_host.errors import NotFoundError
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from imperal_host.settings import Settings
from tests.conftest import host_on, settings_in
from tests.host.catalog.wheels import extension_wheel, make_wheel, point

ADA = Principal(TenantId("acme"), UserId("ada"))
EVE = Principal(TenantId("globex"), UserId("eve"))
SOURCE = """
import asyncio
from imperal_sdk import ChatExtension, Extension
from part import VALUE
ext = Extension("edited", version="1.0.0")
chat = ChatExtension(ext)

@chat.function
async def tell(ctx) -> dict:
    return {"value": VALUE}

@chat.function
async def slow(ctx) -> dict:
    await ctx.progress(1, "begun")
    await asyncio.sleep(4)
    import late
    return {"value": VALUE, "late": late.VALUE}
"""


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def add(settings: Settings, wheel: Path, version: str) -> Record:
    """As the command does, without loading it first."""
    store = Installed(settings.installed_dir)
    with store.making() as place:
        found = prepare(source_of(str(wheel), allow_build=False), place, settings.extension_bytes_max)
        record = Record(
            id=found.app_id,
            version=version,
            directory=f"{version}-{found.content}",
            module=found.module,
            attribute=found.attribute,
            kind="wheel",
            source=str(wheel),
            allow_build=False,
            installed_at=datetime.now(UTC),
        )
        now = store.record(found.app_id) if found.app_id in store.names() else None
        store.put(found.files, record, instead_of=now)
    return record


@contextlib.asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[Host]:
    async with host_on(settings) as host:
        watching = asyncio.create_task(host.loading.watch())
        try:
            yield host
        finally:
            watching.cancel()
            await asyncio.wait({watching})


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


async def called(host: Host, app_id: str, function: str = "tell", who: Principal = ADA) -> Any:
    return (await host.rooms.kernel.dispatch(who, Call(app_id, function, {}))).result.data


async def begin_slow(host: Host, app_id: str) -> asyncio.Task[Any]:
    """A call that is running inside its isolate now, and will for four seconds."""
    begun = asyncio.Event()

    async def run() -> Any:
        kernel = host.rooms.kernel
        return (await kernel.dispatch(ADA, Call(app_id, "slow", {}), progress=lambda *_: begun.set())).result.data

    task = asyncio.create_task(run())
    async with asyncio.timeout(30):
        await begun.wait()
    return task


def version_of(host: Host, app_id: str) -> str | None:
    return {m.app_id: m.version for m in host.rooms.catalog.all()}.get(app_id)


async def test_an_update_lets_a_running_call_finish_and_refuses_none(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    old = await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "1", "alpha", "1.0.0"), "1.0.0")
    async with watched(settings) as host:
        assert await called(host, "alpha") == {"version": "1.0.0", "library": ""}
        slow = await begin_slow(host, "alpha")
        await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "2", "alpha", "2.0.0"), "2.0.0")
        seen = []
        while not seen or seen[-1] != "2.0.0":  # not one of these may fail
            seen.append((await called(host, "alpha", who=EVE))["version"])
        assert seen == sorted(seen)
        assert not slow.done()
        assert await slow == {"version": "1.0.0", "later": "1.0.0"}, "with a module that was imported after the swap"
        assert await called(host, "alpha") == {"version": "2.0.0", "library": ""}
        store = Installed(settings.installed_dir)
        store.sweep()
        assert store.files_of(old).is_dir(), "held while a call might still find it"
    store.sweep()
    assert not store.files_of(old).exists()


async def test_a_call_that_found_the_old_version_before_the_swap_and_starts_after_it_gets_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "1", "alpha", "1.0.0"), "1.0.0")
    async with watched(settings) as host:
        package = host.rooms.catalog.get("alpha").package
        await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "2", "alpha", "2.0.0"), "2.0.0")
        await until(lambda: version_of(host, "alpha") == "2.0.0")
        pool = make_pool(settings, SystemClock())
        pool.retire(package)
        async with pool.lease(package, ADA) as isolate:
            assert isolate.manifest.version == "1.0.0"
        await until(lambda: not isolate.alive)  # it is lent once, and does not rest
        await pool.aclose()


async def test_added_disabled_enabled_and_removed_while_it_serves(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    store = Installed(settings.installed_dir)
    async with watched(settings) as host:
        assert version_of(host, "alpha") is None
        await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "1", "alpha", "1.0.0"), "1.0.0")
        for change, there in (
            (lambda: None, True),
            (lambda: store.set_enabled("alpha", False), False),
            (lambda: store.set_enabled("alpha", True), True),
            (lambda: store.remove("alpha"), False),
        ):
            change()
            await until(lambda there=there: (version_of(host, "alpha") is not None) == there)  # type: ignore[misc]
            if there:
                assert await called(host, "alpha") == {"version": "1.0.0", "library": ""}
            else:
                with pytest.raises(NotFoundError):
                    await called(host, "alpha")


async def test_a_version_that_does_not_load_leaves_the_old_one_in_service(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "1", "alpha", "1.0.0"), "1.0.0")
    broken = make_wheel(tmp_path, "alpha", "2.0.0", {"alpha_main.py": "1 / 0"}, entry_points=point("alpha"))
    async with watched(settings) as host:
        await asyncio.to_thread(add, settings, broken, "2.0.0")
        await until(lambda: "alpha" in host.rooms.catalog.failures)
        why = host.rooms.catalog.failures["alpha"]
        assert "ZeroDivisionError" in why
        assert why.endswith("; the version loaded before stays in service")
        assert await called(host, "alpha", who=EVE) == {"version": "1.0.0", "library": ""}
        await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "3", "alpha", "3.0.0"), "3.0.0")
        await until(lambda: version_of(host, "alpha") == "3.0.0")
        assert host.rooms.catalog.failures == {}


def edited(tmp_path: Path) -> Path:
    folder = tmp_path / "folders" / "edited"
    folder.mkdir(parents=True)
    for name, text in (("main.py", SOURCE), ("part.py", "VALUE = 1"), ("late.py", "VALUE = 1")):
        (folder / name).write_text(text)
    return folder


async def test_an_edit_is_swapped_in_and_half_an_edit_is_not(tmp_path: Path) -> None:
    folder = edited(tmp_path)
    settings = settings_in(tmp_path, extensions_dir=folder.parent, reload=True)
    async with watched(settings) as host:
        slow = await begin_slow(host, "edited")
        (folder / "part.py").write_text("VALUE = 2")
        (folder / "late.py").write_text("VALUE = 2")
        seen = []
        while not seen or seen[-1] != 2:  # not one of these may fail
            seen.append((await called(host, "edited", who=EVE))["value"])
        assert await slow == {"value": 1, "late": 1}
        (folder / "part.py").write_text("VALUE = (")
        await until(lambda: "edited" in host.rooms.catalog.failures)
        stranger = Principal(TenantId("third"), UserId("joe"))
        assert await called(host, "edited", who=stranger) == {"value": 2}, "a new isolate, of the version in service"
        (folder / "part.py").write_text("VALUE = 3")
        await until(lambda: not host.rooms.catalog.failures)
        assert await called(host, "edited") == {"value": 3}
        shutil.rmtree(folder)
        await until(lambda: version_of(host, "edited") is None)
    assert [path.name for path in settings.installed_dir.iterdir()] == [".lock"]


async def test_without_reload_an_edit_waits_for_the_next_start(tmp_path: Path) -> None:
    folder = edited(tmp_path)
    async with watched(settings_in(tmp_path, extensions_dir=folder.parent)) as host:
        assert await called(host, "edited") == {"value": 1}
        (folder / "part.py").write_text("VALUE = 2")
        await asyncio.sleep(1.5)
        assert await called(host, "edited") == {"value": 1}


async def test_what_has_not_changed_keeps_its_isolates(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "1", "alpha", "1.0.0"), "1.0.0")
    async with watched(settings) as host:
        before = host.rooms.catalog.get("alpha").package
        await asyncio.to_thread(add, settings, extension_wheel(tmp_path / "2", "beta", "1.0.0"), "1.0.0")
        await until(lambda: version_of(host, "beta") is not None)
        assert host.rooms.catalog.get("alpha").package is before
