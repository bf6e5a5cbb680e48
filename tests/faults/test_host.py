"""A host that is killed leaves no process, and what it leaves of directories the next one removes."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from imperal_host.runtime.cgroups import Cgroups
from tests.conftest import ROOT
from tests.faults.stage import BOUND_SECONDS, Watched, until

SCRIPT = Path(__file__).with_name("host_to_kill.py")
ISOLATES = 50


async def report_of(stdout: asyncio.StreamReader) -> dict[str, Any]:
    while not (line := await stdout.readline()).startswith(b"{"):  # its log comes first
        assert line, "it ended"
    seen: dict[str, Any] = json.loads(line)
    return seen


@pytest.mark.parametrize("tier", ["strict", "no-namespaces"])
async def test_killed_with_its_isolates_alive(tier: str, tmp_path: Path) -> None:
    host = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), tier, str(ISOLATES)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    try:
        assert host.stdout is not None
        seen = await asyncio.wait_for(report_of(host.stdout), 2 * BOUND_SECONDS)
        watched = Watched(seen["all"])
        assert len(set(seen["isolates"])) == ISOLATES
        assert set(seen["isolates"]) <= set(watched.living())
    finally:
        host.kill()
        await host.wait()
    await until(lambda: not watched.living())
    groups = [Path(group) for group in seen["groups"]]
    assert [file for group in groups for file in group.rglob("cgroup.procs") if file.read_text()] == []
    Cgroups.here(1 << 30).remove()
    assert [group for group in groups if group.exists()] == []
