"""The sandbox holds for a host that is not root: there it has one id to give, and no more."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

SCRIPT = Path(__file__).with_name("as_ordinary_user.py")
NOTHING = "0" * 16


def seen_in(tier: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), tier]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("tier", ["strict", "no-namespaces"])
def test_an_ordinary_user_gets_the_whole_sandbox(tier: str) -> None:
    seen = seen_in(tier)
    own = 65534 if os.geteuid() == 0 else os.geteuid()
    status = seen["status"]
    assert seen["outside"] == own
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {NOTHING}
    # Only a user namespace gives an ordinary user the right to drop it: elsewhere it is the host's own.
    assert status["CapBnd"] == (NOTHING if tier == "strict" else seen["own"]["CapBnd"])
    assert status["Uid"].split() == [str(own)] * 4, "the host's own id: it has no other to give"
    assert seen["inside"]["environment"] == {}
    if tier == "strict":
        assert seen["inside"]["uid"] == 0, "in a namespace of its own, where that means nothing outside"
        assert seen["inside"]["pid"] == 1
        assert len(status["NSpid"].split()) >= 2
    else:
        assert seen["inside"]["uid"] == own
        assert len(status["NSpid"].split()) == len(seen["own"]["NSpid"].split())
