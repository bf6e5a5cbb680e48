"""What an isolate is given: values, made from the installation and the settings."""

import json
import os
from dataclasses import fields
from pathlib import Path

import pytest

from imperal_host.catalog.discovery import from_folder
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.policy import Ids, SandboxLimits, SandboxPolicy, Tier, policy_for
from tests.conftest import ROOT

LIMITS = SandboxLimits(memory_bytes_max=1 << 28, cpu_seconds_max=7, scratch_bytes_max=1 << 20)
HELLO = from_folder(ROOT / "examples" / "hello")


def policy(tier: Tier = Tier.STRICT, ids: Ids = Ids.MAPPED) -> SandboxPolicy:
    return policy_for(HELLO, this_interpreter(), LIMITS, tier, ids, "" if tier is Tier.STRICT else "/a/view")


def test_the_limits_are_those_of_the_settings() -> None:
    limits = dict(policy().rlimits)
    assert (limits["AS"], limits["CPU"], limits["FSIZE"]) == (1 << 28, 7, 1 << 20)
    assert limits["CORE"] == 0


def test_no_mount_shows_the_host_or_a_directory_of_packages() -> None:
    for outside, inside in policy().mounts:
        assert not (Path(outside) / "imperal_host").exists(), outside
        assert "imperal_host" not in inside
    packages = [
        str(found)
        for mount in this_interpreter().mounts
        for name in ("site-packages", "dist-packages")
        for found in Path(mount).glob(f"python3*/{name}")
    ]
    assert packages
    assert set(map(os.path.realpath, packages)) <= set(map(os.path.realpath, policy().masked))


@pytest.mark.parametrize(
    ("tier", "namespaces", "kernel_layers"),
    [(Tier.STRICT, True, True), (Tier.NO_NAMESPACES, False, True), (Tier.NONE, False, False)],
)
def test_each_tier_gives_up_what_its_name_says_and_no_more(tier: Tier, namespaces: bool, kernel_layers: bool) -> None:
    given = policy(tier, Ids.SHARED)
    assert (given.namespaces, given.kernel_layers) == (namespaces, kernel_layers)


def test_the_extension_can_read_its_own_folder_and_the_sdk_and_imports_from_there_last() -> None:
    given = policy()
    assert {"/sdk", "/ext"} <= set(given.readable)
    assert given.import_path == (*given.trusted_path, "/ext")
    assert "/ext" not in given.trusted_path, "the zygote imports nothing of the extension"


def test_without_an_own_root_it_may_read_what_would_be_mounted_and_not_the_packages_beside() -> None:
    given = policy(Tier.NO_NAMESPACES, Ids.OWN)
    assert "/a/view" in given.readable
    assert {os.path.realpath(outside) for outside, _ in HELLO.mounts} <= set(given.readable)
    assert not set(given.masked) & set(given.readable)
    assert given.import_path[-2:] == ("/a/view/sdk", "/a/view/ext")


@pytest.mark.parametrize(
    ("tier", "ids", "counted"),
    [
        (Tier.STRICT, Ids.MAPPED, True),
        (Tier.STRICT, Ids.SHARED, True),
        (Tier.NO_NAMESPACES, Ids.OWN, True),
        (Tier.NO_NAMESPACES, Ids.SHARED, False),
    ],
)
def test_threads_are_counted_where_the_count_is_the_isolates_alone(tier: Tier, ids: Ids, counted: bool) -> None:
    assert ("NPROC" in dict(policy(tier, ids).rlimits)) is counted


@pytest.mark.parametrize(
    ("ids", "mapped", "own"), [(Ids.MAPPED, True, True), (Ids.OWN, False, True), (Ids.SHARED, False, False)]
)
def test_whose_ids_it_has(ids: Ids, mapped: bool, own: bool) -> None:
    given = policy(ids=ids)
    assert (given.ids_mapped_by_host, given.own_ids) == (mapped, own)


def test_the_zygote_is_told_all_of_it() -> None:
    told = json.loads(policy().to_json())
    assert set(told) == {field.name for field in fields(SandboxPolicy)}
    assert told["rlimits"]["CPU"] == 7
