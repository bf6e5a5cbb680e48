"""One forbidden act each, tried for real by a hostile extension in a real isolate."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from imperal_host.app import Host
from imperal_host.errors import ExtensionRaisedError, ExtensionStoppedError, ForbiddenError, HostError
from imperal_host.gateway.binding import BindingDraft, owner_of
from imperal_host.identity import Principal, TenantId, UserId
from imperal_host.kernel.dispatch import Call
from imperal_sdk.worker.confine import seccomp
from tests.conftest import ROOT, host_on, settings_in

MALLORY = Principal(TenantId("acme"), UserId("mallory"))


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    settings = settings_in(
        tmp_path_factory.mktemp("escape"), extensions_dir=ROOT / "tests" / "escape", call_seconds_max=20
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


@pytest.mark.parametrize("name", sorted(seccomp.KILLED))
async def test_a_system_call_that_no_interpreter_makes_ends_the_isolate(host: Host, name: str) -> None:
    with pytest.raises(ExtensionStoppedError, match="forbidden system call"):
        await prisoner(host, "system_call", number=seccomp.KILLED[name], arguments=[0, 0, 0, 0, 0, 0])
    assert (await prisoner(host, "look_around"))["pid"] == 1, "the next call gets a new isolate"


@pytest.mark.parametrize(
    ("number", "arguments", "refusal"),
    [
        pytest.param(41, [2, 1, 0], "EPERM", id="socket AF_INET"),
        pytest.param(41, [1, 1, 0], "EPERM", id="socket AF_UNIX"),
        pytest.param(41, [16, 3, 0], "EPERM", id="socket netlink"),
        pytest.param(53, [2, 1, 0, 0], "EPERM", id="socketpair AF_INET"),
        pytest.param(56, [0x1000_0000 | 17, 0], "EPERM", id="clone with a user namespace"),
        pytest.param(57, [], "EPERM", id="fork"),
        pytest.param(435, [0, 0], "ENOSYS", id="clone3"),
        pytest.param(59, [0, 0, 0], "EPERM", id="execve"),
        pytest.param(322, [0, 0, 0, 0, 0], "EPERM", id="execveat"),
        pytest.param(62, [1, 9], "EPERM", id="kill"),
        pytest.param(424, [0, 9, 0, 0], "EPERM", id="pidfd_send_signal"),
        pytest.param(105, [0], "EPERM", id="setuid"),
        pytest.param(90, [0, 0], "EPERM", id="chmod"),
        pytest.param(86, [0, 0], "EPERM", id="link"),
        pytest.param(88, [0, 0], "EPERM", id="symlink"),
        pytest.param(157, [4, 1, 0, 0, 0], "EPERM", id="prctl PR_SET_DUMPABLE"),
        pytest.param(302, [0, 7, 1, 0], "EPERM", id="prlimit64 with a new limit"),
        pytest.param(73, [0, 2], "EPERM", id="flock"),
        pytest.param(72, [0, 5, 0], "EPERM", id="fcntl F_GETLK"),
        pytest.param(72, [0, 6, 0], "EPERM", id="fcntl F_SETLK"),
        pytest.param(72, [0, 1024, 1], "EPERM", id="fcntl F_SETLEASE"),
        pytest.param(9, [0, 4096, 3, 0x21, -1, 0], "EPERM", id="mmap shared"),
        pytest.param(16, [0, 0x5412, 0], "EPERM", id="ioctl TIOCSTI"),
    ],
)
async def test_a_system_call_outside_the_list_is_refused(
    host: Host, number: int, arguments: list[int], refusal: str
) -> None:
    assert await prisoner(host, "system_call", number=number, arguments=arguments) == {"result": -1, "errno": refusal}


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
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} <= {"0" * 16, status["CapBnd"]}
    assert status["CapEff"] == "0" * 16
    if os.geteuid() == 0:
        assert int(status["Uid"].split()[0]) > 0x7000_0000, "as root: an id that nothing else on the machine has"
        ours, theirs = (
            {name: os.readlink(f"/proc/{who}/ns/{name}") for name in ("user", "mnt", "pid", "net", "ipc", "uts")}
            for who in ("self", pid)
        )
        assert not set(ours.values()) & set(theirs.values())


def resting_pid(host: Host) -> int:
    [pid] = {
        idle.isolate.pid
        for key, resting in host.rooms.kernel._leases._idle.items()
        if (key[0].name, key[1]) == ("prisoner", ("acme", "mallory"))
        for idle in resting
    }
    return int(pid)


@pytest.mark.parametrize(
    ("function", "size"), [("take_memory", 4 << 30), ("fill_the_disk", 1 << 20), ("open_files", 1000)]
)
async def test_a_resource_is_bounded_and_the_author_is_told(host: Host, function: str, size: int) -> None:
    with pytest.raises(ExtensionRaisedError, match=r"MemoryError|No space left|Too many open files"):
        await prisoner(host, function, size=size)


async def test_threads_are_bounded(host: Host) -> None:
    with pytest.raises(ExtensionRaisedError, match="can't start new thread"):
        await prisoner(host, "start_threads", size=5000)


def frame(body: dict[str, object]) -> str:
    packed = msgspec.json.encode(body)
    return (len(packed).to_bytes(4, "big") + packed).hex()


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param("ffffffff", id="a length over the limit"),
        pytest.param("00000004deadbeef", id="bytes that are no message"),
        pytest.param(frame({"type": "answer", "ask_id": 1, "payload": {}}), id="a frame of the host's side"),
        pytest.param(frame({"type": "return", "call_id": "another", "result": {}}), id="a result of another call"),
        pytest.param(frame({"type": "ready", "manifest": {}}), id="a second ready"),
        pytest.param(
            frame({"type": "ask", "call_id": "x", "ask_id": 1, "capability": "a", "payload": {}, "tenant": "globex"}),
            id="an ask that names a tenant",
        ),
    ],
)
async def test_a_forged_message_ends_the_isolate(host: Host, forged: str) -> None:
    with pytest.raises(ExtensionStoppedError, match="broke the protocol"):
        await prisoner(host, "write_to_the_channel", hexadecimal=forged)


@pytest.mark.parametrize("capability", ["vault.open", "llm", "ledger.append", "", "__class__", "x" * 10_000])
async def test_what_is_not_granted_has_no_handler(host: Host, capability: str) -> None:
    with pytest.raises(ForbiddenError):
        await prisoner(host, "ask", capability=capability, payload={})


@pytest.mark.parametrize(
    "extra", [{"tenant": "globex"}, {"user": "ada"}, {"api_key": "sk"}, {"base_url": "http://127.0.0.1"}]
)
async def test_a_request_to_a_model_can_name_no_user_key_or_address(host: Host, extra: dict[str, str]) -> None:
    payload = {"messages": [{"role": "user", "content": "hi"}], **extra}
    with pytest.raises(HostError, match="Extra inputs are not permitted"):
        await prisoner(host, "ask", capability="llm.complete", payload=payload)


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
