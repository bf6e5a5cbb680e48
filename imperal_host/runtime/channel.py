"""One isolate's channel: a call in, asks out and back, a result out. Whatever breaks the protocol dies."""

import asyncio
import contextlib
import socket
from typing import Self

from imperal_host.errors import (
    DeadlineError,
    ExtensionLoadError,
    ExtensionRaisedError,
    ExtensionStoppedError,
    HostError,
    Problem,
    TooLargeError,
)
from imperal_host.identity import CallId
from imperal_host.runtime.isolate import Broker, JsonObject
from imperal_host.runtime.process import Process
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import (
    Answer,
    Ask,
    CallContext,
    Connection,
    Fault,
    Frame,
    FrameTooLargeError,
    Invoke,
    ProtocolError,
    Ready,
    Refusal,
    Return,
    Role,
)

_READ_BYTES = 1 << 16
_ASKS_AT_ONCE_MAX = 32


class _Running:
    """The call that the isolate works on now."""

    def __init__(self, call: CallId, broker: Broker) -> None:
        self.call = call
        self.broker = broker
        self.result: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self.asks: set[asyncio.Task[None]] = set()
        self.asked = 0
        self.room = asyncio.Semaphore(_ASKS_AT_ONCE_MAX)


class Channel:
    """An ``Isolate``. One call at a time; the pool sees to that."""

    manifest: Manifest

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        process: Process,
        asks_per_call_max: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._process = process
        self._asks_per_call_max = asks_per_call_max
        self._connection = Connection(Role.HOST)
        self._running: _Running | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, sock: socket.socket, process: Process, asks_per_call_max: int) -> Self:
        """Wait until the extension is loaded. Raises ``ExtensionLoadError``."""
        reader, writer = await asyncio.open_connection(sock=sock)
        channel = cls(reader, writer, process, asks_per_call_max)
        try:
            channel.manifest = await channel._ready()
        except BaseException:
            await channel.aclose()
            raise
        channel._pumping = asyncio.create_task(channel._pump())
        return channel

    @property
    def alive(self) -> bool:
        return not self._closed and self._pumping is not None and not self._pumping.done()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def invoke(
        self, call: CallId, function: str, arguments: JsonObject, context: CallContext, broker: Broker, seconds: float
    ) -> JsonObject:
        assert self._running is None
        running = self._running = _Running(call, broker)
        try:
            async with asyncio.timeout(seconds):
                await self._send(Invoke(call, function, arguments, context))
                return await running.result
        except FrameTooLargeError as error:
            raise TooLargeError(f"the arguments are too large: {error}") from None
        except TimeoutError:
            await self.aclose()
            raise DeadlineError(f"{function} did not answer within {seconds:g} s and was stopped") from None
        except asyncio.CancelledError:
            await self.aclose()
            raise
        finally:
            self._running = None
            await _cancel(running.asks)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        await self._process.end()
        if self._pumping is not None:
            await _cancel({self._pumping})

    async def _ready(self) -> Manifest:
        name = self._process.name
        try:
            while data := await self._reader.read(_READ_BYTES):
                for frame in self._connection.receive(data):
                    match frame:
                        case Ready():
                            return Manifest.model_validate(frame.manifest)
                        case Fault():
                            raise ExtensionLoadError(f"{name}: {frame.message}")
                        case _:
                            raise ProtocolError("the first message was neither ready nor a fault")
        except (ProtocolError, ValueError) as error:
            raise ExtensionLoadError(f"{name}: {_first_line(error)}") from None
        except ConnectionError:
            pass
        raise ExtensionLoadError(f"{name}: it ended while it was being loaded: {await self._process.wait_for_cause()}")

    async def _pump(self) -> None:
        reason = ""
        try:
            while data := await self._reader.read(_READ_BYTES):
                for frame in self._connection.receive(data):
                    self._take(frame)
        except (ProtocolError, ConnectionError) as error:
            reason = f"it broke the protocol: {error}"
            self._process.kill()
        cause = await self._process.wait_for_cause()
        if self._running is not None and not self._running.result.done():
            self._running.result.set_exception(ExtensionStoppedError(f"the extension stopped: {reason or cause}"))

    def _take(self, frame: Frame) -> None:
        running = self._running
        match frame:
            case Return() if running and frame.call_id == running.call:
                if not running.result.done():
                    running.result.set_result(frame.result)
            case Fault() if running and frame.call_id == running.call:
                problems = tuple(Problem(p.field[:200], p.message[:500]) for p in frame.problems[:20])
                if not running.result.done():
                    running.result.set_exception(
                        ExtensionRaisedError(frame.message[:2_000], echoes=frame.code[:100], problems=problems)
                    )
            case Ask():
                self._take_ask(frame, running)
            case _:
                raise ProtocolError("an answer to no call")

    def _take_ask(self, ask: Ask, running: _Running | None) -> None:
        if running is None or ask.call_id != running.call:
            # A task that the function left behind: its call is over, and with it all it may ask.
            refusal = Refusal(ask.ask_id, "request.forbidden", "the call is over")
            self._writer.write(self._connection.send(refusal))
            return
        running.asked += 1
        if running.asked > self._asks_per_call_max:
            raise ProtocolError(f"more than {self._asks_per_call_max:,} requests in one call")
        task = asyncio.create_task(self._answer(ask, running))
        running.asks.add(task)
        task.add_done_callback(running.asks.discard)

    async def _answer(self, ask: Ask, running: _Running) -> None:
        reply: Answer | Refusal
        async with running.room:
            try:
                reply = Answer(ask.ask_id, await running.broker.ask(ask.capability, ask.payload))
            except HostError as error:
                reply = Refusal(ask.ask_id, error.code, str(error)[:2_000])
            with contextlib.suppress(ConnectionError):
                try:
                    await self._send(reply)
                except FrameTooLargeError as error:
                    await self._send(Refusal(ask.ask_id, TooLargeError.code, str(error)))

    async def _send(self, frame: Frame) -> None:
        self._writer.write(self._connection.send(frame))
        await self._writer.drain()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
