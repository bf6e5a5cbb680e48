"""Control groups: a directory for each launcher, in directories that stand for the hierarchy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imperal_host.runtime import cgroups
from imperal_host.runtime.cgroups import Cgroups


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "_unified", lambda memory_bytes_max: {tmp_path: {}})
    return tmp_path


def test_two_in_one_process_never_meet(parent: Path) -> None:
    one, two = Cgroups.here(1 << 30), Cgroups.here(1 << 30)
    [first], [second] = one.put(os.getpid()).directories, two.put(os.getpid()).directories
    assert first.parent.parent == second.parent.parent == parent
    assert first.parent != second.parent


def test_what_a_dead_host_left_is_removed_and_a_living_ones_is_not(parent: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    stale, older = parent / f"imperal-host-{dead.pid}-1", parent / f"imperal-host-{dead.pid}"
    living, foreign = parent / f"imperal-host-{os.getppid()}-1", parent / "imperal-host-a"
    for place in (stale / "1", older / "7", living / "1", foreign):
        place.mkdir(parents=True)
    Cgroups.here(1 << 30)
    assert not stale.exists()
    assert not older.exists()
    assert (living / "1").exists()
    assert foreign.exists()
