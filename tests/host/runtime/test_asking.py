"""Asks that are answered in parts, and asks that are cancelled: in order, bounded, ended at once."""

import asyncio
from typing import Any

import pytest

from imperal_host.errors import ExtensionStoppedError, TooLargeError
from imperal_host.runtime.asking import ASKS_AT_ONCE_MAX, STREAMS_AT_ONCE_MAX
from imperal_host.runtime.isolate import Deliver
from imperal_sdk.wire import Answer, Ask, Cancel, Part, Refusal, Return
from tests.host.runtime.peer import Gate, Open, asks, call, connected, until, works

ITEM = {"type": "text", "text": "x"}


class Streams(Open):
    """Hands on batches one by one, then waits or answers."""

    def __init__(self, batches: int, *, size: int = 1, endless: bool = False) -> None:
        super().__init__()
        self.given = 0
        self.given_up = 0
        self.failure: Exception | None = None
        self._batches, self._size, self._endless = batches, size, endless

    async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
        self.asked += 1
        try:
            for number in range(self._batches):
                await deliver([{"number": number, "text": "x" * self._size}])
                self.given += 1
            if self._endless:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        except Exception as error:
            self.failure = error
            raise
        return {"number": self._batches}


def stream(number: int = 0, call: int = 1) -> Ask:
    return Ask(str(call), number, "llm.stream", {})


async def test_parts_come_in_order_and_then_the_answer() -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Streams(50))
        await peer.take_call()
        await peer.send(stream())
        parts = [await peer.next() for _ in range(50)]
        assert [part.items[0]["number"] for part in parts if isinstance(part, Part)] == list(range(50))
        assert await peer.next() == Answer(0, {"number": 50})
        await peer.send(Return("1", {}))
        await calling


async def test_what_the_isolate_does_not_take_is_not_taken_from_upstream() -> None:
    async with connected() as (channel, peer):
        broker = Streams(500, size=100_000)
        calling = call(channel, broker)
        await peer.take_call()
        await peer.send(stream())
        await asyncio.sleep(0.2)
        held = broker.given
        await asyncio.sleep(0.1)
        assert broker.given == held < 20
        assert channel._transport.get_write_buffer_size() < 1 << 20
        for _ in range(500):
            assert isinstance(await peer.next(), Part)
        assert isinstance(await peer.next(), Answer)
        await peer.send(Return("1", {}))
        await calling


async def test_a_cancel_ends_its_stream_at_once_and_no_other() -> None:
    async with connected() as (channel, peer):
        broker = Streams(1, endless=True)
        calling = call(channel, broker)
        await peer.take_call()
        await peer.send(stream(1), stream(2))
        assert {(await peer.next()).ask_id for _ in range(2)} == {1, 2}  # type: ignore[union-attr]
        await peer.send(Cancel("1", 1))
        await until(lambda: broker.given_up == 1)
        await asyncio.sleep(0.05)
        assert broker.given_up == 1
        await peer.send(Return("1", {}))
        await calling
        assert broker.given_up == 2, "a call's end is the end of its streams"
        await works(channel, peer)


async def test_a_cancel_is_heard_while_the_room_is_full() -> None:
    async with connected() as (channel, peer):
        broker = Gate()
        calling = call(channel, broker)
        await peer.take_call()
        await peer.send(*asks(ASKS_AT_ONCE_MAX))
        await until(lambda: broker.asked == ASKS_AT_ONCE_MAX)
        await peer.send(Cancel("1", 3))
        await until(lambda: broker.given_up == 1)
        await peer.send(*asks(1, first=100))
        await until(lambda: broker.asked == ASKS_AT_ONCE_MAX + 1)
        await peer.send(Return("1", {}))
        broker.opened.set()
        await calling


async def test_a_cancel_that_crosses_the_answer_is_no_fault() -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        await peer.send(*asks(1))
        assert isinstance(await peer.next(), Answer)
        await peer.send(Cancel("1", 0), Return("1", {}))
        await calling
        await peer.send(Cancel("1", 0))
        await works(channel, peer)


async def test_streams_over_the_limit_are_refused_and_the_others_go_on() -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Streams(1, endless=True))
        await peer.take_call()
        await peer.send(*map(stream, range(STREAMS_AT_ONCE_MAX)))
        for _ in range(STREAMS_AT_ONCE_MAX):
            assert isinstance(await peer.next(), Part)
        await peer.send(stream(99))
        refusal = await peer.next()
        assert isinstance(refusal, Refusal)
        assert (refusal.ask_id, refusal.code) == (99, "request.busy")
        await peer.send(Cancel("1", 0), stream(100))
        assert isinstance(part := await peer.next(), Part)
        assert part.ask_id == 100
        await peer.send(Return("1", {}))
        await calling


async def test_a_batch_too_large_for_one_message_is_halved_and_an_item_too_large_is_refused() -> None:
    class Large(Open):
        async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
            await deliver([{"text": "x" * (1 << 20)}] * 6)
            with pytest.raises(TooLargeError):
                await deliver([{"text": "x" * (5 << 20)}])
            raise TooLargeError("too large")

    async with connected() as (channel, peer):
        calling = call(channel, Large())
        await peer.take_call()
        await peer.send(stream())
        parts = [await peer.next(), await peer.next()]
        assert [len(part.items) for part in parts if isinstance(part, Part)] == [3, 3]
        assert isinstance(await peer.next(), Refusal)
        await peer.send(Return("1", {}))
        await calling


async def test_a_caller_that_goes_away_ends_the_stream() -> None:
    async with connected() as (channel, peer):
        broker = Streams(1, endless=True)
        calling = call(channel, broker)
        await peer.take_call()
        await peer.send(stream())
        await peer.next()
        calling.cancel()
        await asyncio.wait({calling})
        assert broker.given_up == 1


@pytest.mark.parametrize("asked", [0, 1, 5])
async def test_more_cancels_than_asks_break_the_protocol(asked: int) -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Open())
        await peer.take_call()
        await peer.send(*asks(asked), *[Cancel("1", 700)] * (asked + 1))
        with pytest.raises(ExtensionStoppedError, match="it broke the protocol: more was cancelled than asked"):
            await calling


async def test_a_flood_of_cancels_outside_of_a_call_breaks_the_protocol() -> None:
    async with connected() as (channel, peer):
        await peer.send(*[Cancel("another", 1)] * 101)
        await until(lambda: not channel.alive)


async def test_two_asks_of_one_number_break_the_protocol() -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Gate())
        await peer.take_call()
        await peer.send(*asks(1), *asks(1))
        with pytest.raises(ExtensionStoppedError, match="it broke the protocol: two requests of one number"):
            await calling
