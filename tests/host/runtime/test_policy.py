"""What an isolate is given: values, made from the installation and the settings."""

import json
import os
from pathlib import Path

from imperal_host.catalog.discovery import from_folder
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.policy import SandboxLimits, SandboxPolicy, policy_for
from tests.conftest import ROOT

LIMITS = SandboxLimits(memory_bytes_max=1 << 28, cpu_seconds_max=7, scratch_bytes_max=1 << 20)


def policy(kernel_layers: bool = True) -> SandboxPolicy:
    return policy_for(
        from_folder(ROOT / "examples" / "hello"),
        this_interpreter(),
        LIMITS,
        kernel_layers=kernel_layers,
        ids_mapped_by_host=False,
        uid=5,
    )


def test_the_limits_are_those_of_the_settings() -> None:
    limits = dict(policy().rlimits)
    assert (limits["AS"], limits["CPU"], limits["FSIZE"]) == (1 << 28, 7, 1 << 20)
    assert limits["CORE"] == 0


def test_no_mount_shows_the_host_or_a_directory_of_packages() -> None:
    for outside, inside in policy().mounts:
        assert not (Path(outside) / "imperal_host").exists(), outside
        assert "imperal_host" not in inside
    visible = list(this_interpreter().mounts)
    packages = [
        str(found)
        for mount in visible
        for name in ("site-packages", "dist-packages")
        for found in Path(mount).glob(f"python3*/{name}")
    ]
    assert set(map(os.path.realpath, packages)) <= set(map(os.path.realpath, policy().masked))


def test_the_weaker_tier_gives_up_two_layers_and_no_namespace() -> None:
    strict, weaker = json.loads(policy().to_json()), json.loads(policy(kernel_layers=False).to_json())
    assert (strict["landlock"], strict["seccomp"]) == (True, True)
    assert {name for name in strict if strict[name] != weaker[name]} == {"landlock", "seccomp"}


def test_the_extension_can_read_its_own_folder_and_the_sdk() -> None:
    assert {"/site", "/ext"} <= set(policy().readable)
    assert policy().import_path[-2:] == ("/site", "/ext")
