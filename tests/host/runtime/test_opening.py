"""The opening: confined, looked at from outside, told to start, ready. Anything else is the end of the isolate."""

import asyncio
import os

import pytest

from imperal_host.errors import ExtensionLoadError, SandboxError
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import Ask, Confined, Fault, Frame, Ready, Return, Start
from tests.host.runtime.peer import READY, Link, kill, linked, works

KNOWN = Manifest(app_id="known", version="2.0.0")


def is_gone(link: Link) -> bool:
    return not os.path.exists(f"/proc/{link.pid}")


async def test_confined_start_ready_is_a_channel_with_the_manifest() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(Confined())
        assert await link.peer.next() == Start(manifest_wanted=True)
        assert link.looked_at == [link.pid], "before it was told to start"
        await link.peer.send(READY)
        channel = await opening
        assert (channel.manifest.app_id, channel.pid, channel.alive) == ("peer", link.pid, True)
        await works(channel, link.peer)
        await channel.aclose()
        assert (channel.alive, is_gone(link)) == (False, True)


async def test_nothing_is_said_to_a_process_that_has_not_said_it_is_confined() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        first = asyncio.create_task(link.peer.next())
        await asyncio.wait({opening, first}, timeout=0.1)
        assert (opening.done(), first.done(), link.looked_at) == (False, False, [])
        await link.peer.send(Confined())
        assert isinstance(await first, Start)
        await link.peer.send(READY)
        await (await opening).aclose()


async def test_a_manifest_that_is_known_is_not_asked_for() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open(known=KNOWN))
        await link.peer.send(Confined())
        assert await link.peer.next() == Start(manifest_wanted=False)
        await link.peer.send(Ready(None))
        channel = await opening
        assert channel.manifest is KNOWN
        await channel.aclose()


async def test_what_the_kernel_says_counts_more_than_what_the_process_says() -> None:
    def look(pid: int) -> None:
        raise SandboxError("an isolate said it was confined, and is not")

    async with linked() as link:
        opening = asyncio.create_task(link.open(look=look))
        await link.peer.send(Confined())
        with pytest.raises(SandboxError, match="said it was confined, and is not"):
            await opening
        with pytest.raises((AssertionError, ConnectionError)):  # it was never told to start
            await link.peer.next()
        assert is_gone(link)


async def test_a_layer_that_does_not_hold_is_named_with_what_to_do() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(Fault("sandbox.unavailable", "Landlock: no"))
        with pytest.raises(SandboxError, match=r"cannot be applied here: Landlock: no\. To go on: boot a kernel"):
            await opening
        assert (link.looked_at, is_gone(link)) == ([], True)


@pytest.mark.parametrize(
    "first",
    [READY, Fault("extension.load_failed", "x"), Return("1", {}), Ask("1", 1, "any", {})],
    ids=lambda frame: type(frame).__name__,
)
async def test_another_first_message_than_confined_is_not_believed(first: Frame) -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(first)
        with pytest.raises(SandboxError, match="did not say first that it was confined"):
            async with asyncio.timeout(2):  # it is not waited for: such a process does not end by itself
                await opening
        assert (link.looked_at, is_gone(link)) == ([], True)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\x02{]", b'\0\0\0\x0f{"type":"start"}'])
async def test_what_is_no_message_at_all_ends_the_opening(data: bytes) -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send_bytes(data)
        with pytest.raises(SandboxError, match="before it was confined: it broke the protocol: "):
            await opening
        assert is_gone(link)


async def test_an_end_before_it_is_confined_is_the_sandboxs_failure() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        kill(link.pid)
        link.peer.close()
        with pytest.raises(SandboxError, match="ended before it was confined: it was killed"):
            await opening


async def test_a_message_before_its_time_is_not_taken() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(Confined(), READY)
        with pytest.raises((SandboxError, ExtensionLoadError), match="a message before its time"):
            await opening
        assert is_gone(link)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (Fault("extension.load_failed", "main.py: no"), "^peer: main.py: no$"),
        (Confined(), "neither ready nor a fault"),
        (Return("1", {}), "neither ready nor a fault"),
        (Ready({"app_id": "Bad Id", "version": "1.0.0"}), "^peer: .*app_id"),
        (Ready(None), "^peer: "),
    ],
)
async def test_after_the_start_what_is_wrong_is_the_extensions(frame: Frame, says: str) -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(Confined())
        await link.peer.next()
        await link.peer.send(frame)
        with pytest.raises(ExtensionLoadError, match=says):
            await opening
        assert is_gone(link)


async def test_an_end_while_it_is_being_loaded_says_why() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(Confined())
        await link.peer.next()
        kill(link.pid)
        link.peer.close()
        with pytest.raises(ExtensionLoadError, match=r"^peer: it ended while it was being loaded: it was killed"):
            await opening


async def test_an_opening_that_is_given_up_leaves_no_process() -> None:
    async with linked() as link:
        opening = asyncio.create_task(link.open())
        await link.peer.send(Confined())
        await link.peer.next()
        opening.cancel()
        await asyncio.wait({opening})
        assert (opening.cancelled(), is_gone(link)) == (True, True)
