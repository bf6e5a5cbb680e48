"""Pools that were opened and closed leave nothing, on either event loop."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = Path(__file__).with_name("open_and_close.py")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_ten_pools_leave_no_descriptor_and_no_process(loop: str) -> None:
    command = [sys.executable, str(SCRIPT), loop]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["loop"].startswith(loop)
    assert seen["pools"] == 10
