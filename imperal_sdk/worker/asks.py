"""What the calls of this isolate have asked their host, and wait for."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from imperal_sdk.errors import ImperalError, from_code
from imperal_sdk.wire import Answer, Ask, Cancel, Frame, FrameTooLargeError, Part, Refusal
from imperal_sdk.wire.connection import UnsendableError


class Asks:
    """One for an isolate: ids are never used twice, whichever call asks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[Frame], None]) -> None:
        self._loop = loop
        self._send = send
        # The calls that run. With a call all that it asked has ended, at the host too: there is nothing to cancel.
        self.running: set[str] = set()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._streams: dict[int, Stream] = {}

    def take(self, frame: Part | Answer | Refusal) -> None:
        """What nobody waits for any more is dropped."""
        if (stream := self._streams.get(frame.ask_id)) is not None:
            stream.take(frame)
        elif not isinstance(frame, Part) and (waiting := self._waiting.pop(frame.ask_id, None)) and not waiting.done():
            if isinstance(frame, Answer):
                waiting.set_result(frame.payload)
            else:
                waiting.set_exception(from_code(frame.code, frame.message))

    def open(self, call_id: str, capability: str, payload: dict[str, Any]) -> int:
        ask_id = next(self._ids)
        try:
            self._send(Ask(call_id, ask_id, capability, payload))
        except FrameTooLargeError as error:
            raise ImperalError(str(error), "request.too_large") from None
        except UnsendableError as error:
            raise ImperalError(f"the request cannot be sent: {error}", "request.invalid") from None
        return ask_id

    async def answer_to(self, call_id: str, ask_id: int) -> dict[str, Any]:
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting[ask_id] = future
        try:
            return await future
        finally:
            if self._waiting.pop(ask_id, None) is not None:  # given up before it was answered
                self._cancel(call_id, ask_id)

    def stream(self, call_id: str, capability: str, payload: dict[str, Any]) -> "Stream":
        ask_id = self.open(call_id, capability, payload)
        stream = self._streams[ask_id] = Stream(self._loop, lambda: self._end(call_id, ask_id))
        return stream

    def _end(self, call_id: str, ask_id: int) -> None:
        if not self._streams.pop(ask_id).is_answered:
            self._cancel(call_id, ask_id)

    def _cancel(self, call_id: str, ask_id: int) -> None:
        if call_id in self.running:
            self._send(Cancel(call_id, ask_id))


class Stream:
    """Items of one streamed answer. Those that came and were not taken are kept here: the host bounds what one
    answer may be, and the isolate's memory is the extension's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
        self._loop = loop
        self._end: Callable[[], None] | None = end
        self._batches: deque[list[dict[str, Any]]] = deque()
        self._reply: Answer | Refusal | None = None
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_answered(self) -> bool:
        return self._reply is not None

    @property
    def answer(self) -> dict[str, Any]:
        """Once ``next`` said that nothing more comes."""
        assert isinstance(self._reply, Answer)
        return self._reply.payload

    def take(self, frame: Part | Answer | Refusal) -> None:
        if isinstance(frame, Part):
            self._batches.append(frame.items)
        else:
            self._reply = frame
            self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> list[dict[str, Any]] | None:
        """The next items, or ``None`` at the end. Raises ``ImperalError``."""
        while not self._batches:
            if isinstance(self._reply, Refusal):
                raise from_code(self._reply.code, self._reply.message)
            if self._end is None:
                return None
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._batches.popleft()

    def close(self) -> None:
        """Cancel it, unless it is over."""
        end, self._end = self._end, None
        if end is not None:
            end()


class Door:
    """What one call may say to its host."""

    __slots__ = ("_asks", "_call_id")

    def __init__(self, asks: Asks, call_id: str) -> None:
        self._asks = asks
        self._call_id = call_id

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        return await self._asks.answer_to(self._call_id, self._asks.open(self._call_id, capability, payload))

    def emit(self, capability: str, payload: dict[str, Any]) -> None:
        self._asks.open(self._call_id, capability, payload)

    def stream(self, capability: str, payload: dict[str, Any]) -> Stream:
        return self._asks.stream(self._call_id, capability, payload)
