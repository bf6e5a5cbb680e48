"""A layer that does not hold means no launch, in a process that really lacks it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("without_a_layer.py")


def run_without(lack: str, tier: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), lack, tier]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


def launch_without(lack: str, tier: str) -> dict[str, str]:
    outcome: dict[str, str] = json.loads(run_without(lack, tier).stdout)
    return outcome


@pytest.mark.parametrize("tier", ["strict", "namespaces"])
def test_without_user_namespaces_nothing_runs_at_any_tier(tier: str) -> None:
    refused = launch_without("user-namespaces", tier)["refused"]
    assert refused.startswith("a sandbox layer cannot be applied here: user namespace: ")
    assert "max_user_namespaces" in refused, "it says what to do"


def test_without_landlock_nothing_runs_unless_the_operator_named_the_weaker_tier() -> None:
    refused = launch_without("landlock", "strict")["refused"]
    assert refused.startswith("a sandbox layer cannot be applied here: Landlock: ")
    assert "IMPERAL_SANDBOX=namespaces" in refused
    assert launch_without("landlock", "namespaces") == {"loaded": "hello"}


def test_a_root_with_no_ids_to_give_says_once_what_that_means() -> None:
    told = run_without("user-namespaces", "strict").stderr  # in a namespace that maps one id
    assert told.count("isolates share the host's own id") == 1, told
