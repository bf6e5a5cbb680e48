"""What ``imperal-host prove`` cannot see from inside: an isolate as its host sees it; and the demo's intruder."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imperal_host.app import Host
from imperal_host.gateway.binding import BindingDraft, owner_of
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from imperal_host.prove.row import KILLED_BY_SECCOMP
from imperal_host.prove.suite import SUITE
from imperal_sdk.worker.confine import seccomp
from tests.conftest import ROOT, host_on, settings_in

MALLORY = Principal(TenantId("acme"), UserId("mallory"))


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    settings = settings_in(
        tmp_path_factory.mktemp("escape"), extensions_dir=ROOT / "tests" / "escape" / "prisoner", call_seconds_max=20
    )
    async with host_on(settings) as host:
        yield host


async def prisoner(host: Host, function: str, **arguments: object) -> dict[str, object]:
    answer = await host.rooms.kernel.dispatch(MALLORY, Call("prisoner", function, arguments))
    assert isinstance(answer.result.data, dict)
    return answer.result.data


@pytest.fixture(scope="module")
async def intruder(host: Host, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    """What the bundled intruder reports, tried against a port that does listen."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    settings = settings_in(tmp_path_factory.mktemp("intruder"), extensions_dir=ROOT / "examples")
    async with server, host_on(settings) as host:
        port = server.sockets[0].getsockname()[1]
        files = [str(settings.database_file), str(settings.kek_file), str(ROOT / "pyproject.toml")]
        call = Call("intruder", "try_everything", {"files": files, "port": port})
        answer = await host.rooms.kernel.dispatch(MALLORY, call)
        assert isinstance(answer.result.data, dict)
        yield answer.result.data["stopped_by"]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("attempt", "stopped_by"),
    [
        ("read the host's files", "FileNotFoundError"),
        ("write outside the scratch directory", "Read-only file system"),
        ("find a key in the environment", "the environment is empty"),
        ("import the host's code", "ModuleNotFoundError"),
        ("connect to a port of the host", "Operation not permitted"),
        ("connect to an abstract socket", "Operation not permitted"),
        ("run a program", "Operation not permitted"),
        ("fork", "Operation not permitted"),
        ("signal a process outside", "Operation not permitted"),
        ("become root again", "Operation not permitted"),
        ("leave the root directory", "FileNotFoundError"),
        ("share memory with another process", "Operation not permitted"),
        ("ask the host for a key", "CapabilityDeniedError"),
    ],
)
async def test_the_intruder_is_stopped(intruder: dict[str, str], attempt: str, stopped_by: str) -> None:
    assert stopped_by in intruder[attempt]
    assert "WORKED" not in intruder[attempt]


async def test_every_attempt_of_the_intruder_is_in_the_table_above(intruder: dict[str, str]) -> None:
    assert len(intruder) == 13


async def test_every_system_call_that_ends_an_isolate_is_an_attempt_of_the_suite() -> None:
    killed = {
        name.partition(": ")[0] for name in (row.name for row in SUITE if KILLED_BY_SECCOMP in row.expected["strict"])
    }
    assert set(seccomp.KILLED) <= killed


async def test_what_it_sees_is_nearly_nothing(host: Host) -> None:
    seen = await prisoner(host, "look_around")
    assert seen["environment"] == {}
    assert seen["hostname"] == "isolate"
    assert seen["descriptors"] == [0, 1, 2, 3, 4, 5, 6], "standard three, channel, the event loop's own three"


async def test_from_outside_it_has_no_privilege_left(host: Host) -> None:
    await prisoner(host, "look_around")
    pid = resting_pid(host)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    if os.geteuid() == 0:
        assert int(status["Uid"].split()[0]) > 0x7000_0000, "as root: an id that nothing else on the machine has"
        ours, theirs = (
            {name: os.readlink(f"/proc/{who}/ns/{name}") for name in ("user", "mnt", "pid", "net", "ipc", "uts")}
            for who in ("self", pid)
        )
        assert not set(ours.values()) & set(theirs.values())


def resting_pid(host: Host) -> int:
    [pid] = {
        bound.isolate.pid
        for (package, who), row in host.rooms.kernel._leases._bound.items()
        if (package.name, who) == ("prisoner", ("acme", "mallory"))
        for bound in row
    }
    return int(pid)


async def test_the_users_key_is_nowhere_in_an_isolates_memory(host: Host) -> None:
    canary = "sk-canary-0f3a9c1e7b5d2468ace0"
    draft = BindingDraft("openai_compatible", "m", "https://models.example/v1", api_key=canary)
    await host.rooms.bindings.put(owner_of(MALLORY), draft)
    await prisoner(host, "look_around")
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            memory_of(resting_pid(host))
        return
    assert memory_of(resting_pid(host)).count(b"prisoner") > 0, "the reading itself works"
    assert memory_of(resting_pid(host)).count(canary.encode()) == 0
    await host.rooms.bindings.delete(owner_of(MALLORY))


def memory_of(pid: int) -> bytes:
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, modes = line.split()[:2]
            if modes.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                found += memory.read(end - start)
    return bytes(found)


async def test_between_calls_nothing_of_it_runs(host: Host) -> None:
    await prisoner(host, "leave_a_thread_behind")
    pid = resting_pid(host)
    async with asyncio.timeout(5):
        while state_of(pid) != "T":
            await asyncio.sleep(0.01)
    assert (await prisoner(host, "look_around"))["pid"] == 1
    assert resting_pid(host) == pid, "it was woken for the next call"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
