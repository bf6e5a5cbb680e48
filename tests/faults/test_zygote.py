"""A zygote that ends takes its isolates along, and the next call has a new one."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imperal_host.app import make_pool
from imperal_host.clock import SystemClock
from imperal_host.errors import ExtensionStoppedError, SandboxError
from imperal_host.runtime.pool import Pool
from imperal_host.settings import Settings
from tests.faults.stage import (
    BOB,
    FAULTY,
    SilentBroker,
    Watched,
    a_pool,
    call,
    children,
    descriptors,
    until,
    until_without_a_turn,
)

TIERS = ["strict", "no-namespaces"]


def outer(pool: Pool) -> int:
    """The process that the host started."""
    return int(pool._launcher._nurseries[FAULTY].result().zygote.pid)  # type: ignore[attr-defined]


def inner(pool: Pool) -> int:
    """The one that clones: in a pid namespace it is a child of the first."""
    return children(outer(pool))[0]


KILLED = [("strict", outer), ("strict", inner), ("no-namespaces", outer)]


@pytest.mark.parametrize(("tier", "which"), KILLED)
async def test_killed_while_isolates_rest(tier: str, which: Callable[[Pool], int]) -> None:
    async with a_pool(sandbox=tier, isolates_spare=1) as pool:
        pids: list[int] = []
        await call(pool, pids=pids)
        await until(lambda: pool.spares(FAULTY))
        spare = pool._spares[FAULTY][0].pid  # type: ignore[attr-defined]
        first = Watched([*pids, spare, outer(pool)])
        os.kill(which(pool), signal.SIGKILL)
        until_without_a_turn(lambda: not first.living())  # the host has not read of it
        assert await call(pool, pids=pids) == {"fine": True}
        assert pids[0] != pids[1]


@pytest.mark.parametrize(("tier", "which"), KILLED)
async def test_killed_while_a_call_runs(tier: str, which: Callable[[Pool], int]) -> None:
    async with a_pool(sandbox=tier) as pool:
        pids: list[int] = []
        broker = SilentBroker()
        running = asyncio.create_task(call(pool, "asks", broker=broker, pids=pids))
        await until(lambda: broker.asked)
        first = Watched([*pids, outer(pool)])
        os.kill(which(pool), signal.SIGKILL)
        with pytest.raises(ExtensionStoppedError, match="the extension stopped: it ended with its zygote"):
            await running
        await until(lambda: not first.living())
        assert await call(pool) == {"fine": True}


@pytest.mark.parametrize("tier", TIERS)
async def test_one_that_stands_still_is_replaced_after_one_launch_too_late(tier: str) -> None:
    async with a_pool(sandbox=tier, launch_seconds_max=3) as pool:
        await call(pool)
        stopped = Watched([outer(pool), *children(outer(pool))])
        os.kill(inner(pool) if tier == "strict" else outer(pool), signal.SIGSTOP)
        with pytest.raises(SandboxError, match="does not answer within 3 s"):
            await call(pool, principal=BOB)
        await until(lambda: not stopped.living())
        assert await call(pool, principal=BOB) == {"fine": True}


def pool_with(executable: str, tier: str) -> Pool:
    pool = make_pool(Settings.model_validate({"sandbox": tier, "isolates_spare": 0}), SystemClock())
    launcher = pool._launcher
    launcher._interpreter = replace(launcher._interpreter, executable=executable)  # type: ignore[attr-defined]
    return pool


@pytest.fixture(params=["missing", "exits", "is no program"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place = tmp_path / "python"
    match request.param:
        case "exits":
            place.write_text("#!/bin/sh\necho no module named nothing >&2\nexit 1\n")
            place.chmod(0o755)
        case "is no program":
            place.write_bytes(b"\x7fELF")
            place.chmod(0o755)
    return str(place)


@pytest.mark.parametrize("tier", TIERS)
async def test_one_that_cannot_start_leaves_nothing(broken: str, tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    views = Path(broken).parent / "views"
    views.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(views))
    async with a_pool() as warm:  # what the loop opens once and keeps
        await call(warm)
    open_before, children_before = descriptors(), children()
    pool = pool_with(broken, tier)
    for _ in range(2):
        with pytest.raises(SandboxError, match=r"no process can be started|ended before it was confined: no module"):
            await call(pool)
    await pool.aclose()
    assert descriptors() == open_before
    assert children() == children_before
    assert list(views.iterdir()) == []
