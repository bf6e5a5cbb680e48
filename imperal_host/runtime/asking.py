"""What the calls of one isolate ask: begun, answered whole or in parts, cancelled. All of it bounded."""

import asyncio
from collections.abc import Callable

from imperal_host.errors import BusyError, HostError, TooLargeError
from imperal_host.identity import CallId
from imperal_host.runtime.isolate import Broker, JsonObject
from imperal_sdk.wire import STREAMED, Answer, Ask, Frame, FrameTooLargeError, Part, ProtocolError, Refusal
from imperal_sdk.wire.connection import UnsendableError

ASKS_AT_ONCE_MAX = 8
STREAMS_AT_ONCE_MAX = 16


class Room:
    """What one channel has room for.

    Asks for a whole answer fill it: the channel reads no further ask until one is answered. Streams last, and are
    ended by what is read; so they do not fill it, and one over ``STREAMS_AT_ONCE_MAX`` is refused. A stream holds
    nothing back in the host: while the isolate does not take what is sent, its deltas are not taken from upstream.
    """

    def __init__(self, write: Callable[[Frame], None], read_on: Callable[[], None]) -> None:
        self.write = write
        self._read_on = read_on
        self._whole = 0
        self._streams = 0
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def is_full(self) -> bool:
        return self._whole >= ASKS_AT_ONCE_MAX or not self._writable.is_set()

    @property
    def takes_a_stream(self) -> bool:
        return self._streams < STREAMS_AT_ONCE_MAX

    def pause(self) -> None:
        self._writable.clear()

    def resume(self) -> None:
        self._writable.set()
        self._read_on()

    async def writable(self) -> None:
        await self._writable.wait()

    def enter(self, *, streamed: bool) -> None:
        if streamed:
            self._streams += 1
        else:
            self._whole += 1

    def turn(self) -> None:
        """A stream was cancelled: until that is over it counts as an ask for a whole answer."""
        self._streams -= 1
        self._whole += 1

    def leave(self, *, streamed: bool) -> None:
        if streamed:
            self._streams -= 1
        else:
            self._whole -= 1
        self._read_on()


class Running:
    """A call that the isolate works on, and what it asks."""

    def __init__(self, call: CallId, broker: Broker, room: Room, asks_max: int) -> None:
        self.call = call
        self.result: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self.is_given_up = False
        self._broker = broker
        self._room = room
        self._asks_max = asks_max
        self._asks: dict[int, asyncio.Task[None]] = {}
        self._streams: set[int] = set()
        self._asked = 0
        self._cancelled = 0

    def begin(self, ask: Ask) -> None:
        """Raises ``ProtocolError``."""
        self._asked += 1
        if self._asked > self._asks_max:
            raise ProtocolError(f"more than {self._asks_max:,} requests in one call")
        if ask.ask_id in self._asks:
            raise ProtocolError("two requests of one number")
        streamed = ask.capability in STREAMED
        if streamed and not self._room.takes_a_stream:
            why = f"more than {STREAMS_AT_ONCE_MAX} streams at once; close one first"
            self._room.write(Refusal(ask.ask_id, BusyError.code, why))
            return
        self._room.enter(streamed=streamed)
        task = asyncio.get_running_loop().create_task(self._answer(ask, streamed))
        self._asks[ask.ask_id] = task
        if streamed:
            self._streams.add(ask.ask_id)
        task.add_done_callback(lambda _: self._done(ask.ask_id))

    def cancel(self, ask_id: int) -> None:
        """One that is answered already is no fault: the two may have crossed. Raises ``ProtocolError``."""
        self._cancelled += 1
        if self._cancelled > self._asked:
            raise ProtocolError("more was cancelled than asked")
        if task := self._asks.get(ask_id):
            task.cancel()
            if ask_id in self._streams:
                self._streams.discard(ask_id)
                self._room.turn()

    def _done(self, ask_id: int) -> None:
        del self._asks[ask_id]
        streamed = ask_id in self._streams
        self._streams.discard(ask_id)
        self._room.leave(streamed=streamed)

    async def end(self) -> None:
        """Cancel what is still being answered, and return when it is over."""
        tasks = list(self._asks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, ask: Ask, streamed: bool) -> None:
        try:
            reply: Answer | Refusal = Answer(ask.ask_id, await self._reply(ask, streamed))
        except HostError as error:
            reply = Refusal(ask.ask_id, error.code, str(error)[:2_000])
        try:
            self._room.write(reply)
        except FrameTooLargeError as error:
            self._room.write(Refusal(ask.ask_id, TooLargeError.code, str(error)))
        except UnsendableError as error:
            self._room.write(Refusal(ask.ask_id, HostError.code, f"the answer cannot be sent: {error}"))

    async def _reply(self, ask: Ask, streamed: bool) -> JsonObject:
        if not streamed:
            return await self._broker.ask(ask.capability, ask.payload)

        async def deliver(items: list[JsonObject]) -> None:
            await self._room.writable()
            self._part(ask.ask_id, items)

        return await self._broker.stream(ask.capability, ask.payload, deliver)

    def _part(self, ask_id: int, items: list[JsonObject]) -> None:
        try:
            self._room.write(Part(ask_id, items))
        except FrameTooLargeError as error:
            if len(items) < 2:
                raise TooLargeError(str(error)) from None
            self._part(ask_id, items[: len(items) // 2])
            self._part(ask_id, items[len(items) // 2 :])
        except UnsendableError as error:
            raise HostError(f"the answer cannot be sent: {error}") from None
