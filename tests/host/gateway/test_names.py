"""Names that move, names that hang, and a name server that answers something else the second time."""

import asyncio
import threading
from ipaddress import ip_address, ip_network

import pytest

from imperal_host.errors import EgressBlockedError
from imperal_host.gateway.addresses import Address, AddressGuard
from imperal_host.gateway.names import Names, by_the_system
from imperal_host.gateway.transport import AiohttpTransport
from tests.host.gateway.conftest import answer, running
from tests.host.gateway.nameserver import name_server
from tests.host.gateway.test_egress import egress, send


async def test_an_answer_is_kept_for_seconds_and_no_longer() -> None:
    clock = [0.0]
    with name_server({"llm.example.org": [["127.0.0.1"], ["127.0.0.2"]]}) as server:
        names = Names(server.lookup, seconds_kept=5, monotonic=lambda: clock[0])
        for clock[0], expected in [(0.0, "127.0.0.1"), (4.9, "127.0.0.1"), (5.1, "127.0.0.2")]:
            assert await names("llm.example.org", 443) == [ip_address(expected)]
        assert server.questions == ["llm.example.org"] * 2
        names.close()


async def test_a_number_is_not_asked_for() -> None:
    def asked(host: str) -> list[Address]:
        raise AssertionError(host)

    names = Names(asked)
    assert await names("[::1]", 443) == [ip_address("::1")]
    assert await names("127.0.0.1", 443) == [ip_address("127.0.0.1")]


async def test_that_there_is_no_such_name_is_kept_too() -> None:
    with name_server({}) as server:
        names = Names(server.lookup)
        assert [await names("nowhere.example.org", 443) for _ in range(3)] == [[], [], []]
        assert len(server.questions) == 1
        names.close()


async def test_a_name_is_asked_for_once_by_all_who_wait_and_outlives_who_asked_first() -> None:
    go, asked = threading.Event(), []

    def slow(host: str) -> list[Address]:
        asked.append(host)
        go.wait(10)
        return [ip_address("127.0.0.1")]

    names = Names(slow)
    waiting = [asyncio.ensure_future(names("llm.example.org", 443)) for _ in range(5)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    await asyncio.sleep(0)
    go.set()
    assert [await each for each in waiting[1:]] == [[ip_address("127.0.0.1")]] * 4
    assert asked == ["llm.example.org"]
    names.close()


async def test_a_name_server_that_hangs_holds_up_neither_other_names_nor_other_threads() -> None:
    go = threading.Event()

    def hangs(host: str) -> list[Address]:
        if host.startswith("hostile"):
            go.wait(10)
        return by_the_system("localhost")

    names = Names(hangs, lookups_max=9)
    waiting = [asyncio.ensure_future(names(f"hostile-{number}.example.org", 443)) for number in range(8)]
    try:
        assert await asyncio.wait_for(names("llm.example.org", 443), 5)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), 5) == 1
    finally:
        go.set()
        await asyncio.gather(*waiting)
        names.close()


@pytest.mark.parametrize("second", ["169.254.169.254", "10.0.0.1", "127.0.0.2", "192.168.1.1"])
async def test_a_name_that_moves_between_the_check_and_the_connection_moves_nothing(second: str) -> None:
    """The connection is made to the answer that was judged: there is no second question."""
    guard = AddressGuard((ip_network("127.0.0.1/32"),))
    with name_server({"rebind.example.org": [["127.0.0.1"], [second]]}) as dns:
        names = Names(dns.lookup, seconds_kept=0)
        async with running(answer(b"judged")) as server, AiohttpTransport() as transport:
            way, url = egress(transport, guard, resolver=names), f"http://rebind.example.org:{server.port}/v1"
            assert (await send(way, url)).body == b"judged"
            assert len(dns.questions) == 1
            with pytest.raises(EgressBlockedError):  # the next call is judged by the next answer
                await send(way, url)
            assert len(server.requests) == 1
        names.close()
