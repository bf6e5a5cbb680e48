"""One isolate's channel: a call in, asks out and back, a result out. Whatever breaks the protocol dies."""

import asyncio
import contextlib
import select
import signal
import socket
from typing import Self

from imperal_host.errors import (
    DeadlineError,
    ExtensionLoadError,
    ExtensionRaisedError,
    ExtensionStoppedError,
    HostError,
    InvalidError,
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
from imperal_sdk.wire.connection import UnsendableError

_READ_BYTES = 1 << 16
_ASKS_AT_ONCE_MAX = 8
_ASKS_BETWEEN_CALLS_MAX = 100


class _Running:
    """The call that the isolate works on now."""

    def __init__(self, call: CallId, broker: Broker) -> None:
        self.call = call
        self.broker = broker
        self.result: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self.asks: set[asyncio.Task[None]] = set()
        self.room = asyncio.Semaphore(_ASKS_AT_ONCE_MAX)


class Channel:
    """An ``Isolate``. One call at a time; the pool sees to that.

    What an isolate makes the host hold is bounded by not reading on: while ``_ASKS_AT_ONCE_MAX`` asks are being
    answered, or a frame to it is not yet taken, its next one waits in the socket. Asks in progress end by
    themselves, or with the call, at the latest at its deadline; so the reading goes on.
    """

    manifest: Manifest

    def __init__(
        self,
        sock: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        process: Process,
        asks_per_call_max: int,
    ) -> None:
        self._sock = sock
        self._reader = reader
        self._writer = writer
        self._process = process
        self._asks_per_call_max = asks_per_call_max
        self._connection = Connection(Role.HOST)
        self._running: _Running | None = None
        self._asked = 0  # in this call, or since the last one
        self._sending = asyncio.Lock()
        self._pumping: asyncio.Task[None] | None = None
        self._ended = False

    @classmethod
    async def open(cls, sock: socket.socket, process: Process, asks_per_call_max: int) -> Self:
        """Wait until the extension is loaded. Raises ``ExtensionLoadError``."""
        reader, writer = await asyncio.open_connection(sock=sock)
        channel = cls(sock, reader, writer, process, asks_per_call_max)
        try:
            channel.manifest = await channel._ready()
        except BaseException:
            await channel.aclose()
            raise
        channel._pumping = asyncio.create_task(channel._pump())
        return channel

    @property
    def alive(self) -> bool:
        return not self._ended and not _hung_up(self._sock)

    @property
    def pid(self) -> int:
        return self._process.pid

    def pause(self) -> None:
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send(signal.SIGCONT)

    async def invoke(
        self, call: CallId, function: str, arguments: JsonObject, context: CallContext, broker: Broker, seconds: float
    ) -> JsonObject:
        assert self._running is None
        if self._ended:
            raise ExtensionStoppedError(f"the extension stopped: {await self._process.wait_for_cause()}")
        self._asked = 0
        running = self._running = _Running(call, broker)
        try:
            async with asyncio.timeout(seconds):
                with contextlib.suppress(ConnectionError):  # the pump sees it too, and learns the cause
                    await self._send(Invoke(call, function, arguments, context))
                return await running.result
        except FrameTooLargeError as error:
            raise TooLargeError(f"the arguments are too large: {error}") from None
        except UnsendableError as error:
            raise InvalidError(f"the arguments cannot be sent: {error}") from None
        except TimeoutError:
            await self.aclose()
            raise DeadlineError(f"{function} did not answer within {seconds:g} s and was stopped") from None
        except asyncio.CancelledError:
            await self.aclose()
            raise
        finally:
            self._running = None
            self._asked = 0
            await _cancel(running.asks)

    async def aclose(self) -> None:
        self._ended = True
        self._writer.transport.abort()  # what a peer has not read is no reason to wait
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
                    await self._take(frame)
        except ConnectionError:
            pass  # it is gone: let it die of its own cause
        except ProtocolError as error:
            reason = f"it broke the protocol: {error}"
            self._process.kill()
        self._ended = True
        cause = await self._process.wait_for_cause()
        if self._running is not None and not self._running.result.done():
            self._running.result.set_exception(ExtensionStoppedError(f"the extension stopped: {reason or cause}"))

    async def _take(self, frame: Frame) -> None:
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
                await self._take_ask(frame)
            case _:
                raise ProtocolError("an answer to no call")

    async def _take_ask(self, ask: Ask) -> None:
        running = self._running
        self._asked += 1
        if running is None and self._asked > _ASKS_BETWEEN_CALLS_MAX:
            raise ProtocolError(f"more than {_ASKS_BETWEEN_CALLS_MAX:,} requests outside of a call")
        if running is not None and self._asked > self._asks_per_call_max:
            raise ProtocolError(f"more than {self._asks_per_call_max:,} requests in one call")
        if running is not None and ask.call_id == running.call:
            await running.room.acquire()
            if running is self._running:
                task = asyncio.create_task(self._answer(ask, running.broker))
                running.asks.add(task)
                task.add_done_callback(running.asks.discard)
                task.add_done_callback(lambda _: running.room.release())
                return
        # A task that the function left behind: its call is over, and with it all it may ask.
        await self._send(Refusal(ask.ask_id, "request.forbidden", "the call is over"))

    async def _answer(self, ask: Ask, broker: Broker) -> None:
        reply: Answer | Refusal
        try:
            reply = Answer(ask.ask_id, await broker.ask(ask.capability, ask.payload))
        except HostError as error:
            reply = Refusal(ask.ask_id, error.code, str(error)[:2_000])
        with contextlib.suppress(ConnectionError):
            try:
                await self._send(reply)
            except FrameTooLargeError as error:
                await self._send(Refusal(ask.ask_id, TooLargeError.code, str(error)))
            except UnsendableError as error:
                await self._send(Refusal(ask.ask_id, HostError.code, f"the answer cannot be sent: {error}"))

    async def _send(self, frame: Frame) -> None:
        """One frame at a time, so that at most one waits for a peer that does not read."""
        async with self._sending:
            if self._writer.is_closing():  # uvloop would raise RuntimeError
                raise ConnectionResetError
            self._writer.write(self._connection.send(frame))
            await self._writer.drain()


def _hung_up(sock: socket.socket) -> bool:
    """Whether the other end is closed: the kernel knows before any event is read."""
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, 0)  # what is always reported: POLLHUP, POLLERR
    return bool(poll.poll(0))


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
