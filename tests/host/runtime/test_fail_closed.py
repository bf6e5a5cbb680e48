"""A layer that does not hold means no launch, in a process that really lacks it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("without_a_layer.py")


def run_without(lack: str, tier: str, whose: str = "own") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), lack, tier, whose]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


def launch_without(lack: str, tier: str, whose: str = "own") -> dict[str, str]:
    outcome: dict[str, str] = json.loads(run_without(lack, tier, whose).stdout)
    return outcome


def test_without_user_namespaces_strict_is_refused_and_says_which_tier_needs_none() -> None:
    refused = launch_without("user-namespaces", "strict")["refused"]
    assert refused.startswith("a sandbox layer cannot be applied here: user namespace: ")
    assert "max_user_namespaces" in refused, "it says what to do"
    assert "IMPERAL_SANDBOX=no-namespaces" in refused
    assert launch_without("user-namespaces", "no-namespaces") == {"loaded": "hello"}


@pytest.mark.parametrize("tier", ["strict", "no-namespaces"])
def test_without_landlock_nothing_runs_in_a_sandbox(tier: str) -> None:
    refused = launch_without("landlock", tier)["refused"]
    assert refused.startswith("a sandbox layer cannot be applied here: Landlock: ")
    assert "boot a kernel with Landlock" in refused


def test_without_any_layer_only_a_folder_of_the_operators_own_runs_and_only_when_named() -> None:
    assert launch_without("landlock", "none") == {"loaded": "hello"}
    refused = launch_without("nothing", "none", "another's")["refused"]
    assert refused == "hello: without a sandbox (IMPERAL_SANDBOX=none) only folders of the operator's own run"


@pytest.mark.parametrize("tier", ["strict", "no-namespaces"])
def test_with_every_layer_anybodys_extension_runs(tier: str) -> None:
    assert launch_without("nothing", tier, "another's") == {"loaded": "hello"}


def test_a_root_with_no_ids_to_give_says_once_what_that_means() -> None:
    told = run_without("user-namespaces", "strict").stderr  # in a namespace that maps one id
    assert told.count("isolates have the host's own id") == 1, told
