"""The sandbox holds for a host that is not root: there it has one id to give, and no more."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("as_ordinary_user.py")


def test_an_ordinary_user_gets_the_whole_sandbox() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["outside"] == (65534 if os.geteuid() == 0 else os.geteuid())
    assert seen["inside"]["uid"] == 0, "in a namespace of its own, where that means nothing outside"
    assert seen["inside"]["pid"] == 1
    assert seen["inside"]["environment"] == {}
    assert seen["status"]["Seccomp"] == "2"
    assert seen["status"]["NoNewPrivs"] == "1"
    assert seen["status"]["CapEff"] == "0" * 16
    assert seen["status"]["Uid"].split()[0] == str(seen["outside"])
