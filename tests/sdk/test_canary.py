"""The canary's escapes work where nothing is confined, and one that works stops the lock-down."""

import os
import subprocess
import sys

from imperal_sdk.worker.confine import canary

LOOK = "from imperal_sdk.worker.confine.canary import escapes; print(*escapes(), sep='\\n')"
# As an isolate does it, with a filter that lets everything through.
LOCK_DOWN = """
import ctypes, os, struct
from imperal_sdk.worker import isolate
from imperal_sdk.worker.confine import seccomp
held = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000), 8)
header = bytes(seccomp._Program(1, ctypes.addressof(held)))
for number in (4, 5):
    os.dup2(0, number)
policy = {"namespaces": False, "own_ids": False, "rlimits": {}}
filter_ = (ctypes.create_string_buffer(header, len(header)), held)
try:
    isolate._lock_down(isolate.Confinement(policy, None, filter_, None), 0)
except isolate.LayerError as error:
    print(error)
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd="/").stdout


def test_outside_of_a_sandbox_every_escape_works() -> None:
    expected = set(canary._ESCAPES)
    if os.geteuid() != 0:
        expected -= {"write into the root directory"}
    assert set(run(LOOK).splitlines()) == expected


def test_a_filter_that_lets_everything_through_is_noticed() -> None:
    said = run(LOCK_DOWN)
    assert said.startswith("canary: it was possible to open a file of the host, to ")
    assert "to make an internet socket" in said
