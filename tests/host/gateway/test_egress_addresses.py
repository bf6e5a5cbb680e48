"""Which servers are reached at all: nothing here ever gets as far as a connection, or it is loopback."""

import socket
from ipaddress import ip_network

import pytest

from imperal_host.errors import EgressBlockedError, UnavailableError
from imperal_host.gateway.addresses import AddressGuard
from imperal_host.gateway.egress import Egress
from imperal_host.gateway.transport import AiohttpTransport
from tests.host.gateway.conftest import LOOPBACK, answer, running
from tests.host.gateway.test_egress import Names, Unreached, egress, send

PUBLIC_ONLY = AddressGuard()


def guarded(*answers: list[str], guard: AddressGuard = PUBLIC_ONLY) -> Egress:
    return egress(Unreached(), guard, resolver=Names(*answers))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "0x7f.1", "127.1", "0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254", "2852039166", "0xA9FEA9FE"),
        *("10.0.0.1", "192.168.1.1", "[fd00::1]", "[fe80::1]", "[64:ff9b::a9fe:a9fe]", "0.0.0.0", "[::]"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_of_a_private_address_gets_through(scheme: str, host: str) -> None:
    with pytest.raises((EgressBlockedError, UnavailableError)) as refusal:
        await send(egress(Unreached(), PUBLIC_ONLY), f"{scheme}://{host}/v1")
    if isinstance(refusal.value, EgressBlockedError):
        assert "IMPERAL_PRIVATE_NETWORKS" in str(refusal.value)


def test_those_spellings_do_mean_loopback_to_the_system() -> None:
    """Without this, the test above could pass because nothing resolves."""
    for spelling in ("2130706433", "0x7f000001", "017700000001", "0x7f.1", "127.1"):
        assert socket.getaddrinfo(spelling, 80, family=socket.AF_INET)[0][4][0] == "127.0.0.1"


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["10.0.0.1", "8.8.8.8"],
        ["2606:4700:4700::1111", "::1"],
        ["8.8.8.8", "::ffff:169.254.169.254"],
    ],
)
async def test_a_name_with_any_private_address_is_blocked(addresses: list[str]) -> None:
    with pytest.raises(EgressBlockedError, match=r"llm\.example\.org is not at a public address"):
        await send(guarded(addresses), "https://llm.example.org/v1")


@pytest.mark.parametrize("name", ["straße.example.org", "xn--strae-oqa.example.org"])
async def test_an_international_name_is_asked_for_as_it_stands_in_the_url(name: str) -> None:
    """By IDNA 2008. Python's own codec (2003) would ask for another host, strasse.example.org."""
    names = Names(["10.0.0.1"])
    with pytest.raises(EgressBlockedError, match=r"xn--strae-oqa\.example\.org"):
        await send(egress(Unreached(), PUBLIC_ONLY, resolver=names), f"https://{name}/v1")
    assert names.questions == [("xn--strae-oqa.example.org", 443)]


async def test_a_name_without_an_address_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await send(guarded([]), "https://llm.example.org/v1")


@pytest.mark.parametrize("guard", [PUBLIC_ONLY, LOOPBACK])
async def test_a_public_address_is_never_reached_in_clear_text(guard: AddressGuard) -> None:
    with pytest.raises(EgressBlockedError, match="https:// only"):
        await send(guarded(["8.8.8.8"], guard=guard), "http://llm.example.org/v1")


async def test_a_name_with_a_listed_and_a_public_address_is_blocked_in_clear_text() -> None:
    with pytest.raises(EgressBlockedError):
        await send(guarded(["127.0.0.1", "8.8.8.8"], guard=LOOPBACK), "http://llm.example.org/v1")


@pytest.mark.parametrize("name", ["does-not-exist.invalid", "a" * 70 + ".invalid"])
async def test_a_name_that_does_not_resolve_is_unavailable(name: str) -> None:
    with pytest.raises(UnavailableError):
        await send(egress(Unreached(), PUBLIC_ONLY), f"https://{name}/v1")


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "169.254.169.254", "2606:4700:4700::1111", "0.0.0.0", "::"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_hosts_own_server_is_on_loopback_or_not_reached(scheme: str, address: str) -> None:
    with pytest.raises(EgressBlockedError):
        await send(guarded([address], guard=LOOPBACK), f"{scheme}://local/v1", supervised=True)


async def test_the_hosts_own_server_is_reached_without_an_allow_list_and_nobody_elses_is() -> None:
    async with running(answer(b"mine")) as server, AiohttpTransport() as transport:
        way = egress(transport, PUBLIC_ONLY)
        assert (await send(way, server.url, supervised=True)).body == b"mine"
        with pytest.raises(EgressBlockedError):
            await send(way, server.url)


async def test_ipv6_loopback_is_permitted_when_it_is_listed() -> None:
    async with running(answer(b"four")) as server, AiohttpTransport() as transport:
        way = egress(transport, LOOPBACK, resolver=Names(["::1", "127.0.0.1"]))
        # Nobody listens on ::1; an address that was not permitted would have ended it before the second.
        assert (await send(way, f"http://localhost:{server.port}/")).body == b"four"


@pytest.mark.parametrize("name", ["metadata.google.internal", "Metadata.Google.Internal.", "metadata.goog", "metadata"])
@pytest.mark.parametrize("guard", [PUBLIC_ONLY, AddressGuard((ip_network("0.0.0.0/0"), "metadata:80"))])
async def test_a_name_of_metadata_is_not_even_asked_for(name: str, guard: AddressGuard) -> None:
    names = Names(["8.8.8.8"])
    with pytest.raises(EgressBlockedError, match="metadata service"):
        await send(egress(Unreached(), guard, resolver=names), f"https://{name}/v1")
    assert names.questions == []


async def test_an_endpoint_is_reached_at_its_port_and_no_other() -> None:
    names = Names(["127.0.0.1"])
    async with running(answer(b"mine")) as server, running(answer()) as other, AiohttpTransport() as transport:
        guard = AddressGuard((f"ollama.lan:{server.port}",))
        way = egress(transport, guard, resolver=names)
        assert (await send(way, f"http://ollama.lan:{server.port}/v1")).body == b"mine"
        for url in (f"http://ollama.lan:{other.port}/v1", f"http://127.0.0.1:{server.port}/v1"):
            with pytest.raises(EgressBlockedError):
                await send(way, url)
        assert (len(server.requests), other.requests) == (1, [])
