"""A launch of a real isolate while the host runs out of descriptors, is given up, or its zygote stands still."""

import asyncio
import os
import resource
import select
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from imperal_host.catalog.discovery import from_folder
from imperal_host.errors import SandboxError
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.launcher import LaunchLimits, ZygoteLauncher
from imperal_host.runtime.policy import SandboxLimits, Tier
from tests.conftest import ROOT

HELLO = from_folder(ROOT / "examples" / "hello")


@pytest.fixture
async def launcher() -> AsyncIterator[ZygoteLauncher]:
    """With a zygote that runs, and one launch that took what the loop and the log open once."""
    limits = SandboxLimits(memory_bytes_max=1 << 30, cpu_seconds_max=60, scratch_bytes_max=1 << 20)
    launcher = ZygoteLauncher(this_interpreter(), Tier.STRICT, limits, LaunchLimits(20, 100, 60))
    await (await launcher.launch(HELLO)).aclose()
    yield launcher
    await launcher.aclose()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def lowest_free() -> int:
    number = os.open("/", os.O_RDONLY)
    os.close(number)
    return number


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("more", range(1, 9))
async def test_without_descriptors_a_launch_is_refused_and_nothing_stays(launcher: ZygoteLauncher, more: int) -> None:
    before, refused = descriptors(), ""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free() + more, hard))
    try:
        async with asyncio.timeout(60):
            await (await launcher.launch(HELLO)).aclose()
    except SandboxError as error:
        refused = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "does not answer" not in refused, "it did, and the answer was lost"
    await until(lambda: zygote_of(launcher).clones == 0)
    assert descriptors() == before
    await (await launcher.launch(HELLO)).aclose()


def zygote_of(launcher: ZygoteLauncher):  # type: ignore[no-untyped-def]
    [starting] = launcher._nurseries.values()
    return starting.result().zygote


async def test_a_zygote_that_stands_still_is_given_up_in_time(launcher: ZygoteLauncher) -> None:
    before = descriptors()
    launcher._launch_limits = LaunchLimits(0.3, 100, 60)
    inner = children_of(zygote_of(launcher).pid)
    for pid in inner:
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(SandboxError, match=r"its zygote does not answer within 0\.3 s"):
        async with asyncio.timeout(30):
            await launcher.launch(HELLO)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in inner))
    launcher._launch_limits = LaunchLimits(20, 100, 60)
    await (await launcher.launch(HELLO)).aclose()
    await until(lambda: zygote_of(launcher).clones == 0)
    assert len(descriptors()) == len(before), "the new one has as many"


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_launch_that_is_given_up_as_its_process_comes_leaves_no_descriptor(launcher: ZygoteLauncher) -> None:
    before, zygote = descriptors(), zygote_of(launcher)
    cloning = asyncio.create_task(zygote.clone(1))
    await asyncio.sleep(0)
    select.select([zygote._control], [], [], 30)
    zygote._read()
    cloning.cancel()  # its process is here, and it has not heard of it
    await asyncio.wait({cloning})
    assert cloning.cancelled()
    await until(lambda: zygote.clones == 0)
    assert descriptors() == before
