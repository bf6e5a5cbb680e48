"""One isolate's channel: calls in, asks out and back, results out. Whatever breaks the protocol dies."""

import asyncio
import select
import signal
import socket
from collections.abc import Callable
from typing import Self, cast

from imperal_host.errors import (
    DeadlineError,
    ExtensionError,
    ExtensionLimitError,
    ExtensionLoadError,
    ExtensionRaisedError,
    ExtensionStoppedError,
    InvalidError,
    Problem,
    SandboxError,
    TooLargeError,
)
from imperal_host.identity import CallId
from imperal_host.runtime.asking import Room, Running
from imperal_host.runtime.isolate import Broker, JsonObject
from imperal_host.runtime.process import Cause, Process
from imperal_host.runtime.zygote import layer_error
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import (
    Ask,
    CallContext,
    Cancel,
    Confined,
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
    Start,
)
from imperal_sdk.wire.connection import UnsendableError

_ASKS_BETWEEN_CALLS_MAX = 100
_CALL_BYTES_MAX = 64 << 20
_FRAME_SECONDS_MAX = 10.0


class Channel(asyncio.Protocol):
    """An ``Isolate``.

    What an isolate makes the host hold is bounded by not reading on: while its ``Room`` is full of asks
    that are being answered, or it does not take what is sent to it, its next message stays undecoded, unless that
    cancels one. Asks in progress end by themselves, or with their call, at the latest at its deadline; so the
    reading goes on.
    """

    manifest: Manifest

    def __init__(self, sock: socket.socket, process: Process, asks_per_call_max: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._process = process
        self._asks_per_call_max = asks_per_call_max
        self._connection = Connection(Role.HOST)
        self._opening: asyncio.Future[Frame | None] | None = self._loop.create_future()
        self._calls: dict[CallId, Running] = {}
        self._room = Room(self._write, self._read_on)
        self._asked_between_calls = 0
        self._bytes_left = _CALL_BYTES_MAX
        self._reading_is_paused = False
        self._frame_timer: asyncio.TimerHandle | None = None
        self._seeing_off: asyncio.Task[None] | None = None
        self._breach = ""
        self._ended = False

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        process: Process,
        asks_per_call_max: int,
        look: Callable[[int], None],
        known: Manifest | None = None,
    ) -> Self:
        """Wait until the process is confined, ``look`` at it from outside, and have the extension loaded.
        Its manifest is asked for unless it is ``known``.

        Raises ``SandboxError`` until it is confined, ``ExtensionLoadError`` after that.
        """
        channel = cls(sock, process, asks_per_call_max)
        try:
            await channel._loop.create_connection(lambda: channel, sock=sock)
        except BaseException:
            sock.close()
            await process.end()
            raise
        try:
            await channel._confined(look, manifest_wanted=known is None)
            channel.manifest = await channel._ready(known)
        except BaseException:
            await channel.aclose()
            raise
        return channel

    @property
    def alive(self) -> bool:
        return not self._ended and not _hung_up(self._sock)

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory_bytes(self) -> int:
        return self._process.memory_bytes()

    def pause(self) -> None:
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send(signal.SIGCONT)

    async def invoke(
        self, call: CallId, function: str, arguments: JsonObject, context: CallContext, broker: Broker, seconds: float
    ) -> JsonObject:
        if self._ended:
            raise await self._stopped()
        try:
            message = self._connection.send(Invoke(call, function, arguments, context))
        except FrameTooLargeError as error:
            raise TooLargeError(f"the arguments are too large: {error}") from None
        except UnsendableError as error:
            raise InvalidError(f"the arguments cannot be sent: {error}") from None
        if not self._calls:
            self._asked_between_calls, self._bytes_left = 0, 0
        self._bytes_left += _CALL_BYTES_MAX
        running = self._calls[call] = Running(call, broker, self._room, self._asks_per_call_max)
        deadline = self._loop.call_later(seconds, self._expire, running, function, seconds)
        self._transport.write(message)
        self._watch_frame()
        try:
            return await running.result
        except asyncio.CancelledError:
            if len(self._calls) > 1:
                running.is_given_up = True  # it goes on beside the others, unheard, until its deadline
                raise
            await self.aclose()
            raise
        finally:
            if not running.is_given_up:
                deadline.cancel()
                self._calls.pop(call, None)
            await running.end()

    async def aclose(self) -> None:
        self._process.kill()
        await asyncio.wait({self._see_off()})

    # -- the protocol's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        try:
            if self._bytes_left < 0:
                raise ProtocolError(f"more than {_CALL_BYTES_MAX >> 20} MiB in one call")
            self._connection.feed(data)
        except ProtocolError as error:
            self._break_off(error)
        else:
            self._read_on()

    def eof_received(self) -> None:
        self._see_off()

    def connection_lost(self, exc: Exception | None) -> None:
        self._see_off()

    def pause_writing(self) -> None:
        self._room.pause()

    def resume_writing(self) -> None:
        self._room.resume()

    # -- opening

    async def _confined(self, look: Callable[[int], None], *, manifest_wanted: bool) -> None:
        match await self._opened():
            case Confined():
                look(self._process.pid)
                self._opening = self._loop.create_future()
                self._transport.write(self._connection.send(Start(manifest_wanted)))
            case Fault(code=SandboxError.code) as fault:
                raise layer_error(fault.message)
            case None:
                cause = self._breach or (await self._process.wait_for_cause()).text
                raise SandboxError(f"the isolate's process ended before it was confined: {cause}")
            case _:
                raise SandboxError("the isolate's process did not say first that it was confined")

    async def _ready(self, known: Manifest | None) -> Manifest:
        name = self._process.name
        try:
            match await self._opened():
                case Ready() as ready:
                    return known or Manifest.model_validate(ready.manifest)
                case Fault() as fault:
                    raise ExtensionLoadError(f"{name}: {fault.message}")
                case None:
                    cause = self._breach or (await self._process.wait_for_cause()).text
                    raise ExtensionLoadError(f"{name}: it ended while it was being loaded: {cause}")
                case _:
                    raise ProtocolError("the first message was neither ready nor a fault")
        except (ProtocolError, ValueError) as error:
            raise ExtensionLoadError(f"{name}: {' '.join(str(error).split())[:500]}") from None

    async def _opened(self) -> Frame | None:
        assert self._opening is not None
        try:
            return await self._opening
        finally:
            self._opening = None

    # -- reading

    def _read_on(self) -> None:
        """Take what is here, as far as there is room for its consequences."""
        try:
            while not self._is_held_up() and not self._ended and (frame := self._connection.next()) is not None:
                self._stop_watching()  # what is here of the next one has only begun
                self._take(frame)
        except ProtocolError as error:
            self._break_off(error)
            return
        self._watch_frame()
        if self._is_held_up() != self._reading_is_paused and not self._transport.is_closing():
            self._reading_is_paused = not self._reading_is_paused
            (self._transport.pause_reading if self._reading_is_paused else self._transport.resume_reading)()

    def _is_held_up(self) -> bool:
        return self._room.is_full and self._connection.holds_up

    def _watch_frame(self) -> None:
        """A message that was begun in a call has to end."""
        awaited = self._connection.is_mid_frame and bool(self._calls) and not self._is_held_up()
        if awaited and self._frame_timer is None:
            error = ProtocolError(f"a message that did not end within {_FRAME_SECONDS_MAX:g} s")
            self._frame_timer = self._loop.call_later(_FRAME_SECONDS_MAX, self._break_off, error)
        elif not awaited:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None

    def _take(self, frame: Frame) -> None:
        if self._opening is not None:
            if self._opening.done():
                raise ProtocolError("a message before its time")
            self._opening.set_result(frame)
            return
        match frame:
            case Return():
                self._finish(frame.call_id).set_result(frame.result)
            case Fault(call_id=str(call_id)):
                self._finish(call_id).set_exception(_failure(frame))
            case Ask():
                if running := self._heard(frame.call_id):
                    running.begin(frame)
                else:  # a task that the function left behind: its call is over, and with it all it may ask
                    self._write(Refusal(frame.ask_id, "request.forbidden", "the call is over"))
            case Cancel():
                if running := self._heard(frame.call_id):
                    running.cancel(frame.ask_id)
            case _:
                raise ProtocolError("an answer to no call")

    def _finish(self, call_id: str) -> asyncio.Future[JsonObject]:
        running = self._calls.pop(CallId(call_id), None)
        if running is None:
            raise ProtocolError("an answer to no call")
        return self._loop.create_future() if running.result.done() else running.result

    def _heard(self, call_id: str) -> Running | None:
        running = self._calls.get(CallId(call_id))
        if running is not None and not running.is_given_up:
            return running
        self._asked_between_calls += 1
        if self._asked_between_calls > _ASKS_BETWEEN_CALLS_MAX:
            raise ProtocolError(f"more than {_ASKS_BETWEEN_CALLS_MAX:,} requests outside of a call")
        return None

    def _write(self, frame: Frame) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._connection.send(frame))

    # -- ending

    def _expire(self, running: Running, function: str, seconds: float) -> None:
        self._calls.pop(running.call, None)
        self._break_off(None)
        self._breach = f"another call of yours, of {function}, did not answer within {seconds:g} s"
        if not running.result.done():
            running.result.set_exception(
                DeadlineError(f"{function} did not answer within {seconds:g} s and was stopped")
            )

    def _break_off(self, error: ProtocolError | None) -> None:
        if error is not None and not self._breach:
            self._breach = f"it broke the protocol: {error}"
        self._process.kill()
        self._see_off()

    def _see_off(self) -> asyncio.Task[None]:
        """Once, whatever ended first: the process, its channel, or our patience."""
        if self._seeing_off is None:
            self._ended = True
            self._transport.abort()  # what a peer has not read is no reason to wait
            self._seeing_off = self._loop.create_task(self._seen_off())
        return self._seeing_off

    async def _seen_off(self) -> None:
        self._stop_watching()
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(None)
        cause = await self._process.wait_for_cause()
        for running in self._calls.values():
            if not running.result.done():
                running.result.set_exception(self._error_of(cause))

    async def _stopped(self) -> ExtensionError:
        return self._error_of(await self._process.wait_for_cause())

    def _error_of(self, cause: Cause) -> ExtensionError:
        kind = ExtensionLimitError if cause.is_limit and not self._breach else ExtensionStoppedError
        return kind(f"the extension stopped: {self._breach or cause.text}")


def _failure(fault: Fault) -> ExtensionError:
    if fault.code == ExtensionLimitError.code:
        return ExtensionLimitError(fault.message[:2_000])
    problems = tuple(Problem(p.field[:200], p.message[:500]) for p in fault.problems[:20])
    return ExtensionRaisedError(fault.message[:2_000], echoes=fault.code[:100], problems=problems)


def _hung_up(sock: socket.socket) -> bool:
    """Whether the other end is closed: the kernel knows before any event is read."""
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, 0)  # what is always reported: POLLHUP, POLLERR
    return bool(poll.poll(0))
