"""Minutes of churn: isolates begun, called, killed and ended, zygotes too. In the end nothing may be left."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from imperal_host.errors import HostError
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.runtime.pool import Pool
from tests.faults.stage import FAULTY, a_pool, call, children, descendants, descriptors

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
ISOLATES_MAX, CALLERS = 12, 4
PACKAGES = [replace(FAULTY, name=f"faulty{number}") for number in range(3)]
PRINCIPALS = [Principal(TenantId(f"tenant{number % 7}"), UserId(f"user{number}")) for number in range(40)]
# A zygote is two processes under strict; one may be ending while its successor starts.
PROCESSES_MAX = ISOLATES_MAX + 4 * len(PACKAGES)
RSS_GROWTH_BYTES_MAX = 32 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def groups() -> list[str]:
    found = Path("/sys/fs/cgroup").rglob(f"imperal-host-{os.getpid()}-*")
    return [str(path) for path in found]


def left() -> dict[str, object]:
    """What a host may leak, as far as this process can see it."""
    return {
        "children": children(),
        "descriptors": descriptors(),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": groups(),
        "files": os.listdir(tempfile.gettempdir()),
        # the loop's executor begins its own when it likes, and bounds them
        "threads": sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")),
    }


@dataclass
class Churn:
    pool: Pool
    late: float
    chance: random.Random
    seen: Counter[str] = field(default_factory=Counter)
    processes_most: int = 0

    async def caller(self) -> None:
        while time.monotonic() < self.late:
            package, who = self.chance.choice(PACKAGES), self.chance.choice(PRINCIPALS)
            what = self.chance.choices(("fine", "hangs", "exits"), (90, 2, 8))[0]
            pids: list[int] = []
            try:
                running = asyncio.create_task(
                    call(self.pool, "hangs" if what != "fine" else what, who, package=package, seconds=0.3, pids=pids)
                )
                while what == "exits" and not pids and not running.done():
                    await asyncio.sleep(0.005)
                if what == "exits" and pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pids[0], signal.SIGKILL)
                await running
                self.seen[what] += 1
            except HostError as error:
                self.seen[type(error).__name__] += 1

    async def killer_of_zygotes(self) -> None:
        while time.monotonic() < self.late:
            await asyncio.sleep(min(5.0, SECONDS / 10))
            starting = self.pool._launcher._nurseries.get(self.chance.choice(PACKAGES))  # type: ignore[attr-defined]
            if starting and starting.done() and not starting.exception() and starting.result().zygote.is_alive:
                os.kill(starting.result().zygote.pid, signal.SIGKILL)
                self.seen["zygote killed"] += 1

    async def counter(self) -> None:
        while time.monotonic() < self.late:
            self.processes_most = max(self.processes_most, len(descendants()))
            await asyncio.sleep(0.2)


async def churn(tier: str, seconds: float) -> Churn:
    limits = {"isolates_max": ISOLATES_MAX, "isolate_failures_max": 1_000_000, "isolates_spare": 1}
    async with a_pool(sandbox=tier, **limits) as pool:
        run = Churn(pool, time.monotonic() + seconds, random.Random(1))
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(run.caller())
            group.create_task(run.killer_of_zygotes())
            group.create_task(run.counter())
    return run


@pytest.mark.soak
@pytest.mark.parametrize("tier", ["strict", "no-namespaces"])
async def test_nothing_is_left(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await churn(tier, SECONDS / 5)  # what is opened and imported once
    before, rss_before = left(), rss_bytes()
    run = await churn(tier, SECONDS)
    grown = rss_bytes() - rss_before
    print(f"{tier}: {dict(run.seen)}; at most {run.processes_most} processes; {grown / (1 << 20):+.1f} MiB")
    assert left() == before
    assert before["children"] == before["groups"] == before["files"] == []
    assert run.processes_most <= PROCESSES_MAX
    assert grown <= RSS_GROWTH_BYTES_MAX
    assert run.seen["fine"] > SECONDS, "more than a call a second was answered"
    assert run.seen["zygote killed"]
