"""The host looks for itself: what /proc says of a process decides, not what the process says."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from imperal_host.errors import SandboxError
from imperal_host.runtime.interpreter import this_interpreter
from imperal_host.runtime.outside import check, faults_of
from imperal_host.runtime.policy import Ids, SandboxPolicy, Tier, policy_for
from tests.host.runtime.test_policy import HELLO, LIMITS

ZERO = "0" * 16
GOOD = {
    "NSpid": "4711\t12\t1",
    "CapInh": ZERO,
    "CapPrm": ZERO,
    "CapEff": ZERO,
    "CapBnd": ZERO,
    "CapAmb": ZERO,
    "NoNewPrivs": "1",
    "Seccomp": "2",
}


def status(**changes: str | None) -> str:
    told = {"Name": "python", **GOOD, **changes, "Threads": "1"}
    return "".join(f"{name}:\t{value}\n" for name, value in told.items() if value is not None)


@pytest.mark.parametrize("in_own_pid_namespace", [True, False])
def test_a_confined_process_has_no_faults(in_own_pid_namespace: bool) -> None:
    assert faults_of(status(), in_own_pid_namespace=in_own_pid_namespace) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        *(({name: "0000000000000001"}, f"{name} is 0000000000000001") for name in GOOD if name.startswith("Cap")),
        *(({name: None}, f"{name} is None") for name in GOOD if name != "NSpid"),
        ({"Seccomp": "0"}, "Seccomp is 0"),
        ({"Seccomp": "1"}, "Seccomp is 1"),
        ({"NoNewPrivs": "0"}, "NoNewPrivs is 0"),
        ({"NSpid": "4711"}, "NSpid is 4711"),
        ({"NSpid": "1"}, "NSpid is 1"),
        ({"NSpid": "4711\t2"}, "NSpid is 4711 2"),
        ({"NSpid": None}, "NSpid is "),
    ],
)
def test_each_fault_is_named(changes: dict[str, str | None], fault: str) -> None:
    assert faults_of(status(**changes), in_own_pid_namespace=True) == [fault]


def test_every_fault_is_named() -> None:
    assert len(faults_of("", in_own_pid_namespace=True)) == len(GOOD)


def test_without_namespaces_the_pid_namespace_may_be_ours() -> None:
    assert faults_of(status(NSpid="4711"), in_own_pid_namespace=False) == []


@pytest.fixture
def unconfined() -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    yield child.pid
    child.kill()
    child.wait()


def policy(tier: Tier) -> SandboxPolicy:
    return policy_for(HELLO, this_interpreter(), LIMITS, tier, Ids.SHARED, "" if tier is Tier.STRICT else "/view")


def test_a_process_that_is_not_confined_is_refused(unconfined: int) -> None:
    with pytest.raises(SandboxError, match="said it was confined, and is not: ") as caught:
        check(unconfined, policy(Tier.STRICT))
    for said in ("Seccomp is 0", "NoNewPrivs is 0", "NSpid is ", *(f"its {n} namespace is" for n in ("net", "mnt"))):
        assert said in str(caught.value)


def test_without_namespaces_the_other_layers_are_looked_for(unconfined: int) -> None:
    with pytest.raises(SandboxError, match="Seccomp is 0, NoNewPrivs is 0") as caught:
        check(unconfined, policy(Tier.NO_NAMESPACES))
    assert "namespace" not in str(caught.value)


def test_where_no_layer_was_wanted_none_is_looked_for(unconfined: int) -> None:
    check(unconfined, policy(Tier.NONE))


def test_a_process_that_is_gone_is_refused(unconfined: int) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as child:
        child.wait()
    with pytest.raises(SandboxError, match="cannot be looked at from outside"):
        check(child.pid, policy(Tier.STRICT))
